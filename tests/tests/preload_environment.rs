//! What is asked of `libprocsys.so` by environment variables, and how they
//! travel to programs that are run with an environment of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use procsys_tests::Outcome;
use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, source, table};

const ENV: &str = "/usr/bin/env";

const RULES: &str = "[[rule]]\nname = \"x\"\naction = \"emulate\"\npath = \"/proc/sys/procsys/x\"\n\
                     value = \"42\\n\"\nwrite = \"refuse\"\n";

/// A program with the library and nothing else in its environment.
fn preloaded(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LD_PRELOAD", library()).args(args);
    command
}

fn travel(folder: &Path) -> PathBuf {
    let program = folder.join("travel");
    compile("gcc", &["-O1"], &source("travel.c"), &program);
    program
}

/// The printed environment, sorted.
fn lines(outcome: &Outcome) -> Vec<&str> {
    assert!(outcome.success(), "{outcome}");
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_cleared_environment_is_completed() {
    let folder = Folder::new("preload-travel");
    let program = travel(folder.path());
    let program = program.to_str().expect("text");
    let preload = format!("LD_PRELOAD={}", library().display());
    let expected = [preload.as_str(), "ONLY=1", "PROCSYS_PROFILE=gvisor"];
    for how in [
        "execve",
        "execv",
        "execvp",
        "execvpe",
        "execl",
        "execl-many",
        "execlp",
        "execle",
        "fexecve",
        "execveat",
        "syscall",
        "vfork",
        "posix_spawn",
        "posix_spawnp",
    ] {
        let mut command = preloaded(program, &[how, ENV]);
        command.env("PROCSYS_PROFILE", "gvisor");
        assert_eq!(lines(&finish(command)), expected, "{how}");
    }
    let mut command = preloaded(program, &["execve-null", ENV]);
    command.env("PROCSYS_PROFILE", "gvisor");
    assert_eq!(lines(&finish(command)), [expected[0], expected[2]]);
}

/// Kubernetes names variables after each service: of one that is called procsys they
/// start as ours do, and are not.
#[test]
fn variables_of_a_service_called_procsys_are_not_ours() {
    let folder = Folder::new("preload-service");
    let program = travel(folder.path());
    let mut command = preloaded(program.to_str().expect("text"), &["execve", ENV]);
    command.env("PROCSYS_PROFILE", "gvisor");
    for name in ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT"] {
        command.env(format!("PROCSYS_{name}"), "80");
    }
    for name in ["", "_ADDR", "_PORT", "_PROTO"] {
        command.env(format!("PROCSYS_PORT_80_TCP{name}"), "80");
    }
    let preload = format!("LD_PRELOAD={}", library().display());
    let expected = [preload.as_str(), "ONLY=1", "PROCSYS_PORT=80", "PROCSYS_PROFILE=gvisor"];
    assert_eq!(lines(&finish(command)), expected);
}

#[test]
fn other_libraries_stay_and_nothing_is_doubled() {
    let folder = Folder::new("preload-others");
    let program = travel(folder.path());
    let program = program.to_str().expect("text");
    let own = library();
    let own = own.display();
    let command =
        preloaded(program, &["execve", ENV, "LD_PRELOAD=/lib/x86_64-linux-gnu/libm.so.6"]);
    let joined = format!("LD_PRELOAD={own}:/lib/x86_64-linux-gnu/libm.so.6");
    assert_eq!(lines(&finish(command)), [joined.as_str(), "ONLY=1"]);
    let given = format!("LD_PRELOAD={own}");
    let command = preloaded(program, &["execve", ENV, &given]);
    assert_eq!(lines(&finish(command)), [given.as_str(), "ONLY=1"]);
    let command = preloaded(program, &["execve", ENV, "PROCSYS_DISABLE=1"]);
    assert_eq!(lines(&finish(command)), ["ONLY=1", "PROCSYS_DISABLE=1"]);
}

#[test]
fn propagation_can_be_turned_off() {
    let folder = Folder::new("preload-off");
    let program = travel(folder.path());
    let mut command = preloaded(program.to_str().expect("text"), &["execve", ENV]);
    command.env("PROCSYS_PROPAGATE", "0");
    assert_eq!(lines(&finish(command)), ["ONLY=1"]);
}

#[test]
fn a_failing_spawn_leaves_errno_alone() {
    let folder = Folder::new("preload-spawn");
    let program = travel(folder.path());
    let outcome = finish(preloaded(program.to_str().expect("text"), &["spawn-missing", ENV]));
    assert_eq!(outcome.stdout, "error 2 errno 77\n");
}

#[test]
fn what_cannot_be_read_ends_the_program_before_main() {
    let folder = Folder::new("preload-bad");
    let empty = folder.path().join("empty");
    fs::write(&empty, "").expect("the temporary directory is writable");
    let empty = empty.to_str().expect("text");
    let old = folder.path().join("old");
    fs::write(&old, b"procsysR\x01\0\0\0\0\0\0\0").expect("as above");
    let old = old.to_str().expect("text");
    let cases = [
        (
            "PROCSYS_RULES",
            "/missing",
            "procsys: PROCSYS_RULES=/missing: can't be opened\n".to_owned(),
        ),
        (
            "PROCSYS_RULES",
            old,
            format!("procsys: PROCSYS_RULES={old}: a table of another version; compile it anew\n"),
        ),
        ("PROCSYS_RULES", empty, format!("procsys: PROCSYS_RULES={empty}: can't be read\n")),
        (
            "PROCSYS_PROFILE",
            "none",
            "procsys: PROCSYS_PROFILE=none: not a profile of this library: gvisor; \
             libprocsys-whole.so has all\n"
                .to_owned(),
        ),
        ("PROCSYS_PROPAGATE", "x", "procsys: PROCSYS_PROPAGATE=x: expected 0 or 1\n".to_owned()),
    ];
    for (name, value, expected) in cases {
        let mut command = preloaded("/bin/echo", &["main ran"]);
        command.env(name, value);
        let outcome = finish(command);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{name}={value}");
        assert_eq!(outcome.stderr, expected);
    }
}

/// More variables of ours than the library keeps; disabled, it does not mind.
#[test]
fn too_many_variables() {
    let many = || {
        let mut command = preloaded("/bin/echo", &["main ran"]);
        command.envs((0..8).map(|n| (format!("PROCSYS_{n}"), "1")));
        command
    };
    let outcome = finish(many());
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    assert_eq!(outcome.stderr, "procsys: more than seven variables PROCSYS_*\n");
    let mut disabled = preloaded("/bin/echo", &["main ran"]);
    disabled.env("PROCSYS_DISABLE", "1").envs((0..8).map(|n| (format!("PROCSYS_N{n}"), "1")));
    assert_eq!(finish(disabled).stdout, "main ran\n");
}

#[test]
fn rules_are_read_traced_and_disabled() {
    let folder = Folder::new("preload-rules");
    let toml = folder.path().join("rules.toml");
    fs::write(&toml, RULES).expect("the temporary directory is writable");
    let table = table(folder.path(), &toml);
    let trace = folder.path().join("trace");
    let cat = |disabled: bool| {
        let mut command = preloaded("/bin/cat", &["/proc/sys/procsys/x"]);
        command.env("PROCSYS_RULES", &table).env("PROCSYS_TRACE", &trace);
        if disabled {
            command.env("PROCSYS_DISABLE", "1");
        }
        finish(command)
    };
    let outcome = cat(false);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "42\n"), "{outcome}");
    let text = fs::read_to_string(&trace).expect("the trace is there");
    let first = text.lines().next().unwrap_or_default();
    let (pid, rest) = first.split_once(' ').expect("a pid first");
    assert!(pid.parse::<u32>().is_ok(), "{text}");
    assert!(rest.starts_with("openat /proc/sys/procsys/x: ENOENT -> "), "{text}");
    let outcome = cat(true);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(fs::read_to_string(&trace).expect("as above"), text);
}

/// Another library's constructor may have moved the environment before ours runs.
#[test]
fn a_moved_environment_is_read() {
    let folder = Folder::new("preload-moved");
    let code = folder.path().join("moves.c");
    let other = folder.path().join("moves.so");
    let text = "#include <stdlib.h>\n__attribute__((constructor)) static void move(void) {\n\
                setenv(\"MOVED\", \"1\", 1); }\n";
    fs::write(&code, text).expect("the temporary directory is writable");
    compile("gcc", &["-shared", "-fPIC"], &code, &other);
    let toml = folder.path().join("rules.toml");
    fs::write(&toml, RULES).expect("as above");
    let table = table(folder.path(), &toml);
    for (first, second) in [(&other, &library()), (&library(), &other)] {
        let mut command = preloaded("/bin/sh", &["-c", "cat /proc/sys/procsys/x; echo $MOVED"]);
        command.env("LD_PRELOAD", format!("{}:{}", first.display(), second.display()));
        command.env("PROCSYS_RULES", &table);
        let outcome = finish(command);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "42\n1\n"), "{outcome}");
    }
}

/// The trace is written after pivot_root, too, where its name leads nowhere, and
/// nothing is left of it in the new root; but not when the program has closed it.
#[test]
fn the_trace_outlives_pivot_root() {
    let folder = Folder::new("preload-pivot");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("root")).expect("the temporary directory is writable");
    let toml = path("rules.toml");
    fs::write(&toml, RULES.replace("/proc/sys/procsys/x", "/procsys-x")).expect("as above");
    let table = table(folder.path(), &toml);
    let program = path("pivot");
    compile("gcc", &["-O1"], &source("pivot.c"), &program);
    let run = |preload: bool| {
        let mut command = Command::new(&program);
        command.arg(path("root")).arg("/procsys-x");
        if preload {
            command.env("LD_PRELOAD", library()).env("PROCSYS_RULES", &table);
            command.env("PROCSYS_TRACE", path("trace"));
        }
        let outcome = finish(command);
        assert!(outcome.success(), "{outcome}");
        outcome.stdout
    };
    assert_eq!(run(false), "missing\nmissing\nmissing\n");
    assert_eq!(run(true), "there\nthere\nthere\n");
    let text = fs::read_to_string(path("trace")).expect("the trace is there");
    let opens = text.lines().filter(|line| line.contains("openat /procsys-x: ENOENT -> "));
    assert_eq!(opens.count(), 2, "{text}");
    assert_eq!(fs::read_dir(path("root")).expect("it is there").count(), 0);
}
