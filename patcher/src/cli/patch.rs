//! `procsys-patch INPUT -o OUTPUT`: patches.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::outcome::{self, Done};
use super::{constants, many};
use crate::doors::library_path;
use crate::error::Error;
use crate::patch::{Options, Watcher, patch};
use crate::rules::{Choice, Set, gather};

/// An argument that can be repeated.
fn repeated(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help).action(ArgAction::Append)
}

/// Adds the arguments that choose rules.
pub(super) fn rule_arguments(command: Command) -> Command {
    command
        .arg(repeated("profile", "NAME", "A built-in set of rules, repeatable [default: gvisor]"))
        .arg(
            repeated("rules", "FILE", "Rules in TOML; they add to the profile's or replace them")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(repeated("redirect", "FROM=TO", "Put the path prefix TO in the place of FROM"))
        .arg(repeated("emulate", "PATH=VALUE", "Answer a missing file with VALUE and a newline"))
}

/// Adds the arguments of this command, which has no name of its own.
pub(super) fn arguments(command: Command) -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
    };
    let path = || value_parser!(PathBuf);
    let output = Arg::new("output")
        .short('o')
        .long("output")
        .value_name("OUTPUT")
        .help("Where to write the patched executable, or the directory for several; replaced atomically")
        .required_unless_present("dry-run")
        .value_parser(path());
    let input = Arg::new("input").value_name("INPUT").required(true).value_parser(path());
    let command = command
        .arg(input.num_args(1..).help("The executable; or several, or a directory of them"))
        .arg(output);
    rule_arguments(command)
        .arg(
            Arg::new("with-preload")
                .long("with-preload")
                .value_name("PATH")
                .help("A dynamic executable is to need libprocsys.so, which will be at PATH, for its C part")
                .value_parser(library_path),
        )
        .arg(
            Arg::new("mode")
                .long("mode")
                .value_name("MODE")
                .help("detours: inject a shim; constants: inject nothing, rewrite path constants (--redirect) in place")
                .value_parser(["detours", "constants"])
                .default_value("detours"),
        )
        .arg(
            repeated("leave", "ADDRESS", "With --mode constants: leave the text, or the instruction that carries one, at ADDRESS")
                .value_parser(address),
        )
        .arg(
            Arg::new("state").long("state").value_name("DIR").help(
                "Where writes to emulated files are remembered [default: /run/procsys]",
            ),
        )
        .arg(flag("dry-run", "Do everything but write the output"))
        .arg(outcome::json_option())
        .arg(flag(
            "every-call",
            "Send every system call through the hook: slow, for tests of equivalence",
        ))
}

/// An address in hexadecimal, as reports print it.
fn address(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").ok_or("expected 0x and hexadecimal digits")?;
    u64::from_str_radix(digits, 16).map_err(|e| e.to_string())
}

/// The rules that the arguments choose.
pub(super) fn choice(matches: &ArgMatches) -> Choice {
    let texts = |name| matches.get_many::<String>(name).into_iter().flatten().cloned().collect();
    Choice {
        profiles: texts("profile"),
        files: matches.get_many::<PathBuf>("rules").into_iter().flatten().cloned().collect(),
        redirects: texts("redirect"),
        emulations: texts("emulate"),
        // Not every command has it.
        state: matches.try_get_one::<String>("state").ok().flatten().cloned(),
    }
}

/// Runs the command.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let inputs: Vec<PathBuf> = matches.get_many("input").into_iter().flatten().cloned().collect();
    let output = matches.get_one::<PathBuf>("output").map(PathBuf::as_path);
    let options = Options {
        every_call: matches.get_flag("every-call"),
        exec: None,
        preload: matches.get_one::<String>("with-preload").cloned(),
        dry_run: matches.get_flag("dry-run"),
        ..Options::default()
    };
    let is_json = matches.get_flag("json");
    if matches.get_one::<String>("mode").is_some_and(|mode| mode == "constants") {
        return constants::run(matches, &inputs, &choice(matches));
    }
    // Who forgot the mode may want nothing injected.
    if matches.contains_id("leave") {
        let error = Error::Rules("--leave: expected --mode constants with it".into());
        return outcome::failed(Path::new(""), &error, is_json);
    }
    let set = match gather(&choice(matches)) {
        Ok(set) => set,
        Err(error) => return outcome::failed(Path::new(""), &error, is_json),
    };
    match &inputs[..] {
        [input] if !input.is_dir() => one(input, output, &set, &options, is_json),
        _ => many::run(&inputs, output, &set, &options, is_json),
    }
}

fn one(
    input: &Path,
    output: Option<&Path>,
    set: &Set,
    options: &Options,
    is_json: bool,
) -> ExitCode {
    let is_terminal = std::io::stderr().is_terminal();
    let watcher = Watcher(is_terminal.then(|| Arc::new(many::progress) as _));
    let options = &Options { watcher, ..options.clone() };
    let report = match patch(input, output, set, options) {
        Ok(report) => report,
        Err(error) => return outcome::failed(input, &error, is_json),
    };
    outcome::done(&Done {
        input,
        output: output.filter(|_| !options.dry_run),
        report: &report,
        json: is_json.then(|| report.json()),
        dropped_setuid: report.dropped_setuid,
    })
}
