//! What is written where: a detour for each site, or the reason why not.

use std::ops::Range;

use iced_x86::{Code, FlowControl, Instruction, OpKind};

use crate::elf::Image;
use crate::error::Error;
use crate::scan::targets::{self, Look, Targets};
use crate::scan::{Functions, Site, signal_return};

/// Bytes of a `jmp rel32`.
pub const JUMP: u64 = 5;

/// The most bytes that a detour covers.
const COVER_MAX: u64 = 24;
pub mod cancel;
pub mod go_call;
mod number;

pub use number::Number;

/// How far behind its first byte the way into a trampoline is that begins with the
/// way back.
pub const WAY_IN: u64 = 8;

/// What a site's detour covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The instructions before the `syscall`, which stays in its place.
    Before,
    /// The instructions after the `syscall`, whose number is known. The `mov` of
    /// the number stays with it, unless something is to be decided first.
    After,
    /// The instructions before the `syscall`, to decide something first; another
    /// detour of the same site is after it.
    First,
    /// The `syscall` and some around it: it runs in the trampoline.
    Around,
    /// All of musl's [cancellation point](cancel) up to the `syscall`.
    CancellationPoint,
    /// All of glibc's [cancellation point](cancel), its `ret`, and a byte of padding.
    /// The `syscall` is written again, in its place.
    CancellationBridge,
    /// All of [Go's function](go_call) for calls of any number, up to the `syscall`. Calls
    /// that a rule is about are made by another one, in the covered bytes.
    GoCall,
}

/// A detour: the instructions that the jump takes the place of.
pub struct Detour<'s> {
    /// The site.
    pub site: &'s Site,
    /// Indices of the covered instructions in the site's code.
    pub covered: Range<usize>,
    /// What they are.
    pub form: Form,
    /// The call number.
    pub number: Number,
}

impl<'s> Detour<'s> {
    /// The first address that is overwritten.
    pub fn start(&self) -> u64 {
        self.site.code[self.covered.start].ip()
    }

    /// The address after the last covered byte.
    pub fn end(&self) -> u64 {
        let padding = u64::from(self.form == Form::CancellationBridge);
        self.site.code[self.covered.end - 1].next_ip() + padding
    }

    /// Where the jump at its start leads, when the trampoline begins at `entry`.
    pub fn way_in(&self, entry: u64) -> u64 {
        if self.has_way_back() { entry + WAY_IN } else { entry }
    }

    /// Whether the call is made between two parts of the trampoline: it then begins
    /// with the way back.
    pub fn has_way_back(&self) -> bool {
        matches!(self.form, Form::CancellationBridge | Form::GoCall)
    }

    /// Whether it covers a [cancellation point](cancel).
    pub fn cancels(&self) -> bool {
        matches!(self.form, Form::CancellationPoint | Form::CancellationBridge)
    }

    /// Whether the `syscall` itself is covered, and so runs in the trampoline.
    pub fn covers_syscall(&self) -> bool {
        self.form == Form::Around
    }

    /// The instructions that the trampoline does before the `syscall`.
    pub fn before(&self) -> &'s [Instruction] {
        let end = self.covered.end.min(self.site.index);
        let before = self.site.code.get(self.covered.start..end).unwrap_or_default();
        if self.cancels() { cancel::moves(before) } else { before }
    }

    /// The instructions that the trampoline does after it.
    pub fn after(&self) -> &'s [Instruction] {
        let from = self.covered.start.max(self.site.index + 1);
        self.site.code.get(from..self.covered.end).unwrap_or_default()
    }
}

/// What has to be known of a call number to choose a form.
pub trait Calls {
    /// Whether the hook looks at the call before it is made.
    fn asks_before(&self, nr: u32) -> bool;
    /// Whether the hook looks at it at all.
    fn asks(&self, nr: u32) -> bool;
}

/// Plans a detour for every site of a scan, but for [`signal_return`]s that would lose
/// their bytes.
///
/// # Errors
/// [`Error::Sites`] with a line for each that has none: address, function, why.
pub fn plan<'s>(
    image: &Image<'_>,
    functions: &Functions<'_>,
    sites: &'s [Site],
    calls: &impl Calls,
) -> Result<Vec<Detour<'s>>, Error> {
    let near = |look| targets::near(image, functions, sites, look);
    let quick = near(Look::Quick)?;
    // Treated as any other site, a cancellation point would lose cancellations.
    let is_spoiled = sites.iter().any(|site| cancel::is_entered(site, &quick));
    match plan_within(sites, &quick, calls) {
        Ok(planned) if !is_spoiled => Ok(planned),
        Ok(_) | Err(Error::Sites(_)) => plan_within(sites, &near(Look::Close)?, calls),
        Err(error) => Err(error),
    }
}

/// As [`plan`], with the targets that are known.
///
/// # Errors
/// As [`plan`].
pub fn plan_within<'s>(
    sites: &'s [Site],
    targets: &Targets,
    calls: &impl Calls,
) -> Result<Vec<Detour<'s>>, Error> {
    let mut detours: Vec<Detour<'s>> = Vec::with_capacity(sites.len());
    let mut doubts = Vec::new();
    let mut numbers = number::Finder::new(targets);
    for site in sites {
        if signal_return::is_alone(site) {
            continue;
        }
        let number = numbers.find(site);
        if would_spoil_return(site, targets, &number, calls) {
            continue;
        }
        let mut chosen = choose(site, targets, floor(&detours), &number, calls);
        if chosen.is_err() && give_way(&mut detours, targets) {
            chosen = choose(site, targets, floor(&detours), &number, calls);
        }
        match chosen {
            Ok(forms) => detours.extend(forms.into_iter().map(|(form, covered)| Detour {
                site,
                covered,
                form,
                number: number.clone(),
            })),
            Err(why) => doubts.push(format!("{:#x}: {}: {why}", site.address, site.function)),
        }
    }
    if doubts.is_empty() { Ok(detours) } else { Err(Error::Sites(doubts)) }
}

/// Whether a detour would change the bytes of a return from a signal handler.
fn would_spoil_return(site: &Site, targets: &Targets, number: &Number, calls: &impl Calls) -> bool {
    let only = signal_return::RT_SIGRETURN;
    signal_return::is_known(site)
        && *number == Number::OneOf(vec![only])
        && (behind(site, targets).is_none() || calls.asks_before(only))
}

/// The first address that the detours so far leave free.
fn floor(detours: &[Detour<'_>]) -> u64 {
    detours.last().map_or(0, |d| d.end().max(d.site.address + 2))
}

/// Takes the last detour back from behind its `syscall`, if it can do without.
fn give_way(detours: &mut Vec<Detour<'_>>, targets: &Targets) -> bool {
    let Some(last) = detours.pop_if(|d| d.form == Form::After) else { return false };
    let first = detours.pop_if(|d| d.form == Form::First);
    let Ok((form, covered)) = cover(last.site, targets, floor(detours)) else {
        detours.extend(first);
        detours.push(last);
        return false;
    };
    detours.push(Detour { covered, form, ..last });
    true
}

/// One or two detours of a site, in ascending order of address.
type Forms = Vec<(Form, Range<usize>)>;

/// Chooses a form: one that leaves the `syscall` in its place, if there is one
/// (hazard 5).
fn choose(
    site: &Site,
    targets: &Targets,
    floor: u64,
    number: &Number,
    calls: &impl Calls,
) -> Result<Forms, &'static str> {
    if let Some(form) = cancel::cover(site, targets) {
        return Ok(vec![form]);
    }
    if let Some(covered) = go_call::cover(site, targets) {
        return Ok(vec![(Form::GoCall, covered)]);
    }
    let known = match number {
        Number::OneOf(all) if all.len() == 1 || !all.iter().any(|&nr| calls.asks(nr)) => Some(all),
        _ => None,
    };
    if let Some(all) = known
        && let Some(behind) = behind(site, targets)
    {
        if !all.iter().any(|&nr| calls.asks_before(nr)) {
            return Ok(vec![(Form::After, behind)]);
        }
        if let Ok((Form::Before, before)) = cover(site, targets, floor) {
            return Ok(vec![(Form::First, before), (Form::After, behind)]);
        }
    }
    cover(site, targets, floor).map(|form| vec![form])
}

/// The shortest run of instructions right after the `syscall` that takes a jump
/// and can be moved, if control comes to it from the `syscall` alone.
fn behind(site: &Site, targets: &Targets) -> Option<Range<usize>> {
    let start = site.index + 1;
    let from = site.code.get(start)?.ip();
    for end in start + 1..=(start + 5).min(site.code.len()) {
        let run = &site.code[start..end];
        let long_enough = run.last()?.next_ip() - from >= JUMP;
        let is_entered = run.iter().any(|i| targets.contains(i.ip()));
        let is_written = targets.is_relocated(from, run.last()?.next_ip());
        if is_entered || is_written || !can_move(run.last()?, long_enough) {
            return None;
        }
        if long_enough {
            return Some(start..end);
        }
    }
    None
}

/// Covers the instructions right before the `syscall`, which is come back to, or
/// else the `syscall` and as few around it as make room.
fn cover(site: &Site, targets: &Targets, floor: u64) -> Result<(Form, Range<usize>), &'static str> {
    let before = fitting(site, targets, floor, site.index);
    if let Some(covered) = before.filter(|_| !targets.contains(site.address)) {
        return Ok((Form::Before, covered));
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
    best.map(|covered| (Form::Around, covered))
        .ok_or("no five bytes around it that are not jumped into and can be moved")
}

/// The shortest run of instructions that ends before index `end`, takes a jump
/// and can be moved; it reaches at least to the site.
fn fitting(site: &Site, targets: &Targets, floor: u64, end: usize) -> Option<Range<usize>> {
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
        let is_entered = run[1..].iter().any(|i| targets.contains(i.ip()));
        let is_written = targets.is_relocated(from, limit);
        return (is_straight && !is_entered && !is_written).then_some(start..end);
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
