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
use crate::emit::note::{LOCATOR, LOCATOR_EMPTY};

/// Bytes of a word.
const WORD: usize = 4;

/// The two sums of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sums(u64, u64);

impl Sums {
    fn of(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<WORD>();
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        let (mut first, mut second) = (0u64, 0u64);
        for word in words.iter().chain([&last]) {
            first = first.wrapping_add(u64::from(u32::from_le_bytes(*word)));
            second = second.wrapping_add(first);
        }
        Self(first, second)
    }

    fn parse(digits: &[u8]) -> Option<Self> {
        let (first, second) = std::str::from_utf8(digits).ok()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Self(number(first)?, number(second)?))
    }

    fn digits(self) -> String {
        format!("{:016x}-{:016x}", self.0, self.1)
    }
}

/// Writes the sums into the note of a file that was just written.
pub fn seal(bytes: &mut [u8]) {
    // Sums are taken with zeros in their own place, as it stands now.
    if let Some(place) = find(bytes) {
        let sums = Sums::of(bytes);
        bytes[place].copy_from_slice(sums.digits().as_bytes());
    }
}

/// Where the digits are: after their word, or, if that is what was damaged, in
/// the last line of the note.
fn find(bytes: &[u8]) -> Option<Range<usize>> {
    let length = LOCATOR_EMPTY.len();
    let by_word =
        memmem::rfind(bytes, format!("\n{LOCATOR}").as_bytes()).map(|at| at + 1 + LOCATOR.len());
    let by_note = || read::note_text(bytes)?.end.checked_sub(length + 1);
    let start = by_word.or_else(by_note)?;
    (start + length <= bytes.len()).then_some(start..start + length)
}

/// Whether the sums of a file are those in its note.
pub fn holds(bytes: &[u8]) -> bool {
    let Some(place) = find(bytes) else { return false };
    let mut whole = bytes.to_vec();
    whole[place.clone()].copy_from_slice(LOCATOR_EMPTY.as_bytes());
    Sums::parse(&bytes[place]) == Some(Sums::of(&whole))
}

/// The file with its one changed word put right; `None` when its sums are right,
/// or can't be read, or more than one word changed.
pub fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let place = find(bytes)?;
    let said = Sums::parse(&bytes[place.clone()])?;
    let mut whole = bytes.to_vec();
    whole[place.clone()].copy_from_slice(LOCATOR_EMPTY.as_bytes());
    let sums = Sums::of(&whole);
    let difference = said.0.wrapping_sub(sums.0) as i64;
    let moment = said.1.wrapping_sub(sums.1) as i64;
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

    #[test]
    fn every_changed_byte_is_put_right() {
        for length in [97, 100, 103] {
            let note = format!("x\n{LOCATOR}{LOCATOR_EMPTY}\n");
            let mut file: Vec<u8> = (0..length as u8).collect();
            file.splice(20..20, note.bytes());
            seal(&mut file);
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
        let mut file: Vec<u8> = format!("{}\n{LOCATOR}{LOCATOR_EMPTY}\n", "a".repeat(40)).into();
        seal(&mut file);
        file[3] ^= 4;
        file[33] ^= 1;
        assert_eq!(repaired(&file), None);
    }
}
