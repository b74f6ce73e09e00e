//! Which paths of /proc, /sys and /dev, and which sockets, does a program name?
//!
//! Found by their text in what is loaded. Where one starts and ends is told by
//! who refers to it: C ends its strings by NUL, Go keeps a length in a string
//! header or in an instruction beside the address. A text that a program puts
//! together, or compares as numbers, is not found.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;
use object::LittleEndian as LE;

use super::referrers::{self, Reference};
use crate::elf::Image;
use crate::scan::Functions;

/// What a path is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Below /proc.
    Proc,
    /// Below /sys.
    Sys,
    /// Below /dev.
    Dev,
    /// A socket's path.
    Socket,
}

impl Topic {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Proc => "proc",
            Topic::Sys => "sys",
            Topic::Dev => "dev",
            Topic::Socket => "socket",
        }
    }
}

/// A path in a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// Its address.
    pub address: u64,
    /// Its text.
    pub text: String,
    /// Whether that is all of it: Go may refer to a text without saying its length.
    pub is_whole: bool,
    /// What it is about.
    pub topic: Topic,
    /// The functions that refer to it, in order of their names.
    pub functions: Vec<String>,
    /// The addresses of the instructions that refer to it.
    pub references: Vec<u64>,
}

/// The longest path that Linux takes.
const LONGEST: usize = 4096;
/// What tells a socket's path.
const SOCKETS: [&str; 2] = [".sock", "/socket"];
/// How far before that a path may start.
const BEFORE: usize = 256;

/// A text found: its address, its length, and whether that is all of it.
type Place = (u64, usize, bool);

/// Finds all of them, in ascending order of address.
pub(super) fn find(image: &Image<'_>, functions: &Functions<'_>) -> Vec<Constant> {
    let starts = starts(image);
    let references = referrers::find(image, functions, &starts);
    let mut found: BTreeMap<Place, (Topic, BTreeSet<u64>)> = BTreeMap::new();
    for &address in &starts {
        let Some(bytes) = image.at(address) else { continue };
        let own = references.get(&address).map_or(&[][..], Vec::as_slice);
        for reference in own {
            // Go's strings end where their length says, and nothing else tells.
            let unsaid = match reference.length {
                Some(_) => None,
                None => unsaid(bytes, reference, functions),
            };
            if let Some((length, topic)) = extent(bytes, reference.length.or(unsaid)) {
                let place = (address, length, unsaid.is_none());
                let entry = found.entry(place).or_insert((topic, BTreeSet::new()));
                entry.1.extend(reference.instruction);
            }
        }
        // Unreferred to, it is known only by the NUL on either side.
        let before = address.checked_sub(1).and_then(|a| image.at(a)?.first().copied());
        if own.is_empty()
            && before == Some(0)
            && let Some((length, topic)) = extent(bytes, None)
        {
            found.insert((address, length, true), (topic, BTreeSet::new()));
        }
    }
    let described = found.into_iter();
    described.filter_map(|(place, found)| constant(image, functions, place, found)).collect()
}

/// A text with the names of the functions that refer to it.
fn constant(
    image: &Image<'_>,
    functions: &Functions<'_>,
    (address, length, is_whole): Place,
    (topic, references): (Topic, BTreeSet<u64>),
) -> Option<Constant> {
    let text = std::str::from_utf8(image.at(address)?.get(..length)?).ok()?.to_owned();
    let names = references.iter().map(|&at| match functions.lookup(at) {
        Some(function) => function.to_string(),
        None => format!("code at {at:#x}"),
    });
    let functions = names.collect::<BTreeSet<_>>().into_iter().collect();
    let references = references.into_iter().collect();
    Some(Constant { address, text, is_whole, topic, functions, references })
}

/// Where Go refers to a text without saying its length: the first component is
/// all that is sure of it.
fn unsaid(bytes: &[u8], reference: &Reference, functions: &Functions<'_>) -> Option<usize> {
    let is_go = functions.lookup(reference.instruction?).is_some_and(|f| f.is_go);
    let end = ["/proc", "/sys", "/dev"].iter().find(|top| bytes.starts_with(top.as_bytes()))?;
    is_go.then_some(end.len())
}

/// Addresses at which such a path may start.
fn starts(image: &Image<'_>) -> BTreeSet<u64> {
    let mut starts = BTreeSet::new();
    for segment in image.loads() {
        let address = segment.p_vaddr.get(LE);
        let Some(bytes) = image.at(address) else { continue };
        for prefix in ["/proc", "/sys", "/dev"] {
            let all = memmem::find_iter(bytes, prefix.as_bytes());
            starts.extend(all.map(|at| address + at as u64));
        }
        let sockets = SOCKETS.iter().flat_map(|name| memmem::find_iter(bytes, name.as_bytes()));
        for at in sockets {
            let before = &bytes[at.saturating_sub(BEFORE)..at];
            let is_part = |b: &&u8| b.is_ascii_alphanumeric() || b"/._-@:%".contains(b);
            let length = before.iter().rev().take_while(is_part).count();
            // In Go's packed strings any of them may be the start: referrers tell.
            starts.extend((at - length..at).map(|start| address + start as u64));
        }
    }
    starts
}

/// How long the text is, by its NUL or as it is said, and what it is about.
fn extent(bytes: &[u8], said: Option<usize>) -> Option<(usize, Topic)> {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let length = match said {
        Some(length) => length,
        None => memchr::memchr(0, bytes)?,
    };
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    let below = |top: &str| {
        text.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_path = text.bytes().all(|b| b.is_ascii_graphic());
    let topic = match text {
        _ if !is_path => return None,
        _ if is_socket(text) => Topic::Socket,
        _ if below("/proc") => Topic::Proc,
        _ if below("/sys") => Topic::Sys,
        _ if below("/dev") => Topic::Dev,
        _ => return None,
    };
    Some((length, topic))
}

fn is_socket(text: &str) -> bool {
    let is_absolute = text.starts_with(['/', '@']) || text.contains(":/");
    is_absolute && (text.contains(".sock") || text.ends_with("/socket"))
}

/// A reference to one of the starts, by its address.
pub(super) type References = BTreeMap<u64, Vec<Reference>>;
