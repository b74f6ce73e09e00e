//! What does the loader write, and to where? Relocations of all three kinds
//! (System V gABI, chapter 4, Relocation, and its RELR section).

use object::elf::{
    DT_JMPREL, DT_PLTRELSZ, DT_RELA, DT_RELASZ, DT_RELR, DT_RELRSZ, R_X86_64_IRELATIVE,
    R_X86_64_RELATIVE,
};

use super::{Dynamic, Image};

/// The widest thing that a relocation writes, in bytes (R_X86_64_64).
pub const WIDTH: u64 = 8;
/// Length of an entry of a RELA table in bytes.
const RELA: usize = 24;

/// One word that the loader writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// Its address.
    pub address: u64,
    /// What it will point to in the file itself, where that is known.
    pub target: Option<u64>,
    /// The address of the word in the file that says so.
    pub said_at: u64,
}

/// Calls `found` with every relocation of a file, in the order of its tables.
pub fn each(image: &Image<'_>, mut found: impl FnMut(Relocation)) {
    let Some(dynamic) = Dynamic::read(image) else { return };
    let table = |address: i64, size: i64| {
        let (address, size) = (dynamic.value(address)?, dynamic.value(size)?);
        let bytes = image.at(address)?;
        Some((address, bytes.get(..usize::try_from(size).ok()?.min(bytes.len()))?))
    };
    for (address, size) in [(DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)] {
        let Some((start, bytes)) = table(address, size) else { continue };
        let entries = (start..).step_by(RELA).zip(bytes.as_chunks().0);
        entries.map(|(at, entry)| with_addend(at, entry)).for_each(&mut found);
    }
    packed(table(DT_RELR, DT_RELRSZ).map_or(&[], |t| t.1), |address| {
        let word = image.at(address).and_then(|bytes| bytes.first_chunk());
        let target = word.map(|w| u64::from_le_bytes(*w));
        found(Relocation { address, target, said_at: address });
    });
}

/// An entry of a RELA table, and its own address: address, type and symbol, addend.
fn with_addend(at: u64, entry: &[u8; RELA]) -> Relocation {
    let (words, _) = entry.as_chunks::<8>();
    let [address, info, addend] = [0, 1, 2].map(|i| u64::from_le_bytes(words[i]));
    let is_relative = matches!(info as u32, R_X86_64_RELATIVE | R_X86_64_IRELATIVE);
    Relocation { address, target: is_relative.then_some(addend), said_at: at.wrapping_add(16) }
}

/// A RELR table: an even word is an address; an odd one has a bit for each of the
/// 63 words after the last.
fn packed(table: &[u8], mut found: impl FnMut(u64)) {
    let mut next = 0u64;
    for word in table.as_chunks().0 {
        let word = u64::from_le_bytes(*word);
        if word & 1 == 0 {
            found(word);
            next = word.wrapping_add(WIDTH);
            continue;
        }
        for bit in (1..64).filter(|bit| word >> bit & 1 == 1) {
            found(next.wrapping_add((bit - 1) * WIDTH));
        }
        next = next.wrapping_add(63 * WIDTH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_words_are_an_address_and_a_map() {
        let table: Vec<u8> =
            [0x1000u64, 0b1011, 0x2000].iter().flat_map(|w| w.to_le_bytes()).collect();
        let mut all = Vec::new();
        packed(&table, |address| all.push(address));
        assert_eq!(all, [0x1000, 0x1008, 0x1018, 0x2000]);
    }
}
