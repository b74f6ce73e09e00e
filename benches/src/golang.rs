//! What it takes to detour a dynamic Go program in its memory, at its start.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::plan::progress;
use crate::programs::fixture;
use crate::report::Row;
use crate::spawn::timed;
use crate::stats::summarise;

/// Runs of one turn: the fastest counts.
const RUNS: usize = 5;
/// What may be added to a program of 50 MB, in microseconds.
const MOST: f64 = 5000.0;

/// The row: Debian's containerd (48 MB, 18 of them code) with the library and
/// without; the median of the differences, to 5 ms.
pub(crate) fn row(rounds: usize) -> Result<Row> {
    const WHAT: &str = "detouring containerd at its start, to 5 ms";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.as_path();
    progress("libprocsys.so", WHAT);
    let program = fixture(root, "containerd")?.join("containerd");
    let library = root.join("target/preload/libprocsys.so");
    let second = library.with_file_name("libprocsys-go.so");
    ensure!(second.exists(), "{} is missing: run `make preload`", second.display());
    let fastest = |with: bool| -> Result<f64> {
        let mut best = f64::INFINITY;
        for _ in 0..RUNS {
            let mut command = Command::new(&program);
            command.arg("--version");
            if with {
                command.env("LD_PRELOAD", &library);
            }
            best = best.min(timed(&mut command)?.wall.as_secs_f64() * 1e6);
        }
        Ok(best)
    };
    fastest(true)?;
    let mut added = Vec::new();
    for _ in 0..rounds.max(5) {
        added.push((fastest(true)? - fastest(false)?) / MOST);
    }
    Ok(Row::added("libprocsys.so", WHAT, summarise(added), MOST))
}
