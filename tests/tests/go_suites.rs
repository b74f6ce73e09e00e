//! Go's own test suites, unpatched and patched: is a patched program the same
//! program? They know the corners of the system call interface better than any
//! test of ours: re-executing themselves, preemption signals, namespaces,
//! interrupted calls, thousands of goroutines.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use procsys_tests::gosuites::{Linked, SuiteRun, goroot, run_suite, test_program};
use procsys_tests::patch;

/// The packages that stand closest to the kernel, in two lanes of about the
/// same length, one for each core.
const LANES: [&[&str]; 2] = [&["os"], &["syscall", "os/exec", "os/signal", "time"]];

/// Fewer tests than this is a GOROOT without its tests, or suites that died.
const AT_LEAST: usize = 1300;

/// The ways of patching: name and arguments.
const WAYS: [(&str, &[&str]); 2] = [("every call", &["--every-call"]), ("default profile", &[])];

/// A suite takes about 35 s at most on two cores.
const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn gos_own_suites_end_as_they_do_unpatched() {
    let goroot = goroot();
    let folder = std::env::temp_dir().join(format!("procsys-gosuites-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary directory is writable");
    // One after the other: the compiler uses both cores by itself.
    for package in LANES.concat() {
        test_program(&goroot, package, Linked::Static);
    }
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let lanes = LANES.map(|packages| {
            let (goroot, folder) = (&goroot, &folder);
            scope.spawn(move || {
                packages.iter().map(|package| compare(goroot, folder, package)).collect::<Vec<_>>()
            })
        });
        lanes.into_iter().flat_map(|lane| lane.join().expect("a lane does not panic")).collect()
    });
    let _ = std::fs::remove_dir_all(&folder);

    let total: usize = reports.iter().map(|r| r.total).sum();
    println!("{total} tests and subtests in {} suites, each patched in two ways", reports.len());
    for report in &reports {
        print!("{}", report.lines);
    }
    let failed: Vec<&str> = reports.iter().filter_map(|r| r.failure.as_deref()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(total >= AT_LEAST, "only {total} tests ran, at least {AT_LEAST} were expected");
}

/// What one package's suite came to.
struct Report {
    lines: String,
    total: usize,
    failure: Option<String>,
}

/// Runs one suite unpatched and patched. The unpatched run is shared by the
/// ways of patching; when lists differ, the *pair* is run again, as a test
/// that depends on the machine's mood can fail on either side.
fn compare(goroot: &Path, folder: &Path, package: &str) -> Report {
    const TRIES: usize = 3;
    let stock = test_program(goroot, package, Linked::Static);
    let first = run_suite(goroot, package, &stock, LIMIT);
    let mut report = Report { lines: String::new(), total: first.total(), failure: None };
    for name in first.names("FAIL") {
        let _ = writeln!(report.lines, "  fails on this machine, also unpatched: {package} {name}");
    }
    for (way, args) in WAYS {
        let patched =
            folder.join(format!("{}-{}", package.replace('/', "_"), way.replace(' ', "-")));
        patch(&stock, &patched, args);
        let mut again = None;
        for attempt in 1..=TRIES {
            let before = again.as_ref().unwrap_or(&first);
            let after = run_suite(goroot, package, &patched, LIMIT);
            let differences = before.differences(&after);
            report.lines += &line(package, way, before, &after, differences.len());
            if differences.is_empty() {
                break;
            }
            let shown = differences.join("\n    ");
            let _ = writeln!(
                report.lines,
                "  try {attempt} of {TRIES} differed (stock / patched):\n    {shown}"
            );
            if attempt == TRIES {
                let tail = &after.tail;
                report.failure = Some(format!(
                    "{package}, {way}: differs in {TRIES} of {TRIES} tries:\n    {shown}\npatched ended with:\n{tail}"
                ));
                break;
            }
            again = Some(run_suite(goroot, package, &stock, LIMIT));
        }
    }
    report
}

/// The line of figures for one pair of runs.
fn line(
    package: &str,
    way: &str,
    stock: &SuiteRun,
    patched: &SuiteRun,
    different: usize,
) -> String {
    let counts = |r: &SuiteRun| ["PASS", "FAIL", "SKIP"].map(|k| r.count(k).to_string()).join("/");
    format!(
        "{package:<10} {way:<16} pass/fail/skip: stock {}, patched {}, {different} differences\n",
        counts(stock),
        counts(patched)
    )
}
