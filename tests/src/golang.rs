//! Go programs of these tests, built with the fixture's Go.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::gosuites::Linked;
use crate::{fixture, root, run};

/// Builds `tests/programs/go/NAME.go`.
///
/// # Panics
/// When the compiler says an error.
pub fn build(name: &str, linked: Linked, output: &Path) {
    let source = root().join("tests/programs/go").join(name).with_extension("go");
    let goroot = fixture("go").canonicalize().expect("the fixture exists");
    let mut command = Command::new(goroot.join("bin/go"));
    command.env("GOROOT", &goroot).env("GOTOOLCHAIN", "local").env("GOFLAGS", "");
    command.env("GOENV", "off").env("GO111MODULE", "off");
    command.env("CGO_ENABLED", if linked == Linked::Static { "0" } else { "1" });
    command.arg("build");
    if linked == Linked::DynamicPie {
        command.args(["-buildmode=pie", "-ldflags=-linkmode=external"]);
    }
    command.arg("-o").arg(output).arg(source);
    if linked != Linked::Static {
        command.arg(root().join("tests/programs/go/libc.go"));
    }
    let outcome = run(&mut command, Duration::from_secs(300));
    assert!(outcome.success(), "{command:?}\n{outcome}");
}

/// `go` with arguments, and nothing fetched.
pub fn go(args: &[&str]) -> Command {
    let mut command = Command::new(fixture("go").join("bin/go"));
    command.args(args).env("CGO_ENABLED", "0").env_remove("GOROOT");
    command.envs([("GO111MODULE", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "")]);
    command.env("GOCACHE", root().join("target/hazards/gocache"));
    command
}
