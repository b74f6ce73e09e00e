//! Which instructions name an address in some zones?
//!
//! Every byte of code is tried as the start of a 32-bit offset or address. Where
//! one leads into a zone, the function around it is decoded, and the instruction
//! that holds those bytes says whether they are one. So no reference is missed
//! because a decoding fell out of step, and none is made up.

use std::sync::Arc;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use object::LittleEndian as LE;
use object::elf::ET_EXEC;

use super::{By, Use, Zones, beside};
use crate::elf::Image;
use crate::scan::{self, Functions};

/// Where no table describes the code, decodings start so far before a place,
/// and are so many.
const BEFORE: u64 = 64;
const STARTS: u64 = 16;
/// How far behind the place they go on, in bytes.
const BEHIND: u64 = 64;

/// What holds a place in code.
pub(crate) enum Holder {
    /// This instruction of a function's.
    Instruction(Arc<[Instruction]>, usize),
    /// None: it is data among code.
    Data,
    /// It can't be said.
    Unclear,
}

/// Code, decoded function by function.
pub(crate) struct Code<'r, 'f> {
    image: &'r Image<'r>,
    functions: &'r Functions<'f>,
    /// The function that was asked about last.
    current: Option<(u64, Arc<[Instruction]>)>,
    /// Whether it is Go's.
    pub(crate) is_go: bool,
}

impl<'r, 'f> Code<'r, 'f> {
    pub(crate) fn new(image: &'r Image<'r>, functions: &'r Functions<'f>) -> Self {
        Self { image, functions, current: None, is_go: false }
    }

    /// The instruction that holds an address.
    pub(crate) fn holder(&mut self, address: u64) -> Holder {
        let segment = self
            .image
            .code()
            .find(|(start, bytes)| address >= *start && address - *start < bytes.len() as u64);
        let Some((segment, bytes)) = segment else { return Holder::Data };
        let function = self.functions.lookup(address).filter(|f| f.start >= segment);
        self.is_go = function.as_ref().is_some_and(|f| f.is_go);
        let Some(function) = function else {
            if self.image.is_data(address) {
                return Holder::Data;
            }
            return agreed(segment, bytes, address);
        };
        let code = match &self.current {
            Some((start, code)) if *start == function.start => code.clone(),
            _ => scan::decode(segment, bytes, function.start, function.end),
        };
        self.current = Some((function.start, code.clone()));
        let index = code.partition_point(|i| i.ip() <= address).checked_sub(1);
        match index.filter(|&i| address < code[i].next_ip()) {
            Some(index) => Holder::Instruction(code, index),
            None => Holder::Unclear,
        }
    }
}

/// Where no table describes the code: the instruction on which decodings from
/// several starts agree.
fn agreed(segment: u64, bytes: &[u8], address: u64) -> Holder {
    let end = (address + BEHIND - segment).min(bytes.len() as u64) as usize;
    let first = address.saturating_sub(BEFORE + STARTS).max(segment);
    let mut found: Option<(Vec<Instruction>, usize)> = None;
    for from in first..(first + STARTS).min(address) {
        let code = &bytes[(from - segment) as usize..end];
        let mut decoder = Decoder::with_ip(64, code, from, DecoderOptions::NONE);
        let code: Vec<_> = decoder.iter().collect();
        let index = code.partition_point(|i| i.ip() <= address).saturating_sub(1);
        match &found {
            None => found = Some((code, index)),
            Some((other, at)) if other[*at].ip() == code[index].ip() => {}
            Some(_) => return Holder::Unclear,
        }
    }
    match found {
        Some((code, index)) if !code[index].is_invalid() => Holder::Instruction(code.into(), index),
        _ => Holder::Unclear,
    }
}

/// Finds the instructions that name an address in the zones.
pub(super) fn find(image: &Image<'_>, functions: &Functions<'_>, zones: &Zones) -> Vec<Use> {
    let mut code = Code::new(image, functions);
    let mut uses = Vec::new();
    // A position-independent program holds no address in its code.
    let is_fixed = image.header.e_type.get(LE) == ET_EXEC;
    candidates(image, zones, is_fixed, |field, target| {
        let mut found = |at, by, length, is_go| uses.push(Use { target, at, by, is_go, length });
        match code.holder(field) {
            Holder::Data => {}
            Holder::Unclear => found(field, By::Unclear, None, false),
            Holder::Instruction(all, index) => {
                let Some(by) = names(&all[index], target, is_fixed) else { return };
                let takes = by == By::Takes && code.is_go;
                let length = takes.then(|| beside::find(&all, index)).flatten();
                found(all[index].ip(), by, length, code.is_go);
            }
        }
    });
    uses
}

/// Bytes of code that lead into a zone if they are an offset or an address.
fn candidates(image: &Image<'_>, zones: &Zones, is_fixed: bool, mut found: impl FnMut(u64, u64)) {
    let span = zones.span();
    let width = span.end - span.start;
    for (start, bytes) in image.code() {
        for (i, four) in bytes.windows(4).enumerate() {
            let value = i32::from_le_bytes(*four.first_chunk().expect("four bytes"));
            let field = start + i as u64;
            let target = field.wrapping_add(4).wrapping_add_signed(i64::from(value));
            // An offset counts from the next instruction: an operand of up to
            // four bytes may stand between.
            if target.wrapping_add(4).wrapping_sub(span.start) < width + 4 {
                for named in [0, 1, 2, 4].map(|operand| target.wrapping_add(operand)) {
                    if zones.contains(named) {
                        found(field, named);
                    }
                }
            }
            if is_fixed && zones.contains(u64::from(value as u32)) {
                found(field, u64::from(value as u32));
            }
        }
    }
}

/// How an instruction names an address, if it does.
fn names(instruction: &Instruction, target: u64, is_fixed: bool) -> Option<By> {
    let in_memory = if instruction.mnemonic() == Mnemonic::Lea {
        By::Takes
    } else {
        By::Reads(instruction.memory_size().size().max(1))
    };
    if instruction.is_ip_rel_memory_operand() {
        return (instruction.ip_rel_memory_address() == target).then_some(in_memory);
    }
    for i in (0..instruction.op_count()).filter(|_| is_fixed) {
        match instruction.op_kind(i) {
            OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64
                if instruction.immediate(i) == target =>
            {
                return Some(By::Takes);
            }
            OpKind::Memory if instruction.memory_displacement64() == target => {
                let is_plain = instruction.memory_base() == Register::None
                    && instruction.memory_index() == Register::None;
                return Some(if is_plain { in_memory } else { By::Takes });
            }
            _ => {}
        }
    }
    None
}
