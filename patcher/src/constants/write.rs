//! The rewritten file: the original's bytes with the changes, and behind them
//! what was there before, the rules and the note, in sections that are not loaded.

use std::collections::BTreeSet;

use object::elf::{SHT_NOTE, SHT_PROGBITS};
use object::pod::bytes_of;
use object::{LittleEndian as LE, U64};

use super::Edit;
use crate::elf::Image;
use crate::emit::{Edits, Pieces, note, sections};
use crate::error::Error;
use crate::patched::read::{RULES, UNDO};

/// Puts the file together.
///
/// # Errors
/// [`Error::Input`] when a byte that changes is not in the file.
pub(super) fn write<'a>(
    image: &Image<'a>,
    rules: &[u8],
    note: &str,
    edits: &BTreeSet<&Edit>,
) -> Result<Pieces<'a>, Error> {
    let mut all = Edits::new(image.bytes);
    for edit in edits {
        let at = image.offset(edit.address);
        let at = at.filter(|at| at + edit.bytes.len() as u64 <= image.bytes.len() as u64);
        let at =
            at.ok_or_else(|| Error::Input(format!("{:#x} is not in the file", edit.address)))?;
        all.set(at, &edit.bytes);
    }
    // Kept as it is; what it says of the end is known at the end.
    all.set(0, bytes_of(image.header));
    let Edits { mut pieces, undo } = all;
    let tail = sections::appended(
        image,
        &[
            (note::SECTION, SHT_NOTE, &note::note(note)[..]),
            (RULES, SHT_PROGBITS, rules),
            (UNDO, SHT_PROGBITS, &undo),
        ],
    );
    pieces.append(&tail.bytes);
    let mut header = *image.header;
    header.e_shoff = U64::new(LE, tail.headers);
    header.e_shnum.set(LE, tail.count);
    header.e_shstrndx.set(LE, tail.names);
    header.e_shentsize.set(LE, 64);
    pieces.set(0, bytes_of(&header));
    Ok(pieces)
}
