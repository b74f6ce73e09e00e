//! Text that instructions carry as numbers: compilers compare and store short
//! texts so. It has no place in data, and is not rewritten: where it is found,
//! it is said.

use std::collections::BTreeSet;

use iced_x86::{Instruction, OpKind, Register};
use memchr::memmem;

use super::Pair;
use crate::elf::Image;
use crate::scan::Functions;
use crate::uses::{Code, Holder};

/// How many instructions around one are looked at for how the text goes on.
const AROUND: usize = 12;

/// A line for each instruction that carries the start of one of the prefixes.
pub(super) fn find(
    image: &Image<'_>,
    functions: &Functions<'_>,
    pairs: &[Pair],
    leave: &BTreeSet<u64>,
) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut code = Code::new(image, functions);
    for (start, bytes) in image.code() {
        for pair in pairs {
            let first = &pair.from[..pair.from.len().min(4)];
            for at in memmem::find_iter(bytes, first) {
                let Holder::Instruction(all, index) = code.holder(start + at as u64) else {
                    continue;
                };
                let field = start + at as u64;
                if carries(&all, index, field, &pair.from) && !leave.contains(&all[index].ip()) {
                    found.insert((
                        all[index].ip(),
                        String::from_utf8_lossy(&pair.from).into_owned(),
                    ));
                }
            }
        }
    }
    found.into_iter().map(|(at, from)| {
        let function = functions.lookup(at).map_or_else(|| "code without a name".into(), |f| f.to_string());
        format!("{at:#x} `{from}…`: an instruction in {function} carries this text as a number; --leave {at:#x} leaves it")
    }).collect()
}

/// Whether an instruction's number, at `field`, is the start of the prefix, and
/// what stands behind it is not known to be another text.
fn carries(code: &[Instruction], index: usize, field: u64, from: &[u8]) -> bool {
    let Some(number) = number(&code[index]) else { return false };
    // The number is the instruction's end.
    if field + number.len() as u64 != code[index].next_ip() {
        return false;
    }
    let common = number.len().min(from.len());
    if number[..common] != from[..common] {
        return false;
    }
    if let Some(next) = number.get(from.len()) {
        return matches!(next, b'/' | 0);
    }
    let low = index.saturating_sub(AROUND);
    let near = &code[low..(index + AROUND).min(code.len())];
    goes_on(near, index - low, number, from)
}

/// Whether a text that starts with a number may go on as the prefix does: other
/// numbers beside the first one's place say.
fn goes_on(near: &[Instruction], index: usize, number: Vec<u8>, from: &[u8]) -> bool {
    let Some((base, offset)) = place(near, index) else { return true };
    let (whole, mut text) = (number.len(), number);
    loop {
        let next = (base, offset.wrapping_add(text.len() as u64));
        let behind = (0..near.len()).filter(|&i| place(near, i) == Some(next));
        let Some(bytes) = behind.filter_map(|i| self::number(&near[i])).next() else {
            return true;
        };
        let is_last = bytes.len() < whole;
        text.extend(bytes);
        let common = text.len().min(from.len());
        if text[..common] != from[..common] {
            return false;
        }
        if text.len() >= from.len() {
            return text.get(from.len()).is_none_or(|next| matches!(next, b'/' | 0));
        }
        // A compiler takes a text apart from the largest piece to the smallest.
        if is_last && text.len() % 2 == 1 {
            return false;
        }
    }
}

/// The number that an instruction carries, as it stands in memory.
fn number(i: &Instruction) -> Option<Vec<u8>> {
    let last = i.op_count().checked_sub(1)?;
    let size = match i.op_kind(last) {
        OpKind::Immediate8 => 1,
        OpKind::Immediate16 => 2,
        OpKind::Immediate32 | OpKind::Immediate32to64 => 4,
        OpKind::Immediate64 => 8,
        _ => return None,
    };
    Some(i.immediate(last).to_le_bytes()[..size].to_vec())
}

/// The memory with which an instruction's number meets: its own operand, or
/// that of the next instruction that uses the register it is moved to.
fn place(code: &[Instruction], index: usize) -> Option<(Register, u64)> {
    let i = &code[index];
    let memory = |i: &Instruction| (i.memory_base(), i.memory_displacement64());
    if i.op0_kind() == OpKind::Memory {
        return Some(memory(i));
    }
    let register = i.op0_register().full_register();
    code[index + 1..].iter().take(AROUND).find_map(|user| {
        let has = |n: u32| {
            user.op_kind(n) == OpKind::Register && user.op_register(n).full_register() == register
        };
        let meets = user.op_count() == 2
            && (user.op0_kind() == OpKind::Memory && has(1)
                || user.op1_kind() == OpKind::Memory && has(0));
        meets.then(|| memory(user))
    })
}
