//! Other people's test suites as witnesses: how each test of a suite ended, and
//! whether a changed program ends them as the stock one does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::{Outcome, patch};

/// How each test and subtest ended, by its name, in the suite's own words. A
/// name that occurs twice keeps its results in the order they were printed.
pub type Results = BTreeMap<String, Vec<String>>;

/// One run of a suite.
#[derive(Debug)]
pub struct SuiteRun {
    /// How each test and subtest ended.
    pub results: Results,
    /// The exit code, or `None` when the time limit ended the run.
    pub code: Option<i32>,
    /// The last lines of what it printed, for a message about a difference.
    pub tail: String,
}

/// A test whose result depends on more than the program: its name, or with a
/// `*` at the end how its name begins, and the reason, found by running the
/// stock program several times. Its results are printed, but not held against
/// the changed program.
#[derive(Debug, Clone, Copy)]
pub struct Unstable {
    /// The name.
    pub test: &'static str,
    /// Why it is not stable.
    pub reason: &'static str,
}

impl Unstable {
    fn names(&self, test: &str) -> bool {
        match self.test.strip_suffix('*') {
            Some(start) => test.starts_with(start),
            None => test == self.test,
        }
    }
}

impl SuiteRun {
    /// A run whose output `read` takes the results from.
    pub fn new(outcome: &Outcome, results: Results) -> Self {
        let all = outcome.all();
        let lines: Vec<&str> = all.lines().collect();
        let tail = lines[lines.len().saturating_sub(60)..].join("\n");
        Self { results, code: outcome.code, tail }
    }

    /// How many tests ended as `result`.
    pub fn count(&self, result: &str) -> usize {
        self.results.values().flatten().filter(|r| *r == result).count()
    }

    /// How many tests ended at all.
    pub fn total(&self) -> usize {
        self.results.values().map(Vec::len).sum()
    }

    /// The tests that did not end in the same way in `other`, one a line, and the
    /// exit codes when those differ.
    pub fn differences(&self, other: &SuiteRun) -> Vec<String> {
        let by_test = self.different_tests(other);
        by_test.into_iter().map(|(test, how)| format!("{test}: {how}")).collect()
    }

    /// As [`Self::differences`], by the tests' names.
    fn different_tests(&self, other: &SuiteRun) -> BTreeMap<String, String> {
        let names: BTreeSet<_> = self.results.keys().chain(other.results.keys()).collect();
        let shown =
            |r: Option<&Vec<String>>| r.map_or_else(|| "not run".to_owned(), |r| r.join("+"));
        let mut differences: BTreeMap<String, String> = names
            .into_iter()
            .map(|name| (name, self.results.get(name), other.results.get(name)))
            .filter(|(_, one, two)| one != two)
            .map(|(name, one, two)| (name.clone(), format!("{} / {}", shown(one), shown(two))))
            .collect();
        if self.code != other.code {
            let codes = format!("{:?} / {:?}", self.code, other.code);
            differences.insert("exit code".to_owned(), codes);
        }
        differences
    }

    /// How many tests ended in each way.
    fn counts(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for result in self.results.values().flatten() {
            // A result with details after the first word is counted by that word.
            *counts.entry(result.split([' ', ':']).next().unwrap_or_default()).or_default() += 1;
        }
        let counts: Vec<String> = counts.iter().map(|(how, n)| format!("{n} {how}")).collect();
        counts.join(", ")
    }
}

/// What comparing one suite came to.
#[derive(Debug)]
pub struct Report {
    /// The lines to print.
    pub lines: String,
    /// How many tests and subtests the stock program ran.
    pub total: usize,
    /// What is wrong, if anything is.
    pub failures: Vec<String>,
}

/// A way of changing a program: its name, and a run of the suite so changed.
pub type Way<'a> = (&'a str, &'a dyn Fn() -> SuiteRun);

/// Those of the ways that a run of `make test` has time for: the first one.
pub fn asked<'a, 'b>(ways: &'b [Way<'a>]) -> &'b [Way<'a>] {
    if is_whole() { ways } else { &ways[..1] }
}

/// A program as it is, and patched in the two ways that suites are run with.
#[derive(Debug)]
pub struct Programs {
    stock: PathBuf,
    every_call: PathBuf,
    default: PathBuf,
}

impl Programs {
    /// Patches `stock` to files in `folder` whose names start with `name`.
    pub fn patch(stock: &Path, folder: &Path, name: &str) -> Self {
        let patched = |way: &str, args: &[&str]| {
            let patched = folder.join(format!("{name}-{way}"));
            patch(stock, &patched, args);
            patched
        };
        let every_call = patched("every-call", &["--every-call"]);
        Self { stock: stock.to_owned(), every_call, default: patched("default", &[]) }
    }

    /// Compares what a suite says of the stock program and of each patched one that
    /// `select` leaves ([`asked`], or all).
    pub fn compare(
        &self,
        suite: &str,
        unstable: &[Unstable],
        run: &dyn Fn(&Path) -> SuiteRun,
        select: for<'a, 'b> fn(&'b [Way<'a>]) -> &'b [Way<'a>],
    ) -> Report {
        let ways: [Way<'_>; 2] = [
            ("every call", &|| run(&self.every_call)),
            ("default profile", &|| run(&self.default)),
        ];
        compare(suite, unstable, &|| run(&self.stock), select(&ways))
    }
}

/// Runs one suite stock and changed. The stock run is shared by the ways; when
/// lists differ, the *pair* is run again, as a test that depends on the
/// machine's mood can fail on either side: what differs in the same way each time
/// is a difference.
pub fn compare(
    suite: &str,
    unstable: &[Unstable],
    stock: &dyn Fn() -> SuiteRun,
    ways: &[Way<'_>],
) -> Report {
    let first = stock();
    let mut report = Report { lines: String::new(), total: first.total(), failures: Vec::new() };
    let _ = writeln!(report.lines, "{suite}: stock {}", first.counts());
    for (name, results) in &first.results {
        if results.iter().any(|r| ["FAIL", "ERROR"].iter().any(|bad| r.starts_with(bad))) {
            let how = results.join("+");
            let how = how.lines().next().unwrap_or_default();
            let _ = writeln!(report.lines, "  fails on this machine, also stock: {name}: {how}");
        }
    }
    for (way, changed) in ways {
        let name = format!("{suite}, {way}");
        if let Err(failure) = in_pairs(&name, unstable, &first, stock, changed, &mut report.lines) {
            report.failures.push(failure);
        }
    }
    report
}

/// One way: pairs of runs until no test differs in the same way in all of them.
fn in_pairs(
    name: &str,
    unstable: &[Unstable],
    first: &SuiteRun,
    stock: &dyn Fn() -> SuiteRun,
    changed: &dyn Fn() -> SuiteRun,
    lines: &mut String,
) -> Result<(), String> {
    const TRIES: usize = 3;
    let mut again = None;
    // What has differed in the same way in every try.
    let mut standing: Option<Vec<String>> = None;
    for attempt in 1.. {
        let before = again.as_ref().unwrap_or(first);
        let after = changed();
        let mut different = Vec::new();
        for (test, how) in before.different_tests(&after) {
            match unstable.iter().find(|u| u.names(&test)) {
                Some(Unstable { reason, .. }) => {
                    let how: String = how.replace('\n', " ").chars().take(200).collect();
                    let _ = writeln!(lines, "  not stable by itself ({reason}): {test}: {how}");
                }
                None => different.push(format!("{test}: {how}")),
            }
        }
        let _ = writeln!(lines, "{name}: {}; {} differences", after.counts(), different.len());
        let shown = different.join("\n    ");
        different.retain(|d| standing.as_ref().is_none_or(|all| all.contains(d)));
        if different.is_empty() {
            if !shown.is_empty() {
                let _ =
                    writeln!(lines, "  no test differs twice in the same way; now:\n    {shown}");
            }
            break;
        }
        let _ =
            writeln!(lines, "  try {attempt} of {TRIES} differed (stock / changed):\n    {shown}");
        if attempt == TRIES {
            return Err(format!(
                "{name}: differs in {TRIES} of {TRIES} tries:\n    {}\nchanged ended with:\n{}",
                different.join("\n    "),
                after.tail
            ));
        }
        standing = Some(different);
        again = Some(stock());
    }
    Ok(())
}

/// Prints the reports and says what is wrong.
///
/// # Panics
/// When a suite differs, or fewer than `at_least` tests ran in all.
pub fn conclude(reports: &[Report], at_least: usize) {
    let total: usize = reports.iter().map(|r| r.total).sum();
    println!("{total} tests and subtests in {} suites", reports.len());
    for report in reports {
        print!("{}", report.lines);
    }
    let failures: Vec<&str> =
        reports.iter().flat_map(|r| &r.failures).map(String::as_str).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(total >= at_least, "only {total} tests ran, at least {at_least} were expected");
}

/// Whether the whole suites are to be run (`make suites`), not a bounded part.
pub fn is_whole() -> bool {
    std::env::var_os("PROCSYS_SUITES").is_some_and(|v| v == "whole")
}

/// An empty folder for a suite to run in, at the same path for every run.
///
/// # Panics
/// When it can't be made.
pub fn workplace(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("procsys-suite-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the temporary directory is writable");
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(results: &[(&str, &str)], code: i32) -> SuiteRun {
        let results = results.iter().map(|(n, r)| ((*n).to_owned(), vec![(*r).to_owned()]));
        SuiteRun { results: results.collect(), code: Some(code), tail: String::new() }
    }

    #[test]
    fn a_test_missing_on_one_side_is_a_difference() {
        let differences = run(&[("A", "PASS")], 0).differences(&run(&[], 2));
        assert_eq!(differences, ["A: PASS / not run", "exit code: Some(0) / Some(2)"]);
    }

    #[test]
    fn a_suite_that_differs_each_time_fails() {
        let (stock, changed) = (|| run(&[("A", "PASS")], 0), || run(&[("A", "FAIL")], 0));
        let report = compare("suite", &[], &stock, &[("changed", &changed)]);
        assert_eq!(report.failures.len(), 1);
    }

    #[test]
    fn tests_that_differ_once_each_are_printed_and_not_held_against_it() {
        let turn = std::cell::Cell::new(0);
        let stock = || run(&[("A", "PASS"), ("B", "PASS")], 0);
        let changed = || {
            turn.set(turn.get() + 1);
            let failing = if turn.get() == 1 { "A" } else { "B" };
            run(&["A", "B"].map(|n| (n, if n == failing { "FAIL" } else { "PASS" })), 0)
        };
        let report = compare("suite", &[], &stock, &[("changed", &changed)]);
        assert_eq!(report.failures, Vec::<String>::new());
        assert!(report.lines.contains("differs twice in the same way"), "{}", report.lines);
    }

    #[test]
    fn an_unstable_test_is_printed_and_not_held_against_it() {
        let (stock, changed) = (|| run(&[("A/1", "PASS")], 0), || run(&[("A/1", "FAIL")], 0));
        let unstable = [Unstable { test: "A/*", reason: "a race of its own" }];
        let report = compare("suite", &unstable, &stock, &[("changed", &changed)]);
        assert_eq!(report.failures, Vec::<String>::new());
        assert!(report.lines.contains("a race of its own): A/1: PASS / FAIL"), "{}", report.lines);
    }
}
