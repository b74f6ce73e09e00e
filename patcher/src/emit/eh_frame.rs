//! Unwind information that the program's own unwinder finds: libgcc's, for which a
//! cancelled thread's destructors and an exception out of a signal's handler wait.
//!
//! It looks in the table of PT_GNU_EH_FRAME, which must be in order and in one piece
//! (LSB 5.0, 10.6.2): so a new one, in the shim's segment, holds the old one's entries
//! and those of what was injected. A program without a table (gcc's `-static`: there
//! libgcc is told of `.eh_frame` at start, and asks the table for what is not in it)
//! gets one of what was injected alone. Go's programs do without: theirs unwinds by
//! Go's own tables.

use std::collections::HashMap;

use object::LittleEndian as LE;
use object::elf::PT_GNU_EH_FRAME;

use super::frames::{Described, Entered, RETURN};
use crate::elf::Image;
use crate::elf::unwind::{PCREL_SDATA4, SEARCHED, Search};
use crate::scan::Functions;

/// What the program has, to which is added.
pub(super) enum Known<'a> {
    /// A table.
    Table(Search<'a>),
    /// `.eh_frame` without one.
    Registered,
}

impl<'a> Known<'a> {
    /// What the program's own unwinder knows; `None` if it has none, or a table that
    /// can't be added to.
    pub(super) fn of(image: &Image<'a>, functions: &Functions<'_>) -> Option<Self> {
        if functions.go.is_some() {
            return None;
        }
        if image.segments.iter().any(|s| s.p_type.get(LE) == PT_GNU_EH_FRAME) {
            return Search::read(image).map(Known::Table);
        }
        let (_, bytes) = image.section(".eh_frame")?;
        // A terminator alone is four bytes.
        (bytes.len() > 4).then_some(Known::Registered)
    }

    /// Whether a program header is added.
    pub(super) fn needs_header(&self) -> bool {
        matches!(self, Known::Registered)
    }

    /// Where the old table is.
    pub(super) fn old(&self) -> Option<u64> {
        match self {
            Known::Table(search) => Some(search.address),
            Known::Registered => None,
        }
    }
}

/// What is added to the shim's segment.
pub(super) struct Added {
    /// `.eh_frame` of what was injected, then the table.
    pub(super) bytes: Vec<u8>,
    /// Bytes before the table.
    pub(super) frames: usize,
}

/// The bytes for `address`, which is aligned to 8; `None` if something is too far.
pub(super) fn added(known: &Known<'_>, described: &[Described], address: u64) -> Option<Added> {
    let (mut bytes, own) = frames(described, address)?;
    let frames = bytes.len();
    let at = address + frames as u64;
    let (eh_frame, old) = match known {
        Known::Table(search) => (search.frames, Some(search)),
        Known::Registered => (address, None),
    };
    let old = old.into_iter().flat_map(|search| search.entries());
    let entries = old.chain(own.iter().copied());
    if !entries.clone().is_sorted_by_key(|e| e.0) {
        return None;
    }
    bytes.extend(SEARCHED);
    bytes.extend(relative(at + 4, eh_frame)?);
    bytes.extend(u32::try_from(entries.clone().count()).ok()?.to_le_bytes());
    for (start, frame) in entries {
        bytes.extend(relative(at, start)?);
        bytes.extend(relative(at, frame)?);
    }
    Some(Added { bytes, frames })
}

/// What the table says: where a function starts, and where its FDE is.
type Entry = (u64, u64);

/// The bytes of `.eh_frame`, and what the table says of them.
fn frames(described: &[Described], address: u64) -> Option<(Vec<u8>, Vec<Entry>)> {
    let mut bytes = Vec::new();
    let mut entries = Vec::with_capacity(described.len());
    let mut cies: HashMap<Entered, usize> = HashMap::new();
    for one in described {
        let cie = *cies.entry(one.entered).or_insert_with(|| {
            let at = bytes.len();
            // Its own number is 0; version 1, "zR", code by 1, data by -8.
            let mut body = vec![0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, RETURN, 1, PCREL_SDATA4];
            body.extend(one.entered.code());
            entry(&mut bytes, body);
            at
        });
        let at = bytes.len();
        // The distance to the CIE counts from where it is written.
        let mut body = ((at + 4 - cie) as u32).to_le_bytes().to_vec();
        body.extend(relative(address + at as u64 + 8, one.start)?);
        body.extend(u32::try_from(one.end - one.start).ok()?.to_le_bytes());
        // No bytes of augmentation.
        body.push(0);
        body.extend(&one.code);
        entry(&mut bytes, body);
        entries.push((one.start, address + at as u64));
    }
    // The end, for those who read from entry to entry.
    bytes.extend([0; 8]);
    Some((bytes, entries))
}

/// Padded with DW_CFA_nop so that the next one is aligned to 8.
fn entry(bytes: &mut Vec<u8>, mut body: Vec<u8>) {
    body.resize((body.len() + 4).next_multiple_of(8) - 4, 0);
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body);
}

fn relative(from: u64, to: u64) -> Option<[u8; 4]> {
    Some(i32::try_from(to.wrapping_sub(from) as i64).ok()?.to_le_bytes())
}
