//! busybox's and bash's own tests on Debian's static busybox and bash, patched
//! and not.

use std::path::Path;

use procsys_tests::fixture;
use procsys_tests::shellsuites::{SLEEPY, UNSTABLE_IN_BASH, UNSTABLE_IN_BUSYBOX, bash, busybox};
use procsys_tests::suite::{
    Programs, Report, SuiteRun, Unstable, asked, conclude, is_whole, workplace,
};

/// These compute: their tests take longer than all others together.
const COMPUTING: [&str; 7] =
    ["bc", "factor", "md5sum", "sha1sum", "sha256sum", "sha3sum", "sha512sum"];

/// Compares one shell in both ways.
fn both_ways(
    name: &str,
    folder: &Path,
    unstable: &[Unstable],
    run: &dyn Fn(&Path) -> SuiteRun,
) -> Report {
    Programs::patch(&fixture(name), folder, name).compare(name, unstable, run, asked)
}

#[test]
fn busybox_ends_its_tests_as_unpatched() {
    let work = workplace("busybox");
    let applets = applets();
    let applets: Vec<&str> = applets.iter().map(String::as_str).collect();
    let unstable = &UNSTABLE_IN_BUSYBOX;
    let report =
        both_ways("busybox-static", &work, unstable, &|p| busybox(p, &work, &applets, &[]));
    let _ = std::fs::remove_dir_all(&work);
    conclude(&[report], 1000);
}

/// All applets with tests, or all but those that compute.
fn applets() -> Vec<String> {
    if is_whole() {
        return Vec::new();
    }
    let folder = fixture("busybox-tests").join("testsuite");
    let entries = std::fs::read_dir(folder).expect("the fixture is a folder");
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.expect("a readable folder");
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.path().is_dir();
            name.strip_suffix(".tests").map(str::to_owned).or(is_folder.then_some(name))
        })
        .filter(|name| !COMPUTING.contains(&name.as_str()))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn bash_ends_its_tests_as_unpatched() {
    let work = workplace("bash");
    let leave_out = if is_whole() { &[][..] } else { &SLEEPY };
    let report =
        both_ways("bash-static", &work, &UNSTABLE_IN_BASH, &|p| bash(p, &work, leave_out, &[]));
    let _ = std::fs::remove_dir_all(&work);
    conclude(&[report], 75);
}
