//! `procsys-patch revert FILE -o OUT`: writes the original again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;

use super::outcome;
use crate::emit::note;
use crate::error::Error;
use crate::files::{self, Input};
use crate::patched::read;

const HELP: &str = "\
Example:
  procsys-patch revert runc-gvisor -o runc

Exit codes: 0 written, 2 error (not a patched file, or damaged since: nothing is written).";

pub(super) fn command() -> Command {
    let path = |name: &'static str| Arg::new(name).value_parser(value_parser!(PathBuf));
    Command::new("revert")
        .about("Writes the original of a patched file, byte for byte")
        .after_help(HELP)
        .arg(path("file").value_name("FILE").help("The patched executable").required(true))
        .arg(
            path("output")
                .short('o')
                .long("output")
                .value_name("OUT")
                .help("Where to write the original; replaced atomically")
                .required(true),
        )
        .arg(outcome::json_option())
}

/// What was written.
struct Written {
    digest: String,
    length: usize,
    dropped_setuid: bool,
}

fn reverted(file: &Path, output: &Path) -> Result<Written, Error> {
    let input = Input::open(file)?;
    input.refuse_same(file, output)?;
    let original = read::restore(&input)?.ok_or_else(|| read::not_patched(&input))?;
    files::put_in_place(output, &original, input.mode())?;
    Ok(Written {
        digest: note::hex(&note::digest(&original)),
        length: original.len(),
        dropped_setuid: input.gives_rights(),
    })
}

/// Runs the command.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let path = |name: &str| matches.get_one::<PathBuf>(name).expect("required above");
    let (file, output) = (path("file"), path("output"));
    let is_json = matches.get_flag("json");
    let written = match reverted(file, output) {
        Ok(written) => written,
        Err(error) => return outcome::failed(file, &error, is_json),
    };
    if is_json {
        let report = json!({
            "output_sha256": written.digest,
            "output_bytes": written.length,
            "dropped_setuid": written.dropped_setuid,
        });
        outcome::say(format_args!("{report:#}\n"));
        return ExitCode::SUCCESS;
    }
    outcome::say(format_args!("{} → {}\n", file.display(), output.display()));
    outcome::say(format_args!("  original  {} bytes, sha256 {}\n", written.length, written.digest));
    if written.dropped_setuid {
        outcome::warn_of_rights("the input", "the output");
    }
    ExitCode::SUCCESS
}
