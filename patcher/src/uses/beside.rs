//! Which length goes with the address of a text in Go's code?
//!
//! The address is followed from the instruction that takes it to where it is
//! handed on: stored (the length is stored behind it), or passed to a call or
//! returned in a register (the length is in the next one: Go,
//! cmd/compile/abi-internal.md). There, the length's last value on this way is
//! looked for.

use iced_x86::{
    Code, FlowControl, Instruction, InstructionInfoFactory, OpAccess, OpKind, Register,
};

/// The most instructions that an address is followed for.
const FAR: usize = 48;
/// The registers in which Go passes arguments and results, in order.
const ARGUMENTS: [Register; 9] = [
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

/// A text's length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Length {
    /// In bytes.
    pub(crate) value: u64,
    /// Where it is held.
    pub(crate) held: Held,
}

/// Where a length is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// In this word in data.
    Word(u64),
    /// In an instruction.
    Immediate {
        /// The instruction's address.
        at: u64,
        /// The address of the number in it, and its size in bytes.
        field: (u64, usize),
        /// The function that is called with it, by its address.
        callee: Option<u64>,
        /// Why the number may have another use, if it may.
        doubt: Option<String>,
    },
}

/// Finds the length that goes with the address which the instruction takes.
pub(super) fn find(code: &[Instruction], index: usize) -> Option<Length> {
    let way = Way::from(code, index);
    let mut holding = vec![code[index].op0_register().full_register()];
    if code[index].op0_kind() != OpKind::Register {
        return None;
    }
    for (step, &at) in way.steps.iter().enumerate().skip(1) {
        let i = &code[at];
        if i.code() == Code::Mov_rm64_r64 && i.op0_kind() == OpKind::Memory {
            if holding.contains(&i.op1_register())
                && let Some(length) = way.stored_behind(at)
            {
                return Some(length);
            }
        } else if is_copy(i) && holding.contains(&i.op1_register()) {
            holding.push(i.op0_register());
        } else if matches!(
            i.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return
        ) {
            let next = ARGUMENTS.windows(2).find(|pair| holding.contains(&pair[0]))?;
            let callee = (i.flow_control() == FlowControl::Call).then(|| i.near_branch_target());
            return way.value(next[1], step, callee);
        } else {
            let written = written(i);
            holding.retain(|r| !written.contains(r));
        }
        if holding.is_empty() {
            return None;
        }
    }
    None
}

/// The instructions from one on, in the order in which they run when no
/// conditional branch is taken.
struct Way<'c> {
    code: &'c [Instruction],
    steps: Vec<usize>,
}

impl<'c> Way<'c> {
    fn from(code: &'c [Instruction], index: usize) -> Self {
        let mut steps = vec![index];
        let mut at = index;
        while steps.len() < FAR {
            let next = match code[at].flow_control() {
                FlowControl::Return => break,
                FlowControl::Call | FlowControl::IndirectCall if at != index => break,
                FlowControl::UnconditionalBranch => {
                    let target = code[at].near_branch_target();
                    code.binary_search_by_key(&target, Instruction::ip).ok()
                }
                FlowControl::IndirectBranch => None,
                _ => Some(at + 1),
            };
            let Some(next) = next.filter(|&n| n < code.len() && !steps.contains(&n)) else { break };
            steps.push(next);
            at = next;
        }
        Self { code, steps }
    }

    /// The steps before one, and then what precedes the way's start, up to where
    /// control may come from elsewhere.
    fn backwards(&self, step: usize) -> impl Iterator<Item = usize> {
        let code = self.code;
        let start = self.steps[0];
        let before = (start.saturating_sub(FAR)..start).rev().take_while(move |&at| {
            let next = code[at + 1].ip();
            let is_target = code
                .iter()
                .any(|i| i.op0_kind() == OpKind::NearBranch64 && i.near_branch_target() == next);
            code[at].flow_control() == FlowControl::Next && !is_target
        });
        self.steps[..step].iter().rev().copied().chain(before)
    }

    /// The value of a register at a step.
    fn value(&self, register: Register, step: usize, callee: Option<u64>) -> Option<Length> {
        let mut wanted = register;
        let mut doubt = None;
        for at in self.backwards(step) {
            let i = &self.code[at];
            if is_copy(i) && i.op0_register() == wanted {
                wanted = i.op1_register();
            } else if written(i).contains(&wanted) {
                return constant(i, callee, doubt);
            } else if reads(i, wanted) {
                doubt = Some(format!("{:#x} uses it, too", i.ip()));
            } else if i.flow_control() == FlowControl::ConditionalBranch {
                doubt = Some(format!("{:#x} may go elsewhere with it", i.ip()));
            }
        }
        None
    }

    /// The number that is stored behind where an address is stored, before or after.
    fn stored_behind(&self, store: usize) -> Option<Length> {
        let (base, index, offset) = place(&self.code[store]);
        let next = (base, index, offset.wrapping_add(8));
        let step = self.steps.iter().position(|&s| s == store)?;
        let is_it = |at: &usize| {
            let i = &self.code[*at];
            i.op0_kind() == OpKind::Memory && i.op_count() == 2 && place(i) == next
        };
        let after = self.steps[step..].iter().copied();
        let at = after.chain(self.backwards(step)).find(is_it)?;
        let i = &self.code[at];
        match i.code() {
            Code::Mov_rm64_imm32 => constant(i, None, None),
            Code::Mov_rm64_r64 => {
                let step = self.steps.iter().position(|&s| s == at)?;
                self.value(i.op1_register(), step, None).map(in_doubt)
            }
            _ => None,
        }
    }
}

/// A length that is stored from a register: what else the register is for is
/// not followed.
fn in_doubt(mut length: Length) -> Length {
    if let Held::Immediate { at, doubt, .. } = &mut length.held {
        doubt.get_or_insert_with(|| {
            format!("what else the register of {at:#x} is for can't be said")
        });
    }
    length
}

/// The number that an instruction sets.
fn constant(i: &Instruction, callee: Option<u64>, doubt: Option<String>) -> Option<Length> {
    let size = match i.code() {
        Code::Mov_r32_imm32 | Code::Mov_rm64_imm32 | Code::Mov_rm32_imm32 => 4,
        Code::Mov_r64_imm64 => 8,
        _ => return None,
    };
    let value = i.immediate(1);
    let field = (i.next_ip() - size as u64, size);
    let held = Held::Immediate { at: i.ip(), field, callee, doubt };
    (1..=super::LONGEST as u64).contains(&value).then_some(Length { value, held })
}

fn is_copy(i: &Instruction) -> bool {
    let both = i.op0_kind() == OpKind::Register && i.op1_kind() == OpKind::Register;
    both && matches!(i.code(), Code::Mov_r64_rm64 | Code::Mov_rm64_r64)
}

/// The memory that an instruction names: base, index, offset.
fn place(i: &Instruction) -> (Register, Register, u64) {
    (i.memory_base(), i.memory_index(), i.memory_displacement64())
}

/// The whole registers that an instruction writes.
fn written(i: &Instruction) -> Vec<Register> {
    registers(i, |access| {
        !matches!(
            access,
            OpAccess::Read | OpAccess::CondRead | OpAccess::None | OpAccess::NoMemAccess
        )
    })
}

fn reads(i: &Instruction, register: Register) -> bool {
    registers(i, |access| {
        !matches!(
            access,
            OpAccess::Write | OpAccess::CondWrite | OpAccess::None | OpAccess::NoMemAccess
        )
    })
    .contains(&register)
}

fn registers(i: &Instruction, is_meant: impl Fn(OpAccess) -> bool) -> Vec<Register> {
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(i).used_registers().iter();
    used.filter(|u| is_meant(u.access())).map(|u| u.register().full_register()).collect()
}
