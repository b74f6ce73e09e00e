//! The built-in profiles, and how sets of rules are put together.

use crate::model::{Action, Emulate, Rule, STATE};
use crate::table::{FileKind, Probe, Write};
use crate::text::{self, Error};

/// A profile that ships with procsys.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// Its TOML, comments included.
    pub text: &'static str,
}

/// All profiles, by name.
pub const ALL: &[Profile] = &[
    Profile { name: "gvisor", text: include_str!("../profiles/gvisor.toml") },
    Profile { name: "k3s", text: include_str!("../profiles/k3s.toml") },
    Profile { name: "kubelet", text: include_str!("../profiles/kubelet.toml") },
    Profile { name: "lxc", text: include_str!("../profiles/lxc.toml") },
    Profile { name: "sysbox", text: include_str!("../profiles/sysbox.toml") },
];

/// The profile that is used when none is named.
pub const DEFAULT: &str = "gvisor";

impl Profile {
    /// The rules of the profile, with those of the profiles that it includes.
    ///
    /// # Errors
    /// As [`read`]; a test shows that no built-in profile has any.
    pub fn rules(&self) -> Result<Vec<Rule>, Error> {
        read(&format!("<profile {}>", self.name), self.text)
    }
}

/// Reads a file of rules, with those of the profiles that it includes first.
///
/// # Errors
/// As [`text::parse`], and when it includes a profile that is not built in.
pub fn read(file: &str, text: &str) -> Result<Vec<Rule>, Error> {
    let (head, own) = text::parse(file, text)?;
    let mut set = Vec::new();
    for name in &head.includes {
        // A profile that includes others is not included: so none includes itself.
        let known = by_name(name).map(|p| text::parse(p.name, p.text)).transpose()?;
        let Some((_, rules)) = known.filter(|(head, _)| head.includes.is_empty()) else {
            let message = format!("`includes`: no profile `{name}` that can be included");
            return Err(Error { file: file.to_owned(), line: 1, message });
        };
        add(&mut set, rules);
    }
    add(&mut set, own);
    Ok(set)
}

/// A built-in profile by its name.
pub fn by_name(name: &str) -> Option<&'static Profile> {
    ALL.iter().find(|p| p.name == name)
}

/// Adds rules to a set: one with the name or the subject of an earlier rule
/// replaces it in its place, any other goes to the end.
pub fn add(set: &mut Vec<Rule>, rules: impl IntoIterator<Item = Rule>) {
    for rule in rules {
        let subject = rule.action.subject();
        let same =
            |r: &Rule| r.name == rule.name || (subject.is_some() && r.action.subject() == subject);
        match set.iter().position(same) {
            Some(at) => {
                set[at] = rule.clone();
                // The new rule may have had the name of one and the subject of another.
                let mut index = 0;
                set.retain(|r| {
                    index += 1;
                    index <= at + 1 || !same(r)
                });
            }
            None => set.push(rule),
        }
    }
}

/// Has all writes that are remembered kept in this directory.
///
/// # Errors
/// What was expected instead.
pub fn keep_state_in(set: &mut [Rule], directory: &str) -> Result<(), String> {
    let wrong = |why: &str| format!("--state `{}`: {why}", directory.escape_debug());
    text::check_path(directory).map_err(|why| wrong(&why))?;
    if directory.split('/').any(|name| name.len() > 255 || name.contains('*')) {
        return Err(wrong("expected no `*` and names of at most 255 bytes"));
    }
    for rule in set {
        if let Action::Emulate(emulate) = &mut rule.action {
            directory.clone_into(&mut emulate.state);
        }
    }
    Ok(())
}

/// The rule that `--emulate PATH=VALUE` asks for: missing file, mode 0644,
/// writes accepted; a newline ends the value as it does in procfs.
///
/// # Errors
/// What was expected instead.
pub fn emulate_option(option: &str) -> Result<Rule, String> {
    let (path, value) = option
        .split_once('=')
        .ok_or_else(|| format!("--emulate `{}`: expected PATH=VALUE", option.escape_debug()))?;
    text::check_path(path)
        .map_err(|why| format!("--emulate `{}`: {why}", option.escape_debug()))?;
    Ok(Rule {
        name: format!("emulate {path}"),
        place: "--emulate".into(),
        on: vec![crate::errno::ENOENT],
        action: Action::Emulate(Emulate {
            path: path.into(),
            value: format!("{value}\n").into_bytes(),
            probe: Probe::None,
            mode: 0o644,
            write: Write::Accept,
            state: STATE.into(),
            file: FileKind::Proc,
        }),
    })
}

/// The rule that `--redirect FROM=TO` asks for.
///
/// # Errors
/// What was expected instead.
pub fn redirect_option(option: &str) -> Result<Rule, String> {
    let (from, to) = option
        .split_once('=')
        .ok_or_else(|| format!("--redirect `{}`: expected FROM=TO", option.escape_debug()))?;
    for path in [from, to] {
        text::check_path(path)
            .map_err(|why| format!("--redirect `{}`: {why}", option.escape_debug()))?;
        if path.contains('*') {
            return Err(format!("--redirect `{}`: expected no `*`", option.escape_debug()));
        }
    }
    if from == to {
        return Err(format!(
            "--redirect `{}`: expected two different paths",
            option.escape_debug()
        ));
    }
    Ok(Rule {
        name: format!("redirect {from}"),
        place: "--redirect".into(),
        on: Vec::new(),
        action: Action::Redirect { from: from.into(), to: to.into() },
    })
}
