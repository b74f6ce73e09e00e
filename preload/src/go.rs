//! What is the main program? Written in Go, or patched already?
//!
//! Go's linker leaves a note (source: Go, src/cmd/link/internal/ld/elf.go:
//! ELF_NOTE_GO_NAME, ELF_NOTE_GOBUILDID_TAG). procsys-patch leaves a segment that
//! starts with its name (patcher/shim/layout.rs).

use crate::next::{self, Header};

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// `PF_R | PF_X`.
const READ_EXECUTE: u32 = 5;

/// The main program, by its headers.
pub(crate) struct Program {
    headers: &'static [Header],
    base: usize,
}

impl Program {
    pub(crate) fn new(headers: &'static [Header]) -> Self {
        Self { headers, base: next::base(headers) }
    }

    pub(crate) fn is_go(&self) -> bool {
        self.headers.iter().filter(|h| h.kind == PT_NOTE).any(|note| has_go(self.bytes(note)))
    }

    /// The compiled rules in a program that procsys-patch has patched.
    pub(crate) fn rules(&self) -> Option<&'static [u8]> {
        /// Offsets of the header's fields: where the rules are, and their length.
        const FIELDS: [usize; 2] = [16, 20];
        let code = self.headers.iter().filter(|h| h.kind == PT_LOAD && h.flags == READ_EXECUTE);
        let image = code.map(|h| self.bytes(h)).find(|bytes| bytes.starts_with(b"procsysX"))?;
        let [at, len] = FIELDS.map(|field| {
            let word = image.get(field..).and_then(|rest| rest.first_chunk());
            word.map_or(0, |word| u32::from_le_bytes(*word) as usize)
        });
        image.get(at..at.checked_add(len)?)
    }

    /// A segment's bytes.
    fn bytes(&self, segment: &Header) -> &'static [u8] {
        let start = self.base.wrapping_add(segment.address) as *const u8;
        // SAFETY: notes and code of the program are mapped to be read, with that
        // size, as long as it runs.
        unsafe { core::slice::from_raw_parts(start, segment.memory) }
    }
}

/// Looks through a segment of notes: sizes of name and contents, type, name.
fn has_go(mut bytes: &[u8]) -> bool {
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*word)).ok()
    };
    while let (Some(name), Some(contents), Some(kind)) =
        (word(bytes, 0), word(bytes, 4), word(bytes, 8))
    {
        if kind == 4 && bytes.get(12..16) == Some(b"Go\0\0") {
            return true;
        }
        let next = 12 + name.next_multiple_of(4) + contents.next_multiple_of(4);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    false
}
