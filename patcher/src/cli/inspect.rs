//! `procsys-patch inspect FILE`: what is a file, and what can be done with it?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::outcome;
use crate::files::Input;
use crate::inspect::inspect;

const HELP: &str = "\
Examples:
  procsys-patch inspect /usr/sbin/runc
  procsys-patch inspect runc-gvisor --json | jq '.paths[].text'

Exit codes: 0 said, 2 error (not an ELF file for x86-64, damaged, unreadable).";

pub(super) fn command() -> Command {
    Command::new("inspect")
        .about("Says what a file is: linkage, system calls, paths, and which door fits")
        .after_help(HELP)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .help("Any ELF file for x86-64, patched or not")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(outcome::json_option())
}

/// Runs the command.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let file: &PathBuf = matches.get_one("file").expect("required above");
    let is_json = matches.get_flag("json");
    match Input::open(file).and_then(|input| inspect(&input)) {
        Ok(inspection) if is_json => outcome::say(format_args!("{:#}\n", inspection.json())),
        Ok(inspection) => outcome::say(format_args!("{}\n{inspection}", file.display())),
        Err(error) => return outcome::failed(file, &error, is_json),
    }
    ExitCode::SUCCESS
}
