//! Who uses some bytes of a program? Instructions that name their address or
//! read them, and words in data that hold the address.
//!
//! Nothing that reads as such a use is passed over: all bytes of code are tried
//! as offsets and addresses, and what is one is told by decoding the function
//! around it ([`code`]). The length that goes with a text's address is found by
//! following it to where it is handed on ([`beside`]).

mod beside;
mod code;
mod words;

use std::collections::BTreeMap;
use std::ops::Range;

use object::LittleEndian as LE;

pub(crate) use beside::{Held, Length};
pub(crate) use code::{Code, Holder};

use crate::elf::Image;
use crate::scan::Functions;

/// The longest text that a length is believed for: the longest path of Linux.
pub(crate) const LONGEST: usize = 4096;

/// How some bytes are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    /// An instruction takes the address.
    Takes,
    /// An instruction reads or writes so many bytes there.
    Reads(usize),
    /// A word in data holds the address.
    Word,
    /// Bytes that could name it in code that can't be decoded.
    Unclear,
    /// The dynamic symbol of this name.
    Symbol(String),
}

/// One use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    /// The address that is used.
    pub(crate) target: u64,
    /// The user's own address: of an instruction or a word.
    pub(crate) at: u64,
    /// How.
    pub(crate) by: By,
    /// Whether it is Go's code.
    pub(crate) is_go: bool,
    /// The length that goes with it.
    pub(crate) length: Option<Length>,
}

/// Stretches of addresses that are asked about.
#[derive(Debug, Default)]
pub(crate) struct Zones(Vec<Range<u64>>);

impl Zones {
    /// Puts stretches in order, and joins those that touch.
    pub(crate) fn new(mut all: Vec<Range<u64>>) -> Self {
        all.sort_unstable_by_key(|zone| zone.start);
        let mut zones: Vec<Range<u64>> = Vec::with_capacity(all.len());
        for zone in all {
            match zones.last_mut() {
                Some(last) if zone.start <= last.end => last.end = last.end.max(zone.end),
                _ => zones.push(zone),
            }
        }
        Self(zones)
    }

    fn contains(&self, address: u64) -> bool {
        let index = self.0.partition_point(|zone| zone.end <= address);
        self.0.get(index).is_some_and(|zone| zone.start <= address)
    }

    /// The first address and the one after the last.
    fn span(&self) -> Range<u64> {
        self.0.first().map_or(0, |z| z.start)..self.0.last().map_or(0, |z| z.end)
    }
}

/// Finds all uses of the zones, in ascending order of what is used.
pub(crate) fn find(image: &Image<'_>, functions: &Functions<'_>, zones: &Zones) -> Vec<Use> {
    let mut uses = code::find(image, functions, zones);
    let words = words::find(image, zones);
    uses.extend(words.into_iter().map(|(at, target)| Use {
        target,
        at,
        by: By::Word,
        is_go: false,
        length: length_after(image, at, target),
    }));
    uses.extend(symbols(image, zones));
    uses.sort_by_key(|u| (u.target, u.at));
    uses
}

/// The instructions that refer to each of some words.
pub(crate) fn of_words(
    image: &Image<'_>,
    functions: &Functions<'_>,
    words: impl Iterator<Item = u64>,
) -> BTreeMap<u64, Vec<u64>> {
    let zones = Zones::new(words.map(|at| at..at + 1).collect());
    let mut by_word: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for found in code::find(image, functions, &zones) {
        if found.by != By::Unclear {
            by_word.entry(found.target).or_default().push(found.at);
        }
    }
    by_word
}

/// The number in the word after one that holds an address, if it can be the
/// length of the text there: a string header is such a pair.
fn length_after(image: &Image<'_>, at: u64, target: u64) -> Option<Length> {
    let value = u64::from_le_bytes(*image.at(at + 8)?.first_chunk()?);
    let text = image.at(target)?.get(..usize::try_from(value).ok()?)?;
    // A slice of bytes may hold the NUL of a text for the kernel, too.
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    let is_text = (1..=LONGEST as u64).contains(&value) && std::str::from_utf8(text).is_ok();
    (is_text && !text.contains(&0)).then_some(Length { value, held: Held::Word(at + 8) })
}

/// Dynamic symbols in the zones: other files may use what they name.
fn symbols(image: &Image<'_>, zones: &Zones) -> Vec<Use> {
    let Ok(table) = image.sections.symbols(LE, image.bytes, object::elf::SHT_DYNSYM) else {
        return Vec::new();
    };
    let named = table.iter().filter(|s| s.st_shndx.get(LE) != 0).filter_map(|symbol| {
        let target = symbol.st_value.get(LE);
        let name = table.symbol_name(LE, symbol).ok()?;
        let by = By::Symbol(String::from_utf8_lossy(name).into_owned());
        let found = Use { target, at: target, by, is_go: false, length: None };
        (symbol.st_type() == object::elf::STT_OBJECT && zones.contains(target)).then_some(found)
    });
    named.collect()
}
