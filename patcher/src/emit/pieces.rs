//! A file as changes of another: what is put over its bytes, and what follows them.
//!
//! The output differs from the input in a few kilobytes. It is never held whole:
//! the input is copied by the kernel, and these pieces are written over the copy.

use std::ops::Range;

/// A file made of another.
pub struct Pieces<'a> {
    /// The bytes of the other.
    base: &'a [u8],
    /// Offset and new bytes of each change of the base; they don't overlap.
    changes: Vec<(usize, Vec<u8>)>,
    /// What follows the base.
    tail: Vec<u8>,
}

impl<'a> Pieces<'a> {
    /// A file that is the same as `base`.
    pub fn new(base: &'a [u8]) -> Self {
        Self { base, changes: Vec::new(), tail: Vec::new() }
    }

    /// What it is made of.
    pub fn base(&self) -> &'a [u8] {
        self.base
    }

    /// Offset and new bytes of each change of the base.
    pub fn changes(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.changes.iter().map(|(at, new)| (*at, &new[..]))
    }

    /// What follows the base.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.base.len() + self.tail.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes it longer, with zeros.
    pub fn resize(&mut self, len: usize) {
        self.tail.resize(len.saturating_sub(self.base.len()), 0);
    }

    /// Makes it longer.
    pub fn append(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// The bytes of a range that lies in it.
    pub fn get(&self, range: Range<usize>) -> Vec<u8> {
        let end = self.base.len();
        let mut bytes = self.base[range.start.min(end)..range.end.min(end)].to_vec();
        bytes.extend_from_slice(&self.tail[range.start.max(end) - end..range.end.max(end) - end]);
        for (at, new) in &self.changes {
            let (from, to) = (range.start.max(*at), range.end.min(at + new.len()));
            if from < to {
                bytes[from - range.start..to - range.start]
                    .copy_from_slice(&new[from - at..to - at]);
            }
        }
        bytes
    }

    /// Puts bytes over those of a range that lies in it.
    pub fn set(&mut self, at: usize, new: &[u8]) {
        let end = self.base.len();
        let (below, above) = new.split_at(new.len().min(end.saturating_sub(at)));
        let from = at.max(end) - end;
        self.tail[from..from + above.len()].copy_from_slice(above);
        let touches = |c: &(usize, Vec<u8>)| c.0 < at + below.len() && at < c.0 + c.1.len();
        let touched = self.changes.iter().filter(|c| touches(c));
        let start = touched.clone().map(|c| c.0).fold(at, usize::min);
        let stop = touched.map(|c| c.0 + c.1.len()).fold(at + below.len(), usize::max);
        let mut whole = self.get(start..stop);
        whole[at - start..at - start + below.len()].copy_from_slice(below);
        self.changes.retain(|c| !touches(c));
        if !whole.is_empty() {
            self.changes.push((start, whole));
        }
    }

    /// All of it.
    pub fn bytes(&self) -> Vec<u8> {
        self.get(0..self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Pieces;

    /// Against the same done to plain bytes.
    #[test]
    fn reads_as_it_was_written() {
        let base: Vec<u8> = (0..40).collect();
        let (mut pieces, mut plain) = (Pieces::new(&base), base.clone());
        pieces.resize(48);
        plain.resize(48, 0);
        pieces.append(&[7; 9]);
        plain.extend([7; 9]);
        let all = [(3, 4), (8, 2), (6, 3), (0, 1), (38, 5), (45, 12), (5, 30), (9, 0), (39, 1)];
        for (i, (at, len)) in all.into_iter().enumerate() {
            let new = vec![100 + i as u8; len];
            pieces.set(at, &new);
            plain[at..at + len].copy_from_slice(&new);
            assert_eq!(pieces.bytes(), plain, "after change {i}");
        }
        assert_eq!(pieces.get(36..50), plain[36..50]);
        let mut ranges: Vec<_> = pieces.changes().map(|(at, new)| at..at + new.len()).collect();
        ranges.sort_by_key(|r| r.start);
        assert!(ranges.windows(2).all(|w| w[0].end <= w[1].start), "{ranges:?}");
    }
}
