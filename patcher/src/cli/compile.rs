//! `procsys-patch compile -o TABLE`: rules as libprocsys.so takes them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;

use super::{outcome, patch};
use crate::error::Error;
use crate::files;
use crate::rules::gather;

const HELP: &str = "\
Examples:
  procsys-patch compile --rules site.toml -o site.table
  procsys-patch compile --redirect /run/sysbox=/srv/a/run -o a.table
  LD_PRELOAD=/usr/lib/procsys/libprocsys.so PROCSYS_RULES=site.table crun …";

pub(super) fn command() -> Command {
    let command = Command::new("compile")
        .about("Compiles rules to the table that PROCSYS_RULES names, for libprocsys.so")
        .after_help(HELP)
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("TABLE")
                .help("Where to write the table; replaced atomically")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        );
    patch::rule_arguments(command).arg(outcome::json_option())
}

/// Runs the command.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let is_json = matches.get_flag("json");
    let Some(output) = matches.get_one::<PathBuf>("output") else { return ExitCode::FAILURE };
    match compile(matches, output) {
        Ok((rules, bytes)) => {
            if is_json {
                outcome::say(format_args!("{:#}\n", json!({"rules": rules, "bytes": bytes})));
            } else {
                outcome::say(format_args!("{}: {rules} rules, {bytes} bytes\n", output.display()));
            }
            ExitCode::SUCCESS
        }
        Err(error) => outcome::failed(Path::new(""), &error, is_json),
    }
}

/// Writes the table. How many rules it has, and how many bytes.
fn compile(matches: &ArgMatches, output: &Path) -> Result<(usize, usize), Error> {
    let choice = patch::choice(matches);
    let set = gather(&choice)?;
    choice.files.iter().try_for_each(|file| files::refuse_same(file, output))?;
    let table = procsys_rules::Table::new(&set.table).expect("just compiled");
    if let Some(rule) = table.first_for_whole() {
        let name = String::from_utf8_lossy(rule.name());
        eprintln!(
            "procsys-patch: warning: rule `{name}`: only libprocsys-whole.so takes this table"
        );
    }
    files::put_in_place(output, &set.table, 0o644)?;
    Ok((set.rules.len(), set.table.len()))
}
