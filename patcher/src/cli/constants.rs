//! `procsys-patch INPUT -o OUTPUT --mode constants`: rewrites path constants.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::ArgMatches;

use super::outcome::{self, Done};
use crate::constants::{self, Report, transform};
use crate::error::Error;
use crate::files::{self, Input};
use crate::rules::Choice;

/// Runs the command.
pub(super) fn run(matches: &ArgMatches, inputs: &[PathBuf], choice: &Choice) -> ExitCode {
    let is_json = matches.get_flag("json");
    let output: Option<&PathBuf> = matches.get_one("output");
    let output = output.filter(|_| !matches.get_flag("dry-run"));
    let [input] = inputs else {
        let error = Error::Io("--mode constants takes one file".into());
        return outcome::failed(Path::new(""), &error, is_json);
    };
    let report = match rewrite(matches, input, output, choice) {
        Ok(report) => report,
        Err(error) => return outcome::failed(input, &error, is_json),
    };
    outcome::done(&Done {
        input,
        output: output.map(PathBuf::as_path),
        report: &report,
        json: is_json.then(|| report.json()),
        dropped_setuid: report.dropped_setuid,
    })
}

fn rewrite(
    matches: &ArgMatches,
    input: &Path,
    output: Option<&PathBuf>,
    choice: &Choice,
) -> Result<Report, Error> {
    let start = Instant::now();
    if !choice.profiles.is_empty()
        || !choice.emulations.is_empty()
        || choice.state.is_some()
        || matches.get_flag("every-call")
        || matches.contains_id("with-preload")
    {
        return Err(Error::Rules("--mode constants takes redirects alone".into()));
    }
    let set = constants::rules(choice)?;
    let leave: BTreeSet<u64> = matches.get_many("leave").into_iter().flatten().copied().collect();
    let file = Input::open(input)?;
    if let Some(output) = output {
        file.refuse_same(input, output)?;
    }
    let (report, bytes) = transform(&file, &set, &leave)?;
    if let Some(output) = output {
        files::put_in_place(output, &bytes, file.mode())?;
    }
    Ok(Report { dropped_setuid: file.gives_rights(), time: start.elapsed(), ..report })
}
