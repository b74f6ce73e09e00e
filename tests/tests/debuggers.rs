//! Debuggers and profilers on patched programs: a backtrace through a trampoline
//! shows the callers, because unwind information is there, and only because of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use procsys_tests::golang::go;
use procsys_tests::native::Folder;
use procsys_tests::{Outcome, patch, root, run};

const LIMIT: Duration = Duration::from_secs(300);

fn source(name: &str) -> PathBuf {
    root().join("tests/programs/debugger").join(name)
}

fn done(command: &mut Command) -> Outcome {
    let outcome = run(command, LIMIT);
    assert!(outcome.success(), "{command:?}\n{outcome}");
    outcome
}

/// The program of frames.c: stock, patched, and patched with the unwind
/// information under a name that nobody knows.
fn frames(folder: &Path, linkage: &str) -> [PathBuf; 3] {
    let [stock, patched, without] =
        ["stock", "patched", "without"].map(|n| folder.join(format!("{n}{linkage}")));
    done(Command::new("gcc").args(["-O2", linkage, "-o"]).arg(&stock).arg(source("frames.c")));
    let redirect = format!("/gone={}", folder.display());
    patch(&stock, &patched, &["--redirect", &redirect]);
    let mut bytes = fs::read(&patched).expect("written");
    let name = b".debug_frame\0";
    let at = bytes.windows(name.len()).rposition(|w| w == name).expect("a section of that name");
    bytes[at + 1] = b'x';
    fs::copy(&patched, &without).expect("the folder is writable");
    fs::write(&without, bytes).expect("the folder is writable");
    [stock, patched, without]
}

/// The functions of a backtrace, innermost first, as gdb and eu-stack print them.
fn functions(said: &str) -> Vec<String> {
    let lines = said.lines().filter(|l| l.starts_with('#'));
    let names = lines.filter_map(|line| {
        let words = line.split_whitespace().skip(1);
        let mut words = words.filter(|w| !w.starts_with("0x") && *w != "in");
        words.next().map(str::to_owned)
    });
    names.collect()
}

/// The backtrace where the program enters openat.
fn by_gdb(program: &Path, path: &Path) -> Vec<String> {
    let run_it = format!("run {}", path.display());
    let script = ["set debuginfod enabled off", "catch syscall openat", &run_it, "bt"];
    let mut command = Command::new("gdb");
    command.args(["-nx", "-batch"]).args(script.iter().flat_map(|line| ["-ex", *line]));
    functions(&done(command.arg(program)).stdout)
}

/// The backtrace of the program while it waits for a FIFO's other end.
fn by_eu_stack(program: &Path, fifo: &Path) -> Vec<String> {
    let mut child = Command::new(program).arg(fifo).spawn().expect("it was built");
    let wchan = format!("/proc/{}/syscall", child.id());
    let start = Instant::now();
    // openat is 257: the thread is in it.
    while !fs::read_to_string(&wchan).is_ok_and(|s| s.starts_with("257 ")) {
        assert!(start.elapsed() < LIMIT, "it does not come to openat");
        std::thread::sleep(Duration::from_millis(20));
    }
    // It exits 1 where it can't go on to the outermost frame.
    let said = run(Command::new("eu-stack").arg("-p").arg(child.id().to_string()), LIMIT);
    child.kill().expect("it waits");
    child.wait().expect("it was killed");
    functions(&said.stdout)
}

const CALLERS: [&str; 2] = ["outer", "main"];

#[test]
fn backtraces_through_a_trampoline_show_the_callers() {
    let folder = Folder::new("debuggers");
    let path = folder.path().join("a-file");
    fs::write(&path, "").expect("the folder is writable");
    let fifo = folder.path().join("fifo");
    done(Command::new("mkfifo").arg(&fifo));
    for linkage in ["-static", "-static-pie"] {
        let [stock, patched, without] = frames(folder.path(), linkage);
        let expected = |first: &[&'static str]| [first, &CALLERS].concat();
        assert_eq!(by_gdb(&stock, &path)[..3], expected(&["by_number"]), "{linkage}");
        assert_eq!(by_gdb(&patched, &path)[..3], expected(&["procsys_trampolines"]), "{linkage}");
        let blind = by_gdb(&without, &path);
        assert_eq!(blind[0], "procsys_trampolines", "{linkage}: {blind:?}");
        assert!(!blind.contains(&"outer".into()), "{linkage}: it is found anyhow: {blind:?}");
        // A redirected call waits in the shim, and goes on at the site.
        let redirected = by_gdb(&patched, Path::new("/gone/a-file"));
        let in_shim = expected(&["procsys_replace", "by_number"]);
        assert_eq!(redirected[..4], in_shim, "{linkage}");
        // Another reader of the same information.
        assert_eq!(by_eu_stack(&stock, &fifo)[..3], expected(&["by_number"]), "{linkage}");
        let trampoline = by_eu_stack(&patched, &fifo);
        assert_eq!(trampoline[..3], expected(&["procsys_trampolines"]), "{linkage}");
        let redirected = by_eu_stack(&patched, Path::new("/gone/fifo"));
        assert_eq!(redirected[..4], in_shim, "{linkage}");
    }
}

/// The share of a function in the samples of a CPU profile, in percent.
fn share(top: &str, function: &str) -> f64 {
    let line = top.lines().find(|l| l.trim_end_matches(" (inline)").ends_with(function));
    let words = line.map(|l| l.split_whitespace().collect::<Vec<_>>());
    words.map_or(0.0, |w| w[4].trim_end_matches('%').parse().expect("a percentage"))
}

#[test]
fn a_go_cpu_profile_says_where_the_time_goes() {
    let folder = Folder::new("debuggers-go");
    let [stock, patched] = ["stock", "patched"].map(|n| folder.path().join(n));
    done(go(&["build", "-o"]).arg(&stock).arg(source("profile.go")));
    patch(&stock, &patched, &[]);
    let [before, after] = [&stock, &patched].map(|program| {
        let profile = program.with_extension("profile");
        assert_eq!(done(Command::new(program).arg(&profile)).stdout, "true true\n");
        done(go(&["tool", "pprof", "-top", "-cum"]).arg(program).arg(&profile)).stdout
    });
    println!("{before}\n{after}");
    for (name, native, ours) in [
        ("main.counter", share(&before, "main.counter"), share(&after, "main.counter")),
        ("main.opener", share(&before, "main.opener"), share(&after, "main.opener")),
    ] {
        assert!(native > 10.0 && (native - ours).abs() < 15.0, "{name}: {native} % and {ours} %");
    }
    // The calls are made in Go's own function; a sample may hit the few instructions of
    // the trampoline.
    let outside = share(&after, "runtime._ExternalCode");
    assert!(outside < 3.0, "{outside} % without callers\n{after}");
    assert_eq!(share(&before, "runtime._ExternalCode"), 0.0, "{before}");
}

/// gdb knows Go's return from a signal handler by its bytes, as Go's authors mean it to.
#[test]
fn gdb_goes_on_from_gos_signal_handler() {
    let folder = Folder::new("debuggers-go-signal");
    let [stock, patched] = ["stock", "patched"].map(|n| folder.path().join(n));
    done(go(&["build", "-o"]).arg(&stock).arg(source("handled.go")));
    patch(&stock, &patched, &[]);
    for program in [&stock, &patched] {
        let script = [
            "set debuginfod enabled off",
            "handle SIGUSR1 nostop noprint",
            "handle SIGURG nostop noprint",
            "break runtime.sighandler",
            "run",
            "bt",
        ];
        let mut command = Command::new("gdb");
        command.args(["-nx", "-batch"]).args(script.iter().flat_map(|line| ["-ex", *line]));
        let said = done(command.arg(program)).stdout;
        let handler = said.find("<signal handler called>");
        let below = handler.map(|at| functions(&said[at..]));
        // Whom it interrupted: a function of Go's.
        let interrupted = below.is_some_and(|names| {
            names.first().is_some_and(|name| name.contains('.') && !name.starts_with('?'))
        });
        assert!(interrupted, "{}:\n{said}", program.display());
    }
}
