//! The check before the output is put in place, by a second reader (goblin):
//! nothing but what was to change did, and the same is loaded as before.

use std::collections::BTreeSet;

use goblin::elf::Elf;
use goblin::elf::program_header::PT_LOAD;

use super::Edit;
use crate::emit::note;
use crate::error::Error;

/// Checks a rewritten file against its original.
///
/// # Errors
/// [`Error::Verify`] with the first thing that is not as it should be.
pub(super) fn check(original: &[u8], output: &[u8], edits: &BTreeSet<&Edit>) -> Result<(), Error> {
    let ensure =
        |holds: bool, why: &str| if holds { Ok(()) } else { Err(Error::Verify(why.to_owned())) };
    let (before, after) = (Elf::parse(original), Elf::parse(output));
    let (Ok(before), Ok(after)) = (before, after) else {
        return Err(Error::Verify("it can't be read".into()));
    };
    ensure(before.program_headers == after.program_headers, "the program headers changed")?;
    ensure(before.entry == after.entry, "the entry point changed")?;
    let names = after.section_headers.iter();
    let mut names = names.filter_map(|s| after.shdr_strtab.get_at(s.sh_name));
    ensure(names.any(|name| name == note::SECTION), "the note is missing")?;
    let mut expected = original.to_vec();
    ensure(output.len() > expected.len(), "it is shorter than the original")?;
    expected[..64].copy_from_slice(&output[..64]);
    for edit in edits {
        let load = before
            .program_headers
            .iter()
            .filter(|h| h.p_type == PT_LOAD)
            .find(|h| edit.address.wrapping_sub(h.p_vaddr) < h.p_filesz);
        let at = load.map(|h| (edit.address - h.p_vaddr + h.p_offset) as usize);
        let place = at.and_then(|at| expected.get_mut(at..at + edit.bytes.len()));
        let place = place.ok_or_else(|| Error::Verify("an edit is out of the file".into()))?;
        place.copy_from_slice(&edit.bytes);
    }
    ensure(output.starts_with(&expected), "other bytes changed than were to be")
}
