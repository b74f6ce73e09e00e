//! What the loader will make of the output: as of the input, but for the one
//! library that was asked for.

use goblin::elf::Elf;
use goblin::elf::dynamic::{DT_NEEDED, DT_STRSZ, DT_STRTAB};
use goblin::elf::program_header::{
    PT_GNU_EH_FRAME, PT_GNU_PROPERTY, PT_INTERP, PT_LOAD, PT_NOTE, PT_PHDR, ProgramHeader,
};

use super::ensure;
use crate::error::Error;

/// Checks everything that the loader reads, with the library that was added.
///
/// # Errors
/// [`Error::Verify`] with the first thing that is not as it should be.
pub(super) fn check(old: &[u8], new: &Elf<'_>, library: Option<&str>) -> Result<(), Error> {
    let old = &Elf::parse(old).map_err(|e| Error::Verify(e.to_string()))?;
    ensure(old.interpreter == new.interpreter, "the interpreter changed")?;
    // TLS, RELRO, the dynamic section and the stack's flags among them.
    let stay = |elf: &Elf<'_>| -> Vec<ProgramHeader> {
        let moves = [PT_LOAD, PT_PHDR, PT_INTERP, PT_NOTE, PT_GNU_PROPERTY, PT_GNU_EH_FRAME];
        elf.program_headers.iter().filter(|h| !moves.contains(&h.p_type)).cloned().collect()
    };
    ensure(stay(old) == stay(new), "a program header changed")?;
    let entries = |elf: &Elf<'_>| -> Vec<(u64, u64)> {
        let moves = |tag: u64| library.is_some() && [DT_NEEDED, DT_STRTAB, DT_STRSZ].contains(&tag);
        let all = elf.dynamic.iter().flat_map(|d| &d.dyns).map(|d| (d.d_tag, d.d_val));
        all.filter(|e| !moves(e.0)).collect()
    };
    ensure(entries(old) == entries(new), "the dynamic section changed")?;
    let kept: Vec<&str> = library.into_iter().chain(old.libraries.iter().copied()).collect();
    let brought: Vec<&str> = kept.iter().copied().filter(|name| *name != "libc.so.6").collect();
    ensure(
        new.libraries == kept || library.is_some() && new.libraries == brought,
        "the needed libraries are not those that were meant",
    )
}
