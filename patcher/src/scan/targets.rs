//! Where can control come from? No detour may cover an address that is jumped to.
//!
//! Three sources are looked at: the direct branches of the function that holds
//! the site; the tables that its indirect jumps may use; and, in all executable
//! bytes, whatever reads as a call or jump from elsewhere to near a site.

use std::collections::BTreeSet;

use iced_x86::{FlowControl, Instruction, OpKind, Register};

use super::Site;
use crate::elf::Image;

/// How far around a site targets are of interest, in bytes.
pub const REACH: u64 = 40;
/// The most entries that a jump table is read for.
const TABLE_MAX: usize = 4096;

/// Every address near a site to which control may come other than from the
/// instruction before it.
pub fn near(image: &Image<'_>, sites: &[Site]) -> BTreeSet<u64> {
    let mut targets = BTreeSet::new();
    let mut last = None;
    for site in sites {
        if last != Some(site.function.start) {
            of_function(image, site, &mut targets);
            last = Some(site.function.start);
        }
        short_jumps(image, site, &mut targets);
    }
    let windows: Vec<_> = sites.iter().map(|s| (s.address - REACH, s.address + REACH)).collect();
    for (start, bytes) in image.code() {
        long_branches(start, bytes, &windows, &mut targets);
    }
    targets
}

/// Direct branches and jump tables of the function that holds a site.
fn of_function(image: &Image<'_>, site: &Site, targets: &mut BTreeSet<u64>) {
    let mut has_indirect = false;
    for instruction in site.code.iter() {
        if is_near_branch(instruction) {
            targets.insert(instruction.near_branch_target());
        }
        has_indirect |= instruction.flow_control() == FlowControl::IndirectBranch;
    }
    if !has_indirect {
        return;
    }
    for instruction in site.code.iter() {
        if let Some(table) = data_address(image, instruction) {
            table_entries(image, site, table, targets);
        }
    }
}

fn is_near_branch(instruction: &Instruction) -> bool {
    matches!(instruction.op0_kind(), OpKind::NearBranch64)
}

/// The address outside of code that an instruction takes or jumps through.
fn data_address(image: &Image<'_>, instruction: &Instruction) -> Option<u64> {
    let has_memory = (0..instruction.op_count()).any(|i| instruction.op_kind(i) == OpKind::Memory);
    if !has_memory {
        return None;
    }
    let is_based = !matches!(instruction.memory_base(), Register::None | Register::RIP);
    let address = instruction.memory_displacement64();
    (!is_based && address != 0 && !image.is_code(address)).then_some(address)
}

/// Reads a table as both compilers write it: 32-bit offsets from the table, and
/// 64-bit addresses. What does not lead into the function ends it.
fn table_entries(image: &Image<'_>, site: &Site, table: u64, targets: &mut BTreeSet<u64>) {
    let Some(bytes) = image.at(table) else { return };
    let inside = |t: &u64| (site.function.start..site.function.end).contains(t);
    let relative = bytes.as_chunks::<4>().0.iter().take(TABLE_MAX);
    let relative = relative.map(|e| table.wrapping_add_signed(i64::from(i32::from_le_bytes(*e))));
    targets.extend(relative.take_while(inside));
    let absolute = bytes.as_chunks::<8>().0.iter().take(TABLE_MAX);
    targets.extend(absolute.map(|e| u64::from_le_bytes(*e)).take_while(inside));
}

/// Bytes near the site, but outside its function, that read as short jumps.
fn short_jumps(image: &Image<'_>, site: &Site, targets: &mut BTreeSet<u64>) {
    const SHORT: u64 = 130 + REACH;
    let from = site.address.saturating_sub(SHORT);
    let outside = |a: u64| a < site.function.start || a >= site.function.end;
    for address in (from..site.address + SHORT).filter(|&a| outside(a)) {
        let Some(&[opcode, offset]) = image.at(address).and_then(<[u8]>::first_chunk) else {
            continue;
        };
        if matches!(opcode, 0xeb | 0x70..=0x7f | 0xe0..=0xe3) {
            targets.insert((address + 2).wrapping_add_signed(i64::from(offset as i8)));
        }
    }
}

/// Bytes anywhere in code that read as a call or jump with a 32-bit offset
/// (e8, e9, 0f 80 to 0f 8f) to inside one of the windows.
fn long_branches(start: u64, bytes: &[u8], windows: &[(u64, u64)], targets: &mut BTreeSet<u64>) {
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else { return };
    let (low, high) = (first.0, last.1);
    let mut consider = |offset_at: usize| {
        let Some(&offset) = bytes.get(offset_at..).and_then(<[u8]>::first_chunk) else { return };
        let next = start + offset_at as u64 + 4;
        let target = next.wrapping_add_signed(i64::from(i32::from_le_bytes(offset)));
        if target < low || target >= high {
            return;
        }
        let index = windows.partition_point(|w| w.1 <= target);
        if windows.get(index).is_some_and(|w| w.0 <= target) {
            targets.insert(target);
        }
    };
    for at in memchr::memchr3_iter(0xe8, 0xe9, 0x0f, bytes) {
        match bytes[at] {
            0x0f if bytes.get(at + 1).is_some_and(|b| b & 0xf0 == 0x80) => consider(at + 2),
            0x0f => {}
            _ => consider(at + 1),
        }
    }
}
