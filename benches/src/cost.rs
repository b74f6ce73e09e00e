//! What patching itself takes: time against `cp` of the same file, peak memory
//! and growth against the file's size.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::args::Args;
use crate::plan::progress;
use crate::programs::{EMULATED, Programs};
use crate::report::{Row, Unit};
use crate::rounds::ratios;
use crate::spawn::timed;

const PAGE: u64 = 4096;
/// Growth may be this much beyond the alignment to a page.
const GROWTH: u64 = 64 * 1024;

/// The three rows for the 18 MB runc.
pub(crate) fn rows(programs: &Programs, args: &Args) -> Result<Vec<Row>> {
    progress("runc", "patching it");
    let input = &programs.runc.stock;
    let (output, copy, second) = (
        programs.folder.join("cost-patched"),
        programs.folder.join("cost-copy"),
        programs.folder.join("cost-second-copy"),
    );
    let mut peak = 0;
    let cp = |to: &std::path::Path| {
        let _ = fs::remove_file(to);
        Ok(timed(Command::new("cp").arg(input).arg(to))?.wall.as_secs_f64() * 1e6)
    };
    let wall = ratios(
        args.rounds.min(21),
        4.0,
        &mut || cp(&copy),
        &mut || {
            let _ = fs::remove_file(&output);
            let rule = format!("{EMULATED}=42");
            let mut command = Command::new(&programs.patcher);
            command.arg(input).arg("-o").arg(&output).args(["--emulate", &rule]);
            command.stderr(std::process::Stdio::null());
            let usage = timed(&mut command)?;
            peak = peak.max(usage.peak);
            Ok(usage.wall.as_secs_f64() * 1e6)
        },
        &mut || cp(&second),
    )?;
    let size = fs::metadata(input)?.len();
    let grown = fs::metadata(&output)?.len().saturating_sub(size.next_multiple_of(PAGE));
    for path in [&output, &copy, &second] {
        fs::remove_file(path)?;
    }
    Ok(vec![
        Row::of("procsys-patch runc", "wall, to cp", wall, 5.0, Unit::Microseconds),
        Row::plain("procsys-patch runc", "peak memory, to the file", peak, size, 3.0),
        Row::plain("procsys-patch runc", "growth beyond a page, to 64 KiB", grown, GROWTH, 1.0),
    ])
}
