//! `procsys-bench`: what a patch costs, measured against the unpatched program.
//!
//! Stock and patched take turns on one processor; a figure is the median of the
//! ratios of many short rounds. A second copy of the stock program takes part
//! as well: its ratio is the noise floor, and no row means more than that.

mod args;
mod cost;
mod door1;
mod golang;
mod node;
mod plan;
mod programs;
mod release;
mod report;
mod rounds;
mod spawn;
mod stats;
mod tracer;

use std::process::ExitCode;

use anyhow::{Context, Result};

use report::Measured;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("procsys-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// What the first word asks for: by itself, or as a part of `node`.
fn run() -> Result<bool> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let rest = words.get(1..).unwrap_or_default();
    match words.first().map(String::as_str) {
        Some("node") => node::run(rest),
        Some("node-one") => node::one(rest).map(|()| true),
        Some("trace") => {
            let number = |word: &String| word.parse().with_context(|| format!("`{word}`"));
            let processes = rest.iter().map(number).collect::<Result<Vec<i32>>>()?;
            tracer::attach(&processes).map(|()| true)
        }
        _ => calls(words),
    }
}

/// Whether every row is within its limit.
fn calls(words: Vec<String>) -> Result<bool> {
    let args = args::parse(words.into_iter())?;
    let programs = programs::build()?;
    let mut measured = Measured::default();
    if !args.cost {
        let pinned = spawn::Pinned::to_last_cpu()?;
        measured.rows = plan::speed(&programs, &args)?;
        let (door1, peers) = door1::rows(&programs.door1, &args)?;
        measured.rows.extend(door1);
        measured.rows.push(golang::row(args.rounds)?);
        measured.peers = peers;
        measured.compared = plan::interceptor(&programs, &args)?;
        drop(pinned);
    }
    // The patcher makes the digest beside all else, on a second processor.
    measured.costs = cost::costs(&programs, &args)?;
    measured.rows.extend(cost::rows(&measured.costs));
    measured.rows.extend(release::rows(&programs, &args)?);
    if args.json {
        println!("{:#}", report::json(&measured));
    } else {
        print!("{}", report::table(&measured));
    }
    Ok(measured.rows.iter().all(report::Row::within))
}
