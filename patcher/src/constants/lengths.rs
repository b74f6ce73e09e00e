//! A text that becomes shorter: which numbers are its length, and are they that alone?
//!
//! Go keeps a length beside each address. C does not: there, a compiler may have
//! put a text's length, as a plain number, wherever the text is meant.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::judge::Judge;
use super::{Edit, Pair, rules};
use crate::uses::{By, Held, Holder, Length, Use};

/// Functions of Go's runtime that take a text apart from its length, or compare
/// for order: what the compiler made of the length elsewhere can't be seen.
const NO_STRINGS: [&str; 3] = ["runtime.memequal", "runtime.memmove", "runtime.cmpstring"];

/// A length that is corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Correction {
    /// The address of the number.
    pub(super) address: u64,
    size: usize,
    /// The number before.
    pub(super) old: u64,
    /// The number after.
    pub(super) new: u64,
}

impl Correction {
    pub(super) fn edit(&self) -> Edit {
        Edit { address: self.address, bytes: self.new.to_le_bytes()[..self.size].to_vec() }
    }
}

/// The corrections when a text of so many bytes loses some at its start.
///
/// # Errors
/// A line for each length that can't be proven.
pub(super) fn correct(
    judge: &Judge<'_, '_>,
    ours: &[&Use],
    pair: &Pair,
    longest: usize,
) -> Result<Vec<Correction>, Vec<String>> {
    let lost = pair.from.len() - pair.to.len();
    let (mut corrections, mut doubts) = (Vec::new(), Vec::new());
    for found in ours {
        doubts.extend(order(judge, found));
        if lost == 0 {
            continue;
        }
        match (&found.by, &found.length) {
            (_, Some(length)) => match correction(judge, found, length, lost) {
                Ok(correction) => corrections.push(correction),
                Err(doubt) => doubts.push(doubt),
            },
            (By::Takes, None) => doubts.extend(folded(judge, found.at, longest, false)),
            (By::Reads(size), None) => doubts.push(format!(
                "{:#x} in {} reads {size} bytes of it: its length is in the code",
                found.at,
                judge.function(found.at)
            )),
            _ => doubts.push(format!(
                "the word at {:#x} refers to it: who knows its length can't be said",
                found.at
            )),
        }
    }
    if doubts.is_empty() {
        return Ok(corrections);
    }
    doubts.dedup();
    if lost > 0 {
        let last = doubts.last_mut().expect("there is one");
        let same = rules::of_same_length(pair);
        last.push_str(&format!(
            "; a prefix of {} bytes, such as {same}, needs no such proof",
            pair.from.len()
        ));
    }
    Err(doubts)
}

/// A text that is compared for order: other texts are sorted around it.
fn order(judge: &Judge<'_, '_>, found: &Use) -> Option<String> {
    let callee = callee(found.length.as_ref()?)?;
    let name = judge.function(callee);
    (name == "runtime.cmpstring")
        .then(|| format!("{:#x} in {} compares it for order", found.at, judge.function(found.at)))
}

fn callee(length: &Length) -> Option<u64> {
    match &length.held {
        Held::Immediate { callee, .. } => *callee,
        Held::Word(_) => None,
    }
}

fn correction(
    judge: &Judge<'_, '_>,
    found: &Use,
    length: &Length,
    lost: usize,
) -> Result<Correction, String> {
    let old = length.value;
    let new = old - lost as u64;
    let own = format!("its length {old}");
    match &length.held {
        // A C structure may hold any number there.
        Held::Word(at) if !judge.has_go() => {
            Err(format!("{own} may be in the word at {at:#x}: that it is can't be proven"))
        }
        Held::Word(at) => Ok(Correction { address: *at, size: 8, old, new }),
        Held::Immediate { at, field, callee, doubt } => {
            if let Some(doubt) = doubt {
                return Err(format!("{own} is set at {at:#x}, but {doubt}"));
            }
            if let Some(name) =
                callee.map(|c| judge.function(c)).filter(|n| NO_STRINGS.contains(&&n[..]))
            {
                return Err(format!(
                    "{own} goes to {name} at {at:#x}: what else depends on it can't be said"
                ));
            }
            match folded(judge, found.at, old as usize, true) {
                Some(doubt) => Err(doubt),
                None => Ok(Correction { address: field.0, size: field.1, old, new }),
            }
        }
    }
}

/// A number in the same function that may be the text's length.
fn folded(judge: &Judge<'_, '_>, at: u64, length: usize, is_go: bool) -> Option<String> {
    let function = judge.function(at);
    let mut code = judge.code();
    let Holder::Instruction(all, _) = code.holder(at) else {
        return Some(format!("{at:#x} refers to it, and the code around can't be decoded"));
    };
    if judge.functions.lookup(at).is_none() {
        return Some(format!(
            "{at:#x} refers to it, and where its function ends can't be said: a length in it neither"
        ));
    }
    let length = length as u64;
    let lengths = if is_go { [length, length] } else { [length, length + 1] };
    let is_one = |n: u64| lengths.iter().any(|&l| n == l || n == l.wrapping_neg());
    let hit = all.iter().find(|i| numbers(i, is_go).into_iter().flatten().any(is_one))?;
    Some(format!("its length {length} may be the number at {:#x} in {function}", hit.ip()))
}

/// The numbers of an instruction that may be lengths. In Go's code a number that
/// is moved alone may be that of any text.
fn numbers(i: &Instruction, is_go: bool) -> [Option<u64>; 2] {
    let is_moved = i.mnemonic() == Mnemonic::Mov;
    let last = i.op_count().saturating_sub(1);
    let is_number = i.op_count() > 0
        && matches!(
            i.op_kind(last),
            OpKind::Immediate8
                | OpKind::Immediate8to32
                | OpKind::Immediate8to64
                | OpKind::Immediate16
                | OpKind::Immediate32
                | OpKind::Immediate32to64
                | OpKind::Immediate64
        );
    let is_stack =
        |r: Register| matches!(r, Register::RSP | Register::RBP | Register::RIP | Register::None);
    let number = (is_number && !(is_go && is_moved)).then(|| i.immediate(last));
    let into = (i.mnemonic() == Mnemonic::Lea && !is_stack(i.memory_base()))
        .then(|| i.memory_displacement64());
    let is_frame =
        is_number && i.op0_kind() == OpKind::Register && i.op0_register() == Register::RSP;
    [number.filter(|_| !is_frame), into]
}
