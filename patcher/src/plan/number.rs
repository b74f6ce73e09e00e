//! Which call does a site make? Followed back to constants, on every path.
//!
//! From the site backwards, over fall-through and direct branches, to whatever
//! last set the number. The answer is known only if all paths end at constants;
//! a call, an indirect jump or the start of the function makes it unknown.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{
    Code, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};

use crate::scan::Site;
use crate::scan::targets::Targets;

/// What is known of a site's call number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Number {
    /// One of these, whichever way control came.
    OneOf(Vec<u32>),
    /// It is the caller's.
    Any,
}

/// The registers that a C function preserves for its caller.
const PRESERVED: [Register; 6] =
    [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];

/// The most instructions that are looked at for one site.
const LIMIT: usize = 2000;

/// Finds call numbers; keeps the branches of the function that was asked last.
pub(super) struct Finder<'t> {
    /// Addresses that are entered from elsewhere, too.
    targets: &'t Targets,
    info: InstructionInfoFactory,
    function: Option<u64>,
    /// For each branch target in the function, the indices of its branches.
    branches: BTreeMap<u64, Vec<usize>>,
}

impl<'t> Finder<'t> {
    pub(super) fn new(targets: &'t Targets) -> Self {
        let info = InstructionInfoFactory::new();
        Self { targets, info, function: None, branches: BTreeMap::new() }
    }

    /// The call number of a site.
    pub(super) fn find(&mut self, site: &Site) -> Number {
        self.read_function(site);
        let mut constants = BTreeSet::new();
        let mut seen = BTreeSet::new();
        // Just before which instruction, and which register has the number there.
        let mut open = vec![(site.index, Register::RAX)];
        while let Some((index, register)) = open.pop() {
            if !seen.insert((index, register as usize)) {
                continue;
            }
            if seen.len() > LIMIT {
                return Number::Any;
            }
            let Some(before) = self.predecessors(site, index) else { return Number::Any };
            for previous in before {
                match self.effect(site, &site.code[previous], register) {
                    Effect::None => open.push((previous, register)),
                    Effect::Constant(value) => _ = constants.insert(value),
                    Effect::Copy(from) => open.push((previous, from)),
                    Effect::Unknown => return Number::Any,
                }
            }
        }
        if constants.is_empty() {
            Number::Any
        } else {
            Number::OneOf(constants.into_iter().collect())
        }
    }

    fn read_function(&mut self, site: &Site) {
        if self.function == Some(site.function.start) {
            return;
        }
        self.function = Some(site.function.start);
        self.branches.clear();
        for (index, instruction) in site.code.iter().enumerate() {
            if matches!(
                instruction.flow_control(),
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
            ) {
                self.branches.entry(instruction.near_branch_target()).or_default().push(index);
            }
        }
    }

    /// The instructions from which control comes to the one at `index`; `None`
    /// where that is not known.
    fn predecessors(&self, site: &Site, index: usize) -> Option<Vec<usize>> {
        let address = site.code.get(index)?.ip();
        let branches = self.branches.get(&address);
        let is_start = index == 0;
        // Entered, but by no branch of this function: from a table or another function.
        let is_table = self.targets.contains(address) && branches.is_none();
        if is_start || is_table || self.targets.from_outside.contains(&address) {
            return None;
        }
        let mut before = branches.cloned().unwrap_or_default();
        let above = &site.code[index - 1];
        match above.flow_control() {
            FlowControl::UnconditionalBranch | FlowControl::Return | FlowControl::Exception => {}
            FlowControl::IndirectBranch => {}
            _ if self.is_padding(site, index - 1) => {}
            _ => before.push(index - 1),
        }
        // What nothing leads to is led to by something that is not seen here.
        (!before.is_empty()).then_some(before)
    }

    /// Whether the instruction is one of the no-operations that compilers put
    /// between a jump and the head of a loop, to align it: never run, as nothing
    /// leads to any of them.
    fn is_padding(&self, site: &Site, index: usize) -> bool {
        let idle = site.code[..=index].iter().rev().take_while(|i| {
            i.mnemonic() == Mnemonic::Nop
                && !self.branches.contains_key(&i.ip())
                && !self.targets.contains(i.ip())
        });
        let count = idle.count();
        let above = (index + 1).checked_sub(count + 1).map(|i| site.code[i].flow_control());
        let ends = [FlowControl::UnconditionalBranch, FlowControl::Return];
        count > 0 && above.is_some_and(|flow| ends.contains(&flow))
    }

    fn effect(&mut self, site: &Site, instruction: &Instruction, register: Register) -> Effect {
        match instruction.flow_control() {
            FlowControl::Next
            | FlowControl::ConditionalBranch
            | FlowControl::UnconditionalBranch => {}
            // A system call changes rax, rcx and r11 and nothing else.
            FlowControl::Call if instruction.code() == Code::Syscall => {
                let changed = [Register::RAX, Register::RCX, Register::R11].contains(&register);
                return if changed { Effect::Unknown } else { Effect::None };
            }
            // What a called C function gives back (System V psABI, 3.2.1); Go's has no such registers.
            FlowControl::Call | FlowControl::IndirectCall
                if !site.function.is_go && PRESERVED.contains(&register) =>
            {
                return Effect::None;
            }
            _ => return Effect::Unknown,
        }
        let writes = self.info.info(instruction).used_registers().iter().any(|used| {
            used.register().full_register() == register
                && !matches!(used.access(), OpAccess::Read | OpAccess::CondRead)
        });
        if !writes {
            return Effect::None;
        }
        if let Some(value) = constant(instruction) {
            return Effect::Constant(value);
        }
        let copies = matches!(
            instruction.code(),
            Code::Mov_r32_rm32 | Code::Mov_rm32_r32 | Code::Mov_r64_rm64 | Code::Mov_rm64_r64
        ) && instruction.op0_kind() == OpKind::Register
            && instruction.op1_kind() == OpKind::Register;
        if copies {
            Effect::Copy(instruction.op1_register().full_register())
        } else {
            Effect::Unknown
        }
    }
}

/// What an instruction does to the register that has the number.
enum Effect {
    None,
    Constant(u32),
    Copy(Register),
    Unknown,
}

/// The constant that an instruction puts into its register.
fn constant(instruction: &Instruction) -> Option<u32> {
    match instruction.code() {
        Code::Mov_r32_imm32 | Code::Mov_rm32_imm32 | Code::Mov_rm64_imm32
            if instruction.op0_kind() == OpKind::Register =>
        {
            Some(instruction.immediate(1) as u32)
        }
        Code::Xor_r32_rm32 | Code::Xor_rm32_r32
            if instruction.op1_kind() == OpKind::Register
                && instruction.op0_register() == instruction.op1_register() =>
        {
            Some(0)
        }
        _ => None,
    }
}
