//! Door 1: what `libprocsys.so` costs a dynamic program, beside two libraries from
//! Debian that are preloaded as well.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::args::Args;
use crate::plan::{BATCHES, progress};
use crate::programs::{fixture, succeed};
use crate::report::{Compared, Row, Unit};
use crate::rounds::ratios;
use crate::spawn::{figure, timed};
use crate::stats;

/// The prefix that is redirected.
const PREFIX: &str = "/procsys-from";
/// Runs in one turn: the fastest of them counts.
const RUNS: usize = 20;
/// 64 KiB.
const LARGEST: u64 = 65_536;

/// A library with what is set beside it, and where the file is that it redirects.
struct Preload {
    name: &'static str,
    library: PathBuf,
    settings: Vec<(&'static str, PathBuf)>,
    redirected: Option<PathBuf>,
}

impl Preload {
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("LD_PRELOAD", &self.library);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What is measured, and with what.
pub(crate) struct Door1 {
    program: PathBuf,
    file: PathBuf,
    plain: Preload,
    redirecting: Preload,
    /// Nothing but what the loader wants of a library: what any costs at least.
    empty: Preload,
    peers: Vec<Preload>,
}

/// Builds the program and the rules.
pub(crate) fn prepare(root: &Path, folder: &Path, patcher: &Path) -> Result<Door1> {
    let folder = folder.join("door1");
    std::fs::create_dir_all(&folder)?;
    let (program, file) = (folder.join("dynamic"), folder.join("file"));
    std::fs::write(&file, "a plain file\n")?;
    let source = root.join("benches/programs/calls.c");
    succeed(Command::new("gcc").args(["-O2", "-o"]).arg(&program).arg(source))?;
    let nothing = folder.join("empty.so");
    let layout = "-Wl,-z,noseparate-code,-z,norelro,--build-id=none";
    let mut empty = Command::new("gcc");
    empty.args(["-shared", "-nostdlib", "-s", layout, "-x", "c", "/dev/null", "-o"]);
    succeed(empty.arg(&nothing))?;
    let library = root.join("target/preload/libprocsys.so");
    ensure!(library.exists(), "{} is missing: run `make preload`", library.display());
    let table = table(root, &folder, patcher)?;
    Ok(Door1 {
        plain: Preload {
            name: "libprocsys.so",
            library: library.clone(),
            settings: Vec::new(),
            redirected: None,
        },
        redirecting: Preload {
            name: "libprocsys.so",
            library,
            settings: vec![("PROCSYS_RULES", table)],
            redirected: Some(Path::new(PREFIX).join("file")),
        },
        empty: Preload {
            name: "an empty library",
            library: nothing,
            settings: Vec::new(),
            redirected: None,
        },
        peers: peers(&fixture(root, "peers")?, &folder),
        program,
        file,
    })
}

/// Debian's libraries, doing nothing and redirecting.
fn peers(peers: &Path, folder: &Path) -> Vec<Preload> {
    let fakechroot = peers.join("libfakechroot.so");
    let base = [("FAKECHROOT", "true".into()), ("FAKECHROOT_BASE", folder.to_path_buf())];
    let excluded = ("FAKECHROOT_EXCLUDE_PATH", folder.to_path_buf());
    vec![
        Preload {
            name: "fakechroot",
            library: fakechroot.clone(),
            settings: base.iter().cloned().chain([excluded]).collect(),
            redirected: None,
        },
        Preload {
            name: "fakechroot",
            library: fakechroot,
            settings: base.into(),
            redirected: Some("/file".into()),
        },
        Preload {
            name: "libfaketime",
            library: peers.join("libfaketime.so"),
            settings: vec![("FAKETIME", "+0".into())],
            redirected: None,
        },
    ]
}

/// The default profile's rules with a redirect, compiled.
fn table(root: &Path, folder: &Path, patcher: &Path) -> Result<PathBuf> {
    let (patched, table) = (folder.join("patched"), folder.join("table"));
    let redirect = format!("{PREFIX}={}", folder.display());
    let mut command = Command::new(patcher);
    command.arg(fixture(root, "busybox-static")?).arg("-o").arg(&patched);
    succeed(command.args(["--redirect", &redirect]))?;
    let mut command = Command::new("objcopy");
    command.args(["-O", "binary", "--only-section=.procsys.rules"]).arg(&patched).arg(&table);
    succeed(&mut command)?;
    Ok(table)
}

/// The rows of `libprocsys.so`, and those of the others.
pub(crate) fn rows(door: &Door1, args: &Args) -> Result<(Vec<Row>, Vec<Compared>)> {
    let Door1 { plain, redirecting, file, .. } = door;
    let redirected = redirecting.redirected.as_deref().context("it redirects")?;
    let mut rows = Vec::new();
    let calls: [(_, _, &Preload, &Path, _); 5] = [
        ("open+close", "open", plain, file, 1.02),
        ("stat", "stat", plain, file, 1.02),
        ("open+close beside a redirect", "open", redirecting, file, 1.02),
        ("stat beside a redirect", "stat", redirecting, file, 1.02),
        ("redirected open+close", "open", redirecting, redirected, 1.10),
    ];
    for (what, kind, preload, path, limit) in calls {
        rows.push(row(door, preload, (what, kind), path, limit, args.rounds)?);
    }
    rows.push(start_up(door, args.rounds)?);
    let size = std::fs::metadata(&plain.library)?.len();
    rows.push(Row::plain(plain.name, "size, to 64 KiB", size, LARGEST, 1.0));
    let mut compared = vec![started_beside(&door.empty, args.rounds)?];
    for peer in &door.peers {
        for (what, kind) in [("open+close", "open"), ("stat", "stat")] {
            let path = peer.redirected.as_deref().unwrap_or(file);
            let what = match (what, &peer.redirected) {
                ("open+close", Some(_)) => "redirected open+close",
                (_, Some(_)) => continue,
                _ => what,
            };
            compared.push(beside(door, peer, what, kind, path, args.rounds)?);
        }
        if peer.redirected.is_none() {
            compared.push(started_beside(peer, args.rounds)?);
        }
    }
    Ok((rows, compared))
}

fn calls(mut command: Command, kind: &str, path: &Path) -> Result<f64> {
    figure(command.arg(kind).arg(path).arg(BATCHES))
}

fn row(
    door: &Door1,
    preload: &Preload,
    (what, kind): (&'static str, &str),
    path: &Path,
    limit: f64,
    rounds: usize,
) -> Result<Row> {
    progress(preload.name, what);
    let stock = || calls(Command::new(&door.program), kind, &door.file);
    let ratios = ratios(
        rounds,
        limit - 1.0,
        &mut || stock(),
        &mut || calls(preload.command(&door.program), kind, path),
        &mut || stock(),
    )?;
    Ok(Row::of(preload.name, what, ratios, limit, Unit::Nanoseconds))
}

/// The fastest of some runs of `true`, in microseconds.
fn started(command: &mut Command) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        best = best.min(timed(command)?.wall.as_secs_f64() * 1e6);
    }
    Ok(best)
}

fn start_up(door: &Door1, rounds: usize) -> Result<Row> {
    progress(door.plain.name, "start-up of true");
    let program = Path::new("/bin/true");
    let ratios = ratios(
        rounds,
        0.03,
        &mut || started(&mut Command::new(program)),
        &mut || started(&mut door.plain.command(program)),
        &mut || started(&mut Command::new(program)),
    )?;
    Ok(Row::of(door.plain.name, "start-up of true", ratios, 1.03, Unit::Microseconds))
}

fn beside(
    door: &Door1,
    peer: &Preload,
    what: &'static str,
    kind: &str,
    path: &Path,
    rounds: usize,
) -> Result<Compared> {
    progress(peer.name, what);
    let mut figures = Vec::new();
    for _ in 0..rounds {
        let stock = calls(Command::new(&door.program), kind, &door.file)?;
        figures.push(calls(peer.command(&door.program), kind, path)? / stock);
    }
    Ok(Compared { program: peer.name, what, ratio: stats::summarise(figures) })
}

fn started_beside(peer: &Preload, rounds: usize) -> Result<Compared> {
    progress(peer.name, "start-up of true");
    let mut figures = Vec::new();
    for _ in 0..rounds {
        let stock = started(&mut Command::new("/bin/true"))?;
        figures.push(started(&mut peer.command(Path::new("/bin/true")))? / stock);
    }
    let ratio = stats::summarise(figures);
    Ok(Compared { program: peer.name, what: "start-up of true", ratio })
}
