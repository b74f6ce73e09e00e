//! Where was one word of a file changed? Two sums in the note tell.
//!
//! With the words w of a file, the first sum is that of all w, the second that
//! of all first sums on the way. One changed word changes the first by its
//! difference d, and the second by d times its distance from the end: the
//! quotient is its place. So a flipped bit is named where no digest could say
//! more than that there is one. The sums prove nothing: what they point to is
//! put right in memory and everything is derived anew.

use std::ops::Range;

use memchr::memmem;

use super::read;
use crate::emit::Pieces;
use crate::emit::note::{LOCATOR, LOCATOR_EMPTY};

/// Bytes of a word.
const WORD: usize = 4;
/// Bytes that are summed at a time: whole words.
const BLOCK: usize = 1 << 20;

/// The two sums of some whole words, and how many words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    words: u64,
    first: u64,
    second: u64,
}

/// Words summed side by side, which a processor does faster than one by one.
const LANES: usize = 8;

impl Sums {
    /// The sums of the whole words in `bytes`; what is left over is not counted.
    pub fn of(bytes: &[u8]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { Self::by_avx2(bytes) };
        }
        Self::by_rows(bytes)
    }

    /// The same code, in wider instructions.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn by_avx2(bytes: &[u8]) -> Self {
        Self::by_rows(bytes)
    }

    #[inline(always)]
    fn by_rows(bytes: &[u8]) -> Self {
        let words = bytes.as_chunks::<WORD>().0;
        let (rows, rest) = words.as_chunks::<LANES>();
        let (mut first, mut second) = ([0u64; LANES], [0u64; LANES]);
        for row in rows {
            for lane in 0..LANES {
                first[lane] = first[lane].wrapping_add(u64::from(u32::from_le_bytes(row[lane])));
                second[lane] = second[lane].wrapping_add(first[lane]);
            }
        }
        // A word of lane l in row r is LANES * (rows - r) - l words from the end.
        let mut sums = Self { words: (rows.len() * LANES) as u64, first: 0, second: 0 };
        for lane in 0..LANES {
            let from_end = second[lane].wrapping_mul(LANES as u64);
            let early = first[lane].wrapping_mul(lane as u64);
            sums.first = sums.first.wrapping_add(first[lane]);
            sums.second = sums.second.wrapping_add(from_end).wrapping_sub(early);
        }
        for word in rest {
            sums = sums.and_word(*word);
        }
        sums
    }

    /// Those of a whole file: a last word that is not whole, or an empty one, is
    /// filled up with zeros.
    fn of_file(bytes: &[u8]) -> Self {
        let mut last = [0; WORD];
        let rest = bytes.as_chunks::<WORD>().1;
        last[..rest.len()].copy_from_slice(rest);
        Self::of(bytes).and_word(last)
    }

    fn and_word(self, word: [u8; WORD]) -> Self {
        let first = self.first.wrapping_add(u64::from(u32::from_le_bytes(word)));
        Self { words: self.words + 1, first, second: self.second.wrapping_add(first) }
    }

    /// The sums of these words and more after them.
    pub fn and(self, more: Self) -> Self {
        Self {
            words: self.words + more.words,
            first: self.first.wrapping_add(more.first),
            second: self
                .second
                .wrapping_add(more.words.wrapping_mul(self.first))
                .wrapping_add(more.second),
        }
    }

    /// After one byte, `at` bytes from the start, has changed.
    fn with_change(mut self, at: usize, old: u8, new: u8) -> Self {
        let weight = 8 * (at % WORD) as u32;
        let difference = (u64::from(new) << weight).wrapping_sub(u64::from(old) << weight);
        let from_end = self.words - (at / WORD) as u64;
        self.first = self.first.wrapping_add(difference);
        self.second = self.second.wrapping_add(difference.wrapping_mul(from_end));
        self
    }

    fn parse(digits: &[u8]) -> Option<(u64, u64)> {
        let (first, second) = std::str::from_utf8(digits).ok()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(first)?, number(second)?))
    }

    fn digits(self) -> String {
        format!("{:016x}-{:016x}", self.first, self.second)
    }
}

/// Writes the sums into the note of a file that was just put together; `base`
/// are those of the file that it is made of. They are linear: what changed is
/// added, and nothing is read again.
pub fn seal(pieces: &mut Pieces<'_>, base: Sums) {
    let start = pieces.base().len();
    let tail = start + pieces.attached().len();
    // Sums are taken with zeros in their own place, as it stands now.
    let Some(place) = by_word(pieces.tail()) else { return };
    let whole = start / WORD * WORD;
    let mut sums = base;
    for (at, new) in pieces.changes() {
        let changed = new.iter().zip(&pieces.base()[at..]).zip(at..whole);
        for ((new, old), at) in changed.filter(|((new, old), _)| new != old) {
            sums = sums.with_change(at, *old, *new);
        }
    }
    let blocks = (whole..pieces.len()).step_by(BLOCK).map(|at| at..pieces.len().min(at + BLOCK));
    for block in blocks {
        let (is_last, bytes) = (block.end == pieces.len(), pieces.get(block));
        sums = sums.and(if is_last { Sums::of_file(&bytes) } else { Sums::of(&bytes) });
    }
    pieces.set(tail + place.start, sums.digits().as_bytes());
}

/// Where the digits are: after their word, or, if that is what was damaged, in
/// the last line of the note.
fn find(bytes: &[u8]) -> Option<Range<usize>> {
    let by_note = || {
        let start = read::note_text(bytes)?.end.checked_sub(LOCATOR_EMPTY.len() + 1)?;
        Some(start..start + LOCATOR_EMPTY.len())
    };
    by_word(bytes).or_else(by_note)
}

/// The place of the digits after the last such word.
fn by_word(bytes: &[u8]) -> Option<Range<usize>> {
    let start = memmem::rfind(bytes, format!("\n{LOCATOR}").as_bytes())? + 1 + LOCATOR.len();
    let end = start + LOCATOR_EMPTY.len();
    (end <= bytes.len()).then_some(start..end)
}

/// Whether the sums of a file are those in its note.
pub fn holds(bytes: &[u8]) -> bool {
    let Some(place) = find(bytes) else { return false };
    let mut whole = bytes.to_vec();
    whole[place.clone()].copy_from_slice(LOCATOR_EMPTY.as_bytes());
    let sums = Sums::of_file(&whole);
    Sums::parse(&bytes[place]) == Some((sums.first, sums.second))
}

/// The file with its one changed word put right; `None` when its sums are right,
/// or can't be read, or more than one word changed.
pub fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let place = find(bytes)?;
    let said = Sums::parse(&bytes[place.clone()])?;
    let mut whole = bytes.to_vec();
    whole[place.clone()].copy_from_slice(LOCATOR_EMPTY.as_bytes());
    let sums = Sums::of_file(&whole);
    let difference = said.0.wrapping_sub(sums.first) as i64;
    let moment = said.1.wrapping_sub(sums.second) as i64;
    if difference == 0 || moment.checked_rem(difference)? != 0 {
        return None;
    }
    let words = bytes.len() / WORD + 1;
    let from_end = usize::try_from(moment.checked_div(difference)?).ok()?;
    let at = words.checked_sub(from_end)?.checked_mul(WORD)?;
    let end = (at + WORD).min(bytes.len());
    let mut word = [0; WORD];
    word[..end.checked_sub(at)?].copy_from_slice(&whole[at..end]);
    let right = i64::from(u32::from_le_bytes(word)).checked_add(difference)?;
    let right = u32::try_from(right).ok()?.to_le_bytes();
    whole[at..end].copy_from_slice(&right[..end - at]);
    whole[place.clone()].copy_from_slice(&bytes[place]);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seals a file of which the first bytes are another's, one of them changed.
    fn sealed(file: &[u8], base: usize) -> Vec<u8> {
        let mut other = file[..base].to_vec();
        if let Some(changed) = other.get_mut(5) {
            *changed ^= 0x90;
        }
        let mut pieces = Pieces::new(&other);
        pieces.append(&file[base..]);
        pieces.set(3, &file[3..8]);
        seal(&mut pieces, Sums::of(&other));
        pieces.bytes()
    }

    /// By the definition, word by word.
    #[test]
    fn sums_are_those_of_the_words() {
        let bytes: Vec<u8> = (0..255u8).map(|i| i.wrapping_mul(37)).collect();
        for len in 0..bytes.len() {
            let words = bytes[..len].as_chunks::<WORD>().0;
            let plain = words.iter().fold(Sums::default(), |sums, word| sums.and_word(*word));
            assert_eq!(Sums::of(&bytes[..len]), plain, "{len} bytes");
            let (start, end) = bytes[..len].split_at(len / 8 * WORD);
            assert_eq!(Sums::of(start).and(Sums::of(end)), plain, "{len} bytes in two");
        }
    }

    #[test]
    fn every_changed_byte_is_put_right() {
        for length in [97, 100, 103] {
            let note = format!("x\n{LOCATOR}{LOCATOR_EMPTY}\n");
            let mut file: Vec<u8> = (0..length as u8).collect();
            file.splice(20..20, note.bytes());
            for base in [0, 8, 17, 20] {
                assert_eq!(sealed(&file, base), sealed(&file, 19), "made of {base} bytes");
            }
            let file = sealed(&file, 18);
            assert_eq!(repaired(&file), None, "nothing to repair");
            let digits = find(&file).expect("sealed");
            for at in (0..file.len()).filter(|at| !digits.contains(at)) {
                // Without its word, and with no note around it, the sums are not found.
                if (20..digits.start).contains(&at) {
                    continue;
                }
                for bit in 0..8 {
                    let mut damaged = file.clone();
                    damaged[at] ^= 1 << bit;
                    assert_eq!(repaired(&damaged).as_ref(), Some(&file), "byte {at} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn two_changed_words_are_not_taken_for_one() {
        let file = format!("{}\n{LOCATOR}{LOCATOR_EMPTY}\n", "a".repeat(40));
        let mut file = sealed(file.as_bytes(), 40);
        file[3] ^= 4;
        file[33] ^= 1;
        assert_eq!(repaired(&file), None);
    }
}
