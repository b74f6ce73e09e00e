//! Go's own test suites as programs: building one from a GOROOT, running it,
//! and reading from its output how each of its tests ended.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::suite::{Results, SuiteRun};
use crate::{fixture, run};

/// The GOROOT whose suites are run: a Go distribution with its `*_test.go`.
///
/// # Panics
/// When no fixture holds both the compiler and the tests.
pub fn goroot() -> PathBuf {
    let root = fixture("go").canonicalize().expect("the fixture exists");
    for part in ["bin/go", "src/os/os_test.go"] {
        assert!(root.join(part).exists(), "{} has no {part}: run `make fixtures`", root.display());
    }
    root
}

/// How a test program is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// Static, without C.
    Static,
    /// With libc.so.6, by Go's own linker, at fixed addresses.
    Dynamic,
    /// With libc.so.6, by the system's linker, position-independent.
    DynamicPie,
}

/// The test program of `package`, built once per Go version and kept in the
/// user's cache directory.
///
/// # Panics
/// When it can't be built; the compiler's messages are shown.
pub fn test_program(goroot: &Path, package: &str, linked: Linked) -> PathBuf {
    let (end, cgo, flags): (_, _, &[&str]) = match linked {
        Linked::Static => ("test", "0", &[]),
        Linked::Dynamic => ("dynamic.test", "1", &[]),
        Linked::DynamicPie => ("pie.test", "1", &["-buildmode=pie", "-ldflags=-linkmode=external"]),
    };
    let program = cache(goroot).join(format!("{}.{end}", package.replace('/', "_")));
    if program.exists() {
        return program;
    }
    // Built beside its place and then moved there: a run that is stopped half
    // way leaves no half program, and two runs at once do not disturb each other.
    let unfinished = program.with_extension(format!("{}.unfinished", std::process::id()));
    println!("building the test program of {package} (kept for the next run)");
    let mut command = go(goroot);
    command.args(["test", "-c"]).args(flags).arg("-o").arg(&unfinished).arg(".");
    command.current_dir(goroot.join("src").join(package)).env("CGO_ENABLED", cgo);
    let outcome = run(&mut command, Duration::from_secs(300));
    assert!(outcome.success(), "{command:?}\n{outcome}");
    std::fs::rename(&unfinished, &program).expect("the cache directory is writable");
    program
}

/// Runs a suite's program as `go test` would: in the package's source folder,
/// where its test data is, with the GOROOT that it was built from.
///
/// `args` are further flags of the program (`-test.short`, `-test.run=…`).
pub fn run_suite(
    goroot: &Path,
    package: &str,
    program: &Path,
    args: &[&str],
    limit: Duration,
) -> SuiteRun {
    let place = goroot.join("src").join(package);
    let mut command = Command::new(program);
    command.arg("-test.v").args(args).current_dir(&place).env("PWD", &place);
    command.env("GOROOT", goroot).env("GOTOOLCHAIN", "local");
    command.env("GOCACHE", cache(goroot).join("build"));
    command.env("PATH", path_with(goroot));
    // The suite ends itself a little earlier, with a stack dump of every
    // goroutine, which tells more than a kill does.
    command.arg(format!("-test.timeout={}s", limit.as_secs().saturating_sub(5).max(1)));
    let outcome = run(&mut command, limit);
    SuiteRun::new(&outcome, read_results(&outcome.stdout))
}

/// Reads the `--- PASS: name (0.00s)` lines. What a test prints without a line
/// end puts such a mark in the middle of a line, so it is looked for anywhere.
fn read_results(output: &str) -> Results {
    let mut results = Results::new();
    for line in output.lines() {
        for result in ["PASS", "FAIL", "SKIP"] {
            let mark = format!("--- {result}: ");
            let Some(at) = line.find(&mark) else { continue };
            let name = line[at + mark.len()..].split(' ').next().unwrap_or_default();
            results.entry(name.to_owned()).or_default().push(result.to_owned());
        }
    }
    results
}

/// The go command of `goroot`, kept from reaching for other toolchains or
/// from being steered by the user's own Go settings.
fn go(goroot: &Path) -> Command {
    let mut command = Command::new(goroot.join("bin/go"));
    command
        .env("GOROOT", goroot)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "")
        .env("GOENV", "off");
    command.env("GOCACHE", cache(goroot).join("build")).env("PATH", path_with(goroot));
    command
}

/// `PATH` with the GOROOT's own commands first: some tests call `go`.
fn path_with(goroot: &Path) -> String {
    let rest = std::env::var("PATH").unwrap_or_default();
    format!("{}:{rest}", goroot.join("bin").display())
}

/// Where the test programs of this Go version are kept.
fn cache(goroot: &Path) -> PathBuf {
    let version = std::fs::read_to_string(goroot.join("VERSION")).unwrap_or_default();
    let version =
        version.lines().next().filter(|v| v.starts_with("go")).unwrap_or_else(|| {
            panic!("{}/VERSION does not start with a Go version", goroot.display())
        });
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|v| !v.is_empty())
        .map_or_else(|| home().join(".cache"), PathBuf::from);
    let folder = base.join("procsys").join(format!("gosuites-{version}"));
    std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_with_indentation_and_behind_other_output() {
        let results = read_results(
            "=== RUN   TestA\nnoise--- PASS: TestA (0.00s)\n    --- SKIP: TestA/b_c (0.10s)\n",
        );
        assert_eq!(results["TestA"], ["PASS"]);
        assert_eq!(results["TestA/b_c"], ["SKIP"]);
    }
}
