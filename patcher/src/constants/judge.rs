//! What becomes of each place where a prefix stands: a change, or nothing, or
//! reasons why it can't be said.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::texts::{self, Place};
use super::{Edit, Pair, lengths};
use crate::elf::Image;
use crate::go;
use crate::scan::Functions;
use crate::uses::{self, By, Code, LONGEST, Use, Zones};

/// Who uses a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Referrer {
    /// The address of the instruction, or of the word that nothing refers to.
    pub address: u64,
    /// The function, or what else it is.
    pub function: String,
}

/// One text that is rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its address.
    pub address: u64,
    /// The longest text that starts there, and what becomes of it.
    pub old: String,
    /// The same, rewritten.
    pub new: String,
    /// Who uses it.
    pub referrers: Vec<Referrer>,
    /// Numbers that are its length: where, before, after.
    pub lengths: Vec<(u64, u64, u64)>,
    pub(super) pair: usize,
    pub(crate) edits: Vec<Edit>,
}

/// What was said of all places.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) changes: Vec<Change>,
    /// Where, what, why.
    pub(super) left: Vec<(u64, String, String)>,
    /// One line for each.
    pub(super) obstacles: Vec<String>,
}

/// What a use takes the text for.
enum Meaning {
    /// A path below the prefix, so many bytes long.
    Ours(usize),
    /// Another text, or a part of one.
    Other,
    /// That can't be said.
    Unknown(String),
}

/// Judges all places.
pub(super) fn all(
    image: &Image<'_>,
    functions: &Functions<'_>,
    pairs: &[Pair],
    leave: &BTreeSet<u64>,
) -> Judged {
    let places = texts::find(image, functions, pairs);
    let zones = places.iter().map(|p| {
        let pair = &pairs[p.pair];
        let rest = image.at(p.address).unwrap_or_default();
        let nul = memchr::memchr(0, &rest[..rest.len().min(LONGEST)]).unwrap_or(LONGEST);
        let is_shorter = pair.to.len() < pair.from.len();
        let end = if is_shorter { nul.max(pair.from.len()) } else { pair.from.len() };
        texts::stretch_start(image, p.address)..p.address + end as u64
    });
    let uses = uses::find(image, functions, &Zones::new(zones.collect()));
    let words = uses.iter().filter(|u| u.by == By::Word).map(|u| u.at);
    let by_word = uses::of_words(image, functions, words);
    let has_go = functions.go.is_some() || go::buildinfo::version(image).is_some();
    let judge = Judge { image, functions, uses, by_word, pairs, has_go };
    let mut judged = Judged::default();
    for place in &places {
        judge.place(*place, leave, &mut judged);
    }
    judged
}

pub(super) struct Judge<'r, 'f> {
    image: &'r Image<'r>,
    pub(super) functions: &'r Functions<'f>,
    /// In ascending order of what is used.
    uses: Vec<Use>,
    /// The instructions that refer to each word that refers to a text.
    by_word: BTreeMap<u64, Vec<u64>>,
    pairs: &'r [Pair],
    has_go: bool,
}

impl<'r, 'f> Judge<'r, 'f> {
    fn place(&self, place: Place, leave: &BTreeSet<u64>, judged: &mut Judged) {
        let Place { address, pair } = place;
        let bytes = self.image.at(address).unwrap_or_default();
        let pair = &self.pairs[pair];
        let (mut ours, mut others, mut longest) = (Vec::new(), Vec::new(), 0);
        for found in self.of(address..address + 1) {
            match self.meaning(found, bytes, pair) {
                Meaning::Ours(length) => {
                    longest = longest.max(length);
                    ours.push(found);
                }
                Meaning::Other => others.push((found, None)),
                Meaning::Unknown(why) => others.push((found, Some(why))),
            }
        }
        let shown = |length: usize| String::from_utf8_lossy(&bytes[..length]).into_owned();
        if ours.is_empty() {
            self.not_ours(place, &others, leave, judged);
            return;
        }
        let old = shown(longest);
        if leave.contains(&address) {
            judged.left.push((address, old, "--leave".into()));
            return;
        }
        let new = rewritten(bytes, longest, pair);
        let mut why: Vec<String> = others
            .into_iter()
            .filter_map(|(found, unknown)| {
                let range = self.range(found, address, false);
                unknown.or_else(|| {
                    altered(bytes, &new, address, &range).then(|| self.shares(found, &range))
                })
            })
            .collect();
        why.extend(self.neighbours(place, &ours, &new));
        let gone = pair.from.len() - pair.to.len();
        // What stays as it is needs no edit.
        let kept = if gone == 0 { pair.to.len() } else { new.len() };
        let edit = Edit { address, bytes: new[..kept].to_vec() };
        let (mut edits, mut lengths) = (vec![edit], Vec::new());
        match lengths::correct(self, &ours, pair, longest) {
            Ok(corrected) => {
                edits.extend(corrected.iter().map(lengths::Correction::edit));
                lengths.extend(corrected.iter().map(|c| (c.address, c.old, c.new)));
            }
            Err(more) => why.extend(more),
        }
        if !why.is_empty() {
            judged.obstacles.extend(why.iter().map(|why| format!("{address:#x} `{old}`: {why}")));
            return;
        }
        judged.changes.push(Change {
            address,
            new: String::from_utf8_lossy(&new[..longest - gone]).into_owned(),
            old,
            referrers: self.referrers(&ours),
            lengths,
            pair: place.pair,
            edits,
        });
    }

    /// Says of a place that nobody is known to mean as a path below the prefix
    /// what it is, or why that can't be said.
    fn not_ours(
        &self,
        Place { address, pair }: Place,
        others: &[(&Use, Option<String>)],
        leave: &BTreeSet<u64>,
        judged: &mut Judged,
    ) {
        let bytes = self.image.at(address).unwrap_or_default();
        let from = &self.pairs[pair].from;
        let text = texts::path(bytes).filter(|t| texts::is_below(t, from));
        let shown = String::from_utf8_lossy(text.unwrap_or(from)).into_owned();
        let unknown: Vec<_> = others.iter().filter_map(|(_, why)| why.as_ref()).collect();
        let starts = texts::stretch_start(self.image, address) == address;
        let goes_on = matches!(bytes.get(from.len()), Some(b'/' | 0) | None);
        if leave.contains(&address) {
            judged.left.push((address, shown, "--leave".into()));
        } else if !unknown.is_empty() {
            let lines = unknown.iter().map(|why| format!("{address:#x} `{shown}`: {why}"));
            judged.obstacles.extend(lines);
        } else if others.is_empty() && starts && text.is_some() {
            let line = "nothing that refers to it was found: who uses it can't be said";
            judged.obstacles.push(format!("{address:#x} `{shown}`: {line}"));
        } else if others.is_empty() && goes_on && !starts {
            judged.left.push((address, shown, "part of a longer text".into()));
        }
    }

    /// The uses of some addresses.
    fn of(&self, range: Range<u64>) -> &[Use] {
        let first = self.uses.partition_point(|u| u.target < range.start);
        let last = self.uses.partition_point(|u| u.target < range.end);
        &self.uses[first..last]
    }

    /// Whether a length beside an address says that the text there is a path
    /// below the prefix.
    fn is_known(&self, address: u64, from: &[u8]) -> bool {
        let bytes = self.image.at(address).unwrap_or_default();
        let mut said = self.of(address..address + 1).iter().filter_map(|u| u.length.as_ref());
        said.any(|l| bytes.get(..l.value as usize).is_some_and(|t| texts::is_below(t, from)))
    }

    fn meaning(&self, found: &Use, bytes: &[u8], pair: &Pair) -> Meaning {
        let (at, from) = (found.at, &pair.from[..]);
        let is_same_length = pair.from.len() == pair.to.len();
        let by_nul = texts::path(bytes);
        let is_ours = |text: &[u8]| texts::is_path(text) && texts::is_below(text, from);
        let said = found.length.as_ref().and_then(|l| bytes.get(..l.value as usize));
        match (&found.by, said) {
            (By::Unclear, _) => {
                Meaning::Unknown(format!("{at:#x} may refer to it, and can't be decoded"))
            }
            (By::Symbol(name), _) => {
                Meaning::Unknown(format!("other files may use it: it is the dynamic symbol {name}"))
            }
            (_, Some(said)) => {
                let said = said.strip_suffix(b"\0").unwrap_or(said);
                let is_other_by_nul =
                    found.by == By::Word && by_nul.is_some_and(|t| is_ours(t) != is_ours(said));
                match (is_other_by_nul, is_ours(said)) {
                    (true, _) => Meaning::Unknown(format!(
                        "whether the number behind {at:#x} is its length can't be said"
                    )),
                    (_, true) => Meaning::Ours(said.len()),
                    _ => Meaning::Other,
                }
            }
            // One text of Go's has one place: it is the same for all who start there.
            (By::Takes, None)
                if found.is_go && is_same_length && self.is_known(found.target, from) =>
            {
                Meaning::Ours(from.len())
            }
            (By::Takes, None) if found.is_go => {
                let function = self.function(at);
                Meaning::Unknown(format!(
                    "{at:#x} in {function} refers to it, with a length that was not found"
                ))
            }
            (_, None) => match (by_nul, &found.by) {
                (Some(text), _) if is_ours(text) => Meaning::Ours(text.len()),
                (None, By::Reads(size)) => piece(found, bytes, from, *size),
                _ => Meaning::Other,
            },
        }
    }

    /// The bytes that a use is about, as far as that is known; `by_length` where
    /// texts lie one behind the other.
    fn range(&self, found: &Use, place: u64, by_length: bool) -> Range<u64> {
        let start = found.target;
        let bytes = self.image.at(start).unwrap_or_default();
        let is_unsaid = match found.by {
            By::Takes => found.is_go,
            By::Word => by_length,
            _ => found.by == By::Unclear,
        };
        let length = match (&found.length, &found.by) {
            (Some(length), _) => length.value,
            (None, By::Reads(size)) => *size as u64,
            // Go's linker lays texts one behind the other: what starts before the
            // next one ends there.
            (None, _) if is_unsaid && start < place => {
                let next = self.of(start + 1..place + 1).first();
                next.map_or(u64::MAX, |u| u.target) - start
            }
            (None, _) => memchr::memchr(0, bytes).unwrap_or(bytes.len()) as u64,
        };
        start..start.saturating_add(length)
    }

    /// Uses of bytes before or behind the first that would see something change.
    fn neighbours(&self, place: Place, ours: &[&Use], new: &[u8]) -> Vec<String> {
        let address = place.address;
        let bytes = self.image.at(address).unwrap_or_default();
        let start = texts::stretch_start(self.image, address);
        let before = self.of(start..address).iter();
        let behind = self.of(address + 1..address + new.len() as u64).iter();
        let all = before.chain(behind).filter(|found| !self.goes_on(found, ours));
        // Who says a text's length has it from Go, which ends no text by NUL.
        let by_length = ours.iter().any(|found| found.length.is_some());
        let ranges = all.map(|found| (found, self.range(found, address, by_length)));
        let seen = ranges.filter(|(_, range)| altered(bytes, new, address, range));
        seen.map(|(found, range)| self.shares(found, &range)).collect()
    }

    /// Whether a use reads on where one of ours stopped: a text that is copied
    /// or compared in pieces.
    fn goes_on(&self, found: &Use, ours: &[&Use]) -> bool {
        let By::Reads(_) = found.by else { return false };
        let same = |u: &&&Use| self.function(u.at) == self.function(found.at);
        let mut end = 0;
        for read in ours.iter().filter(same) {
            if let By::Reads(size) = read.by {
                end = end.max(read.target + size as u64);
            }
        }
        let Some(first) = ours.first().filter(|_| end > 0) else { return false };
        for read in self.of(first.target + 1..found.target) {
            if let By::Reads(size) = read.by
                && read.target <= end
                && self.function(read.at) == self.function(found.at)
            {
                end = end.max(read.target + size as u64);
            }
        }
        found.target <= end
    }

    /// That somebody else uses bytes that would change.
    fn shares(&self, found: &Use, range: &Range<u64>) -> String {
        let bytes = self.image.at(range.start).unwrap_or_default();
        let length = (range.end - range.start).min(60).min(bytes.len() as u64) as usize;
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let text = text.escape_debug();
        format!(
            "shares its bytes with `{text}` at {:#x}, which {} uses",
            range.start,
            self.user(found)
        )
    }

    fn user(&self, found: &Use) -> String {
        match (&found.by, self.by_word.get(&found.at).and_then(|users| users.first())) {
            (By::Word, Some(&user)) => {
                format!("{} by the word at {:#x}", self.function(user), found.at)
            }
            (By::Word, None) => format!("the word at {:#x}", found.at),
            _ => format!("{:#x} in {}", found.at, self.function(found.at)),
        }
    }

    fn referrers(&self, ours: &[&Use]) -> Vec<Referrer> {
        let mut all = BTreeSet::new();
        for found in ours {
            let users = self.by_word.get(&found.at).map_or(&[][..], Vec::as_slice);
            match found.by {
                By::Word if users.is_empty() => {
                    all.insert(Referrer { address: found.at, function: "a word in data".into() });
                }
                By::Word => all.extend(users.iter().map(|&at| self.referrer(at))),
                _ => _ = all.insert(self.referrer(found.at)),
            }
        }
        all.into_iter().collect()
    }

    fn referrer(&self, address: u64) -> Referrer {
        Referrer { address, function: self.function(address) }
    }

    /// The name of the function that holds an address.
    pub(super) fn function(&self, address: u64) -> String {
        self.functions
            .lookup(address)
            .map_or_else(|| "code without a name".into(), |f| f.to_string())
    }

    /// Decodes functions.
    pub(super) fn code(&self) -> Code<'r, 'f> {
        Code::new(self.image, self.functions)
    }

    /// Whether Go built a part of the file.
    pub(super) fn has_go(&self) -> bool {
        self.has_go
    }
}

/// What is meant by a read of so many bytes, where no NUL ends the text.
fn piece(found: &Use, bytes: &[u8], from: &[u8], size: usize) -> Meaning {
    match bytes.get(..size) {
        Some(read) if !read.starts_with(&from[..from.len().min(size)]) => Meaning::Other,
        Some(read) if matches!(read.get(from.len()), Some(b'/' | 0)) => Meaning::Ours(size),
        _ => Meaning::Unknown(format!(
            "{:#x} reads {size} bytes of it: how it goes on can't be seen",
            found.at
        )),
    }
}

/// A text with the prefix replaced, and zeros behind if it became shorter.
fn rewritten(bytes: &[u8], length: usize, pair: &Pair) -> Vec<u8> {
    let mut new = pair.to.clone();
    new.extend_from_slice(&bytes[pair.from.len()..length]);
    new.resize(length, 0);
    new
}

/// Whether some bytes of a range would change.
fn altered(bytes: &[u8], new: &[u8], address: u64, range: &Range<u64>) -> bool {
    let changes = bytes.iter().zip(new).enumerate().filter(|(_, (a, b))| a != b);
    changes.into_iter().any(|(i, _)| range.contains(&(address + i as u64)))
}
