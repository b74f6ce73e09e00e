//! Detours for a program that is loaded already: what goes where in its memory.
//! Addresses are those of the file; the caller knows how far off it is loaded.

use object::LittleEndian as LE;
use object::elf::PF_X;
use procsys_rules::Table;

use super::output;
use super::segment::{self, Extra};
use super::trampoline::Asked;
use crate::elf::image::Segment;
use crate::elf::{Dynamic, Image};
use crate::error::Error;
use crate::patch::Options;
use crate::scan::{self, Functions, targets};
use crate::shim::SLOTS_SIZE;
use crate::{patch, plan};

/// Bytes that a site's trampoline takes at most, with the largest table of rules.
const TRAMPOLINE: u64 = 4096;
/// Bytes for the image, its tables and rules.
const IMAGE: u64 = 0x3_0000;

/// What is to be written into a program.
#[derive(Debug)]
pub struct Changes {
    /// The image with its trampolines: to be read and executed, behind
    /// [`SLOTS_SIZE`] bytes of zeroed memory.
    pub segment: Vec<u8>,
    /// Offset in it of what is to be called, without arguments, before the program
    /// starts, if the rules ask for that.
    pub start: Option<u64>,
    /// The jumps: address, and bytes that stay within a function.
    pub jumps: Vec<(u64, Vec<u8>)>,
}

/// Memory that the image is to be put into.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How much, in bytes.
    pub len: u64,
    /// The program's first address.
    pub start: u64,
    /// The one after its last.
    pub end: u64,
    /// The code that must be in reach: its first address.
    pub first: u64,
    /// And the one after its last.
    pub last: u64,
}

/// Derives the changes for the file that a program was loaded from; `None` when
/// it has no system call of its own. `loaded` gives the bytes of
/// a segment (address and length) as they are in memory, and `place` the address
/// of memory near by.
///
/// # Errors
/// As the stages say, and what `place` says.
pub fn changes<'b>(
    bytes: &'b [u8],
    table: Table<'_>,
    options: &Options,
    loaded: impl FnOnce(u64, u64) -> Option<(u64, &'b [u8])>,
    place: impl FnOnce(Wanted) -> Result<u64, Error>,
) -> Result<Option<Changes>, Error> {
    let mut image = Image::parse(bytes)?;
    let is_fixed = Dynamic::read(&image).is_none_or(|d| !d.relocates_code());
    let segment = image.loads().find(|s| s.p_flags.get(LE) & PF_X != 0).filter(|_| is_fixed);
    image.loaded = segment.and_then(|s| loaded(s.p_vaddr.get(LE), s.p_filesz.get(LE)));
    patch::within_reach(&image)?;
    let functions = Functions::new(&image);
    let scan = scan::scan(&image, &functions)?;
    let (Some(first), Some(last)) = (scan.sites.first(), scan.sites.last()) else {
        return Ok(None);
    };
    let asked = Asked::new(table, options);
    let detours = if is_fixed && scan.sites.iter().all(|s| s.function.is_go) {
        plan::plan_within(&scan.sites, &targets::inside(&image, &scan.sites)?, &asked)
    } else {
        plan::plan(&image, &functions, &scan.sites, &asked)
    }?;
    let len = SLOTS_SIZE + IMAGE + TRAMPOLINE * detours.len() as u64;
    let end = |s: &Segment| s.p_vaddr.get(LE).saturating_add(s.p_memsz.get(LE));
    let wanted = Wanted {
        len,
        start: image.loads().next().map_or(0, |s| s.p_vaddr.get(LE)),
        end: image.loads().next_back().map_or(0, end),
        first: first.function.start,
        last: last.function.end,
    };
    let base = place(wanted)?.wrapping_add(SLOTS_SIZE);
    let extra = Extra { note: &[], moved: &[], strings: &[], headers: 0, entry: None };
    let far = |why: String| Error::Input(format!("no room near the code: {why}"));
    let contents = segment::build(&image, base, &table, &extra, options, &detours).map_err(far)?;
    if contents.bytes.len() as u64 > len - SLOTS_SIZE {
        return Err(Error::Input("the rules are too many for the memory near the code".into()));
    }
    let jump = |(detour, &entry): (&plan::Detour<'_>, &u64)| {
        let bytes = output::jump(detour, entry);
        let bytes = bytes.ok_or_else(|| far(format!("{entry:#x} is out of reach of a jump")))?;
        Ok((detour.start(), bytes))
    };
    let jumps: Result<Vec<_>, Error> = detours.iter().zip(&contents.entries).map(jump).collect();
    let mut symbols = contents.shim.symbols().filter(|_| table.starts());
    let start = symbols.find(|s| s.0 == "procsys_started").map(|s| s.1);
    Ok(Some(Changes { segment: contents.bytes, start, jumps: jumps? }))
}
