//! What is written where: a detour for each site, or the reason why not.

use std::collections::BTreeSet;
use std::ops::Range;

use iced_x86::{Code, FlowControl, Instruction, OpKind};

use crate::error::Error;
use crate::scan::Site;

/// Bytes of a `jmp rel32`.
pub const JUMP: u64 = 5;

/// The most bytes that a detour covers.
const COVER_MAX: u64 = 24;
pub mod cancel;
mod number;

pub use number::Number;

/// A detour: the instructions that the jump takes the place of.
pub struct Detour<'s> {
    /// The site.
    pub site: &'s Site,
    /// Indices of the covered instructions in the site's code.
    pub covered: Range<usize>,
    /// The call number.
    pub number: Number,
    /// Whether it is musl's [cancellation point](cancel).
    pub is_cancellation_point: bool,
}

impl<'s> Detour<'s> {
    /// The first address that is overwritten.
    pub fn start(&self) -> u64 {
        self.site.code[self.covered.start].ip()
    }

    /// The address after the last covered instruction.
    pub fn end(&self) -> u64 {
        self.site.code[self.covered.end - 1].next_ip()
    }

    /// Whether the `syscall` itself is covered, and so runs in the trampoline.
    pub fn covers_syscall(&self) -> bool {
        self.covered.contains(&self.site.index)
    }

    /// The covered instructions before the `syscall`.
    pub fn before(&self) -> &'s [Instruction] {
        let before = &self.site.code[self.covered.start..self.covered.end.min(self.site.index)];
        if self.is_cancellation_point { cancel::moves(before) } else { before }
    }

    /// The covered instructions after the `syscall`.
    pub fn after(&self) -> &'s [Instruction] {
        let from = (self.site.index + 1).min(self.covered.end);
        &self.site.code[from.max(self.covered.start)..self.covered.end]
    }
}

/// Plans a detour for every site.
///
/// # Errors
/// [`Error::Sites`] with a line for each that has none: address, function, why.
pub fn plan<'s>(sites: &'s [Site], targets: &BTreeSet<u64>) -> Result<Vec<Detour<'s>>, Error> {
    let mut detours: Vec<Detour<'s>> = Vec::with_capacity(sites.len());
    let mut doubts = Vec::new();
    let mut numbers = number::Finder::new(targets);
    for site in sites {
        let floor = detours.last().map_or(0, |d| d.end().max(d.site.address + 2));
        let cancellation_point = cancel::cover(site, targets);
        let is_cancellation_point = cancellation_point.is_some();
        match cancellation_point.map_or_else(|| cover(site, targets, floor), Ok) {
            Ok(covered) => {
                let number = numbers.find(site);
                detours.push(Detour { site, covered, number, is_cancellation_point });
            }
            Err(why) => doubts.push(format!("{:#x}: {}: {why}", site.address, site.function)),
        }
    }
    if doubts.is_empty() { Ok(detours) } else { Err(Error::Sites(doubts)) }
}

/// Chooses the instructions to cover. First choice: those right before the
/// `syscall`, which then stays where it is and is come back to (hazard 5).
/// Otherwise the `syscall` and as few around it as make room.
fn cover(site: &Site, targets: &BTreeSet<u64>, floor: u64) -> Result<Range<usize>, &'static str> {
    let before = fitting(site, targets, floor, site.index);
    if let Some(covered) = before.filter(|_| !targets.contains(&site.address)) {
        return Ok(covered);
    }
    let mut best: Option<Range<usize>> = None;
    for end in site.index + 1..=(site.index + 6).min(site.code.len()) {
        if let Some(covered) = fitting(site, targets, floor, end) {
            let is_smaller = best.as_ref().is_none_or(|b| covered.len() < b.len());
            if is_smaller {
                best = Some(covered);
            }
        }
    }
    best.ok_or("no five bytes around it that are not jumped into and can be moved")
}

/// The shortest run of instructions that ends before index `end`, takes a jump
/// and can be moved; it reaches at least to the site.
fn fitting(site: &Site, targets: &BTreeSet<u64>, floor: u64, end: usize) -> Option<Range<usize>> {
    let limit = site.code.get(end.checked_sub(1)?)?.next_ip();
    for start in (0..=site.index.min(end - 1)).rev() {
        let from = site.code[start].ip();
        if from < floor || limit - from > COVER_MAX {
            return None;
        }
        if limit - from < JUMP {
            continue;
        }
        let run = &site.code[start..end];
        let is_straight = run.iter().enumerate().all(|(i, instruction)| {
            let is_last = i + 1 == run.len();
            start + i == site.index || can_move(instruction, is_last && end > site.index)
        });
        let is_entered = run[1..].iter().any(|i| targets.contains(&i.ip()));
        return (is_straight && !is_entered).then_some(start..end);
    }
    None
}

/// Whether an instruction does the same somewhere else. A jump or return may
/// be the last one; a call may not be moved: the return address is looked at.
fn can_move(instruction: &Instruction, is_last: bool) -> bool {
    match instruction.flow_control() {
        FlowControl::Next => instruction.code() != Code::INVALID,
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
            is_last
                && instruction.op0_kind() == OpKind::NearBranch64
                && !instruction.is_loop()
                && !instruction.is_jcx_short()
        }
        FlowControl::Return => is_last,
        _ => false,
    }
}
