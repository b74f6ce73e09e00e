//! CPython's own tests with a static interpreter, patched and not.

use std::path::Path;

use procsys_tests::fixture;
use procsys_tests::pysuites::{LEAVE_OUT, run_module};
use procsys_tests::suite::{
    Programs, Report, SuiteRun, Unstable, asked, conclude, is_whole, workplace,
};

/// The modules that stand closest to the kernel, in lanes of about the same
/// length (most of their time is sleep): those of the bounded form, and all.
const LANES: [&[&str]; 3] = [&["test_os", "test_posix"], &["test_subprocess"], &["test_threading"]];
const ALL_LANES: [&[&str]; 3] = [
    &["test_os", "test_posix", "test_io"],
    &["test_subprocess", "test_threading"],
    &["test_socket", "test_signal"],
];

/// Tests that end differently in runs of the stock program, too.
const UNSTABLE: &[Unstable] = &[];

#[test]
fn cpython_ends_its_tests_as_unpatched() {
    let work = workplace("python");
    let stock = fixture("python").join("usr/bin/python3.11-static");
    let programs = &Programs::patch(&stock, &work, "python");
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let lanes = if is_whole() { ALL_LANES } else { LANES };
        let lanes = lanes.map(|modules| {
            let work = &work;
            scope.spawn(move || {
                modules.iter().map(|module| both_ways(module, programs, work)).collect::<Vec<_>>()
            })
        });
        lanes.into_iter().flat_map(|lane| lane.join().expect("a lane does not panic")).collect()
    });
    let _ = std::fs::remove_dir_all(&work);
    conclude(&reports, if is_whole() { 2300 } else { 900 });
}

fn both_ways(module: &str, programs: &Programs, work: &Path) -> Report {
    // The same path for all, as tests see and print it.
    let place = work.join(format!("{module}-python"));
    let run = |program: &Path| -> SuiteRun {
        let _ = std::fs::remove_file(&place);
        std::fs::copy(program, &place).expect("the workplace is writable");
        run_module(&place, work, module, LEAVE_OUT, &[])
    };
    programs.compare(module, UNSTABLE, &run, asked)
}
