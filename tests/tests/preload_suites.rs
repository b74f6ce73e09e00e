//! Other people's suites on Debian's own dynamic programs, with libprocsys.so
//! and without.

use std::path::Path;

use procsys_tests::fixture;
use procsys_tests::preload::{library, table_of};
use procsys_tests::pysuites::run_module;
use procsys_tests::shellsuites::{SLEEPY, UNSTABLE_IN_BASH, bash, coreutils};
use procsys_tests::suite::{
    Report, SuiteRun, Unstable, asked, compare, conclude, is_whole, workplace,
};

/// The folders of coreutils' tests whose programs are about files: those of the
/// bounded form, and the others.
const FILES: [&str; 9] = ["chmod", "cp", "ln", "ls", "mkdir", "mv", "readlink", "rmdir", "touch"];
const MORE_FILES: [&str; 8] = ["rm", "chgrp", "chown", "dd", "df", "du", "install", "id"];

/// What is added to the environment.
type Environment = [(String, String)];

/// Compares a suite with nothing, with the library and its default profile, and
/// with a redirect that no test comes near.
fn both_ways(
    suite: &str,
    work: &Path,
    unstable: &[Unstable],
    run: &dyn Fn(&Environment) -> SuiteRun,
) -> Report {
    let folder = work.join("rules");
    std::fs::create_dir_all(&folder).expect("the workplace is writable");
    let table = table_of(&folder, &["--redirect", "/procsys-from=/procsys-to"]);
    let preload = ("LD_PRELOAD".to_owned(), library().display().to_string());
    let rules = ("PROCSYS_RULES".to_owned(), table.display().to_string());
    // The table holds the default profile and the redirect.
    let (profile, redirect) = ([preload.clone()], [preload, rules]);
    let ways: [(&str, &dyn Fn() -> SuiteRun); 2] =
        [("a redirect", &|| run(&redirect)), ("default profile", &|| run(&profile))];
    compare(suite, unstable, &|| run(&[]), asked(&ways))
}

#[test]
fn coreutils_ends_its_tests_as_without() {
    let work = workplace("preload-coreutils");
    let mut folders = FILES.to_vec();
    if is_whole() {
        folders.extend(MORE_FILES);
    }
    let run = |more: &Environment| coreutils(&work, &folders, more);
    let report = both_ways("coreutils", &work, &[], &run);
    let _ = std::fs::remove_dir_all(&work);
    conclude(&[report], 150);
}

#[test]
fn bash_ends_its_tests_as_without() {
    let work = workplace("preload-bash");
    let leave_out = if is_whole() { &[][..] } else { &SLEEPY };
    let run = |more: &Environment| bash(Path::new("/bin/bash"), &work, leave_out, more);
    let report = both_ways("bash", &work, &UNSTABLE_IN_BASH, &run);
    let _ = std::fs::remove_dir_all(&work);
    conclude(&[report], 75);
}

/// The modules of CPython's tests, in two lanes: those of the bounded form, and all.
const LANES: [&[&str]; 2] = [&["test_os", "test_posix"], &["test_io"]];
const ALL_LANES: [&[&str]; 2] =
    [&["test_os", "test_posix", "test_io"], &["test_subprocess", "test_socket"]];

#[test]
fn cpython_ends_its_tests_as_without() {
    let work = workplace("preload-python");
    let python = fixture("python").join("usr/bin/python3.11");
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let lanes = if is_whole() { ALL_LANES } else { LANES };
        let lanes = lanes.map(|modules| {
            let (python, work) = (&python, &work);
            scope.spawn(move || {
                let one = |module: &&str| {
                    let leave_out = procsys_tests::pysuites::LEAVE_OUT;
                    let run =
                        |more: &Environment| run_module(python, work, module, leave_out, more);
                    both_ways(module, &work.join(format!("{module}-rules")), &[], &run)
                };
                modules.iter().map(one).collect::<Vec<_>>()
            })
        });
        lanes.into_iter().flat_map(|lane| lane.join().expect("a lane does not panic")).collect()
    });
    let _ = std::fs::remove_dir_all(&work);
    conclude(&reports, if is_whole() { 2100 } else { 1050 });
}
