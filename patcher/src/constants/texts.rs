//! Where does a prefix stand in what is loaded, and how does the text go on?

use memchr::memmem;
use object::LittleEndian as LE;

use super::Pair;
use crate::elf::Image;
use crate::scan::Functions;
use crate::uses::LONGEST;

/// A place where the bytes of a prefix stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The address of the first byte.
    pub(super) address: u64,
    /// Which of the pairs' prefixes it is.
    pub(super) pair: usize,
}

/// All places in data, in ascending order.
pub(super) fn find(image: &Image<'_>, functions: &Functions<'_>, pairs: &[Pair]) -> Vec<Place> {
    let mut places = Vec::new();
    for segment in image.loads() {
        let start = segment.p_vaddr.get(LE);
        let Some(bytes) = image.at(start) else { continue };
        for (index, pair) in pairs.iter().enumerate() {
            let all = memmem::find_iter(bytes, &pair.from);
            places.extend(all.map(|at| Place { address: start + at as u64, pair: index }));
        }
    }
    // Bytes of instructions are looked at elsewhere.
    places.retain(|p| !image.is_code(p.address) || is_data(image, functions, p.address));
    places.sort_unstable_by_key(|p| p.address);
    places
}

fn is_data(image: &Image<'_>, functions: &Functions<'_>, address: u64) -> bool {
    image.is_data(address) || functions.lookup(address).is_none() && image.sections.is_empty()
}

/// A path that ends by NUL; `None` when something else stands there.
pub(super) fn path(bytes: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(0, &bytes[..bytes.len().min(LONGEST)])?;
    is_path(&bytes[..end]).then_some(&bytes[..end])
}

/// Whether a text is nothing but a path.
pub(super) fn is_path(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_graphic)
}

/// Whether a path is the prefix or lies below it.
pub(super) fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// How far before an address a text that ends by NUL may start: the first
/// address behind the last NUL, within the longest length.
pub(super) fn stretch_start(image: &Image<'_>, address: u64) -> u64 {
    let Some(segment) = image.loads().find(|s| {
        let into = address.wrapping_sub(s.p_vaddr.get(LE));
        into < s.p_filesz.get(LE)
    }) else {
        return address;
    };
    let start = segment.p_vaddr.get(LE).max(address.saturating_sub(LONGEST as u64));
    let before = image.at(start).and_then(|b| b.get(..(address - start) as usize));
    let nul = memchr::memrchr(0, before.unwrap_or_default());
    nul.map_or(start, |at| start + at as u64 + 1)
}
