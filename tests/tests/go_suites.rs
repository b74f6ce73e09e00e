//! Go's own test suites, unpatched and patched: is a patched program the same
//! program? They know the corners of the system call interface better than any
//! test of ours: re-executing themselves, preemption signals, namespaces,
//! interrupted calls, thousands of goroutines.

use std::path::Path;
use std::time::Duration;

use procsys_tests::gosuites::{Linked, goroot, run_suite, test_program};
use procsys_tests::suite::{Programs, Report, Unstable, conclude, is_whole, workplace};

/// The packages that stand closest to the kernel, in two lanes of about the
/// same length, one for each core.
const LANES: [&[&str]; 2] =
    [&["os", "runtime"], &["syscall", "os/exec", "os/signal", "time", "net"]];

/// Fewer tests than this is a GOROOT without its tests, or suites that died.
const AT_LEAST: usize = 2500;

/// The longest takes about a minute on two idle cores, whole four minutes.
const LIMIT: Duration = Duration::from_secs(900);

/// Tests that end differently in runs of the stock program, too.
const UNSTABLE: &[Unstable] = &[];

/// What a package's program is told. Those of net and runtime that ask for the
/// long form need the internet, or minutes.
fn args(package: &str) -> Vec<&'static str> {
    match package {
        "net" => vec!["-test.short"],
        "runtime" if is_whole() => vec!["-test.short"],
        "runtime" => vec!["-test.short", RUNTIME_LEFT_OUT],
        _ => vec![],
    }
}

/// The tests of runtime that the bounded form leaves out: most of their time they
/// compute, or build and debug other programs, which are not patched.
const RUNTIME_LEFT_OUT: &str = "-test.skip=^(TestGdb.*|TestMemPprof|TestGoroutineLeakProfile\
    |TestLockOSThreadVgetrandom|TestScavengeIndex|TestMemmove.*|TestCoroCgoCallback|TestFreegc\
    |TestLockRankGenerated|TestFinalizerOrCleanupDeadlock|TestConcurrentMapWrites.*\
    |TestAtomicAlignment)$";

#[test]
fn gos_own_suites_end_as_they_do_unpatched() {
    let goroot = goroot();
    let folder = workplace("go");
    // One after the other: the compiler uses both cores by itself.
    for package in LANES.concat() {
        test_program(&goroot, package, Linked::Static);
    }
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let lanes = LANES.map(|packages| {
            let (goroot, folder) = (&goroot, &folder);
            scope.spawn(move || {
                packages
                    .iter()
                    .map(|package| both_ways(goroot, folder, package))
                    .collect::<Vec<_>>()
            })
        });
        lanes.into_iter().flat_map(|lane| lane.join().expect("a lane does not panic")).collect()
    });
    let _ = std::fs::remove_dir_all(&folder);
    conclude(&reports, AT_LEAST);
}

/// One package's suite, patched with every call on the slow path and as by
/// default.
fn both_ways(goroot: &Path, folder: &Path, package: &str) -> Report {
    let stock = test_program(goroot, package, Linked::Static);
    let run = |program: &Path| run_suite(goroot, package, program, &args(package), LIMIT);
    let programs = Programs::patch(&stock, folder, &package.replace('/', "_"));
    programs.compare(package, UNSTABLE, &run, |ways| ways)
}
