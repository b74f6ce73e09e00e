//! `procsys-patch profiles [NAME]`: which built-in sets of rules are there?

use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use procsys_rules::profiles::{ALL, DEFAULT, Profile, by_name};
use procsys_rules::text;
use serde_json::{Value, json};

use super::outcome;
use crate::error::Error;

const HELP: &str = "\
Examples:
  procsys-patch profiles
  procsys-patch profiles gvisor > site.toml
  procsys-patch runc -o runc-site --rules site.toml";

pub(super) fn command() -> Command {
    Command::new("profiles")
        .about("Lists the built-in profiles, or prints one as a start for --rules")
        .after_help(HELP)
        .arg(Arg::new("name").value_name("NAME").help("Print this one, with its comments"))
        .arg(outcome::json_option())
}

/// Name, summary and rules of a profile.
fn described(profile: &Profile) -> Result<Value, Error> {
    let wrong = |e: text::Error| Error::Rules(e.to_string());
    let (head, _) = text::parse(profile.name, profile.text).map_err(wrong)?;
    let rules = profile.rules().map_err(wrong)?;
    let rules: Vec<_> =
        rules.iter().map(|r| json!({"name": r.name, "action": r.action.word()})).collect();
    Ok(json!({
        "name": profile.name,
        "summary": head.summary,
        "is_default": profile.name == DEFAULT,
        "rules": rules,
    }))
}

fn list(is_json: bool) -> Result<String, Error> {
    let all: Result<Vec<_>, _> = ALL.iter().map(described).collect();
    let all = all?;
    if is_json {
        return Ok(format!("{:#}\n", json!({"profiles": all})));
    }
    let width = ALL.iter().map(|p| p.name.len()).max().unwrap_or(0);
    let line = |profile: &Value| {
        let word = |key: &str| profile[key].as_str().unwrap_or_default().to_owned();
        let count = profile["rules"].as_array().map_or(0, Vec::len);
        let default = if profile["is_default"] == true { ", the default" } else { "" };
        format!("{:width$}  {count} rules{default}: {}\n", word("name"), word("summary"))
    };
    Ok(all.iter().map(line).collect())
}

fn one(name: &str, is_json: bool) -> Result<String, Error> {
    let profile = by_name(name).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|p| p.name).collect();
        Error::Rules(format!("profile `{name}`: expected one of {}", known.join(", ")))
    })?;
    if !is_json {
        return Ok(profile.text.to_owned());
    }
    let mut described = described(profile)?;
    described["text"] = profile.text.into();
    Ok(format!("{described:#}\n"))
}

/// Runs the command.
pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    let is_json = matches.get_flag("json");
    let text = match matches.get_one::<String>("name") {
        Some(name) => one(name, is_json),
        None => list(is_json),
    };
    match text {
        Ok(text) => {
            outcome::say(format_args!("{text}"));
            ExitCode::SUCCESS
        }
        Err(error) => outcome::failed(Path::new("profiles"), &error, is_json),
    }
}
