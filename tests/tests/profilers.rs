//! perf on patched programs: samples in trampolines have the callers that the
//! original's samples have in the function that makes the call.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::golang::go;
use procsys_tests::native::Folder;
use procsys_tests::{Outcome, patch, root, run};

const LIMIT: Duration = Duration::from_secs(300);

fn done(command: &mut Command) -> Outcome {
    let outcome = run(command, LIMIT);
    assert!(outcome.success(), "{command:?}\n{outcome}");
    outcome
}

fn source(name: &str) -> PathBuf {
    root().join("tests/programs/debugger").join(name)
}

/// The samples of a run, each with its functions, innermost first. A patched file has
/// the original's build id, by which perf keeps copies: so each run has its own.
fn samples(graph: &str, program: &Path, arguments: &[&str]) -> Vec<Vec<String>> {
    let [kept, data] = ["kept", "data"].map(|n| program.with_extension(n));
    let perf = || {
        let mut command = Command::new("perf");
        command.arg("--buildid-dir").arg(&kept);
        command
    };
    let mut record = perf();
    record.args(["record", "--no-buildid-cache", "-q", "-e", "cpu-clock", "-F", "2000"]);
    record.args(["--call-graph", graph, "-o"]).arg(&data).arg(program).args(arguments);
    done(&mut record);
    let mut script = perf();
    script.args(["script", "-F", "ip,sym", "-i"]).arg(&data);
    let said = done(&mut script).stdout;
    let frames = |sample: &str| -> Vec<String> {
        let names = sample.lines().filter_map(|l| l.split_whitespace().nth(1));
        names.map(str::to_owned).collect()
    };
    said.split("\n\n").map(frames).filter(|frames| !frames.is_empty()).collect()
}

/// How many samples hold a function whose name ends so, and how many of these have these callers.
fn with_callers(samples: &[Vec<String>], function: &str, callers: &[&str]) -> (usize, usize) {
    let behind = |s: &Vec<String>| {
        let at = s.iter().position(|name| name.ends_with(function))?;
        let mut rest = s[at + 1..].iter();
        // In this order, whatever is between them.
        Some(callers.iter().all(|caller| rest.any(|name| name == caller)))
    };
    let found: Vec<bool> = samples.iter().filter_map(behind).collect();
    (found.len(), found.iter().filter(|has| **has).count())
}

/// Nearly all; a sample between two instructions of a prologue may differ.
fn nearly_all((all, with): (usize, usize)) -> bool {
    all >= 50 && with * 20 >= all * 19
}

#[test]
fn unwound_stacks_show_the_callers_of_a_trampoline() {
    let folder = Folder::new("profilers");
    let file = folder.path().join("a-file");
    fs::write(&file, "").expect("the folder is writable");
    let arguments = [file.to_str().expect("UTF-8"), "100000"];
    for (linkage, callers) in [
        (&["-static-pie"][..], &["outer", "main"][..]),
        (&["-static", "-Wl,--eh-frame-hdr"], &["outer", "main"]),
        // Without a table, perf 6.1 does not unwind the program's own functions,
        // patched or not; but it leaves the trampoline.
        (&["-static"], &["outer"]),
    ] {
        let [stock, patched] = ["stock", "patched"].map(|n| folder.path().join(n));
        let mut compiler = Command::new("gcc");
        done(compiler.arg("-O2").args(linkage).arg("-o").arg(&stock).arg(source("frames.c")));
        patch(&stock, &patched, &[]);
        let before = samples("dwarf,4096", &stock, &arguments);
        let after = samples("dwarf,4096", &patched, &arguments);
        let before = with_callers(&before, "by_number", callers);
        let after = with_callers(&after, "procsys_trampolines", callers);
        println!("{linkage:?}: of {} samples, {} have {callers:?}", before.0, before.1);
        println!("patched: of {} samples in trampolines, {}", after.0, after.1);
        assert!(nearly_all(before) || callers.len() == 1, "{linkage:?}: {before:?}");
        assert!(nearly_all(after), "{linkage:?}: {after:?}");
    }
}

#[test]
fn frame_pointers_of_go_show_the_callers() {
    let folder = Folder::new("profilers-go");
    let [stock, patched] = ["stock", "patched"].map(|n| folder.path().join(n));
    done(go(&["build", "-o"]).arg(&stock).arg(source("profile.go")));
    patch(&stock, &patched, &[]);
    let profile = folder.path().join("profile");
    let arguments = [profile.to_str().expect("UTF-8")];
    let callers = ["main.opener", "main.main", "runtime.main"];
    let [before, after] = [&stock, &patched].map(|p| samples("fp", p, &arguments));
    let before = with_callers(&before, ".Syscall6", &callers);
    // The calls are made in the function itself; few samples hit its trampoline.
    let calls = with_callers(&after, ".Syscall6", &callers);
    let beside = with_callers(&after, "procsys_trampolines", &callers);
    println!("of {} samples in calls, {} have {callers:?}", before.0, before.1);
    println!("patched: {calls:?}, of those in the trampoline {beside:?}");
    assert!(nearly_all(before), "{before:?}");
    assert!(nearly_all(calls), "{calls:?}");
    assert!(beside.0 * 20 < calls.0, "{beside:?}");
}
