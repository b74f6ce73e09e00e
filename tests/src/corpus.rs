//! The corpus: every static program that can be had, patched, verified, reverted
//! and run, each against its own unpatched self.
//!
//! The programs are those of the fixtures `corpus` and `corpus-full`
//! (`tests/fixtures/corpus.sh`), what they are run with is in
//! `tests/corpus/smoke.txt`, and which are known to be refused in
//! `tests/corpus/refused.txt`.

mod smoke;
mod table;

pub use smoke::Smoke;
pub use table::{page, summary, text};

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::native::{Folder, copy_program};
use crate::{Outcome, patcher, root, run};

/// The ways of patching: name and arguments.
const WAYS: [(&str, &[&str]); 2] = [("default", &[]), ("every call", &["--every-call"])];

/// One run of the patcher takes no longer than this.
const LIMIT: Duration = Duration::from_secs(120);

/// A program of the corpus.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it is.
    pub file: PathBuf,
    /// `SUITE/PACKAGE/PATH`, or `made/COMPILER/NAME`.
    pub name: String,
    /// The version of its package or compiler.
    pub version: String,
}

/// What was seen of a program.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// As [`Program::name`].
    pub name: String,
    /// As [`Program::version`].
    pub version: String,
    /// Bytes.
    pub size: u64,
    /// What the patcher said of it; `Null` when it refused.
    pub report: Value,
    /// Why it was refused, if it was.
    pub refused: Option<String>,
    /// How many commands gave the same, in each way of patching.
    pub commands: usize,
    /// What is wrong.
    pub wrong: Vec<String>,
}

/// All programs in a fixture's folder, by name.
///
/// # Panics
/// When the folder can't be read.
pub fn programs(folder: &Path) -> Vec<Program> {
    let versions = fs::read_to_string(folder.join("VERSIONS")).expect("the fixture has VERSIONS");
    let versions: BTreeMap<_, _> = versions.lines().filter_map(|l| l.split_once(' ')).collect();
    let mut all = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("the fixture is a folder") {
            let file = entry.expect("the fixture can be read").path();
            let name = file.strip_prefix(folder).expect("it is below").display().to_string();
            if file.is_dir() && name != "guests" {
                open.push(file);
            } else if file.is_file() && name != "VERSIONS" {
                let origin = name.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
                let version = versions.get(&*origin).map(|v| (*v).to_owned());
                let version = version.unwrap_or_else(|| panic!("VERSIONS has no {origin}"));
                all.push(Program { file, name, version });
            }
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The refusals that are known: the program's name, and words of the message.
///
/// # Panics
/// When the file can't be read.
pub fn known_refusals() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("tests/corpus/refused.txt")).expect("it is there");
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines.filter_map(|l| l.split_once(": ")).map(|(a, b)| (a.into(), b.into())).collect()
}

/// Checks all programs, on two threads, and gives a row for each, by name.
///
/// # Panics
/// When a thread does.
pub fn check_all(programs: &[Program], smoke: &Smoke) -> Vec<Row> {
    let next = Mutex::new(programs.iter());
    let rows = Mutex::new(Vec::new());
    let refusals = known_refusals();
    let worker = |id: usize| {
        loop {
            let Some(program) = next.lock().expect("no thread panicked").next() else { break };
            let row = check(program, smoke, &refusals, id);
            eprintln!("{}", text(&row));
            rows.lock().expect("no thread panicked").push(row);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| worker(0));
        scope.spawn(|| worker(1));
    });
    let mut rows = rows.into_inner().expect("no thread panicked");
    rows.sort_by(|a: &Row, b: &Row| a.name.cmp(&b.name));
    rows
}

fn check(program: &Program, smoke: &Smoke, refusals: &BTreeMap<String, String>, id: usize) -> Row {
    let folder = Folder::new(&format!("corpus-{id}"));
    let name = program.file.file_name().expect("a program has a name");
    let place = folder.path().join("bin").join(name);
    fs::create_dir_all(folder.path().join("bin")).expect("the temporary directory is writable");
    let mut row = Row {
        name: program.name.clone(),
        version: program.version.clone(),
        size: fs::metadata(&program.file).map_or(0, |m| m.len()),
        ..Row::default()
    };
    copy_program(&program.file, &place);
    let stock = smoke.run(&place, folder.path());
    row.commands = stock.len();
    for (way, arguments) in WAYS {
        let patched = folder.path().join("patched");
        match patch(&program.file, &patched, arguments) {
            Ok(report) => {
                row.wrong.extend(uneven(&report).map(|w| format!("{way}: {w}")));
                row.report = if row.report.is_null() { report } else { row.report };
            }
            Err(why) => return refused(row, why, refusals),
        }
        row.wrong
            .extend(back(&program.file, &patched, folder.path()).map(|w| format!("{way}: {w}")));
        copy_program(&patched, &place);
        let actual = smoke.run(&place, folder.path());
        for (expected, actual) in stock.iter().zip(&actual).filter(|(a, b)| a != b) {
            row.wrong.push(format!("{way}: expected {expected}\nwas {actual}"));
        }
    }
    if let Some(known) = refusals.get(&row.name) {
        row.wrong.push(format!("is no longer refused ({known}): take it out of refused.txt"));
    }
    row
}

/// A refusal must be a known one, and name address and function.
fn refused(mut row: Row, why: String, known: &BTreeMap<String, String>) -> Row {
    let is_known = known.get(&row.name).is_some_and(|words| why.contains(words));
    let has_address = why.lines().any(|l| l.trim_start().starts_with("0x"));
    if !is_known || !has_address {
        row.wrong.push(format!("refused: {why}"));
    }
    row.refused = Some(why);
    row.commands = 0;
    row
}

/// Every site must be detoured, or be a return from a signal handler: Go's, a C library's.
fn uneven(report: &Value) -> Option<String> {
    let count = |key: &str| report[key].as_u64().unwrap_or(u64::MAX / 4);
    let all = count("detoured") + count("signal_returns") == count("sites");
    (!all || count("signal_returns") > 2).then(|| format!("not every site is detoured: {report}"))
}

fn command(arguments: &[&std::ffi::OsStr]) -> Outcome {
    run(Command::new(patcher()).args(arguments), LIMIT)
}

fn patch(input: &Path, output: &Path, arguments: &[&str]) -> Result<Value, String> {
    let mut all = vec![input.as_os_str(), "-o".as_ref(), output.as_os_str(), "--json".as_ref()];
    all.extend(arguments.iter().map(std::ffi::OsStr::new));
    let outcome = command(&all);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_default();
    if outcome.success() {
        return Ok(report);
    }
    match report["error"]["message"].as_str() {
        Some(message) if outcome.code == Some(2) => Err(message.to_owned()),
        _ => Err(format!("no error message: {outcome}")),
    }
}

/// Verifies and reverts a patched file: what is wrong, if anything.
fn back(original: &Path, patched: &Path, folder: &Path) -> Option<String> {
    let verify = command(&[
        "verify".as_ref(),
        patched.as_os_str(),
        "--original".as_ref(),
        original.as_os_str(),
    ]);
    if !verify.success() {
        return Some(format!("verify: {verify}"));
    }
    let reverted = folder.join("reverted");
    let revert =
        command(&["revert".as_ref(), patched.as_os_str(), "-o".as_ref(), reverted.as_os_str()]);
    if !revert.success() {
        return Some(format!("revert: {revert}"));
    }
    let same = fs::read(&reverted).ok()? == fs::read(original).ok()?;
    (!same).then(|| "revert: not the original's bytes".into())
}
