//! The whole output file.

use std::ops::Range;

use object::elf::{PF_R, PF_W, PF_X, PT_GNU_EH_FRAME, PT_LOAD, PT_PHDR};
use object::pod::{bytes_of, bytes_of_slice};
use object::{LittleEndian as LE, U32, U64};
use procsys_rules::Table;

use super::eh_frame::Known;
use super::needed::Needed;
use super::pieces::Pieces;
use super::room::{self, Room};
use super::sections::{self, Tail};
use super::segment::{self, Contents, Extra};
use super::{frames, note};
use crate::elf::Image;
use crate::elf::image::{Header, Segment};
use crate::error::Error;
use crate::patch::Options;
use crate::plan::{Detour, Form, JUMP, cancel, go_call};
use crate::scan::Functions;
use crate::shim::{HEADER_START, SLOTS_SIZE, Shim};

const PAGE: u64 = 4096;
/// The most zeros that are put into a file to make room for its headers.
const HOLE_MAX: u64 = 16 << 20;

/// Why the file is written: what its note says.
pub struct Purpose<'a> {
    /// The compiled rules.
    pub table: Table<'a>,
    /// SHA-256 of the input.
    pub input: [u8; 32],
    /// The options of this run.
    pub options: &'a Options,
}

/// A written file.
pub struct Output<'a> {
    /// Its bytes, as changes of the input's.
    pub pieces: Pieces<'a>,
    /// The address of the shim's segment.
    pub base: u64,
    /// Length of the shim's segment in bytes.
    pub injected: u64,
    /// The build of the shim in it.
    pub shim: &'static Shim,
    /// The address of each detour's trampoline.
    pub entries: Vec<u64>,
    /// The addresses of the code that trampolines share, behind them.
    pub shared: Range<u64>,
    /// The address of the table by which the program's unwinder finds trampolines.
    pub search: Option<u64>,
}

/// Bytes that are changed in place, with what was there (for `revert`).
pub(crate) struct Edits<'a> {
    pub(crate) pieces: Pieces<'a>,
    /// Offset u64, length u32, the old bytes; one after the other.
    pub(crate) undo: Vec<u8>,
}

impl<'a> Edits<'a> {
    pub(crate) fn new(base: &'a [u8]) -> Self {
        Self { pieces: Pieces::new(base), undo: Vec::new() }
    }

    pub(crate) fn set(&mut self, at: u64, new: &[u8]) {
        self.undo.extend(at.to_le_bytes());
        self.undo.extend((new.len() as u32).to_le_bytes());
        let at = at as usize;
        self.undo.extend(self.pieces.get(at..at + new.len()));
        self.pieces.set(at, new);
    }
}

/// Writes the patched file.
///
/// # Errors
/// [`Error::Input`] when the file has no room for a segment or a header.
pub fn write<'a>(
    image: &Image<'a>,
    functions: &Functions<'_>,
    purpose: &Purpose<'_>,
    detours: &[Detour<'_>],
) -> Result<Output<'a>, Error> {
    let archive = purpose.options.archive.as_ref();
    let count = image.segments.len() + 1 + usize::from(archive.is_some());
    let (known, count) = known(image, functions, detours, count);
    let room = room::find(image, count);
    let behind = image.bytes.len() + archive.map_or(0, |archive| archive.len());
    let (base, offset, first) = addresses(image, &room, behind as u64)?;
    let text = note::text(&purpose.table, &purpose.input, image.bytes.len(), purpose.options);
    let preload = purpose.options.preload.as_deref();
    let needed = preload.map(|path| Needed::plan(image, path)).transpose()?;
    let extra = Extra {
        note: &note::note(&text),
        moved: match &room {
            Room::InPlaceOfNotes(range) => &image.bytes[range.start as usize..range.end as usize],
            _ => &[],
        },
        strings: needed.as_ref().map_or(&[], |n| &n.strings),
        headers: if room == Room::Segment { count * 56 } else { 0 },
        entry: purpose.table.starts().then(|| image.header.e_entry.get(LE)),
    };
    let mut contents =
        segment::build(image, base, &purpose.table, &extra, purpose.options, detours)
            .map_err(|why| Error::Input(format!("no room near the code: {why}")))?;
    let described = frames::describe(image, functions, detours, &contents.injected(base));
    if let Some(known) = &known {
        contents.add_frames(known, &described, base);
    }
    let search = known.as_ref().and_then(Known::old).filter(|_| contents.search.len > 0);
    let strings = needed.as_ref().and_then(Needed::old_strings);
    let len = contents.bytes.len() as u64;
    let archive = archive.map(|archive| archive.place(image.bytes.len(), base + len));
    let place = Place { room, base, offset, first, len, strings, search, archive };
    let mut edits = detoured(image, detours, &contents)?;
    if let (Some(new), Some(place)) = (&purpose.options.archive, &place.archive) {
        edits.pieces.attach(new.clone());
        new.edits(place.address).into_iter().for_each(|(at, word)| edits.set(at, &word));
    }
    if let Some(needed) = &needed {
        let (at, section) = needed.section(base + contents.strings.offset);
        edits.set(at, &section);
    }
    let table = place.table_offset(image, &contents);
    let headers = program_headers(image, &place, &contents, table);
    let mut header = *image.header;
    header.e_entry = U64::new(LE, entry_point(image, purpose.table, base, contents.shim));
    header.e_phoff = U64::new(LE, table);
    header.e_phnum.set(LE, headers.len() as u16);
    edits.set(0, bytes_of(&header));
    if place.room != Room::Segment {
        edits.set(table, bytes_of_slice(&headers));
    }
    let Edits { mut pieces, undo } = edits;
    pieces.resize(offset as usize);
    pieces.append(&contents.bytes);
    if place.room == Room::Segment {
        pieces.set(table as usize, bytes_of_slice(&headers));
    }
    let tail = sections::tail(image, &described, &contents, &undo, &place);
    append_tail(&mut pieces, &mut header, &tail);
    Ok(Output {
        pieces,
        base,
        injected: place.len,
        shim: contents.shim,
        entries: contents.entries,
        shared: contents.shared..base + contents.trampolines.offset + contents.trampolines.len,
        search: (contents.search.len > 0).then_some(base + contents.search.offset),
    })
}

/// Appends the file's end, and tells the file header where the sections are.
fn append_tail(pieces: &mut Pieces<'_>, header: &mut Header, tail: &Tail) {
    pieces.append(&tail.bytes);
    header.e_shoff = U64::new(LE, tail.headers);
    header.e_shnum.set(LE, tail.count);
    header.e_shstrndx.set(LE, tail.names);
    header.e_shentsize.set(LE, 64);
    pieces.set(0, bytes_of(header));
}

/// What the program's own unwinder knows, and how many program headers there are to be:
/// one more than `count` where it has no table, unless that would make room for them
/// by a hole.
fn known<'a>(
    image: &Image<'a>,
    functions: &Functions<'_>,
    detours: &[Detour<'_>],
    count: usize,
) -> (Option<Known<'a>>, usize) {
    let known = Known::of(image, functions).filter(|_| !detours.is_empty());
    if !known.as_ref().is_some_and(Known::needs_header) {
        return (known, count);
    }
    let is_found = |count| room::find(image, count) != Room::Segment;
    if is_found(count + 1) || !is_found(count) { (known, count + 1) } else { (None, count) }
}

/// Where the shim's segment goes, `behind` so many bytes of the file: its address, its
/// offset in the file, and the address of the file's first byte, were it loaded.
fn addresses(image: &Image<'_>, room: &Room, behind: u64) -> Result<(u64, u64, u64), Error> {
    let last = image.loads().next_back().expect("parse checked that there is one");
    if last.p_flags.get(LE) & PF_W == 0 {
        return Err(Error::Input(
            "the last segment is not writable: no room for the shim's stacks".into(),
        ));
    }
    let end = last.p_vaddr.get(LE) + last.p_memsz.get(LE);
    let lowest = (end + SLOTS_SIZE).next_multiple_of(PAGE);
    let first =
        image.loads().next().map_or(0, |s| s.p_vaddr.get(LE).wrapping_sub(s.p_offset.get(LE)));
    let file_end = behind.next_multiple_of(PAGE);
    if *room != Room::Segment {
        return Ok((lowest, file_end, first));
    }
    // As far from the start in the file as in memory: addresses cost nothing.
    let no_room = || Error::Input("no room for one more program header".into());
    let least = first.checked_add(file_end).ok_or_else(no_room)?;
    let base = lowest.max(least);
    if base - least > HOLE_MAX {
        return Err(no_room());
    }
    Ok((base, base - first, first))
}

/// Where the patched file starts: in the shim, where a rule notes something at
/// start.
pub fn entry_point(image: &Image<'_>, table: Table<'_>, base: u64, shim: &Shim) -> u64 {
    if table.starts() {
        base + u64::from(shim.header(HEADER_START))
    } else {
        image.header.e_entry.get(LE)
    }
}

/// The input's bytes with a jump at every detour.
fn detoured<'a>(
    image: &Image<'a>,
    detours: &[Detour<'_>],
    contents: &Contents,
) -> Result<Edits<'a>, Error> {
    let mut edits = Edits::new(image.bytes);
    for (detour, &entry) in detours.iter().zip(&contents.entries) {
        let jump = jump(detour, entry).ok_or_else(|| {
            Error::Input(format!("no room near the code: {entry:#x} is out of reach of a jump"))
        })?;
        let at = image.offset(detour.start()).expect("scanned bytes are in the file");
        edits.set(at, &jump);
    }
    Ok(edits)
}

/// Where the shim's segment lies, and the program headers with it.
pub(super) struct Place {
    pub(super) room: Room,
    /// The segment's address.
    pub(super) base: u64,
    /// Its offset in the file.
    pub(super) offset: u64,
    /// The address of the file's first byte, were it loaded.
    first: u64,
    /// Its length in bytes.
    len: u64,
    /// The address of the loader's names that have moved to the segment.
    pub(super) strings: Option<u64>,
    /// The address of the unwinder's table that another one in the segment replaces.
    pub(super) search: Option<u64>,
    /// Where the archive lies that took the place of an embedded one.
    pub(super) archive: Option<Stretch>,
}

/// A stretch of the file that is loaded: its address, offset and length in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Place {
    fn table_offset(&self, image: &Image<'_>, contents: &Contents) -> u64 {
        match self.room {
            Room::InPlace | Room::InPlaceOfNotes(_) => image.header.e_phoff.get(LE),
            Room::Tail(_, _, offset) => offset,
            Room::Segment => self.offset + contents.headers.offset,
        }
    }

    /// The new offset and address of something that moved with the notes.
    pub(super) fn moved(&self, contents: &Contents, offset: u64) -> Option<(u64, u64)> {
        let Room::InPlaceOfNotes(range) = &self.room else { return None };
        let into = range.contains(&offset).then(|| offset - range.start + contents.moved.offset)?;
        Some((self.offset + into, self.base + into))
    }
}

/// A jump to the trampoline; what it leaves of the covered bytes traps. At a
/// cancellation point, the last of them look at the flag again.
pub(super) fn jump(detour: &Detour<'_>, entry: u64) -> Option<Vec<u8>> {
    let next = detour.start() + JUMP;
    let distance = i32::try_from(detour.way_in(entry).wrapping_sub(next) as i64).ok()?;
    let mut bytes = vec![0xcc; (detour.end() - detour.start()) as usize];
    bytes[0] = 0xe9;
    bytes[1..5].copy_from_slice(&distance.to_le_bytes());
    if detour.cancels() {
        let covered = &detour.site.code[detour.covered.clone()];
        cancel::write(detour.form, covered, entry, &mut bytes)?;
    }
    if detour.form == Form::GoCall {
        go_call::write(detour.start(), entry, &mut bytes)?;
    }
    Some(bytes)
}

/// The program headers: the shim's segment after the last one, whose zeroed
/// memory grows up to it and holds the slots; then the archive's, if there is one. The
/// one that names the unwinder's table names that of the segment, if it has one.
fn program_headers(
    image: &Image<'_>,
    place: &Place,
    contents: &Contents,
    table: u64,
) -> Vec<Segment> {
    let mut headers = image.segments.to_vec();
    let is_load = |s: &Segment| s.p_type.get(LE) == PT_LOAD;
    let last = headers.iter().rposition(is_load).expect("parse checked that there is one");
    if let Room::Tail(index, size, _) = place.room {
        headers[index].p_filesz = U64::new(LE, size);
        headers[index].p_memsz = U64::new(LE, size);
    }
    for header in headers.iter_mut().filter(|h| !is_load(h) && h.p_filesz.get(LE) > 0) {
        if let Some((offset, address)) = place.moved(contents, header.p_offset.get(LE)) {
            set_place(header, offset, address, header.p_filesz.get(LE));
        }
    }
    let start = headers[last].p_vaddr.get(LE);
    headers[last].p_memsz = U64::new(LE, place.base - start);
    let mut shim = headers[last];
    shim.p_flags = U32::new(LE, PF_R | PF_X);
    shim.p_align = U64::new(LE, PAGE);
    set_place(&mut shim, place.offset, place.base, place.len);
    headers.insert(last + 1, shim);
    if let Some(Stretch { address, offset, len }) = place.archive {
        let mut archive = shim;
        archive.p_flags = U32::new(LE, PF_R);
        set_place(&mut archive, offset, address, len);
        headers.insert(last + 2, archive);
    }
    if contents.search.len > 0 {
        let is_it = |h: &Segment| h.p_type.get(LE) == PT_GNU_EH_FRAME;
        let index = headers.iter().position(is_it).unwrap_or_else(|| {
            let mut search = shim;
            search.p_type = U32::new(LE, PT_GNU_EH_FRAME);
            search.p_flags = U32::new(LE, PF_R);
            search.p_align = U64::new(LE, 4);
            headers.push(search);
            headers.len() - 1
        });
        let at = contents.search.offset;
        set_place(&mut headers[index], place.offset + at, place.base + at, contents.search.len);
    }
    let size = headers.len() as u64 * 56;
    for header in headers.iter_mut().filter(|h| h.p_type.get(LE) == PT_PHDR) {
        set_place(header, table, place.first + table, size);
    }
    headers
}

fn set_place(header: &mut Segment, offset: u64, address: u64, size: u64) {
    header.p_offset = U64::new(LE, offset);
    header.p_vaddr = U64::new(LE, address);
    header.p_paddr = U64::new(LE, address);
    header.p_filesz = U64::new(LE, size);
    header.p_memsz = U64::new(LE, size);
}
