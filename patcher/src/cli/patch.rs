//! `procsys-patch INPUT -o OUTPUT`: patches.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::outcome;
use crate::error::Error;
use crate::patch::{Options, patch};
use crate::report::Report;
use crate::rules::{Choice, gather};

/// Adds the arguments of this command, which has no name of its own.
pub(super) fn arguments(command: Command) -> Command {
    let many = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).action(ArgAction::Append)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
    };
    let path = || value_parser!(PathBuf);
    let output = Arg::new("output")
        .short('o')
        .long("output")
        .value_name("OUTPUT")
        .help("Where to write the patched executable; replaced atomically")
        .required_unless_present("dry-run")
        .value_parser(path());
    let input = Arg::new("input").value_name("INPUT").required(true).value_parser(path());
    command
        .arg(input.help("The executable"))
        .arg(output)
        .arg(many("profile", "NAME", "A built-in set of rules, repeatable [default: gvisor]"))
        .arg(
            many("rules", "FILE", "Rules in TOML; they add to the profile's or replace them")
                .value_parser(path()),
        )
        .arg(many("redirect", "FROM=TO", "Put the path prefix TO in the place of FROM"))
        .arg(many("emulate", "PATH=VALUE", "Answer a missing file with VALUE and a newline"))
        .arg(flag("dry-run", "Do everything but write the output"))
        .arg(outcome::json_option())
        .arg(flag(
            "every-call",
            "Send every system call through the hook: slow, for tests of equivalence",
        ))
}

fn choice(matches: &ArgMatches) -> Choice {
    let texts = |name| matches.get_many::<String>(name).into_iter().flatten().cloned().collect();
    Choice {
        profiles: texts("profile"),
        files: matches.get_many::<PathBuf>("rules").into_iter().flatten().cloned().collect(),
        redirects: texts("redirect"),
        emulations: texts("emulate"),
    }
}

fn patched(matches: &ArgMatches) -> Result<Report, Error> {
    let set = gather(&choice(matches))?;
    let options = Options {
        every_call: matches.get_flag("every-call"),
        dry_run: matches.get_flag("dry-run"),
    };
    let input: &PathBuf = matches.get_one("input").expect("required above");
    let output: Option<&PathBuf> = matches.get_one("output");
    patch(input, output.map(PathBuf::as_path), &set, &options)
}

/// Runs the command.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let input: &PathBuf = matches.get_one("input").expect("required above");
    let is_json = matches.get_flag("json");
    let report = match patched(matches) {
        Ok(report) => report,
        Err(error) => return outcome::failed(input, &error, is_json),
    };
    if is_json {
        println!("{:#}", report.json());
        return ExitCode::SUCCESS;
    }
    match matches.get_one::<PathBuf>("output").filter(|_| !matches.get_flag("dry-run")) {
        Some(output) => println!("{} → {}", input.display(), output.display()),
        None => println!("{} (dry run, nothing written)", input.display()),
    }
    println!("{report}");
    if report.dropped_setuid {
        eprintln!("procsys-patch: warning: the input is setuid or setgid, the output is not");
    }
    ExitCode::SUCCESS
}
