#![allow(dead_code)] // Every test file uses a part.

//! Fields of an ELF file by their offsets (System V gABI), to damage them.

/// Offsets in the file header.
pub(crate) const CLASS: usize = 4;
pub(crate) const DATA: usize = 5;
pub(crate) const TYPE: usize = 16;
pub(crate) const MACHINE: usize = 18;
pub(crate) const PHOFF: usize = 32;
pub(crate) const SHOFF: usize = 40;
pub(crate) const PHNUM: usize = 56;
pub(crate) const SHNUM: usize = 60;
pub(crate) const SHSTRNDX: usize = 62;

/// Offsets in a program header.
pub(crate) const P_TYPE: usize = 0;
pub(crate) const P_FLAGS: usize = 4;
pub(crate) const P_OFFSET: usize = 8;
pub(crate) const P_VADDR: usize = 16;
pub(crate) const P_FILESZ: usize = 32;
pub(crate) const P_MEMSZ: usize = 40;

pub(crate) const PT_LOAD: u32 = 1;

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The offsets of all program headers.
pub(crate) fn program_headers(bytes: &[u8]) -> impl Iterator<Item = usize> + use<> {
    let (start, count) = (u64_at(bytes, PHOFF) as usize, usize::from(u16_at(bytes, PHNUM)));
    (0..count).map(move |i| start + i * 56)
}

/// The offsets of the loadable segments' headers.
pub(crate) fn loads(bytes: &[u8]) -> Vec<usize> {
    program_headers(bytes).filter(|&h| u32_at(bytes, h + P_TYPE) == PT_LOAD).collect()
}

/// A copy with some bytes changed.
pub(crate) fn with(bytes: &[u8], changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for (at, new) in changes {
        changed[*at..at + new.len()].copy_from_slice(new);
    }
    changed
}

/// A copy without section headers, as sstrip leaves it.
pub(crate) fn without_sections(bytes: &[u8]) -> Vec<u8> {
    with(bytes, &[(SHOFF, &[0; 8]), (SHNUM, &[0; 2]), (SHSTRNDX, &[0; 2])])
}
