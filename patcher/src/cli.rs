//! The command line of `procsys-patch`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;

use crate::error::Error;
use crate::patch::{Options, patch};
use crate::report::Report;
use crate::rules::{Choice, gather};

const EXAMPLES: &str = "\
Examples:
  procsys-patch runc -o runc-gvisor
  procsys-patch runc -o runc-x --emulate /proc/sys/kernel/cap_last_cap=40
  procsys-patch runc -o runc-x --profile gvisor --rules site.toml --dry-run --json

Exit codes: 0 done, 2 error (one line on standard error, no output file).";

fn command() -> Command {
    let many = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).action(ArgAction::Append)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
    };
    let path = || value_parser!(PathBuf);
    Command::new("procsys-patch")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Rewrites a static x86-64 executable so that the answers its kernel lacks are given inside it")
        .after_help(EXAMPLES)
        .arg(Arg::new("input").value_name("INPUT").help("The executable").required(true).value_parser(path()))
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("OUTPUT")
                .help("Where to write the patched executable; replaced atomically")
                .required_unless_present("dry-run")
                .value_parser(path()),
        )
        .arg(many("profile", "NAME", "A built-in set of rules, repeatable [default: gvisor]"))
        .arg(many("rules", "FILE", "Rules in TOML; they add to the profile's or replace them").value_parser(path()))
        .arg(many("redirect", "FROM=TO", "Put the path prefix TO in the place of FROM"))
        .arg(many("emulate", "PATH=VALUE", "Answer a missing file with VALUE and a newline"))
        .arg(flag("dry-run", "Do everything but write the output"))
        .arg(flag("json", "Report as JSON on standard output"))
        .arg(flag("every-call", "Send every system call through the hook: slow, for tests of equivalence"))
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

fn run(matches: &ArgMatches) -> Result<Report, Error> {
    let set = gather(&choice(matches))?;
    let options = Options {
        every_call: matches.get_flag("every-call"),
        dry_run: matches.get_flag("dry-run"),
    };
    let input: &PathBuf = matches.get_one("input").expect("required above");
    let output: Option<&PathBuf> = matches.get_one("output");
    patch(input, output.map(PathBuf::as_path), &set, &options)
}

/// Runs the command; the exit code is 0 or 2.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let input: &PathBuf = matches.get_one("input").expect("required above");
    let json = matches.get_flag("json");
    match run(&matches) {
        Ok(report) if json => println!("{:#}", report.json()),
        Ok(report) => {
            let output =
                matches.get_one::<PathBuf>("output").filter(|_| !matches.get_flag("dry-run"));
            match output {
                Some(output) => println!("{} → {}", input.display(), output.display()),
                None => println!("{} (dry run, nothing written)", input.display()),
            }
            println!("{report}");
            if report.dropped_setuid {
                eprintln!(
                    "procsys-patch: warning: the input is setuid or setgid, the output is not"
                );
            }
        }
        Err(error) => {
            let shown = input.display().to_string();
            let text = error.to_string();
            let named = matches!(error, Error::Input(_) | Error::Sites(_) | Error::Verify(_));
            let text = if named { format!("{shown}: {text}") } else { text };
            if json {
                println!("{:#}", json!({"error": {"kind": error.kind(), "message": text}}));
            }
            eprintln!("procsys-patch: {text}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
