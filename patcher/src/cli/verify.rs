//! `procsys-patch verify FILE`: is a patched file what procsys writes?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;

use super::outcome;
use crate::error::Error;
use crate::files::Input;
use crate::patched::place::Finding;
use crate::patched::verify::{Verdict, verify};

const HELP: &str = "\
Takes the file back to its original in memory, patches that again with the rules
from the file, and compares every byte.

Examples:
  procsys-patch verify runc-gvisor
  procsys-patch verify runc-gvisor --original /usr/sbin/runc --json

Exit codes: 0 all is as procsys writes it, 1 something differs, 2 error
(also: not a patched file, or patched by another version).";

pub(super) fn command() -> Command {
    let path = |name: &'static str| Arg::new(name).value_parser(value_parser!(PathBuf));
    Command::new("verify")
        .about("Checks a patched file: derives everything again from the file alone")
        .after_help(HELP)
        .arg(path("file").value_name("FILE").help("The patched executable").required(true))
        .arg(
            path("original")
                .long("original")
                .value_name("ORIG")
                .help("Compare the file's original with this one, too"),
        )
        .arg(outcome::json_option())
}

fn verdict(matches: &ArgMatches) -> Result<Verdict, Error> {
    let file: &PathBuf = matches.get_one("file").expect("required above");
    let original = matches.get_one::<PathBuf>("original").map(|p| Input::open(p)).transpose()?;
    verify(&Input::open(file)?, original.as_deref())
}

/// Runs the command.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let file: &PathBuf = matches.get_one("file").expect("required above");
    let is_json = matches.get_flag("json");
    let verdict = match verdict(matches) {
        Ok(verdict) => verdict,
        Err(error) => return outcome::failed(file, &error, is_json),
    };
    let is_clean = verdict.findings.is_empty();
    if is_json {
        outcome::say(format_args!("{:#}\n", report(&verdict)));
    } else if is_clean {
        outcome::say(format_args!("{}: verified\n", file.display()));
        outcome::say(format_args!("  original  sha256 {}\n", verdict.original));
        outcome::say(format_args!(
            "  rules     {}: {}\n",
            verdict.rule_names.len(),
            verdict.rule_names.join(", ")
        ));
        if let Some((name, programs)) = &verdict.archive {
            outcome::say(format_args!(
                "  archive   {name}: {} programs, patched again and equal: {}\n",
                programs.len(),
                programs.join(", ")
            ));
        }
        match verdict.constants {
            None => outcome::say(format_args!(
                "  sites     {}, their detours derived again and equal\n",
                verdict.sites
            )),
            Some(constants) => outcome::say(format_args!(
                "  constants {constants}, rewritten again and equal; nothing is injected\n"
            )),
        }
    } else {
        let count = verdict.findings.len();
        let more = if verdict.has_more { " or more" } else { "" };
        outcome::say(format_args!("{}: {count}{more} found\n", file.display()));
        verdict.findings.iter().for_each(|finding| outcome::say(format_args!("  {finding}\n")));
    }
    if is_clean { ExitCode::SUCCESS } else { ExitCode::from(outcome::FINDING) }
}

fn report(verdict: &Verdict) -> serde_json::Value {
    json!({
        "verified": verdict.findings.is_empty(),
        "input_sha256": verdict.original,
        "rules_sha256": verdict.rules,
        "rules": verdict.rule_names,
        "sites": verdict.sites,
        "archive": verdict.archive.as_ref().map(|(name, programs)| json!({"name": name, "programs": programs})),
        "constants": verdict.constants,
        "findings": verdict.findings.iter().map(Finding::json).collect::<Vec<_>>(),
        "has_more": verdict.has_more,
    })
}
