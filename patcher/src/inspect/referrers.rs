//! Who refers to an address? Instructions, and words in data with their own referrers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind, Register};
use object::LittleEndian as LE;
use object::elf::PF_X;

use super::paths::References;
use crate::elf::Image;

/// How many instructions before and after one are looked at for a length.
const AROUND: usize = 6;
/// The longest string that a length is believed for.
const LONGEST: u64 = 4096;
/// `R_X86_64_RELATIVE`: the word is the addend, moved with the program.
const RELATIVE: u64 = 8;

/// One reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    /// The instruction; `None` when only data refers to it.
    pub(super) instruction: Option<u64>,
    /// The length that goes with it, where Go keeps one.
    pub(super) length: Option<usize>,
}

/// The registers in which Go passes arguments, in order (Go, cmd/compile/abi-internal.md):
/// a string's length is in the one after its address.
const GO_ARGUMENTS: [Register; 9] = [
    Register::RAX,
    Register::RBX,
    Register::RCX,
    Register::RDI,
    Register::RSI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];

/// Finds the references to some addresses.
pub(super) fn find(image: &Image<'_>, wanted: &BTreeSet<u64>) -> References {
    let mut references = References::new();
    let words = words(image, wanted);
    // By address of the word: whom it points to, with the length beside it.
    let mut by_word: BTreeMap<u64, (u64, Option<usize>)> = BTreeMap::new();
    for (word, target) in words {
        let length = image.at(word + 8).and_then(|b| Some(u64::from_le_bytes(*b.first_chunk()?)));
        let length = length.filter(|l| (1..=LONGEST).contains(l)).map(|l| l as usize);
        by_word.insert(word, (target, length));
        let forms = [Some(length), length.map(|_| None)];
        let all = forms.into_iter().flatten().map(|length| Reference { instruction: None, length });
        references.entry(target).or_default().extend(all);
    }
    for (start, bytes) in image.code() {
        in_code(start, bytes, |address, at, before| {
            if wanted.contains(&address) {
                let length = length_beside(bytes, start, at, before);
                let own = references.entry(address).or_default();
                own.push(Reference { instruction: Some(at.ip()), length });
            } else if let Some(&(target, length)) = by_word.get(&address) {
                let own = references.entry(target).or_default();
                own.push(Reference { instruction: Some(at.ip()), length });
            }
        });
    }
    references
}

/// Words in data that hold one of the addresses: in place, or by relocation.
fn words(image: &Image<'_>, wanted: &BTreeSet<u64>) -> BTreeMap<u64, u64> {
    let mut words = BTreeMap::new();
    let (Some(&low), Some(&high)) = (wanted.first(), wanted.last()) else { return words };
    let is_wanted = |a: u64| (low..=high).contains(&a) && wanted.contains(&a);
    for segment in image.loads().filter(|s| s.p_flags.get(LE) & PF_X == 0) {
        let start = segment.p_vaddr.get(LE);
        let bytes = image.at(start).unwrap_or_default();
        let skip = (start.next_multiple_of(8) - start) as usize;
        let (all, _) = bytes.get(skip..).unwrap_or_default().as_chunks::<8>();
        for (i, word) in all.iter().enumerate() {
            let target = u64::from_le_bytes(*word);
            if is_wanted(target) {
                words.insert(start + (skip + 8 * i) as u64, target);
            }
        }
    }
    let relocations = image.section(".rela.dyn").map_or(&[][..], |(_, bytes)| bytes);
    for record in relocations.as_chunks::<24>().0 {
        let [place, kind, target] =
            [0, 8, 16].map(|at| u64::from_le_bytes(*record[at..].first_chunk().expect("24 bytes")));
        if kind == RELATIVE && is_wanted(target) {
            words.insert(place, target);
        }
    }
    words
}

/// Calls `found` for each address that an instruction names, with it and those before it.
fn in_code(
    start: u64,
    bytes: &[u8],
    mut found: impl FnMut(u64, &Instruction, &VecDeque<Instruction>),
) {
    let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
    let mut before = VecDeque::with_capacity(AROUND + 1);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if let Some(address) = named(&instruction) {
            found(address, &instruction, &before);
        }
        before.push_back(instruction);
        if before.len() > AROUND {
            before.pop_front();
        }
    }
}

/// The address that an instruction names: relative to it, or as a number.
fn named(instruction: &Instruction) -> Option<u64> {
    if instruction.is_ip_rel_memory_operand() {
        return Some(instruction.ip_rel_memory_address());
    }
    for i in 0..instruction.op_count() {
        match instruction.op_kind(i) {
            OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64 => {
                return Some(instruction.immediate(i));
            }
            OpKind::Memory if instruction.memory_base() == Register::None => {
                return Some(instruction.memory_displacement64());
            }
            _ => {}
        }
    }
    None
}

/// The length that Go sets beside an address: in the register after it, or,
/// where the address is stored, as a number stored right behind it.
fn length_beside(
    bytes: &[u8],
    start: u64,
    at: &Instruction,
    before: &VecDeque<Instruction>,
) -> Option<usize> {
    if at.code() != Code::Lea_r64_m {
        return None;
    }
    let rest = bytes.get((at.next_ip() - start) as usize..).unwrap_or_default();
    let mut decoder = Decoder::with_ip(64, rest, at.next_ip(), DecoderOptions::NONE);
    let behind: Vec<Instruction> = decoder.iter().take(AROUND).collect();
    let around = || behind.iter().chain(before.iter().rev());
    let register = at.op0_register();
    let stored = behind.iter().find_map(|i| {
        let is_store = i.code() == Code::Mov_rm64_r64 && i.op0_kind() == OpKind::Memory;
        (is_store && i.op1_register() == register).then(|| place(i))
    });
    if let Some((base, index, offset)) = stored {
        let next = (base, index, offset.wrapping_add(8));
        let is_next = |i: &&Instruction| i.op0_kind() == OpKind::Memory && place(i) == next;
        return around().filter(is_next).find_map(constant);
    }
    let next = GO_ARGUMENTS.iter().position(|&r| r == register).map(|i| i + 1);
    let next = next.and_then(|i| GO_ARGUMENTS.get(i));
    let is_next = |i: &&Instruction| {
        i.op0_kind() == OpKind::Register && Some(&i.op0_register().full_register()) == next
    };
    around().filter(is_next).find_map(constant)
}

/// The memory that an instruction names: base, index, offset.
fn place(instruction: &Instruction) -> (Register, Register, u64) {
    (instruction.memory_base(), instruction.memory_index(), instruction.memory_displacement64())
}

/// The number that an instruction sets, if it can be a length.
fn constant(instruction: &Instruction) -> Option<usize> {
    let sets = matches!(
        instruction.code(),
        Code::Mov_r32_imm32 | Code::Mov_r64_imm64 | Code::Mov_rm64_imm32 | Code::Mov_rm32_imm32
    );
    let value = sets.then(|| instruction.immediate(1))?;
    (1..=LONGEST).contains(&value).then_some(value as usize)
}
