//! Which rules go in: profiles, rule files and single rules of the command line.

use std::path::PathBuf;

use procsys_rules::model::Rule;
use procsys_rules::{compile, profiles, text};

use crate::error::Error;

/// The rules that the user asked for.
#[derive(Debug, Default, Clone)]
pub struct Choice {
    /// `--profile`, in order; none means the default profile.
    pub profiles: Vec<String>,
    /// `--rules`, in order.
    pub files: Vec<PathBuf>,
    /// `--redirect`, in order.
    pub redirects: Vec<String>,
    /// `--emulate`, in order.
    pub emulations: Vec<String>,
    /// `--state`: where writes are remembered, in place of the rules' directory.
    pub state: Option<String>,
}

/// A set of rules and its compiled table.
#[derive(Debug)]
pub struct Set {
    /// The names of the profiles in it.
    pub profiles: Vec<String>,
    /// The rules, in the order in which they are tried.
    pub rules: Vec<Rule>,
    /// The table that goes into the file.
    pub table: Vec<u8>,
}

/// Puts the set together: profiles, then files, then single rules; a later rule
/// about the same thing replaces an earlier one.
///
/// # Errors
/// [`Error::Rules`] in one line that says where and what was expected.
pub fn gather(choice: &Choice) -> Result<Set, Error> {
    let names = match &choice.profiles[..] {
        [] => vec![profiles::DEFAULT.to_owned()],
        given => given.to_vec(),
    };
    gather_from(names, choice)
}

/// As [`gather`], with these profiles alone.
///
/// # Errors
/// As [`gather`].
pub(crate) fn gather_from(names: Vec<String>, choice: &Choice) -> Result<Set, Error> {
    let wrong = |e: &dyn std::fmt::Display| Error::Rules(e.to_string());
    let mut rules = Vec::new();
    for name in &names {
        let profile = profiles::by_name(name).ok_or_else(|| {
            let known: Vec<_> = profiles::ALL.iter().map(|p| p.name).collect();
            Error::Rules(format!("profile `{name}`: expected one of {}", known.join(", ")))
        })?;
        profiles::add(&mut rules, profile.rules().map_err(|e| wrong(&e))?);
    }
    for file in &choice.files {
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|e| Error::Rules(crate::files::failed(file, &e).to_string()))?;
        let more = profiles::read(&shown, &text).map_err(|e| wrong(&e))?;
        profiles::add(&mut rules, more);
    }
    let single = |parse: fn(&str) -> Result<Rule, String>, given: &[String]| {
        let rules: Result<Vec<_>, _> = given.iter().map(|o| parse(o)).collect();
        let rules = rules.map_err(Error::Rules)?;
        text::reject_contradictions(&rules).map_err(|(_, why)| Error::Rules(why))?;
        Ok::<_, Error>(rules)
    };
    profiles::add(&mut rules, single(profiles::redirect_option, &choice.redirects)?);
    profiles::add(&mut rules, single(profiles::emulate_option, &choice.emulations)?);
    if let Some(state) = &choice.state {
        profiles::keep_state_in(&mut rules, state).map_err(Error::Rules)?;
    }
    let table = compile::compile(&rules).map_err(Error::Rules)?;
    Ok(Set { profiles: names, rules, table })
}
