//! Is the program written in Go? Its linker leaves a note (source: Go,
//! src/cmd/link/internal/ld/elf.go: ELF_NOTE_GO_NAME, ELF_NOTE_GOBUILDID_TAG).

use crate::next::Header;

const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;

/// `headers` and `count` are the kernel's AT_PHDR and AT_PHNUM.
pub(crate) fn is_go(headers: usize, count: usize) -> bool {
    // SAFETY: the kernel's own word on where the program headers are.
    let all = unsafe { core::slice::from_raw_parts(headers as *const Header, count) };
    let linked = all.iter().find(|h| h.kind == PT_PHDR).map_or(headers, |h| h.address);
    let base = headers.wrapping_sub(linked);
    all.iter().filter(|h| h.kind == PT_NOTE).any(|note| {
        // SAFETY: a note lies in a loaded, readable segment, and has that size.
        let bytes = unsafe {
            core::slice::from_raw_parts(base.wrapping_add(note.address) as *const u8, note.memory)
        };
        has_go(bytes)
    })
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
