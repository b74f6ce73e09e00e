//! The check before the output is put in place, by a second reader (goblin):
//! what it sees must be what was meant, whatever the first reader thought.

mod dynamic;
mod unwind;

use std::ops::{Deref, Range};

use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_DYNAMIC, PT_LOAD};
use goblin::elf::{Elf, ProgramHeader};
use iced_x86::{Code, Decoder, DecoderOptions};

use crate::elf::Image;
use crate::emit::{self, Output, Purpose, note};
use crate::error::Error;
use crate::plan::{Detour, Form, JUMP, go_call};
use crate::shim::{IMAGE_MAGIC, SLOTS_SIZE};

/// Bytes that are compared at a time.
const BLOCK: usize = 1 << 20;

fn ensure(holds: bool, why: impl Into<String>) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Verify(why.into())) }
}

/// A file as it was written, to be read again.
pub trait Written: Deref<Target = [u8]> + Sync {
    /// Says that these bytes are not looked at again soon: their pages need not
    /// stay in memory.
    fn done_with(&self, _range: Range<usize>) {}
}

impl Written for Vec<u8> {}

/// An output, as meant and as written.
struct Pair<'a> {
    output: &'a Output<'a>,
    bytes: &'a [u8],
}

/// Checks what was written against the input, the plan and the library that was added.
///
/// # Errors
/// [`Error::Verify`] with the first thing that is not as it should be.
pub fn check(
    image: &Image<'_>,
    purpose: &Purpose<'_>,
    output: &Output<'_>,
    written: &impl Written,
    detours: &[Detour<'_>],
) -> Result<(), Error> {
    let library = purpose.options.preload.as_deref();
    let pair = &Pair { output, bytes: written };
    let elf = Elf::parse(written).map_err(|e| Error::Verify(e.to_string()))?;
    let entry = emit::entry_point(image, purpose.table, output.base, output.shim);
    ensure(elf.entry == entry, "the entry point is not where it should be")?;
    let loads: Vec<&ProgramHeader> =
        elf.program_headers.iter().filter(|h| h.p_type == PT_LOAD).collect();
    let shim = segments(&elf, &loads, pair)?;
    unwind::check(image, &elf.program_headers, shim, pair)?;
    let sections = elf.section_headers.iter();
    let names: Vec<_> = sections.filter_map(|s| elf.shdr_strtab.get_at(s.sh_name)).collect();
    ensure(names.contains(&note::SECTION), "the note is missing")?;
    ensure(output.entries.len() == detours.len(), "not every site has a trampoline")?;
    for (detour, &entry) in detours.iter().zip(&output.entries) {
        detoured(&loads, pair, detour, entry)?;
    }
    if image.kind.is_dynamic() {
        dynamic::check(image.bytes, &elf, library)?;
    }
    let section = elf.program_headers.iter().find(|h| h.p_type == PT_DYNAMIC);
    let section = section.filter(|_| library.is_some()).map(ProgramHeader::file_range);
    let mut holes: Vec<_> = section.map(|range| (range.start, range.end)).into_iter().collect();
    if let (Some(archive), Some(load)) = (&purpose.options.archive, loads.last()) {
        let edits = archive.edits(load.p_vaddr);
        for (at, word) in &edits {
            let at = *at as usize;
            let there = written.get(at..at + word.len());
            ensure(there == Some(word), format!("{at:#x} does not lead to the archive"))?;
        }
        holes.extend(edits.iter().map(|(at, word)| (*at as usize, *at as usize + word.len())));
    }
    unchanged(image, written, &elf, detours, holes)
}

/// Checks the segments, and gives the shim's.
fn segments<'a>(
    elf: &Elf<'_>,
    loads: &[&'a ProgramHeader],
    pair: &Pair<'_>,
) -> Result<&'a ProgramHeader, Error> {
    let Pair { output, bytes } = pair;
    for pair in loads.windows(2) {
        let end = pair[0].p_vaddr.saturating_add(pair[0].p_memsz);
        ensure(end <= pair[1].p_vaddr, format!("segments overlap at {:#x}", pair[1].p_vaddr))?;
    }
    for load in loads {
        let at = load.p_vaddr;
        ensure(
            load.p_flags & (PF_W | PF_X) != PF_W | PF_X,
            format!("{at:#x} is writable and executable"),
        )?;
        ensure(load.p_offset % 4096 == at % 4096, format!("segment at {at:#x} is not aligned"))?;
        let end = load.p_offset.checked_add(load.p_filesz);
        ensure(
            end.is_some_and(|e| e <= bytes.len() as u64),
            format!("segment at {at:#x} ends past the file"),
        )?;
    }
    let archive = loads.last().filter(|_| !output.pieces.attached().is_empty());
    let loads_before = &loads[..loads.len() - usize::from(archive.is_some())];
    let [.., data, shim] = loads_before else {
        return Err(Error::Verify("segments are missing".into()));
    };
    ensure(
        archive.is_none_or(|a| a.p_flags == PF_R && a.p_vaddr >= shim.p_vaddr + shim.p_memsz),
        "the archive's segment is wrong",
    )?;
    ensure(
        shim.p_vaddr == output.base && shim.p_flags == PF_R | PF_X,
        "the shim's segment is wrong",
    )?;
    let in_file = bytes.get(shim.p_offset as usize..).unwrap_or_default();
    ensure(in_file.starts_with(IMAGE_MAGIC), "the shim's image is not where its segment says")?;
    let zeroed = data.p_vaddr + data.p_filesz;
    ensure(
        data.p_flags & PF_W != 0
            && data.p_vaddr + data.p_memsz == output.base
            && zeroed <= output.base - SLOTS_SIZE,
        "the slots are not in zeroed memory below the shim",
    )?;
    // What gVisor and older kernels hand the program as AT_PHDR.
    let table = loads[0].p_vaddr - loads[0].p_offset + elf.header.e_phoff;
    let size = elf.header.e_phoff + u64::from(elf.header.e_phnum) * 56;
    let mapped = loads.iter().any(|l| {
        l.p_vaddr <= table
            && table - l.p_vaddr + l.p_offset == elf.header.e_phoff
            && size <= l.p_offset + l.p_filesz
    });
    ensure(mapped, "the program headers are not in memory where the loader looks")?;
    Ok(shim)
}

/// The offset in the output of an address.
fn offset(loads: &[&ProgramHeader], address: u64) -> Option<usize> {
    loads.iter().find_map(|l| {
        let into = address.checked_sub(l.p_vaddr)?;
        (into < l.p_filesz).then_some((l.p_offset + into) as usize)
    })
}

/// A site's first covered byte is a jump to its trampoline in the shim.
fn detoured(
    loads: &[&ProgramHeader],
    Pair { output, bytes }: &Pair<'_>,
    detour: &Detour<'_>,
    entry: u64,
) -> Result<(), Error> {
    let start = detour.start();
    let jump = |at: u64, kind: Code| {
        let code = offset(loads, at).and_then(|at| bytes.get(at..at + 5)).unwrap_or_default();
        let jump = Decoder::with_ip(64, code, at, DecoderOptions::NONE).decode();
        (jump.code() == kind).then(|| jump.near_branch_target())
    };
    ensure(
        jump(start, Code::Jmp_rel32_64) == Some(detour.way_in(entry))
            && (output.base..output.base + output.injected).contains(&entry),
        format!("the detour at {start:#x} does not lead to its trampoline"),
    )?;
    let leads_back = match detour.form {
        Form::CancellationBridge => {
            let relay = start + JUMP;
            jump(detour.site.address + 2, Code::Jmp_rel8_64) == Some(relay)
                && jump(relay, Code::Jmp_rel32_64) == Some(entry)
        }
        Form::GoCall => {
            let call = go_call::call(start);
            offset(loads, call).and_then(|at| bytes.get(at..at + 2)) == Some(&crate::scan::SYSCALL)
                && jump(call + 2, Code::Jmp_rel32_64) == Some(entry)
        }
        _ => true,
    };
    ensure(
        leads_back,
        format!("the way back from {:#x} does not lead to its trampoline", detour.site.address),
    )?;
    let site = offset(loads, detour.site.address).and_then(|at| bytes.get(at..at + 2));
    ensure(
        detour.covers_syscall() || site == Some(&crate::scan::SYSCALL),
        format!("the syscall at {:#x} is not in its place", detour.site.address),
    )
}

/// Nothing else of the input's bytes changed, but for the holes: the dynamic section
/// where a library was added, the entry of an embedded archive.
fn unchanged(
    image: &Image<'_>,
    written: &impl Written,
    elf: &Elf<'_>,
    detours: &[Detour<'_>],
    mut holes: Vec<(usize, usize)>,
) -> Result<(), Error> {
    let table = elf.header.e_phoff as usize;
    holes.extend([(0, 64), (table, table + usize::from(elf.header.e_phnum) * 56)]);
    for detour in detours {
        if let Some(at) = image.offset(detour.start()) {
            holes.push((at as usize, (at + detour.end() - detour.start()) as usize));
        }
    }
    // A table in the shim's segment lies past the input's end.
    holes.retain(|&(start, _)| start < image.bytes.len());
    holes.sort_unstable();
    ensure(written.len() >= image.bytes.len(), "the file is shorter than the input")?;
    // Two halves at once: most of the time goes into bringing bytes in.
    let middle = image.bytes.len() / 2;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| compare(image.bytes, written, &holes, 0..middle));
        compare(image.bytes, written, &holes, middle..image.bytes.len())?;
        first.join().map_err(|_| Error::Verify("the comparison did not end".into()))?
    })
}

/// A range of both files is the same but for the holes, which are in order. Pages
/// are given back by whole blocks: most holes lie side by side in one page.
fn compare(
    old: &[u8],
    written: &impl Written,
    holes: &[(usize, usize)],
    range: Range<usize>,
) -> Result<(), Error> {
    let mut holes = holes.iter().copied().skip_while(|hole| hole.1 <= range.start).peekable();
    for start in range.clone().step_by(BLOCK) {
        let block = start..range.end.min(start + BLOCK);
        let mut from = block.start;
        while from < block.end {
            let (hole, end) = *holes.peek().unwrap_or(&(block.end, block.end));
            let same = from..hole.clamp(from, block.end);
            ensure(
                old[same.clone()] == written[same.clone()],
                format!("bytes changed between {:#x} and {:#x}", same.start, same.end),
            )?;
            from = end.clamp(same.end, block.end);
            if end <= block.end {
                holes.next();
            }
        }
        written.done_with(block);
    }
    Ok(())
}
