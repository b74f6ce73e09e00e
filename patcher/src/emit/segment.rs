//! The shim's segment: image, tables, rules, note, trampolines.

use procsys_rules::Table;

use super::code::Code;
use super::eh_frame::{self, Added, Known};
use super::frames::{Described, Injected};
use super::tail::Tails;
use super::trampoline::{self, Special};
use crate::elf::Image;
use crate::patch::Options;
use crate::plan::Detour;
use crate::shim::{
    HEADER_ENTRY, HEADER_EXEC, HEADER_FORKED, HEADER_SLOW, HEADER_TABLE, HEADER_TABLE_LEN,
    NOTES_AT, SLOTS_SIZE, Shim,
};

/// What trampolines refer to: addresses, and the program's own code.
pub(super) struct Anchors<'a> {
    /// The program.
    pub(super) image: &'a Image<'a>,
    /// The slow path's entry.
    pub(super) slow: u64,
    /// The code for a forked child.
    pub(super) forked: u64,
    /// The class of each call number, 512 bytes.
    pub(super) classes: u64,
    /// For each second byte of clone's flags: whether CLONE_VM is set, 256 bytes.
    pub(super) clone_vm: u64,
    /// The process's notes, whose first bytes say whether to look.
    pub(super) notes: u64,
}

/// A part of the segment: offset and length in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// The contents of the segment.
pub(super) struct Contents {
    pub(super) bytes: Vec<u8>,
    /// The build of the shim in it.
    pub(super) shim: &'static Shim,
    pub(super) tables: Part,
    pub(super) rules: Part,
    pub(super) note: Part,
    pub(super) trampolines: Part,
    /// Bytes of the input that had to move.
    pub(super) moved: Part,
    /// Names for the loader.
    pub(super) strings: Part,
    /// Room for the program headers.
    pub(super) headers: Part,
    /// Unwind information for the program's own unwinder, and its table.
    pub(super) frames: Part,
    pub(super) search: Part,
    /// The address of each detour's trampoline.
    pub(super) entries: Vec<u64>,
    /// Where in them the stack is as it is at an address of the program: here, there.
    pub(super) marks: Vec<(u64, u64)>,
    /// The address of what they share, behind them.
    pub(super) shared: u64,
}

/// What goes into the segment beside the shim itself.
pub(super) struct Extra<'a> {
    /// The note.
    pub(super) note: &'a [u8],
    /// Bytes of the input that have to move.
    pub(super) moved: &'a [u8],
    /// Names for the loader, if they move.
    pub(super) strings: &'a [u8],
    /// Bytes of program headers, if they go here.
    pub(super) headers: usize,
    /// The program's entry point, if the shim comes before it.
    pub(super) entry: Option<u64>,
}

/// Builds the segment of a program for `base`.
///
/// # Errors
/// When something is out of the reach of a jump, or can't be moved.
pub(super) fn build(
    image: &Image<'_>,
    base: u64,
    table: &Table<'_>,
    extra: &Extra<'_>,
    options: &Options,
    detours: &[Detour<'_>],
) -> Result<Contents, String> {
    let special = Special::of(table, options);
    let shim = Shim::fitting(table, options.every_call || options.exec.is_some());
    let mut bytes = shim.image.to_vec();
    let part = |bytes: &mut Vec<u8>, contents: &[u8]| {
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let offset = bytes.len() as u64;
        bytes.extend_from_slice(contents);
        Part { offset, len: contents.len() as u64 }
    };
    let mut tables = special.classes().to_vec();
    // CLONE_VM is 0x100: the lowest bit of the second byte.
    tables.extend((0..=255u8).map(|byte| byte & 1));
    let tables = part(&mut bytes, &tables);
    let rules = part(&mut bytes, table.bytes());
    let note = part(&mut bytes, extra.note);
    let moved = part(&mut bytes, extra.moved);
    let strings = part(&mut bytes, extra.strings);
    let headers = part(&mut bytes, &vec![0; extra.headers]);
    fill_header(&mut bytes, base, rules, extra.entry, options)?;
    let anchors = Anchors {
        image,
        slow: base + u64::from(shim.header(HEADER_SLOW)),
        forked: base + u64::from(shim.header(HEADER_FORKED)),
        classes: base + tables.offset,
        clone_vm: base + tables.offset + 512,
        notes: base - SLOTS_SIZE + NOTES_AT,
    };
    let start = part(&mut bytes, &[]).offset;
    let mut code = Code::new(base + start);
    let mut entries = Vec::with_capacity(detours.len());
    let mut first = None;
    let mut tails = Tails::default();
    for detour in detours {
        code.align(4);
        entries.push(code.here());
        trampoline::write(&mut code, &anchors, &special, options, detour, &mut first, &mut tails)?;
    }
    let shared = code.here();
    tails.write(&mut code, &anchors);
    let marks = std::mem::take(&mut code.marks);
    let code = code.finish()?;
    let trampolines = Part { offset: start, len: code.len() as u64 };
    bytes.extend_from_slice(&code);
    Ok(Contents {
        bytes,
        shim,
        tables,
        rules,
        note,
        trampolines,
        moved,
        strings,
        headers,
        frames: Part::default(),
        search: Part::default(),
        entries,
        marks,
        shared,
    })
}

impl Contents {
    /// What there is to describe, in a segment at `base`.
    pub(super) fn injected(&self, base: u64) -> Injected<'_> {
        let mut symbols = self.shim.symbols();
        let replace = symbols.find(|s| s.0 == "procsys_replace");
        Injected {
            entries: &self.entries,
            marks: &self.marks,
            end: self.shared,
            replace: replace.map(|(_, at, size)| (base + at, base + at + size)),
        }
    }

    /// Adds what the program's unwinder is to find, if it can.
    pub(super) fn add_frames(&mut self, known: &Known<'_>, described: &[Described], base: u64) {
        let start = self.bytes.len().next_multiple_of(8) as u64;
        let Some(Added { bytes, frames }) = eh_frame::added(known, described, base + start) else {
            return;
        };
        self.bytes.resize(start as usize, 0);
        self.bytes.extend(&bytes);
        self.frames = Part { offset: start, len: frames as u64 };
        self.search = Part { offset: start + frames as u64, len: (bytes.len() - frames) as u64 };
    }
}

/// Tells the image where the rules are, and what comes after it.
fn fill_header(
    bytes: &mut [u8],
    base: u64,
    rules: Part,
    entry: Option<u64>,
    options: &Options,
) -> Result<(), String> {
    bytes[HEADER_TABLE..][..4].copy_from_slice(&(rules.offset as u32).to_le_bytes());
    bytes[HEADER_TABLE_LEN..][..4].copy_from_slice(&(rules.len as u32).to_le_bytes());
    if let Some(entry) = entry {
        let distance = i32::try_from(entry.wrapping_sub(base) as i64)
            .map_err(|_| format!("the entry point {entry:#x} is out of reach"))?;
        bytes[HEADER_ENTRY..][..4].copy_from_slice(&distance.to_le_bytes());
    }
    bytes[HEADER_EXEC..][..8].copy_from_slice(&options.exec.unwrap_or(0).to_le_bytes());
    Ok(())
}
