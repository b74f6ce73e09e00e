//! The command line of `procsys-patch`: which command is asked for?

mod compile;
mod constants;
mod inspect;
mod many;
mod outcome;
mod patch;
mod profiles;
mod revert;
mod verify;

use std::process::ExitCode;

use clap::Command;

const EXAMPLES: &str = "\
Examples:
  procsys-patch runc -o runc-gvisor
  procsys-patch runc -o runc-x --emulate /proc/sys/kernel/cap_last_cap=40
  procsys-patch runc -o runc-x --profile gvisor --rules site.toml --dry-run --json
  procsys-patch /usr/bin/containerd -o containerd-gvisor --with-preload /usr/lib/procsys/libprocsys.so
  procsys-patch runc -o runc-x --mode constants --redirect /proc/sys=/run/psys
  procsys-patch bin/ -o bin-gvisor/
  procsys-patch verify runc-gvisor
  procsys-patch revert runc-gvisor -o runc
  procsys-patch profiles gvisor > site.toml
  procsys-patch compile --rules site.toml -o site.table
  procsys-patch inspect runc

A file with the name of a command is given as ./NAME.
Exit codes: 0 done, 1 finding (verify), 2 error (one line on standard error, no output file).";

fn command() -> Command {
    patch::arguments(Command::new("procsys-patch"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("Rewrites an x86-64 executable so that the answers its kernel lacks are given inside it")
        .after_help(EXAMPLES)
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .disable_help_subcommand(true)
        .subcommand(verify::command())
        .subcommand(revert::command())
        .subcommand(profiles::command())
        .subcommand(compile::command())
        .subcommand(inspect::command())
}

/// Runs the command; the exit code is 0, 1 or 2.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("verify", matches)) => verify::run(matches),
        Some(("revert", matches)) => revert::run(matches),
        Some(("profiles", matches)) => profiles::run(matches),
        Some(("compile", matches)) => compile::run(matches),
        Some(("inspect", matches)) => inspect::run(matches),
        _ => patch::run(&matches),
    }
}
