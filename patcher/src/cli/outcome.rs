//! How does a command end? Its words, its JSON and its exit code.

use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgAction};
use serde_json::{Value, json};

use crate::error::Error;
use crate::files;

/// Something was found that is not as it should be.
pub(super) const FINDING: u8 = 1;
/// The command could not be carried out.
pub(super) const ERROR: u8 = 2;

/// The option `--json`.
pub(super) fn json_option() -> Arg {
    Arg::new("json")
        .long("json")
        .help("Report as JSON on standard output")
        .action(ArgAction::SetTrue)
}

/// Writes to standard output. A reader that has seen enough ends nothing; a report
/// that can't be written is an error.
pub(super) fn say(text: Arguments<'_>) {
    let Err(error) = std::io::stdout().lock().write_fmt(text) else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        eprintln!("procsys-patch: {}", files::failed(Path::new("standard output"), &error));
        std::process::exit(ERROR.into());
    }
}

/// An error's text, with the input's name where it doesn't say which file it is about.
pub(super) fn words(input: &Path, error: &Error) -> String {
    match error {
        Error::Input(_) | Error::Sites(_) | Error::Constants(_) | Error::Verify(_) => {
            format!("{}: {error}", input.display())
        }
        Error::Rules(_) | Error::Io(_) => error.to_string(),
    }
}

/// Says an error, and gives its exit code.
pub(super) fn failed(input: &Path, error: &Error, is_json: bool) -> ExitCode {
    let text = words(input, error);
    if is_json {
        say(format_args!("{:#}\n", json!({"error": {"kind": error.kind(), "message": text}})));
    }
    eprintln!("procsys-patch: {text}");
    ExitCode::from(ERROR)
}

/// What is said of a file that was written, or would have been.
pub(super) struct Done<'a> {
    /// The file that was read.
    pub(super) input: &'a Path,
    /// The one that was written; `None` in a dry run.
    pub(super) output: Option<&'a Path>,
    /// The report, for people.
    pub(super) report: &'a dyn Display,
    /// The report, for machines, if it was asked for.
    pub(super) json: Option<Value>,
    /// Whether the input's setuid or setgid bit, or its capabilities, were left out.
    pub(super) dropped_setuid: bool,
}

/// Says what was done, and gives its exit code.
pub(super) fn done(done: &Done<'_>) -> ExitCode {
    let Done { input, output, report, json, dropped_setuid } = done;
    if let Some(json) = json {
        say(format_args!("{json:#}\n"));
        return ExitCode::SUCCESS;
    }
    match output {
        Some(output) => say(format_args!("{} → {}\n", input.display(), output.display())),
        None => say(format_args!("{} (dry run, nothing written)\n", input.display())),
    }
    say(format_args!("{report}\n"));
    if *dropped_setuid {
        warn_of_rights("the input", "the output");
    }
    ExitCode::SUCCESS
}

/// Warns that an input gives rights to who runs it, and its output none.
pub(super) fn warn_of_rights(input: impl Display, output: &str) {
    eprintln!(
        "procsys-patch: warning: {input} is setuid or setgid or has file capabilities, {output} is not and has none"
    );
}
