//! Where does the program header table go, one entry longer?
//!
//! gVisor computes AT_PHDR as the first segment's address plus e_phoff, so the
//! table must lie at the same distance in the file as in memory. No byte that
//! means anything is moved: the table grows in place where zeros follow it, or
//! moves to the zeros between the end of a read-only segment and its page's end.

use object::LittleEndian as LE;
use object::elf::PF_W;
use object::read::elf::{ProgramHeader, SectionHeader};

use crate::elf::Image;
use crate::elf::image::Segment;
use crate::error::Error;

/// Size of a program header and of the file header, in bytes.
const ENTRY: u64 = 56;
const HEADER: u64 = 64;
const PAGE: u64 = 4096;

/// Where the table goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Offset in the file, and from the first segment's address.
    pub(super) offset: u64,
    /// The index of the segment that must be made longer, and its new length.
    pub(super) grown: Option<(usize, u64)>,
}

/// Finds room for `count` entries.
///
/// # Errors
/// [`Error::Input`] when there is none.
pub(super) fn find(image: &Image<'_>, count: usize) -> Result<Room, Error> {
    let size = count as u64 * ENTRY;
    in_place(image, size)
        .or_else(|| image.segments.iter().enumerate().find_map(|(i, s)| in_tail(image, i, s, size)))
        .ok_or_else(|| Error::Input("no room for one more program header".into()))
}

fn in_place(image: &Image<'_>, size: u64) -> Option<Room> {
    let offset = image.header.e_phoff.get(LE);
    let first = image.loads().next()?;
    let (start, len) = first.file_range(LE);
    let starts_file = start == 0 && offset >= HEADER && offset + size <= len;
    // Without section headers, zeros after the table could be somebody's data.
    let is_described = image.sections.iter().count() > 1;
    let old_end = offset + image.segments.len() as u64 * ENTRY;
    (starts_file && is_described && is_free(image, old_end, offset + size))
        .then_some(Room { offset, grown: None })
}

fn in_tail(image: &Image<'_>, index: usize, segment: &Segment, size: u64) -> Option<Room> {
    if segment.p_type.get(LE) != object::elf::PT_LOAD || segment.p_flags.get(LE) & PF_W != 0 {
        return None;
    }
    let first = image.loads().next()?;
    let (address, len) = (segment.p_vaddr.get(LE), segment.p_memsz.get(LE));
    let (offset, in_file) = segment.file_range(LE);
    if offset != address.checked_sub(first.p_vaddr.get(LE))? || in_file != len {
        return None;
    }
    let start = (offset + in_file).next_multiple_of(8);
    let end = start + size;
    let page_end = (offset + in_file).next_multiple_of(PAGE);
    (end <= page_end && end <= image.bytes.len() as u64 && is_free(image, offset + in_file, end))
        .then_some(Room { offset: start, grown: Some((index, end - offset)) })
}

/// Whether a stretch of the file is zero and no section or segment has it.
fn is_free(image: &Image<'_>, from: u64, to: u64) -> bool {
    let zero =
        image.bytes.get(from as usize..to as usize).is_some_and(|b| b.iter().all(|&b| b == 0));
    let overlaps = |start: u64, len: u64| len > 0 && start < to && start + len > from;
    let in_section =
        image.sections.iter().filter_map(|s| s.file_range(LE)).any(|(o, l)| overlaps(o, l));
    let is_load = |s: &&Segment| s.p_type.get(LE) == object::elf::PT_LOAD;
    let in_segment = image.loads().filter(is_load).any(|s| {
        let (offset, len) = s.file_range(LE);
        // The first segment has the headers; what counts there is its sections.
        offset != 0 && overlaps(offset, len)
    });
    zero && !in_section && !in_segment && !overlaps(image.header.e_shoff.get(LE), 64)
}
