//! Damage to a patched file, as a fuzzer's input: which file, and what to change.
//!
//! The inputs stay short, and each byte of them changes something, where the
//! bytes of a whole patched file would mostly be the shim's.

use std::ops::Range;
use std::sync::LazyLock;

use procsys_patcher::patch::{Options, transform};
use procsys_patcher::patched::read;

use crate::RULES;

/// A patched file, and the parts in which damage is of interest.
struct Base {
    bytes: Vec<u8>,
    parts: Vec<Range<usize>>,
}

const SEEDS: &[&[u8]] = &[
    include_bytes!("../seeds/file/static"),
    include_bytes!("../seeds/file/static-pie"),
    include_bytes!("../seeds/file/stripped"),
    include_bytes!("../seeds/file/hash"),
];

static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let both = [false, true].into_iter().flat_map(|every_call| {
        SEEDS.iter().map(move |seed| {
            let options = Options { every_call, ..Options::default() };
            transform(seed, &RULES, &options).expect("the seeds can be patched").1
        })
    });
    both.map(|bytes| Base { parts: parts(&bytes), bytes }).collect()
});

fn word(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize
}

fn parts(bytes: &[u8]) -> Vec<Range<usize>> {
    let count = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let (programs, sections) = (word(bytes, 32), word(bytes, 40));
    let note = read::note_text(bytes).expect("patched above");
    let named = [read::UNDO, read::RULES].map(|n| read::section(bytes, n).expect("patched above"));
    let mut parts = vec![
        0..64,
        programs..programs + 56 * count(56),
        sections..sections + 64 * count(60),
        note.start - 20..note.end,
        0..bytes.len(),
    ];
    parts.extend(named);
    parts
}

/// The damaged file that an input stands for.
pub fn apply(input: &[u8]) -> Option<Vec<u8>> {
    let (&first, mut edits) = input.split_first()?;
    let base = &BASES[usize::from(first) % BASES.len()];
    let mut bytes = base.bytes.clone();
    while let Some((edit, rest)) = edits.split_first_chunk::<4>() {
        let part = &base.parts[usize::from(edit[0] & 0x0f) % base.parts.len()];
        let at = part.start + usize::from(u16::from_le_bytes([edit[1], edit[2]])) % part.len();
        edits = match edit[0] >> 4 {
            0..8 => {
                bytes.get_mut(at).map(|byte| *byte = edit[3]);
                rest
            }
            8..13 => {
                let width = usize::from(edit[3] & 7) + 1;
                let (new, rest) = rest.split_at(width.min(rest.len()));
                bytes.get_mut(at..at + new.len()).map(|place| place.copy_from_slice(new));
                rest
            }
            13 => {
                bytes.truncate(at);
                rest
            }
            14 => {
                bytes.extend(std::iter::repeat_n(edit[3], usize::from(edit[1])));
                rest
            }
            _ => {
                bytes.get_mut(at).map(|byte| *byte ^= 1 << (edit[3] & 7));
                rest
            }
        };
    }
    Some(bytes)
}

/// Whether the bytes are those of an undamaged file.
pub fn is_base(bytes: &[u8]) -> bool {
    BASES.iter().any(|base| base.bytes == bytes)
}
