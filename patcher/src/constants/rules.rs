//! Which redirects are asked for?

use procsys_rules::model::Action;
use procsys_rules::table::Kind;
use procsys_rules::{Table, compile, profiles, text};

use super::Pair;
use crate::error::Error;
use crate::rules::{Choice, Set, gather_from};

/// Puts the redirects of `--rules` and `--redirect` together. A new prefix may
/// have doubled slashes here: so it can be as long as the old one.
///
/// # Errors
/// [`Error::Rules`] in one line that says where and what was expected.
pub(crate) fn rules(choice: &Choice) -> Result<Set, Error> {
    let files = Choice { files: choice.files.clone(), ..Choice::default() };
    let mut set = gather_from(Vec::new(), &files)?;
    let mut redirects = Vec::new();
    for option in &choice.redirects {
        let (from, given) = option.split_once('=').unwrap_or((option, ""));
        let mut squeezed = given.to_owned();
        while squeezed.contains("//") {
            squeezed = squeezed.replace("//", "/");
        }
        let plain = if given.is_empty() { option.clone() } else { format!("{from}={squeezed}") };
        let mut rule = profiles::redirect_option(&plain).map_err(Error::Rules)?;
        if let Action::Redirect { to, .. } = &mut rule.action {
            *to = given.to_owned();
        }
        redirects.push(rule);
    }
    text::reject_contradictions(&redirects).map_err(|(_, why)| Error::Rules(why))?;
    profiles::add(&mut set.rules, redirects);
    set.table = compile::compile(&set.rules).map_err(Error::Rules)?;
    Ok(set)
}

/// The redirects of a compiled table.
///
/// # Errors
/// [`Error::Rules`] for another rule, and for one that can't be carried out.
pub(super) fn pairs(table: Table<'_>) -> Result<Vec<Pair>, Error> {
    let mut pairs: Vec<Pair> = Vec::new();
    for rule in table.rules() {
        let wrong = |why: &str| {
            Err(Error::Rules(format!("{}: {why}", String::from_utf8_lossy(rule.name()))))
        };
        if rule.kind() != Some(Kind::Redirect) {
            return wrong("constants can only be redirected");
        }
        let pair = Pair { from: rule.path().to_vec(), to: rule.value().to_vec() };
        let (from, to) = (pair.from.len(), pair.to.len());
        if to > from {
            return wrong(&format!(
                "the new prefix has {to} bytes, the old one {from}: expected no more, there is no room"
            ));
        }
        let is_below =
            |a: &[u8], b: &[u8]| a.starts_with(b) && a.get(b.len()).is_none_or(|&c| c == b'/');
        if pairs.iter().any(|p| is_below(&p.from, &pair.from) || is_below(&pair.from, &p.from)) {
            return wrong("one prefix lies below another");
        }
        pairs.push(pair);
    }
    if pairs.is_empty() {
        return Err(Error::Rules("no redirect is given: expected --redirect FROM=TO".into()));
    }
    Ok(pairs)
}

/// The same new prefix, as long as the old one: its first slash repeated.
pub(super) fn of_same_length(pair: &Pair) -> String {
    let more = "/".repeat(pair.from.len() - pair.to.len());
    let to = String::from_utf8_lossy(&pair.to);
    let after = to[1..].find('/').map_or(0, |at| at + 1);
    format!("{}{more}{}", &to[..after], &to[after..])
}
