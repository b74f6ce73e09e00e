//! Dynamic executables patched on disk, on this machine's own kernel: they are
//! the programs they were, and the library travels where the environment does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::gosuites::{Linked, goroot, run_suite, test_program};
use procsys_tests::native::{Folder, config, copy_program, private_mounts};
use procsys_tests::preload::{compile, finish, library, source};
use procsys_tests::session::{Session, Step, differences};
use procsys_tests::{fixture, patch};

/// The ways of patching: name and arguments, with the library where it was built.
fn ways() -> Vec<(&'static str, Vec<String>)> {
    let library = library().canonicalize().expect("it was built");
    let library = library.to_str().expect("text").to_owned();
    vec![
        ("default profile", vec![]),
        ("every call", vec!["--every-call".into()]),
        ("with the library", vec!["--with-preload".into(), library]),
    ]
}

fn patched(stock: &Path, output: &Path, args: &[String]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    patch(stock, output, &args);
}

/// A container's whole life, and what runc says of itself and of errors.
fn session(program: &Path) -> Vec<Step> {
    let start = config("echo inside; cat /proc/sys/kernel/ostype; read -r line; exit 3");
    let mut s = Session::new("dynamic-runc", program, &start);
    for args in [
        &["--version"][..],
        &["features"],
        &["run", "--no-such-option", "c"],
        &["state", "none"],
        &["run", "c"],
    ] {
        s.step(args);
    }
    let pid = s.beside("pid");
    let out = s.step_and_keep(&["create", "--pid-file", &pid, "d"]);
    s.name_pid(&pid, "PID");
    for args in [&["state", "d"][..], &["list"], &["start", "d"]] {
        s.step(args);
    }
    s.wait_for_text(&out, "Linux");
    s.wait_for("d", "stopped");
    s.step(&["exec", "d", "/bin/true"]);
    s.step(&["delete", "d"]);
    s.step(&["delete", "d"]);
    std::mem::take(&mut s.steps)
}

#[test]
fn dynamic_runcs_are_the_same_programs() {
    private_mounts();
    for runc in ["runc-dynamic", "runc-current-dynamic"] {
        is_the_same_program(runc);
    }
}

fn is_the_same_program(runc: &str) {
    let folder = Folder::new("dynamic-native");
    let stock = fixture(runc);
    let expected = session(&stock);
    for begin in ["--version", "create", "start", "delete d"] {
        let works = expected.iter().any(|s| s.name.starts_with(begin) && s.code == Some(0));
        assert!(works, "stock cannot {begin} here: {expected:#?}");
    }
    for (way, args) in ways() {
        let output = folder.path().join("runc");
        patched(&stock, &output, &args);
        let found = differences(&expected, &session(&output));
        assert!(found.is_empty(), "{runc}, {way}:\n{}", found.join("\n"));
        println!("{runc}, {way}: {} steps the same", expected.len());
    }
}

#[test]
fn containerd_says_the_same() {
    let folder = Folder::new("dynamic-containerd");
    for (name, calls) in [
        ("containerd", &[&["--version"][..], &["config", "default"], &["config", "none"]][..]),
        ("containerd-shim-runc-v2", &[&["-v"], &["--none"]]),
    ] {
        let here = folder.path().join(name);
        let said = |program: &Path| -> Vec<_> {
            let _ = fs::remove_file(&here);
            copy_program(program, &here);
            let run = |args: &&[&str]| {
                let mut command = Command::new(&here);
                command.args(*args);
                let outcome = finish(command);
                (outcome.code, outcome.all())
            };
            calls.iter().map(run).collect()
        };
        let stock = fixture("containerd").join(name);
        let expected = said(&stock);
        assert_eq!(expected[0].0, Some(0), "{name}: stock: {}", expected[0].1);
        for (way, args) in ways() {
            let output = folder.path().join("patched");
            patched(&stock, &output, &args);
            assert_eq!(said(&output), expected, "{name}, {way}");
        }
    }
}

const NOT: &str = "No such file or directory";
const RULE: &str = "/proc/sys/procsys/x=42";

/// What `both` prints in an environment that is cleared.
fn both(program: &Path, more: &[&Path]) -> String {
    let mut command = Command::new(program);
    command.env_clear().args(more);
    let outcome = finish(command);
    assert!(outcome.success(), "{outcome}");
    assert_eq!(outcome.stderr, "", "{outcome}");
    outcome.stdout
}

/// Builds `both` in one way, and looks at it stock, patched, and with the library.
fn travels(name: &str, compiler: &str, flags: &[&str]) {
    let folder = Folder::new(&format!("dynamic-{name}"));
    let path = |name: &str| folder.path().join(name);
    let (stock, own, with) = (path("stock"), path("own"), path("with"));
    compile(compiler, flags, &source("both.c"), &stock);
    let library = library().canonicalize().expect("it was built");
    patch(&stock, &own, &["--emulate", RULE]);
    let library = library.to_str().expect("text");
    patch(&stock, &with, &["--emulate", RULE, "--with-preload", library]);
    assert_eq!(both(&stock, &[]), format!("libc: {NOT}\nown: {NOT}\n"), "{name}");
    assert_eq!(both(&own, &[]), format!("libc: {NOT}\nown: 42\n"), "{name}");
    let all = "libc: 42\nown: 42\n";
    // It needs no environment, and no more does what it runs.
    assert_eq!(both(&with, &[&with]), format!("{all}{all}"), "{name}");
}

#[test]
fn the_library_travels_without_an_environment() {
    travels("pie", "gcc", &["-O1", "-pie", "-fPIE"]);
    travels("fixed", "gcc", &["-O1", "-no-pie"]);
    travels("stripped", "gcc", &["-O1", "-s", "-Wl,-z,relro,-z,now"]);
    travels("musl", "musl-gcc", &["-O1"]);
}

/// A program that runs with more rights than its caller: the library is loaded,
/// and does nothing.
#[test]
fn a_setuid_program_keeps_its_detours_only() {
    let folder = Folder::new("dynamic-setuid");
    let path = |name: &str| folder.path().join(name);
    let library_copy = path("libprocsys.so");
    copy_program(&library(), &library_copy);
    let (stock, with) = (path("stock"), path("with"));
    compile("gcc", &["-O1"], &source("both.c"), &stock);
    let library = library_copy.to_str().expect("text");
    patch(&stock, &with, &["--emulate", RULE, "--with-preload", library]);
    fs::set_permissions(&with, fs::Permissions::from_mode(0o4755)).expect("it is ours");
    let mut command = Command::new(&with);
    command.uid(65534).gid(65534);
    let outcome = finish(command);
    assert_eq!(outcome.stdout, format!("libc: {NOT}\nown: 42\n"), "{outcome}");
    assert_eq!(both(&with, &[]), "libc: 42\nown: 42\n", "run by its owner it is not setuid");
}

/// Dynamic Go with every call on the slow path: Go's own suites end as they do
/// unpatched.
#[test]
fn dynamic_go_suites_end_as_they_do_unpatched() {
    const LIMIT: Duration = Duration::from_secs(120);
    let goroot = goroot();
    let folder = Folder::new("dynamic-gosuites");
    let mut total = 0;
    let [_, every_call, with_library] = &ways()[..] else { panic!("three ways") };
    for (package, linked, (way, args)) in [
        ("os/user", Linked::Dynamic, with_library),
        ("os/signal", Linked::DynamicPie, every_call),
        ("os/exec", Linked::Dynamic, every_call),
        ("syscall", Linked::DynamicPie, every_call),
    ] {
        let stock = test_program(&goroot, package, linked);
        let output: PathBuf = folder.path().join("suite.test");
        patched(&stock, &output, args);
        // A test may depend on the machine's mood: the pair is run again then.
        let mut found = Vec::new();
        for _ in 0..3 {
            let before = run_suite(&goroot, package, &stock, &[], LIMIT);
            let after = run_suite(&goroot, package, &output, &[], LIMIT);
            found = before.differences(&after);
            println!("{package} {linked:?} {way}: {} tests, {found:?}", after.total());
            if found.is_empty() {
                total += after.total();
                break;
            }
        }
        assert!(found.is_empty(), "{package} {linked:?} {way}: {}", found.join("\n"));
    }
    assert!(total > 150, "only {total} tests ran");
}
