//! What did procsys leave in a file, and what was the file before?
//!
//! Sections are read here without [`Image`](crate::elf::Image): a damaged file
//! must still say what it can.

use std::ops::Range;

use memchr::memmem;

use super::locator;
use crate::emit::note::{self, Claims};
use crate::error::Error;
use crate::inspect::linkage;

/// The section with the bytes that were changed in place.
pub const UNDO: &str = ".procsys.undo";
/// The section with the compiled rules.
pub const RULES: &str = ".procsys.rules";
/// The section with the archive that took the place of an embedded one, and its name.
pub const ARCHIVE: &str = ".procsys.archive";
/// Bytes before the old bytes of a change: offset u64, length u32.
pub const UNDO_HEADER: usize = 12;

/// Where the file's header says where the section headers are, how many there are, and
/// which has their names.
const SHOFF: usize = 40;
const SHNUM: usize = 60;
const SHSTRNDX: usize = 62;
/// What that one is called.
const NAMES: &[u8] = b".shstrtab\0";

/// One change in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a> {
    /// Offset in the file.
    pub offset: usize,
    /// What was there.
    pub old: &'a [u8],
}

/// What a patched file holds of procsys.
#[derive(Debug)]
pub struct Patched<'a> {
    bytes: &'a [u8],
    /// What its note says.
    pub claims: Claims,
    /// The compiled rules.
    pub rules: &'a [u8],
    /// The changes, in the order in which they were made.
    pub changes: Vec<Change<'a>>,
}

/// Whether the file holds a note of procsys, in whatever state, that is its own.
pub fn is_patched(bytes: &[u8]) -> bool {
    section(bytes, note::SECTION).is_some() || by_owner(bytes).is_some() && !is_carrier(bytes)
}

/// Whether a note is that of another file, which this one carries as data: its own
/// sections are as they should be, none is ours, and the note's sums are not its own.
fn is_carrier(bytes: &[u8]) -> bool {
    let all = || names(bytes).into_iter().flatten();
    let own = number(bytes, SHSTRNDX, 2);
    let is_sane = all().any(|(index, name)| Some(index) == own && name.starts_with(NAMES));
    let is_ours = all().any(|(_, name)| name.starts_with(b".procsys."));
    is_sane && !is_ours && !locator::holds(bytes) && locator::repaired(bytes).is_none()
}

/// What is said of a file that holds none: a copy that was cut short has lost it, since
/// it stands at the end.
pub fn not_patched(bytes: &[u8]) -> Error {
    let error = linkage::read(bytes).err();
    error.unwrap_or_else(|| Error::Input("not patched by procsys-patch".into()))
}

/// Where the note's text starts, by its owner and type.
fn by_owner(bytes: &[u8]) -> Option<usize> {
    let mut mark = note::TYPE.to_le_bytes().to_vec();
    mark.extend(note::OWNER);
    let text = memmem::rfind(bytes, &mark)? + mark.len();
    bytes[text..].starts_with(b"procsys-patch ").then_some(text)
}

/// The place of the note's text: by its section, or by the note's own owner and type.
pub fn note_text(bytes: &[u8]) -> Option<Range<usize>> {
    let by_section = section(bytes, note::SECTION).map(|section| section.start + note::HEADER);
    [by_section, by_owner(bytes)].into_iter().flatten().find_map(|text| {
        let owner = bytes.get(text - note::OWNER.len()..text)?;
        let length = number(bytes, text.checked_sub(note::HEADER)? + 4, 4)?;
        let end = text.checked_add(length).filter(|&end| end <= bytes.len())?;
        (owner == note::OWNER).then_some(text..end)
    })
}

impl<'a> Patched<'a> {
    /// Reads a patched file; `None` when it isn't one.
    ///
    /// # Errors
    /// The part that is damaged.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Self>, String> {
        let Some(text) = note_text(bytes).filter(|_| is_patched(bytes)) else { return Ok(None) };
        let claims = Claims::parse(&String::from_utf8_lossy(&bytes[text]));
        let claims = claims.ok_or("the note can't be read")?;
        let part = |name: &str| {
            section(bytes, name)
                .and_then(|range| bytes.get(range))
                .ok_or_else(|| format!("the section {name} is missing"))
        };
        let changes = changes(part(UNDO)?).ok_or_else(|| format!("{UNDO} can't be read"))?;
        Ok(Some(Self { bytes, claims, rules: part(RULES)?, changes }))
    }

    /// The bytes of a section, by its name.
    pub fn section(&self, name: &str) -> Option<&'a [u8]> {
        self.bytes.get(section(self.bytes, name)?)
    }

    /// The original, whether or not it has the digest that the note says.
    ///
    /// # Errors
    /// When a change lies past the end.
    pub fn undone(&self) -> Result<Vec<u8>, String> {
        let original = self.bytes.get(..self.claims.input_len);
        let mut original = original.ok_or("the note's length is past the end")?.to_vec();
        for change in self.changes.iter().rev() {
            change
                .offset
                .checked_add(change.old.len())
                .and_then(|end| original.get_mut(change.offset..end))
                .ok_or_else(|| format!("{UNDO}: {:#x} is past the end", change.offset))?
                .copy_from_slice(change.old);
        }
        Ok(original)
    }
}

/// Takes a patched file back to its original; `None` when it isn't patched.
///
/// # Errors
/// [`Error::Input`] when what comes out is not what the note says went in.
pub fn restore(bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let damaged = |why: String| {
        Error::Input(format!(
            "patched, and damaged since: {why}; `procsys-patch verify` says where"
        ))
    };
    let Some(patched) = Patched::read(bytes).map_err(damaged)? else { return Ok(None) };
    let original = patched.undone().map_err(damaged)?;
    if note::hex(&note::digest(&original)) != patched.claims.input {
        return Err(damaged("the original doesn't have the noted sha256".into()));
    }
    Ok(Some(original))
}

fn changes(mut undo: &[u8]) -> Option<Vec<Change<'_>>> {
    let mut changes = Vec::new();
    while !undo.is_empty() {
        let (offset, length) = (number(undo, 0, 8)?, number(undo, 8, 4)?);
        let old = undo.get(UNDO_HEADER..UNDO_HEADER.checked_add(length)?)?;
        changes.push(Change { offset, old });
        undo = &undo[UNDO_HEADER + length..];
    }
    Some(changes)
}

/// The place of a section in the file, by its name.
pub fn section(bytes: &[u8], name: &str) -> Option<Range<usize>> {
    let is_it =
        |own: &[u8]| own.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0));
    let (index, _) = names(bytes)?.rev().find(|(_, own)| is_it(own))?;
    place(bytes, index)
}

/// The index of each section, and where its name starts.
fn names(bytes: &[u8]) -> Option<impl DoubleEndedIterator<Item = (usize, &[u8])>> {
    let names = place(bytes, number(bytes, SHSTRNDX, 2)?)?;
    let count = number(bytes, SHNUM, 2)?;
    Some((0..count).filter_map(move |index| {
        let start = names.start.checked_add(field(bytes, index, 0, 4)?)?;
        Some((index, bytes.get(start..names.end)?))
    }))
}

/// The place of a section in the file, by its index.
fn place(bytes: &[u8], index: usize) -> Option<Range<usize>> {
    let start = field(bytes, index, 24, 8)?;
    let end = start.checked_add(field(bytes, index, 32, 8)?)?;
    (end <= bytes.len()).then_some(start..end)
}

/// A number in a section's header.
fn field(bytes: &[u8], index: usize, at: usize, width: usize) -> Option<usize> {
    let table = number(bytes, SHOFF, 8)?;
    number(bytes, table.checked_add(index.checked_mul(64)?)?.checked_add(at)?, width)
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let mut all = [0; 8];
    all[..width].copy_from_slice(bytes.get(at..at.checked_add(width)?)?);
    usize::try_from(u64::from_le_bytes(all)).ok()
}
