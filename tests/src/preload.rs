//! Door 1 under test: `libprocsys.so`, rules for it, programs with it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Outcome, patcher, root, run};

/// No program of these tests takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// The library under test: `$PROCSYS_PRELOAD`, or the one in `target/preload`.
///
/// # Panics
/// When it has not been built.
pub fn library() -> PathBuf {
    let path = std::env::var_os("PROCSYS_PRELOAD")
        .map_or_else(|| root().join("target/preload/libprocsys.so"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `cd preload && cargo so`", path.display());
    path
}

/// The library with the whole hook, beside it.
///
/// # Panics
/// As [`library`].
pub fn whole() -> PathBuf {
    let path = library().with_file_name("libprocsys-whole.so");
    assert!(path.exists(), "{} is missing: run `make preload`", path.display());
    path
}

/// A source file of these tests.
///
/// # Panics
/// When it is missing.
pub fn source(name: &str) -> PathBuf {
    let path = root().join("tests/programs/preload").join(name);
    assert!(path.exists(), "{} is missing", path.display());
    path
}

/// Builds a program with `compiler`.
///
/// # Panics
/// When the compiler is missing or says an error.
pub fn compile(compiler: &str, args: &[&str], source: &Path, output: &Path) {
    let mut command = Command::new(compiler);
    command.args(args).arg(source).arg("-o").arg(output);
    let outcome = run(&mut command, Duration::from_secs(120));
    assert!(outcome.success(), "{command:?}\n{outcome}");
}

/// `rules`, as the library takes them.
///
/// # Panics
/// As [`table_of`].
pub fn table(folder: &Path, rules: &Path) -> PathBuf {
    table_of(folder, &["--rules", rules.to_str().expect("text")])
}

/// The rules that `args` ask for, as the library takes them.
///
/// # Panics
/// When the rules are refused.
pub fn table_of(folder: &Path, args: &[&str]) -> PathBuf {
    let table = folder.join("rules.table");
    let mut command = Command::new(patcher());
    command.arg("compile").args(args).arg("-o").arg(&table);
    let outcome = run(&mut command, LIMIT);
    assert!(outcome.success(), "{command:?}\n{outcome}");
    table
}

/// A command in a mount namespace of its own, where its mounts stay.
pub fn isolated(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount").arg(program);
    command
}

/// As [`isolated`], under the library with a compiled table.
pub fn preloaded(program: &Path, table: &Path) -> Command {
    preloaded_by(&library(), program, table)
}

/// As [`preloaded`], by that library.
pub fn preloaded_by(library: &Path, program: &Path, table: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "env"]);
    command.arg(format!("LD_PRELOAD={}", library.display()));
    command.arg(format!("PROCSYS_RULES={}", table.display())).arg(program);
    command
}

/// Runs a command of these tests to its end.
pub fn finish(mut command: Command) -> Outcome {
    run(&mut command, LIMIT)
}
