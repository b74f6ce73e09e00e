//! A file as changes of another: what is put over its bytes, and what follows them.
//!
//! The output differs from the input in a few kilobytes. It is never held whole:
//! the input is copied by the kernel, and these pieces are written over the copy.

use std::ops::Range;
use std::sync::Arc;

use crate::k3s::release::Attached;

/// A file made of another.
pub struct Pieces<'a> {
    /// The bytes of the other.
    base: &'a [u8],
    /// Offset and new bytes of each change of the base; they don't overlap.
    changes: Vec<(usize, Vec<u8>)>,
    /// An archive that follows the base.
    attached: Option<Arc<Attached>>,
    /// What follows them.
    tail: Vec<u8>,
}

impl<'a> Pieces<'a> {
    /// A file that is the same as `base`.
    pub fn new(base: &'a [u8]) -> Self {
        Self { base, changes: Vec::new(), attached: None, tail: Vec::new() }
    }

    /// The same with an archive behind it; before anything is appended.
    pub fn attach(&mut self, archive: Arc<Attached>) {
        self.attached = Some(archive);
    }

    /// The archive that follows the base, if there is one.
    pub fn attached(&self) -> &[u8] {
        self.attached.as_ref().map_or(&[], |archive| archive)
    }

    /// Where the tail starts.
    fn fixed(&self) -> usize {
        self.base.len() + self.attached().len()
    }

    /// What it is made of.
    pub fn base(&self) -> &'a [u8] {
        self.base
    }

    /// Offset and new bytes of each change of the base.
    pub fn changes(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.changes.iter().map(|(at, new)| (*at, &new[..]))
    }

    /// What follows the base and the archive.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.fixed() + self.tail.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes it longer, with zeros.
    pub fn resize(&mut self, len: usize) {
        self.tail.resize(len.saturating_sub(self.fixed()), 0);
    }

    /// Makes it longer.
    pub fn append(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// The bytes of a range that lies in it.
    pub fn get(&self, range: Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(range.len());
        let mut start = 0;
        for part in [self.base, self.attached(), &self.tail] {
            let end = start + part.len();
            let within = range.start.clamp(start, end) - start..range.end.clamp(start, end) - start;
            bytes.extend_from_slice(&part[within]);
            start = end;
        }
        for (at, new) in &self.changes {
            let (from, to) = (range.start.max(*at), range.end.min(at + new.len()));
            if from < to {
                bytes[from - range.start..to - range.start]
                    .copy_from_slice(&new[from - at..to - at]);
            }
        }
        bytes
    }

    /// Puts bytes over those of a range that lies in it, and not in the archive.
    pub fn set(&mut self, at: usize, new: &[u8]) {
        let (end, tail) = (self.base.len(), self.fixed());
        let (below, above) = new.split_at(new.len().min(end.saturating_sub(at)));
        let from = at.max(tail) - tail;
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
