//! Where can control come from? No detour may cover an address that is jumped to.
//!
//! Four sources are looked at: the direct branches of the function that holds
//! the site; the tables that its indirect jumps may use, and the labels of which it takes
//! the address; the addresses that the loader puts into data; and, in all executable
//! bytes, whatever reads as a call or jump from elsewhere to near a site, unless the
//! function around it says that it is the inside of another instruction.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

use super::{Budget, Functions, Site, branches, computed, window};
use crate::elf::{Image, relocations};
use crate::error::Error;

/// How far around a site targets are of interest, in bytes.
pub const REACH: u64 = 48;

/// Addresses to which control may come other than from the instruction before.
#[derive(Debug, Default)]
pub struct Targets {
    /// All that are known, near sites and in their functions.
    pub all: BTreeSet<u64>,
    /// Those in functions that hold sites, to which control comes otherwise than by a
    /// jump of the function's own: from outside of it (compilers split off what is
    /// seldom run), by a table, by a call.
    pub from_outside: BTreeSet<u64>,
    /// Bytes of padding behind the return that follows a site: in no function.
    pub padding: BTreeSet<u64>,
    /// Words in code that the loader writes: they can't be covered.
    pub relocated: BTreeSet<u64>,
}

impl Targets {
    /// Notes that control may come to the address from who knows where.
    pub(super) fn enter(&mut self, address: u64) {
        self.all.insert(address);
        self.from_outside.insert(address);
    }

    /// Whether control may come to the address from elsewhere.
    pub fn contains(&self, address: u64) -> bool {
        self.all.contains(&address)
    }

    /// Whether the loader changes bytes between the addresses.
    pub fn is_relocated(&self, from: u64, to: u64) -> bool {
        let first = from.saturating_sub(relocations::WIDTH - 1);
        first < to && self.relocated.range(first..to).next().is_some()
    }
}

/// How bytes that read as a jump are looked at where no table describes the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Each is taken for a jump.
    Quick,
    /// Not those that many decodings agree to be the inside of an instruction,
    /// which takes several times as long.
    Close,
}

/// Finds the targets in the functions that hold sites, and near them.
///
/// # Errors
/// [`Error::Input`] when the tables take more than the [`Budget`].
pub fn near(
    image: &Image<'_>,
    functions: &Functions<'_>,
    sites: &[Site],
    look: Look,
) -> Result<Targets, Error> {
    let mut targets = inside(image, sites)?;
    let mut sources = Sources {
        image,
        functions,
        look,
        decoded: BTreeMap::new(),
        budget: Budget::new(image.bytes.len()),
    };
    for site in sites {
        short_jumps(&mut sources, site, &mut targets);
        targets.padding.extend(padding(image, functions, site));
    }
    let windows = Windows::around(image, sites);
    relocated(image, &windows, &mut targets);
    let mut budget = Budget::new(image.bytes.len());
    if !computed::undescribed(image, functions, sites, &windows, &mut targets, &mut budget) {
        return super::too_much("code that no table describes".into());
    }
    for (start, bytes) in image.code() {
        long_branches(start, bytes, &windows, |source, target, function| {
            let is_outside = source < function.0 || source >= function.1;
            if is_outside && sources.is_instruction(source) {
                targets.enter(target);
            }
        });
    }
    Ok(targets)
}

/// Finds the targets that the functions themselves have. Go's have no others: its
/// compiler and linker know calls of functions, and no jumps into them.
///
/// # Errors
/// As [`near`].
pub fn inside(image: &Image<'_>, sites: &[Site]) -> Result<Targets, Error> {
    let mut targets = Targets::default();
    let mut budget = Budget::new(image.bytes.len());
    for in_one in sites.chunk_by(|a, b| a.function.start == b.function.start) {
        let site = &in_one[0];
        direct(site, &mut targets);
        if !computed::of_function(image, site, &mut targets, &mut budget) {
            return super::too_much(format!("{:#x}: {}", site.address, site.function));
        }
    }
    Ok(targets)
}

/// The byte behind the return that follows a site, if it fills up to where the next
/// function is aligned.
fn padding(image: &Image<'_>, functions: &Functions<'_>, site: &Site) -> Option<u64> {
    /// `nop`, the first bytes of longer ones, `int3`, zero.
    const FILLS: [u8; 6] = [0x90, 0x66, 0x0f, 0x2e, 0xcc, 0x00];
    let back = site.code.get(site.index + 1).filter(|i| i.code() == Code::Retnq)?;
    let at = back.next_ip();
    let fills = image.at(at)?.first().is_some_and(|byte| FILLS.contains(byte));
    let is_between = !at.is_multiple_of(16) && at >= site.function.end;
    (fills && is_between && functions.lookup(at).is_none()).then_some(at)
}

/// What relocations say: words in code that the loader writes, and addresses in
/// functions that it writes elsewhere (tables of jumps in a PIE).
fn relocated(image: &Image<'_>, windows: &Windows, targets: &mut Targets) {
    let ends = [0, relocations::WIDTH - 1];
    relocations::each(image, |relocation| {
        if ends.iter().any(|end| windows.find(relocation.address.wrapping_add(*end)).is_some()) {
            targets.relocated.insert(relocation.address);
        }
        if let Some(target) = relocation.target.filter(|&t| windows.find(t).is_some()) {
            targets.enter(target);
        }
    });
}

/// Tells bytes that read as a jump from jumps.
struct Sources<'a, 'f> {
    image: &'a Image<'a>,
    functions: &'a Functions<'f>,
    look: Look,
    /// For each function looked at, where its instructions start, and up to where
    /// that is known.
    decoded: BTreeMap<u64, (BTreeSet<u64>, u64)>,
    budget: Budget,
}

impl Sources<'_, '_> {
    /// Whether an instruction starts at the address. Where no table describes
    /// the code, or when too much was looked at, it might.
    fn is_instruction(&mut self, address: u64) -> bool {
        let Some(function) = self.functions.lookup(address) else {
            return self.look == Look::Quick || !self.is_inside_undescribed(address);
        };
        let code = self.image.at(function.start).unwrap_or_default();
        let len = usize::try_from(function.end - function.start).unwrap_or(0).min(code.len());
        // No instruction is shorter than a byte.
        if !self.decoded.contains_key(&function.start) && !self.budget.instructions(len) {
            return true;
        }
        let (starts, end) = self.decoded.entry(function.start).or_insert_with(|| {
            let mut decoder =
                Decoder::with_ip(64, &code[..len], function.start, DecoderOptions::NONE);
            let code = decoder.iter().take_while(|i| i.code() != Code::INVALID);
            let (mut starts, mut end) = (BTreeSet::new(), function.start);
            for instruction in code {
                starts.extend([instruction.ip(), opcode(&instruction)]);
                end = instruction.next_ip();
            }
            (starts, end)
        });
        starts.contains(&address) || address >= *end
    }

    /// Whether the address, which no table describes, is known to be the inside
    /// of an instruction.
    fn is_inside_undescribed(&mut self, address: u64) -> bool {
        let holds = |c: &(u64, &[u8])| address >= c.0 && address - c.0 < c.1.len() as u64;
        let Some((segment, bytes)) = self.image.code().find(holds) else { return false };
        let gap = self.functions.gap(address);
        self.budget.window() && window::is_inside(segment, bytes, address, gap)
    }
}

/// Where a branch's opcode is: it may have a prefix. The start of any other instruction.
fn opcode(instruction: &Instruction) -> u64 {
    let bare = match instruction {
        i if i.is_jcc_near() => 6,
        i if i.is_jmp_near() || i.is_call_near() => 5,
        i if i.is_jcc_short_or_near() || i.is_jmp_short() || i.is_loop() || i.is_jcx_short() => 2,
        i => i.len() as u64,
    };
    instruction.next_ip() - bare
}

/// The insides of the functions that hold sites, in ascending order. Their first
/// addresses are left out: everybody calls those.
pub(super) struct Windows {
    /// First address and the one after the last.
    all: Vec<(u64, u64)>,
    /// One bit for each 64 bytes from the first address: whether a function is in them.
    map: Vec<u64>,
    low: u64,
    /// From the first byte of code to the last.
    span: u64,
}

impl Windows {
    const GRAIN: u64 = 64;

    fn around(image: &Image<'_>, sites: &[Site]) -> Self {
        let code = || image.code().map(|(start, bytes)| (start, start + bytes.len() as u64));
        let low = code().map(|c| c.0).min().unwrap_or(0);
        let high = code().map(|c| c.1).max().unwrap_or(low);
        // A symbol table may claim more than there is.
        let inside = |s: &Site| {
            let (start, end) = extent(s);
            (start + 1, end.min(high))
        };
        let mut all: Vec<_> = sites.iter().map(inside).filter(|w| w.0 < w.1).collect();
        all.dedup();
        let grains = (high - low) / Self::GRAIN + 1;
        let mut map = vec![0u64; (grains / 64 + 1) as usize];
        for &(from, to) in &all {
            for grain in from.saturating_sub(low) / Self::GRAIN..=(to - low) / Self::GRAIN {
                if let Some(word) = map.get_mut((grain / 64) as usize) {
                    *word |= 1 << (grain % 64);
                }
            }
        }
        Self { all, map, low, span: high - low }
    }

    /// The function that has the address inside it.
    pub(super) fn find(&self, address: u64) -> Option<(u64, u64)> {
        let grain = address.wrapping_sub(self.low) / Self::GRAIN;
        let near = self.map.get((grain / 64) as usize).is_some_and(|w| w >> (grain % 64) & 1 == 1);
        if !near {
            return None;
        }
        let index = self.all.partition_point(|w| w.1 <= address);
        self.all.get(index).filter(|w| w.0 <= address).map(|&(from, to)| (from - 1, to))
    }
}

/// Where what is known of a site's function starts and ends: behind bytes that are no
/// instruction is the outside.
pub(super) fn extent(site: &Site) -> (u64, u64) {
    let end = site.code.last().map_or(site.function.end, Instruction::next_ip);
    (site.function.start, end.min(site.function.end))
}

/// The direct branches of the function that holds a site.
fn direct(site: &Site, targets: &mut Targets) {
    for instruction in site.code.iter().filter(|i| i.op0_kind() == OpKind::NearBranch64) {
        let target = instruction.near_branch_target();
        match instruction.flow_control() {
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                targets.all.insert(target);
            }
            _ => targets.enter(target),
        }
    }
}

/// Short jumps near the site, from outside its function.
fn short_jumps(sources: &mut Sources<'_, '_>, site: &Site, targets: &mut Targets) {
    const SHORT: u64 = 130 + REACH;
    let from = site.address.saturating_sub(SHORT);
    let (start, end) = extent(site);
    let outside = |a: u64| a < start || a >= end;
    for address in (from..site.address + SHORT).filter(|&a| outside(a)) {
        let bytes = sources.image.at(address).and_then(<[u8]>::first_chunk);
        let Some(&[opcode, offset]) = bytes else { continue };
        if !matches!(opcode, 0xeb | 0x70..=0x7f | 0xe0..=0xe3) {
            continue;
        }
        let target = (address + 2).wrapping_add_signed(i64::from(offset as i8));
        if target.abs_diff(site.address) <= REACH && sources.is_instruction(address) {
            targets.enter(target);
        }
    }
}

/// Bytes anywhere in code that read as a call or jump with a 32-bit offset
/// (e8, e9, 0f 80 to 0f 8f) to inside one of the windows: source, target, and
/// the function that the target is in.
fn long_branches(
    start: u64,
    bytes: &[u8],
    windows: &Windows,
    mut found: impl FnMut(u64, u64, (u64, u64)),
) {
    branches::each(start, bytes, windows.span, |source, target| {
        if let Some(function) = windows.find(target) {
            found(source, target, function);
        }
    });
}
