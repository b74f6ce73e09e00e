//! Patching a file of a k3s release's shape, against unpacking and packing its archive
//! with the zstd tool: at the level that the patcher uses, by as many threads.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use procsys_tests::release;

use crate::args::Args;
use crate::plan::progress;
use crate::programs::Programs;
use crate::report::{Row, Unit};
use crate::rounds::ratios;
use crate::spawn::timed;

/// Wall time and peak memory may be this many times the tool's.
const LIMIT: f64 = 1.3;
const ROUNDS: usize = 5;
/// The patcher's level (`patcher/src/k3s/zst.rs`).
const LEVEL: &str = "-9";
const NAME: &str = "procsys-patch k3s";

/// All rows.
pub(crate) fn rows(programs: &Programs, args: &Args) -> Result<Vec<Row>> {
    progress(NAME, "making a release file");
    let folder = programs.folder.join("release");
    let _ = fs::remove_dir_all(&folder);
    let (file, hash) = release::make(&folder, LEVEL);
    let archive = folder.join("embed").join(format!("{hash}.tar.zst"));
    progress(NAME, "patching it, in turn with zstd");
    let own = || patcher(programs, &file);
    let wall = |mut command: Command| Ok(timed(&mut command)?.wall.as_secs_f64() * 1e6);
    let pipe = || pipeline(&archive);
    let rounds = args.rounds.min(ROUNDS);
    let times =
        ratios(rounds, LIMIT - 1.0, &mut || wall(pipe()), &mut || wall(own()), &mut || {
            wall(pipe())
        })?;
    let cpu = |mut command: Command| Ok(timed(&mut command)?.cpu.as_secs_f64() * 1e6);
    let work =
        ratios(rounds, LIMIT - 1.0, &mut || cpu(pipe()), &mut || cpu(own()), &mut || cpu(pipe()))?;
    let peak = timed(&mut own())?.peak;
    let tool = both(&archive, &folder.join("tar"))?;
    fs::remove_dir_all(&folder).context("the folder is ours")?;
    Ok(vec![
        Row::of(
            NAME,
            "wall, to zstd -d | zstd -9 -T0 of its archive",
            times,
            LIMIT,
            Unit::Microseconds,
        ),
        Row::of(NAME, "processor time, to the same", work, LIMIT, Unit::Microseconds),
        Row::plain(NAME, "peak memory, to both of them", peak, tool, LIMIT),
    ])
}

fn patcher(programs: &Programs, file: &Path) -> Command {
    let mut command = Command::new(&programs.patcher);
    command.arg(file).arg("-o").arg(file.with_extension("out")).args(["--profile", "k3s"]);
    command
}

fn pipeline(archive: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "zstd -q -d -c \"$1\" | zstd -q -T0 \"$2\" -f -o \"$1.again\"", "pipe"]);
    command.arg(archive).arg(LEVEL);
    command
}

/// What both ends of the pipe hold at most, in bytes: they run at the same time.
fn both(archive: &Path, tar: &Path) -> Result<u64> {
    let mut unpack = Command::new("zstd");
    unpack.args(["-q", "-d", "-f", "-o"]).arg(tar).arg(archive);
    let mut pack = Command::new("zstd");
    pack.args(["-q", "-T0", LEVEL, "-f", "-o"]).arg(tar.with_extension("again")).arg(tar);
    Ok(timed(&mut unpack)?.peak + timed(&mut pack)?.peak)
}
