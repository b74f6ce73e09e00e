//! Where does the program header table go, one entry longer?
//!
//! gVisor computes AT_PHDR as the first segment's address plus e_phoff, so the
//! table must lie at the same distance in the file as in memory. The table grows
//! in place where zeros follow it, or moves to the zeros between the end of a
//! read-only segment and its page's end; else notes, and the interpreter's name,
//! make room for it.

use std::ops::Range;

use object::LittleEndian as LE;
use object::elf::PF_W;
use object::read::elf::{ProgramHeader, SectionHeader};

use crate::elf::Image;
use crate::elf::image::Segment;

/// Size of a program header and of the file header, in bytes.
const ENTRY: u64 = 56;
const HEADER: u64 = 64;
const PAGE: u64 = 4096;

/// Where the table goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Room {
    /// Where it is: zeros follow it, or the old section headers.
    InPlace,
    /// Where it is: the notes that follow it (this range of the file), and the
    /// interpreter's name, move to the shim's segment. Nothing refers to these
    /// but their headers.
    InPlaceOfNotes(Range<u64>),
    /// In the zeros after a read-only segment: its index, its new length, and
    /// the table's offset.
    Tail(usize, u64, u64),
    /// In the shim's segment, which then lies in the file as far from the start
    /// as in memory: the file grows by a hole.
    Segment,
}

/// Finds room for `count` entries.
pub(super) fn find(image: &Image<'_>, count: usize) -> Room {
    let size = count as u64 * ENTRY;
    in_place(image, size)
        .or_else(|| image.segments.iter().enumerate().find_map(|(i, s)| in_tail(image, i, s, size)))
        .or_else(|| in_place_of_notes(image, size))
        .unwrap_or(Room::Segment)
}

/// The range of a table that grows in place, beyond what it has, if the first
/// segment starts the file and sections say what else is there.
fn beyond(image: &Image<'_>, size: u64) -> Option<Range<u64>> {
    let offset = image.header.e_phoff.get(LE);
    let first = image.loads().next()?;
    let (start, len) = first.file_range(LE);
    let starts_file = start == 0 && offset >= HEADER && offset + size <= len;
    // Without section headers, what follows could be anything.
    let is_described = image.sections.iter().count() > 1;
    let old_end = offset + image.segments.len() as u64 * ENTRY;
    (starts_file && is_described).then_some(old_end..offset + size)
}

fn in_place_of_notes(image: &Image<'_>, size: u64) -> Option<Room> {
    let wanted = beyond(image, size)?;
    let note = |kind: u32| {
        matches!(kind, object::elf::PT_NOTE | object::elf::PT_GNU_PROPERTY | object::elf::PT_INTERP)
    };
    let touched = |o: u64, l: u64| l > 0 && o < wanted.end && o + l > wanted.start;
    let interpreter = image.segments.iter().find(|s| s.p_type.get(LE) == object::elf::PT_INTERP);
    let interpreter = interpreter.map(|s| s.file_range(LE));
    // All of every note segment that is touched moves.
    let end = image
        .segments
        .iter()
        .filter(|s| note(s.p_type.get(LE)))
        .map(|s| s.file_range(LE))
        .filter(|&(o, l)| touched(o, l))
        .map(|(o, l)| o + l)
        .max()?;
    let range = wanted.start..end.max(wanted.end);
    let overlaps = |(o, l): (u64, u64)| l > 0 && o < range.end && o + l > range.start;
    let inside = |(o, l): (u64, u64)| o >= range.start && o + l <= range.end;
    let only_notes = image.sections.iter().all(|s| {
        let place = s.file_range(LE).unwrap_or((0, 0));
        let moves = s.sh_type.get(LE) == object::elf::SHT_NOTE || interpreter == Some(place);
        !overlaps(place) || (moves && inside(place))
    });
    let whole =
        image.segments.iter().filter(|s| s.p_type.get(LE) != object::elf::PT_LOAD).all(|s| {
            let place = s.file_range(LE);
            !overlaps(place) || (note(s.p_type.get(LE)) && inside(place))
        });
    let one_load = image.loads().skip(1).all(|s| !overlaps(s.file_range(LE)));
    (only_notes && whole && one_load).then_some(Room::InPlaceOfNotes(range))
}

fn in_place(image: &Image<'_>, size: u64) -> Option<Room> {
    let wanted = beyond(image, size)?;
    // Go's linker puts the section headers there; they are written anew at the end.
    let headers = image.header.e_shoff.get(LE);
    let headers = headers..headers.checked_add(u64::from(image.header.e_shnum.get(LE)) * 64)?;
    let is_old = headers.contains(&wanted.start) && wanted.end <= headers.end;
    let has_place = is_free(image, wanted.start, wanted.end)
        || is_old && is_unclaimed(image, wanted.start, wanted.end);
    has_place.then_some(Room::InPlace)
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
        .then_some(Room::Tail(index, end - offset, start))
}

/// Whether a stretch of the file is zero and no section or segment has it.
fn is_free(image: &Image<'_>, from: u64, to: u64) -> bool {
    let zero =
        image.bytes.get(from as usize..to as usize).is_some_and(|b| b.iter().all(|&b| b == 0));
    zero && is_unclaimed(image, from, to) && !overlaps(image.header.e_shoff.get(LE), 64, from, to)
}

fn overlaps(start: u64, len: u64, from: u64, to: u64) -> bool {
    len > 0 && start < to && start.saturating_add(len) > from
}

/// Whether no section or segment has a stretch of the file.
fn is_unclaimed(image: &Image<'_>, from: u64, to: u64) -> bool {
    let overlaps = |start: u64, len: u64| overlaps(start, len, from, to);
    let in_section =
        image.sections.iter().filter_map(|s| s.file_range(LE)).any(|(o, l)| overlaps(o, l));
    let is_load = |s: &&Segment| s.p_type.get(LE) == object::elf::PT_LOAD;
    let in_segment = image.loads().filter(is_load).any(|s| {
        let (offset, len) = s.file_range(LE);
        // The first segment has the headers; what counts there is its sections.
        offset != 0 && overlaps(offset, len)
    });
    !in_section && !in_segment
}
