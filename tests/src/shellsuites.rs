//! busybox's, bash's and coreutils' own tests as programs: running them on a
//! given file, and reading how each of their tests ended.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use crate::suite::{Results, SuiteRun, Unstable};
use crate::{Outcome, fixture, run};

/// The environment that all of these suites run in, and what a door adds to it.
fn environment(command: &mut Command, path: &str, more: &[(String, String)]) {
    command.env_clear().env("PATH", format!("{path}/usr/sbin:/usr/bin:/sbin:/bin"));
    command.envs([("HOME", "/root"), ("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8")]);
    command.envs([("TERM", "dumb"), ("SHELL", "/bin/sh")]);
    command.envs(more.iter().map(|(name, value)| (name, value)));
}

/// Copies a fixture to `place`, which is emptied first: suites leave files
/// behind, and what they print names the place.
fn fresh(name: &str, place: &Path) {
    let _ = std::fs::remove_dir_all(place);
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(fixture(name).canonicalize().expect("the fixture exists")).arg(place);
    let outcome = run(&mut copy, Duration::from_secs(60));
    assert!(outcome.success(), "{copy:?}\n{outcome}");
}

/// Runs busybox's testsuite, and ash's tests, on `program`. Without applets all
/// are run, and ash's slow tests too.
pub fn busybox(
    program: &Path,
    work: &Path,
    applets: &[&str],
    more: &[(String, String)],
) -> SuiteRun {
    let place = work.join("busybox-tests");
    fresh("busybox-tests", &place);
    std::fs::copy(program, place.join("busybox")).expect("the workplace is writable");
    let mut suite = Command::new("./runtest");
    suite.args(applets).current_dir(place.join("testsuite"));
    environment(&mut suite, "", more);
    suite.envs([("SKIP_KNOWN_BUGS", "y"), ("SKIP_INTERNET_TESTS", "y"), ("ECHO", "/bin/echo")]);
    let first = run(&mut suite, LIMIT);
    let mut suite = Command::new("./run-all");
    let place = place.join("shell/ash_test");
    if !applets.is_empty() {
        suite.args(scripts(&place, "ash-").into_iter().filter(|name| name != "ash-z_slow"));
    }
    suite.current_dir(place);
    environment(&mut suite, "", more);
    let second = run(&mut suite, LIMIT);
    let mut results = read_marks(&first.stdout);
    for line in second.stdout.lines() {
        for (end, how) in [(": ok", "PASS"), (": fail", "FAIL"), (":ok", "PASS"), (":fail", "FAIL")]
        {
            if let Some(name) = line.strip_suffix(end) {
                results
                    .entry(name.trim_end_matches(':').to_owned())
                    .or_default()
                    .push(how.to_owned());
                break;
            }
        }
    }
    let code = first.code.zip(second.code).map(|(one, two)| one.max(two));
    let outcome = Outcome {
        code,
        stdout: first.stdout + &second.stdout,
        stderr: first.stderr + &second.stderr,
    };
    SuiteRun::new(&outcome, results)
}

/// Reads lines of the form `PASS: name`.
fn read_marks(output: &str) -> Results {
    let mut results = Results::new();
    for line in output.lines() {
        let Some((mark, name)) = line.split_once(": ") else { continue };
        if ["PASS", "FAIL", "SKIPPED", "SKIP", "UNTESTED", "ERROR"].contains(&mark) {
            results.entry(name.to_owned()).or_default().push(mark.to_owned());
        }
    }
    results
}

/// The tests of bash that end differently in runs of one and the same bash; seen in
/// six runs of Debian's bash-static on a loaded machine.
pub const UNSTABLE_IN_BASH: [Unstable; 4] = [
    Unstable { test: "run-nameref", reason: "declare -p races with the end of a coprocess" },
    Unstable { test: "run-posixpipe", reason: "prints the time that a pipeline took" },
    Unstable { test: "run-printf", reason: "reads the clock's seconds twice" },
    Unstable { test: "run-read", reason: "read -t against sleeping writers" },
];

/// The tests of busybox that end differently in runs of one and the same busybox: each
/// signals itself from a child in the background, which may come before or after the
/// next child is started.
pub const UNSTABLE_IN_BUSYBOX: [Unstable; 2] = [
    Unstable { test: "ash-misc/exitcode_trap2.tests", reason: "races with a signal to itself" },
    Unstable { test: "ash-misc/exitcode_trap6.tests", reason: "races with a signal to itself" },
];

/// The tests of bash that sleep for most of a minute.
pub const SLEEPY: [&str; 3] = ["run-jobs", "run-read", "run-trap"];

/// Runs bash's tests on `program`: a test passes when nothing differs from what
/// bash's authors expect, and else ends with that difference. Several run at a
/// time, as most of them sleep most of the time.
pub fn bash(
    program: &Path,
    work: &Path,
    leave_out: &[&str],
    more: &[(String, String)],
) -> SuiteRun {
    let place = work.join("bash-tests");
    fresh("bash-tests", &place);
    let shell = work.join("bash");
    std::fs::copy(program, &shell).expect("the workplace is writable");
    let scripts = scripts(&place, "run-");
    let no_test = ["run-all", "run-minimal", "run-gprof"];
    let scripts = scripts.into_iter().filter(|s| !no_test.contains(&s.as_str()));
    let scripts: Vec<String> = scripts.filter(|s| !leave_out.contains(&s.as_str())).collect();
    each(&scripts, 3, |script| {
        let temporary = work.join(format!("tmp-{script}"));
        std::fs::create_dir_all(&temporary).expect("the workplace is writable");
        let mut test = Command::new("sh");
        test.arg(format!("./{script}")).current_dir(&place);
        environment(&mut test, &format!("{}:", place.display()), more);
        test.env("THIS_SH", &shell).env("BUILD_DIR", work).env("TMPDIR", &temporary);
        test.env("BASH_TSTOUT", temporary.join("out"));
        let outcome = run(&mut test, LIMIT);
        let _ = std::fs::remove_dir_all(&temporary);
        let all = outcome.all();
        let said = all.lines().filter(|line| !line.starts_with("warning:"));
        let mut said: Vec<String> = said.map(without_process_group).collect();
        // Two processes of a pipeline may say their lines in any order.
        said.sort();
        let is_right = said.is_empty() && outcome.success();
        if is_right { "PASS".to_owned() } else { format!("FAIL: {:?} {said:#?}", outcome.code) }
    })
}

/// A line without the number in `process group (123)`.
fn without_process_group(line: &str) -> String {
    let Some((before, after)) = line.split_once("process group (") else { return line.to_owned() };
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}process group (N{rest}")
}

/// Runs the tests in `folders` of coreutils' `tests` on the machine's coreutils.
pub fn coreutils(work: &Path, folders: &[&str], more: &[(String, String)]) -> SuiteRun {
    let place = work.join("coreutils-tests");
    fresh("coreutils-tests", &place);
    let (folder, header) = (place.join("build"), place.join("config.h"));
    std::fs::create_dir_all(&folder).expect("the workplace is writable");
    std::fs::write(&header, "#define HAVE_CAP 1\n").expect("as above");
    let mut tests = Vec::new();
    for name in folders {
        let of = scripts(&place.join("tests").join(name), "");
        let kinds = [".sh", ".pl"];
        let of = of.into_iter().filter(|s| kinds.iter().any(|kind| s.ends_with(kind)));
        tests.extend(of.map(|script| format!("tests/{name}/{script}")));
    }
    each(&tests, 2, |test| {
        let perl = ["-w", "-I../tests", "-MCuSkip", "-MCoreutils"];
        let file = format!("../{test}");
        let mut command = if test.ends_with(".pl") {
            let mut command = Command::new("perl");
            let temporary = format!("-MCuTmpdir qw({})", test.replace('/', "-"));
            command.args(perl).arg(temporary).arg(&file);
            command
        } else {
            let mut command = Command::new("/bin/sh");
            command.arg(&file);
            command
        };
        command.current_dir(&folder);
        environment(&mut command, "", more);
        // As tests/local.mk sets them.
        command.envs([
            ("srcdir", ".."),
            ("top_srcdir", ".."),
            ("AWK", "awk"),
            ("EGREP", "grep -E"),
        ]);
        command.envs([("PERL", "perl"), ("CC", "gcc"), ("MAKE", "make"), ("host_os", "linux-gnu")]);
        command.envs([("LC_ALL", "C"), ("LOCALE_FR", "none"), ("LOCALE_FR_UTF8", "none")]);
        command.env("VERSION", "9.1").env("PACKAGE_VERSION", "9.1");
        command.env("abs_top_builddir", &folder).env("abs_top_srcdir", &place);
        command.env("abs_srcdir", &place).env("CONFIG_HEADER", &header).env("TMPDIR", &folder);
        command.env("built_programs", "ls cp mv rm mkdir rmdir ln touch chmod readlink");
        match run(&mut command, LIMIT).code {
            Some(0) => "PASS".to_owned(),
            Some(77) => "SKIP".to_owned(),
            Some(99) => "ERROR".to_owned(),
            Some(code) => format!("FAIL {code}"),
            None => "ERROR: hangs".to_owned(),
        }
    })
}

/// No test of these suites takes longer; one that hangs in stock hangs there too.
const LIMIT: Duration = Duration::from_secs(600);

/// The files of a folder whose names begin so, in order.
fn scripts(folder: &Path, start: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}: run `make fixtures`", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(start))
        .collect();
    names.sort();
    names
}

/// Runs tests that are programs of their own, `at_once` at a time.
fn each(tests: &[String], at_once: usize, one: impl Fn(&str) -> String + Sync) -> SuiteRun {
    let results = Mutex::new(Results::new());
    let next = Mutex::new(tests.iter());
    let take = || next.lock().expect("no test panics").next();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(test) = take() {
                    let how = one(test);
                    let mut results = results.lock().expect("no test panics");
                    results.entry(test.clone()).or_default().push(how);
                }
            });
        }
    });
    let results = results.into_inner().expect("no test panics");
    SuiteRun { results, code: Some(0), tail: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_group_has_no_number() {
        let line = "bash: cannot set terminal process group (19906): Inappropriate";
        let without = "bash: cannot set terminal process group (N): Inappropriate";
        assert_eq!(without_process_group(line), without);
        assert_eq!(without_process_group("group (1)"), "group (1)");
    }

    #[test]
    fn marks_are_read_and_other_lines_are_not() {
        let results = read_marks("PASS: cp file\nFAIL: mv: a b\nrunning: x\nPASS: cp file\n");
        assert_eq!(results["cp file"], ["PASS", "PASS"]);
        assert_eq!(results["mv: a b"], ["FAIL"]);
        assert_eq!(results.len(), 2);
    }
}
