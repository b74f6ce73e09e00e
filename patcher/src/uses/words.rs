//! Which words in data hold an address? At fixed addresses, any bytes that read
//! as one; in what is moved when it is loaded, those that a relocation makes one.

use std::collections::BTreeMap;

use object::LittleEndian as LE;
use object::elf::{DT_RELA, DT_RELASZ, DT_RELR, ET_EXEC, PF_X, PT_DYNAMIC};
use object::read::elf::ProgramHeader;

use super::Zones;
use crate::elf::Image;

/// `R_X86_64_RELATIVE`: the word is the addend, moved with the program.
const RELATIVE: u64 = 8;
/// Bytes of a relocation with an addend: place, kind, addend.
const RECORD: usize = 24;

/// The words that hold an address in the zones, and that address.
pub(super) fn find(image: &Image<'_>, zones: &Zones) -> BTreeMap<u64, u64> {
    let mut words = BTreeMap::new();
    if image.header.e_type.get(LE) == ET_EXEC {
        in_place(image, zones, 1, &mut words);
        return words;
    }
    // Packed relocations leave the address where it belongs, on an even place.
    if dynamic(image, DT_RELR).is_some() {
        in_place(image, zones, 8, &mut words);
    }
    let by_section = || image.section(".rela.dyn").map(|(_, bytes)| bytes);
    let by_dynamic = || {
        let size = usize::try_from(dynamic(image, DT_RELASZ)?).ok()?;
        image.at(dynamic(image, DT_RELA)?)?.get(..size)
    };
    let relocations = by_dynamic().or_else(by_section).unwrap_or_default();
    for record in relocations.as_chunks::<RECORD>().0 {
        let [place, kind, target] = [0, 8, 16].map(|at| word(&record[at..]));
        if kind == RELATIVE && zones.contains(target) {
            words.insert(place, target);
        }
    }
    words
}

fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// A value of the dynamic table.
fn dynamic(image: &Image<'_>, tag: i64) -> Option<u64> {
    let segment = image.segments.iter().find(|s| s.p_type.get(LE) == PT_DYNAMIC)?;
    let entries = segment.dynamic(LE, image.bytes).ok().flatten()?;
    entries.iter().find(|d| d.d_tag.get(LE) == tag).map(|d| d.d_val.get(LE))
}

/// Bytes of data that read as an address, on every place that `step` divides.
fn in_place(image: &Image<'_>, zones: &Zones, step: u64, words: &mut BTreeMap<u64, u64>) {
    let span = zones.span();
    let data = image.loads().filter(|s| s.p_flags.get(LE) & PF_X == 0);
    for start in data.map(|s| s.p_vaddr.get(LE)) {
        let bytes = image.at(start).unwrap_or_default();
        for (i, eight) in bytes.windows(8).enumerate() {
            let (at, target) = (start + i as u64, word(eight));
            if span.contains(&target) && at % step == 0 && zones.contains(target) {
                words.insert(at, target);
            }
        }
    }
}
