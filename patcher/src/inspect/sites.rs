//! Which system calls does a program make, from where, and can each be detoured?

use std::collections::BTreeMap;

use procsys_rules::Table;

use super::calls;
use crate::elf::Image;
use crate::emit::Asked;
use crate::error::Error;
use crate::patch::Options;
use crate::plan::{self, Number};
use crate::scan::signal_return::RT_SIGRETURN;
use crate::scan::{self, Functions};

/// One `syscall` instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteFacts {
    /// Its address.
    pub address: u64,
    /// The function that holds it.
    pub function: String,
    /// Whether the function is Go's.
    pub is_go: bool,
    /// The names of the calls that it makes; empty when its caller says which.
    pub calls: Vec<String>,
    /// Why it can't be detoured, if it can't.
    pub obstacle: Option<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Sites {
    /// In ascending order of address.
    pub all: Vec<SiteFacts>,
    /// Byte pairs that are the inside of other instructions.
    pub not_instructions: usize,
    /// Byte pairs of which it can't be said, one line each; then `all` is empty.
    pub undecided: Vec<String>,
}

/// Finds the sites and plans for them, as patching with `table` would.
///
/// # Errors
/// As the stages say, but for what is said of single sites.
pub(super) fn find(
    image: &Image<'_>,
    functions: &Functions<'_>,
    table: Table<'_>,
) -> Result<Sites, Error> {
    let mut scan = match scan::scan(image, functions) {
        Ok(scan) => scan,
        Err(Error::Sites(undecided)) => return Ok(Sites { undecided, ..Sites::default() }),
        Err(other) => return Err(other),
    };
    let mut all: Vec<_> = scan.sites.iter().map(facts).collect();
    let asked = Asked::new(table, &Options::default());
    let mut obstacles = BTreeMap::new();
    let numbers: BTreeMap<u64, Number> = loop {
        match plan::plan(image, functions, &scan.sites, &asked) {
            Ok(detours) => {
                break detours.into_iter().map(|d| (d.site.address, d.number)).collect();
            }
            // Planned again without those: the others don't depend on them.
            Err(Error::Sites(lines)) => {
                obstacles.extend(lines.iter().filter_map(|line| named(line)));
                let before = scan.sites.len();
                scan.sites.retain(|site| !obstacles.contains_key(&site.address));
                if scan.sites.len() == before {
                    break BTreeMap::new();
                }
            }
            Err(other) => return Err(other),
        }
    };
    for site in &mut all {
        site.obstacle = obstacles.get(&site.address).cloned();
        site.calls = match numbers.get(&site.address) {
            Some(Number::OneOf(numbers)) => numbers.iter().map(|&nr| calls::name(nr)).collect(),
            None if site.obstacle.is_none() => vec![calls::name(RT_SIGRETURN)],
            _ => Vec::new(),
        };
    }
    Ok(Sites { all, not_instructions: scan.inside.len(), undecided: Vec::new() })
}

fn facts(site: &scan::Site) -> SiteFacts {
    SiteFacts {
        address: site.address,
        function: site.function.to_string(),
        is_go: site.function.is_go,
        calls: Vec::new(),
        obstacle: None,
    }
}

/// Address and reason of a line of the plan: `address: function: reason`.
fn named(line: &str) -> Option<(u64, String)> {
    let (address, rest) = line.split_once(": ")?;
    let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
    Some((address, rest.rsplit(": ").next()?.to_owned()))
}
