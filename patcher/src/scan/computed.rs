//! Where do jumps lead whose target the program computes? To where the tables say that
//! their function names, and to code whose address it takes.
//!
//! A compiler's table has 32-bit distances from its own start, or 64-bit addresses. It may
//! lie beside code: older linkers put both into one segment. An entry that leads to no
//! code ends it; one that leads out of the function does not, as what is seldom run is
//! split off.

use std::collections::BTreeSet;
use std::ops::Range;

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::targets::{Targets, Windows, extent};
use super::{Budget, Functions, Site};
use crate::elf::Image;
use crate::elf::image::Kind;

/// The most entries that a table is read for.
const TABLE_MAX: usize = 4096;
/// How far around a site that no table describes its function may reach, in bytes.
const FUNCTION_MAX: u64 = 16 << 10;
/// Where functions start that compilers align.
const ALIGNED: u64 = 16;

/// Finds those of the function that holds a site; whether the budget was enough.
pub(super) fn of_function(
    image: &Image<'_>,
    site: &Site,
    targets: &mut Targets,
    budget: &mut Budget,
) -> bool {
    let (start, end) = extent(site);
    let named: BTreeSet<_> = site.code.iter().flat_map(|i| named(image, i)).collect();
    named.range(start + 1..end.max(start + 1)).for_each(|&label| targets.enter(label));
    let is_indirect = |i: &Instruction| i.flow_control() == FlowControl::IndirectBranch;
    if !site.code.iter().any(is_indirect) {
        return true;
    }
    in_tables(image, named, targets, budget, |target| start < target && target < end)
}

/// Finds where the entries of tables lead that are of interest; whether the budget was
/// enough.
fn in_tables(
    image: &Image<'_>,
    tables: BTreeSet<u64>,
    targets: &mut Targets,
    budget: &mut Budget,
    is_near: impl Fn(u64) -> bool,
) -> bool {
    tables.into_iter().all(|table| {
        let mut count = 0;
        for target in entries(image, table) {
            count += 1;
            if is_near(target) {
                targets.enter(target);
            }
        }
        budget.entries(count)
    })
}

/// The addresses that an instruction takes, reads or jumps through.
fn named(image: &Image<'_>, instruction: &Instruction) -> impl Iterator<Item = u64> + use<> {
    let is_fixed = is_fixed(image);
    let is_relative = instruction.memory_base() == Register::RIP;
    let memory = (is_relative || is_fixed).then(|| instruction.memory_displacement64());
    let instruction = *instruction;
    (0..instruction.op_count()).filter_map(move |i| match instruction.op_kind(i) {
        OpKind::Memory => memory,
        OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64 if is_fixed => {
            Some(instruction.immediate(i))
        }
        _ => None,
    })
}

/// Whether the program has addresses as numbers.
fn is_fixed(image: &Image<'_>) -> bool {
    matches!(image.kind, Kind::Static | Kind::Dynamic)
}

/// Where the entries of a table lead, read in both ways.
fn entries<'a>(image: &'a Image<'_>, table: u64) -> impl Iterator<Item = u64> + use<'a> {
    let bytes = image.at(table).unwrap_or_default();
    let relative = bytes.as_chunks::<4>().0.iter().take(TABLE_MAX);
    let relative =
        relative.map(move |e| table.wrapping_add_signed(i64::from(i32::from_le_bytes(*e))));
    let absolute = bytes.as_chunks::<8>().0.iter().take(TABLE_MAX);
    let absolute = absolute.map(|e| u64::from_le_bytes(*e));
    let is_code = |target: &u64| image.is_code(*target);
    relative.take_while(is_code).chain(absolute.take_while(is_code))
}

/// Finds those near sites that no table of functions describes: whatever is named near
/// them may be a table of theirs, and what follows padding may be a function of which
/// somebody has the address. Whether the budget was enough.
pub(super) fn undescribed(
    image: &Image<'_>,
    functions: &Functions<'_>,
    sites: &[Site],
    windows: &Windows,
    targets: &mut Targets,
    budget: &mut Budget,
) -> bool {
    let is_undescribed =
        |s: &&Site| s.function.name.is_none() && functions.lookup(s.address).is_none();
    let mut tables = BTreeSet::new();
    let mut read_to = 0;
    for site in sites.iter().filter(is_undescribed) {
        let padded = site.code.windows(2).filter(|pair| pair[0].mnemonic() == Mnemonic::Nop);
        let starts = padded.map(|pair| pair[1].ip()).filter(|ip| ip.is_multiple_of(ALIGNED));
        starts.for_each(|start| targets.enter(start));
        let gap = functions.gap(site.address);
        let low = site.address.saturating_sub(FUNCTION_MAX).max(gap.0).max(read_to);
        let high = (site.address + FUNCTION_MAX).min(gap.1);
        tables.extend(named_in(image, low..high));
        read_to = high;
    }
    in_tables(image, tables, targets, budget, |target| windows.find(target).is_some())
}

/// The addresses that code may name which nobody has decoded: by `lea`, and, where
/// addresses are fixed, by an index or a number.
fn named_in(image: &Image<'_>, range: Range<u64>) -> Vec<u64> {
    let is_fixed = is_fixed(image);
    let mut all = Vec::new();
    for (start, bytes) in image.code() {
        let inside = |at: u64| at.saturating_sub(start).min(bytes.len() as u64) as usize;
        let code = &bytes[inside(range.start)..inside(range.end).max(inside(range.start))];
        let first = range.start.max(start);
        for (at, pair) in code.windows(2).enumerate() {
            let Some(word) = code.get(at + 2..).and_then(<[u8]>::first_chunk) else { break };
            let next = first + at as u64 + 6;
            // lea: 8d, register and rip. An index: without a base. b8: a number for a register.
            match *pair {
                [0x8d, modrm] if modrm & 0xc7 == 0x05 => {
                    all.push(next.wrapping_add_signed(i64::from(i32::from_le_bytes(*word))));
                }
                [modrm, sib] if is_fixed && modrm & 0xc7 == 0x04 && sib & 7 == 5 => {
                    all.push(u64::from(u32::from_le_bytes(*word)));
                }
                [_, 0xb8..=0xbf] if is_fixed => all.push(u64::from(u32::from_le_bytes(*word))),
                _ => {}
            }
        }
    }
    all
}
