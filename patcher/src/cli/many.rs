//! `procsys-patch INPUT… -o OUTDIR`: patches several files, with one summary.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

use super::outcome;
use crate::error::Error;
use crate::k3s::directory;
use crate::many::{self, Job, Jobs};
use crate::patch::Options;
use crate::report::Report;
use crate::rules::Set;

/// Runs the command; the exit code is 2 if any file could not be patched.
pub(super) fn run(
    inputs: &[PathBuf],
    output: Option<&Path>,
    set: &Set,
    options: &Options,
    is_json: bool,
) -> ExitCode {
    let start = Instant::now();
    let jobs = match many::collect(inputs, output) {
        Ok(jobs) => jobs,
        Err(error) => return outcome::failed(Path::new(""), &error, is_json),
    };
    let is_terminal = std::io::stderr().is_terminal();
    let results = many::run(&jobs.all, set, options, |done, job| {
        if is_terminal {
            let name = job.input.file_name().unwrap_or_default().to_string_lossy();
            progress(done, jobs.all.len(), &name);
        }
    });
    let failed = results.iter().filter(|r| r.is_err()).count();
    if !options.dry_run
        && let Err(error) = directory::complete(&jobs, &results)
    {
        return outcome::failed(Path::new(""), &error, is_json);
    }
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    if is_json {
        outcome::say(format_args!("{:#}\n", report(&jobs, &results, milliseconds)));
    } else {
        jobs.all.iter().zip(&results).for_each(|(job, result)| line(job, result, options));
        outcome::say(format_args!(
            "{} patched, {failed} failed, {} left out; {milliseconds:.0} ms\n",
            results.len() - failed,
            jobs.skipped.len()
        ));
    }
    for (job, error) in
        jobs.all.iter().zip(&results).filter_map(|(j, r)| Some((j, r.as_ref().err()?)))
    {
        eprintln!("procsys-patch: {}", outcome::words(&job.input, error));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(outcome::ERROR) }
}

/// One line that is written over by the next, and erased by the last.
pub(super) fn progress(done: usize, all: usize, name: &str) {
    let end = if done == all { "\r\x1b[K" } else { "" };
    // A terminal that is gone stops no work.
    _ = write!(std::io::stderr().lock(), "\r\x1b[K{done}/{all} {name}{end}");
}

fn line(job: &Job, result: &Result<Report, Error>, options: &Options) {
    let Ok(report) = result else { return };
    let input = job.input.display();
    match job.output.as_ref().filter(|_| !options.dry_run) {
        Some(output) => outcome::say(format_args!("{input} → {}", output.display())),
        None => outcome::say(format_args!("{input} (dry run, nothing written)")),
    }
    let go = report.go.as_ref().map_or(String::new(), |v| format!(", {v}"));
    outcome::say(format_args!(
        ": {}{go}, {} of {} sites\n",
        report.kind.name(),
        report.detoured,
        report.sites
    ));
    if report.dropped_setuid {
        outcome::warn_of_rights(input, "its output");
    }
}

fn report(jobs: &Jobs, results: &[Result<Report, Error>], milliseconds: f64) -> Value {
    let file = |(job, result): (&Job, &Result<Report, Error>)| {
        let error = result
            .as_ref()
            .err()
            .map(|e| json!({"kind": e.kind(), "message": outcome::words(&job.input, e)}));
        json!({
            "input": job.input.to_string_lossy(),
            "output": job.output.as_ref().map(|o| o.to_string_lossy()),
            "report": result.as_ref().ok().map(Report::json),
            "error": error,
        })
    };
    let skipped = jobs.skipped.iter();
    json!({
        "files": jobs.all.iter().zip(results).map(file).collect::<Vec<_>>(),
        "skipped": skipped.map(|(path, why)| json!({"path": path.to_string_lossy(), "why": why})).collect::<Vec<_>>(),
        "patched": results.iter().filter(|r| r.is_ok()).count(),
        "failed": results.iter().filter(|r| r.is_err()).count(),
        "milliseconds": milliseconds,
    })
}
