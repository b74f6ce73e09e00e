//! The rows: what is compared with what, and the limit of each.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::args::Args;
use crate::programs::{EMULATED, Program, Programs};
use crate::report::{Compared, Row, Unit};
use crate::rounds::ratios;
use crate::spawn::{figure, timed};
use crate::{stats, tracer};

/// Batches of about a millisecond in one turn of a program.
pub(crate) const BATCHES: &str = "8";

/// A file of the kernel's that every machine has, to hold an emulated one against.
const NATIVE: &str = "/proc/sys/kernel/ostype";

/// All rows about speed.
pub(crate) fn speed(programs: &Programs, args: &Args) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let file = programs.file.as_path();
    for program in &programs.calls {
        for (what, kind, limit) in
            [("open+close", "open", 1.02), ("stat", "stat", 1.02), ("getppid", "getppid", 1.03)]
        {
            let paths = [file, file, file];
            rows.push(calls(program, what, kind, paths, limit, args.rounds)?);
        }
        let what = "emulated open+close of a missing file, to a native one's of /proc/sys";
        let paths = [Path::new(NATIVE), Path::new(EMULATED), Path::new(NATIVE)];
        rows.push(calls(program, what, "open", paths, 3.0, args.rounds)?);
    }
    if let Some(c) = programs.calls.first() {
        rows.push(start(c, "start-up", "nothing", 1.05, 20, args.rounds)?);
    }
    rows.push(start(&programs.runc, "--version", "--version", 1.02, 3, args.rounds)?);
    Ok(rows)
}

/// Calls in a loop: stock, patched and the copy each get their own path.
fn calls(
    program: &Program,
    what: &'static str,
    kind: &str,
    paths: [&Path; 3],
    limit: f64,
    rounds: usize,
) -> Result<Row> {
    progress(program.name, what);
    let turn = |binary: &Path, path: &Path| {
        figure(
            Command::new(binary)
                .arg(kind)
                .arg(path)
                .arg(BATCHES)
                // On one processor a second thread of Go's only takes turns away.
                .env("GOMAXPROCS", "1"),
        )
    };
    let ratios = ratios(
        rounds,
        limit - 1.0,
        &mut || turn(&program.stock, paths[0]),
        &mut || turn(&program.patched, paths[1]),
        &mut || turn(&program.copy, paths[2]),
    )?;
    Ok(Row::of(program.name, what, ratios, limit, Unit::Nanoseconds))
}

/// Whole runs, the fastest of several in a turn.
fn start(
    program: &Program,
    what: &'static str,
    word: &str,
    limit: f64,
    runs: usize,
    rounds: usize,
) -> Result<Row> {
    progress(program.name, what);
    let turn = |binary: &Path| {
        let mut best = f64::INFINITY;
        for _ in 0..runs {
            let usage = timed(Command::new(binary).arg(word))?;
            best = best.min(usage.wall.as_secs_f64() * 1e6);
        }
        Ok(best)
    };
    let ratios = ratios(
        rounds,
        limit - 1.0,
        &mut || turn(&program.stock),
        &mut || turn(&program.patched),
        &mut || turn(&program.copy),
    )?;
    Ok(Row::of(program.name, what, ratios, limit, Unit::Microseconds))
}

/// The same calls under an interceptor that stops at every system call, for
/// comparison.
pub(crate) fn interceptor(programs: &Programs, args: &Args) -> Result<Vec<Compared>> {
    let mut all = Vec::new();
    let rounds = args.rounds.min(9);
    for program in programs.calls.iter().take(2) {
        for (what, kind) in [("open+close", "open"), ("stat", "stat"), ("getppid", "getppid")] {
            progress(program.name, &format!("{what} under ptrace"));
            let mut figures = Vec::new();
            for _ in 0..rounds {
                let mut command = Command::new(&program.stock);
                command.arg(kind).arg(&programs.file).arg("3").env("GOMAXPROCS", "1");
                let free = figure(&mut command)?;
                let traced = tracer::figure(&mut command)?;
                figures.push(traced / free);
            }
            let ratio = stats::summarise(figures);
            all.push(Compared { program: program.name, what, ratio });
        }
    }
    if let Some(c) = programs.calls.first() {
        let mut figures = Vec::new();
        for _ in 0..rounds * 3 {
            let mut command = Command::new(&c.stock);
            command.arg("nothing");
            let free = timed(&mut command)?.wall.as_secs_f64();
            let traced = tracer::timed(&mut command)?.as_secs_f64();
            figures.push(traced / free);
        }
        let ratio = stats::summarise(figures);
        all.push(Compared { program: c.name, what: "start-up", ratio });
    }
    Ok(all)
}

/// One line on standard error, so that a long run is seen to go on.
pub(crate) fn progress(program: &str, what: &str) {
    eprintln!("measuring {program}: {what}");
}
