//! Support for the tests against real systems: where the fixtures are, how a
//! program is run with a limit on its time, how the patcher is called.
//!
//! A missing fixture is a failure that says what to run, never a skip.

pub mod attacks;
pub mod cells;
pub mod corpus;
pub mod golang;
pub mod gosuites;
pub mod gvisor;
pub mod native;
pub mod node;
pub mod normalise;
pub mod oci;
pub mod preload;
mod process;
pub mod programs;
pub mod pysuites;
pub mod release;
pub mod session;
pub mod shellsuites;
pub mod sidebyside;
pub mod suite;
pub mod sysbox;

pub use process::{Outcome, run};

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The top of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the checkout")
        .to_path_buf()
}

/// A file or folder that `make fixtures` puts under `target/fixtures`.
///
/// # Panics
/// When it is not there, naming the command that makes it.
pub fn fixture(name: &str) -> PathBuf {
    let path = root().join("target/fixtures").join(name);
    assert!(path.exists(), "fixture {} is missing: run `make fixtures`", path.display());
    path
}

/// The patcher under test: `$PROCSYS_PATCH`, or the release build.
///
/// # Panics
/// When it has not been built.
pub fn patcher() -> PathBuf {
    let path = std::env::var_os("PROCSYS_PATCH")
        .map_or_else(|| root().join("target/release/procsys-patch"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `make build`", path.display());
    path
}

/// Patches `input` to `output` with further arguments.
///
/// # Panics
/// When the patcher does not succeed; its messages are shown.
pub fn patch(input: &Path, output: &Path, args: &[&str]) {
    let _ = std::fs::remove_file(output);
    let mut command = Command::new(patcher());
    command.arg(input).arg("-o").arg(output).args(args);
    let outcome = run(&mut command, Duration::from_secs(120));
    assert!(outcome.success(), "{command:?}\n{outcome}");
}
