//! The code that one site's detour leads to.

use iced_x86::{
    BlockEncoder, BlockEncoderOptions, FlowControl, Instruction, InstructionBlock, OpKind,
};
use procsys_rules::Table;
use procsys_rules::reach::Reach;

use super::between;
use super::code::{Code, Label};
use super::dispatch::{self, Make};
use super::segment::Anchors;
use super::tail::Tails;
use crate::elf::Image;
use crate::patch::Options;
use crate::plan::{Calls, Detour, Form, Number, cancel};

/// execve and execveat.
const EXEC: [u32; 2] = [59, 322];

/// The call numbers that need code of their own, in the order of their classes.
pub(super) struct Special {
    numbers: Vec<(u32, Reach)>,
}

impl Special {
    pub(super) fn of(table: &Table<'_>, options: &Options) -> Self {
        let all = (0..512u32).map(|nr| {
            let reach = table.reach(nr as usize);
            let is_completed = options.exec.is_some() && EXEC.contains(&nr);
            (nr, Reach { before: reach.before || is_completed, ..reach })
        });
        Self { numbers: all.filter(|&(nr, reach)| dispatch::is_special(nr, reach)).collect() }
    }

    fn find(&self, nr: u32) -> Option<Reach> {
        self.numbers.iter().find(|n| n.0 == nr).map(|n| n.1)
    }

    /// The class of each number below 512: 0, or one more than its index.
    pub(super) fn classes(&self) -> [u8; 512] {
        let mut classes = [0; 512];
        for (index, &(nr, _)) in self.numbers.iter().enumerate() {
            classes[nr as usize] = index as u8 + 1;
        }
        classes
    }
}

/// The calls that a table of rules and the options of a run let the hook look at.
pub struct Asked {
    special: Special,
    every_call: bool,
}

impl Asked {
    /// For this table and these options.
    pub fn new(table: Table<'_>, options: &Options) -> Self {
        Self { special: Special::of(&table, options), every_call: options.every_call }
    }
}

impl Calls for Asked {
    fn asks_before(&self, nr: u32) -> bool {
        self.every_call || self.special.find(nr).is_some_and(|reach| reach.before)
    }

    fn asks(&self, nr: u32) -> bool {
        self.special.find(nr).is_some()
    }
}

/// Writes the trampoline of a detour at the end of `code`.
///
/// `first` passes on, from a site's first detour to its second, where a call that
/// was answered in the first goes on; `tails` collects what is there once for all.
///
/// # Errors
/// When a moved instruction can't be encoded at its new place.
pub(super) fn write(
    code: &mut Code,
    anchors: &Anchors<'_>,
    special: &Special,
    options: &Options,
    detour: &Detour<'_>,
    first: &mut Option<Label>,
    tails: &mut Tails,
) -> Result<(), String> {
    if matches!(detour.form, Form::CancellationBridge | Form::GoCall) {
        return between::write(code, anchors, special, options, detour, tails);
    }
    let mut descriptors = Vec::new();
    moved(code, anchors.image, detour.before())?;
    if detour.form == Form::First {
        let done = *first.insert(code.label());
        let nr = match &detour.number {
            Number::OneOf(all) if let [nr] = all[..] => Some(nr),
            _ => None,
        };
        dispatch::ask_before(code, anchors, &mut descriptors, done, nr);
        code.jmp_to(detour.site.address);
        dispatch::write_descriptors(code, descriptors);
        return Ok(());
    }
    let comes_back = matches!(detour.form, Form::Before | Form::CancellationPoint);
    let done = match first.take() {
        Some(done) => done,
        None if comes_back => code.label_at(detour.site.address + 2),
        None => code.label(),
    };
    if options.every_call && detour.form != Form::After {
        dispatch::ask_before(code, anchors, &mut descriptors, done, None);
    }
    match &detour.number {
        Number::OneOf(all) if all.iter().all(|&nr| special.find(nr).is_none()) => {
            pass(code, detour, done);
        }
        Number::OneOf(all) if let [nr] = all[..] => {
            let reach = special.find(nr).unwrap_or_default();
            dispatch::write(code, anchors, &mut descriptors, (nr, reach), make(detour), done, None);
        }
        _ => choose(
            code,
            anchors,
            special,
            |code| pass(code, detour, done),
            |code, _, special| {
                let tails = Some(&mut *tails);
                let make = make(detour);
                dispatch::write(code, anchors, &mut descriptors, special, make, done, tails);
            },
        ),
    }
    if !comes_back {
        code.bind(done);
        moved(code, anchors.image, detour.after())?;
        if !ends(detour.after()) {
            code.jmp_to(detour.end());
        }
    }
    dispatch::write_descriptors(code, descriptors);
    Ok(())
}

/// How the trampoline makes a call of which it looks at the answer.
fn make(detour: &Detour<'_>) -> Make {
    match detour.form {
        Form::CancellationPoint | Form::CancellationBridge => {
            Make::Look(cancel::look(detour.form, detour.site.address))
        }
        Form::After => Make::Made,
        Form::Before | Form::Around | Form::First | Form::GoCall => Make::Here,
    }
}

/// Makes the call as it stands: at its own place, if that is still there.
fn pass(code: &mut Code, detour: &Detour<'_>, done: Label) {
    match make(detour) {
        Make::Look(address) => {
            code.raw(&[0x4c, 0x8b, 0x5c, 0x24, 0x08]); // mov 8(%rsp), %r11: the flag's address
            code.jmp_to(address);
        }
        // What was covered follows right here.
        Make::Made => {}
        Make::Here if detour.covers_syscall() => {
            code.syscall();
            code.jmp(done);
        }
        Make::Here => code.jmp_to(detour.site.address),
    }
}

/// Chooses by the number in rax, with rcx and r11 as the only registers: `pass` writes
/// what is done with a number that needs nothing, `each` with one that does, by its class.
pub(super) fn choose(
    code: &mut Code,
    anchors: &Anchors<'_>,
    special: &Special,
    pass: impl Fn(&mut Code),
    each: impl FnMut(&mut Code, u32, (u32, Reach)),
) {
    let (pass_on, low, high, selected) = (code.label(), code.label(), code.label(), code.label());
    code.raw(&[0x0f, 0xb6, 0xcc]); // movzbl %ah, %ecx
    code.jrcxz(low);
    code.lea_ecx_minus(1);
    code.jrcxz(high);
    code.bind(pass_on);
    pass(code);
    for (label, table) in [(low, anchors.classes), (high, anchors.classes + 256)] {
        code.bind(label);
        let table = code.label_at(table);
        code.lea_r11(table);
        code.raw(&[0x0f, 0xb6, 0xc8]); // movzbl %al, %ecx
        code.raw(&[0x41, 0x0f, 0xb6, 0x0c, 0x0b]); // movzbl (%r11,%rcx), %ecx
        code.jrcxz(pass_on);
        if label == low {
            code.jmp(selected);
        }
    }
    code.bind(selected);
    let exact = code.label();
    // The class was found by 16 bits of eax; the others must be zero too.
    // mov %rcx, %r11; mov %eax, %ecx; bswap %ecx; movzwl %cx, %ecx
    code.raw(&[0x49, 0x89, 0xcb, 0x89, 0xc1, 0x0f, 0xc9, 0x0f, 0xb7, 0xc9]);
    code.jrcxz(exact);
    pass(code);
    code.bind(exact);
    code.raw(&[0x4c, 0x89, 0xd9]); // mov %r11, %rcx
    by_class(code, special, each);
}

/// Goes on by the class in rcx, which is not 0, to what `each` writes for it.
pub(super) fn by_class(
    code: &mut Code,
    special: &Special,
    mut each: impl FnMut(&mut Code, u32, (u32, Reach)),
) {
    let jumps = code.label();
    code.lea_r11(jumps);
    code.raw(&[0x49, 0x63, 0x4c, 0x8b, 0xfc]); // movslq -4(%r11,%rcx,4), %rcx
    code.raw(&[0x49, 0x8d, 0x0c, 0x0b]); // lea (%r11,%rcx), %rcx
    code.raw(&[0xff, 0xe1]); // jmp *%rcx
    let mut entries = Vec::new();
    for (class, &number) in (1..).zip(&special.numbers) {
        let entry = code.label();
        code.bind(entry);
        entries.push(entry);
        each(code, class, number);
    }
    code.align(4);
    let origin = code.here();
    code.bind(jumps);
    entries.into_iter().for_each(|entry| code.distance(entry, origin));
}

/// Whether control never reaches what follows the last instruction.
fn ends(instructions: &[Instruction]) -> bool {
    let flow = instructions.last().map(Instruction::flow_control);
    matches!(flow, Some(FlowControl::Return | FlowControl::UnconditionalBranch))
}

/// Writes instructions for their new place: as the bytes that they are, unless
/// they depend on where that is. Each may change how far away the return address is, so
/// each is marked, and what follows.
pub(super) fn moved(
    code: &mut Code,
    image: &Image<'_>,
    instructions: &[Instruction],
) -> Result<(), String> {
    let [first, ..] = instructions else { return Ok(()) };
    let ways: Option<Vec<_>> = instructions.iter().map(|i| Moved::of(image, i)).collect();
    match ways {
        Some(ways) => {
            for (way, instruction) in ways.into_iter().zip(instructions) {
                code.mark(code.here(), instruction.ip());
                way.write(code);
            }
        }
        None => {
            let block = InstructionBlock::new(instructions, code.here());
            let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
            let block = BlockEncoder::encode(64, block, options)
                .map_err(|e| format!("instructions at {:#x} can't be moved: {e}", first.ip()))?;
            let offsets = block.new_instruction_offsets.iter().zip(instructions);
            // One that was made anew, a jump, has none.
            for (&offset, instruction) in offsets.filter(|(offset, _)| **offset != u32::MAX) {
                code.mark(code.here() + u64::from(offset), instruction.ip());
            }
            code.raw(&block.code_buffer);
        }
    }
    let last = &instructions[instructions.len() - 1];
    let next = if ends(instructions) { first.ip() } else { last.next_ip() };
    code.mark(code.here(), next);
    Ok(())
}

/// How an instruction is moved without iced's encoder, whose tables take half a
/// millisecond to build: much in the start of a program that is detoured in memory.
enum Moved<'a> {
    /// It means the same everywhere.
    Bytes(&'a [u8]),
    /// A jump to an address, with the low half of its opcode if it has a condition.
    Jump(Option<u8>, u64),
}

impl<'a> Moved<'a> {
    fn of(image: &Image<'a>, instruction: &Instruction) -> Option<Self> {
        const NEAR: [OpKind; 3] =
            [OpKind::NearBranch16, OpKind::NearBranch32, OpKind::NearBranch64];
        let bytes = image.at(instruction.ip())?.get(..instruction.len())?;
        let is_near = instruction.op_kinds().any(|kind| NEAR.contains(&kind));
        if !is_near && !instruction.is_ip_rel_memory_operand() {
            return Some(Self::Bytes(bytes));
        }
        // With a prefix it is none of these, and left to the encoder.
        let condition = match *bytes {
            [0xeb, _] | [0xe9, _, _, _, _] => None,
            [opcode @ 0x70..=0x7f, _] | [0x0f, opcode @ 0x80..=0x8f, _, _, _, _] => {
                Some(opcode & 0xf)
            }
            _ => return None,
        };
        Some(Self::Jump(condition, instruction.near_branch_target()))
    }

    fn write(self, code: &mut Code) {
        match self {
            Self::Bytes(bytes) => code.raw(bytes),
            Self::Jump(None, target) => code.jmp_to(target),
            Self::Jump(Some(condition), target) => code.jcc_to(condition, target),
        }
    }
}
