//! The programs that are measured: built, copied and patched under
//! `target/bench`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::door1::{self, Door1};

/// The missing file that the patch serves.
pub(crate) const EMULATED: &str = "/proc/sys/procsys/absent";

/// A program in three copies.
pub(crate) struct Program {
    /// What it is, in words for the table.
    pub(crate) name: &'static str,
    /// As built.
    pub(crate) stock: PathBuf,
    /// Patched with the default profile and one emulated file.
    pub(crate) patched: PathBuf,
    /// As built, another file: measured for the noise floor.
    pub(crate) copy: PathBuf,
}

/// Everything that is measured.
pub(crate) struct Programs {
    /// `calls` in static C, static Go and static-pie cgo Go.
    pub(crate) calls: Vec<Program>,
    /// runc, 18 MB.
    pub(crate) runc: Program,
    /// What door 1 is measured with.
    pub(crate) door1: Door1,
    /// kubelet, static Go, 100 MB.
    pub(crate) kubelet: PathBuf,
    /// Python's LIEF.
    pub(crate) lief: PathBuf,
    /// The patcher.
    pub(crate) patcher: PathBuf,
    /// Where they lie.
    pub(crate) folder: PathBuf,
    /// A plain file to open.
    pub(crate) file: PathBuf,
}

/// Builds and patches all.
pub(crate) fn build() -> Result<Programs> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("benches/ lies in the checkout")?;
    let folder = root.join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("file");
    std::fs::write(&file, "a plain file\n")?;
    let patcher = std::env::var_os("PROCSYS_PATCH")
        .map_or_else(|| root.join("target/release/procsys-patch"), PathBuf::from);
    ensure!(patcher.exists(), "{} is missing: run `make build`", patcher.display());

    let sources = root.join("benches/programs");
    let c = folder.join("c");
    succeed(
        Command::new("gcc").args(["-O2", "-static", "-o"]).arg(&c).arg(sources.join("calls.c")),
    )?;
    let go = folder.join("go");
    compile_go(root, &folder, &sources, &go, "0", &[])?;
    let cgo = folder.join("cgo");
    let link = "-s -w -linkmode external -extldflags -static-pie";
    compile_go(root, &folder, &sources, &cgo, "1", &["-buildmode=pie", "-ldflags", link])?;

    let calls = [("static C", c), ("static Go", go), ("static-pie cgo Go", cgo)]
        .into_iter()
        .map(|(name, stock)| copies(name, &stock, &stock, &patcher))
        .collect::<Result<Vec<_>>>()?;
    let runc = copies("runc", &fixture(root, "runc-current")?, &folder.join("runc"), &patcher)?;
    let (kubelet, lief) = (fixture(root, "kubelet")?, fixture(root, "lief")?);
    let door1 = door1::prepare(root, &folder, &patcher)?;
    Ok(Programs { calls, runc, door1, kubelet, lief, patcher, folder, file })
}

/// A file that `make fixtures` puts under `target/fixtures`.
pub(crate) fn fixture(root: &Path, name: &str) -> Result<PathBuf> {
    let path = root.join("target/fixtures").join(name);
    ensure!(path.exists(), "fixture {} is missing: run `make fixtures`", path.display());
    Ok(path)
}

fn compile_go(
    root: &Path,
    folder: &Path,
    sources: &Path,
    output: &Path,
    cgo: &str,
    args: &[&str],
) -> Result<()> {
    let go = fixture(root, "go")?.join("bin/go");
    let mut command = Command::new(go);
    command.arg("build").args(args).arg("-o").arg(output).arg(sources.join("calls.go"));
    // A file, not a module; and nothing may be fetched.
    command.envs([("GO111MODULE", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "")]);
    command.env("CGO_ENABLED", cgo).env("GOCACHE", folder.join("gocache")).env_remove("GOROOT");
    succeed(&mut command)
}

/// The three copies of a program, named after `base`. All three are written the
/// same way, as files written in different ways may lie differently in memory.
fn copies(name: &'static str, from: &Path, base: &Path, patcher: &Path) -> Result<Program> {
    let with = |ending: &str| {
        let mut path = base.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    let (stock, patched, copy) = (with("-stock"), with("-patched"), with("-copy"));
    for path in [&stock, &patched, &copy] {
        let _ = std::fs::remove_file(path);
    }
    std::fs::copy(from, &stock)?;
    std::fs::copy(from, &copy)?;
    let rule = format!("{EMULATED}=42");
    succeed(Command::new(patcher).arg(from).arg("-o").arg(&patched).args(["--emulate", &rule]))?;
    Ok(Program { name, stock, patched, copy })
}

/// Runs a command that must succeed; what it printed is shown when it does not.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
