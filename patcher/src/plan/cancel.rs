//! musl's cancellation point.
//!
//! pthread_cancel sends a signal, and musl's handler looks at the program
//! counter: between `__cp_begin` and `__cp_end` the thread has looked at its
//! flag and is about to make, or waits in, the call, and is led to `__cp_cancel`.
//! Anywhere else the handler counts on the next look at the flag. So nothing may
//! come between the look and the `syscall`, and both must be where they are
//! (source: musl 1.2.3, src/thread/x86_64/syscall_cp.s, pthread_cancel.c).
//!
//! The whole function up to its `syscall` is covered: the trampoline does what it
//! did, and makes every call through a second look at the flag that is written
//! right before the `syscall`, in its place.

use std::ops::Range;

use iced_x86::{Code, Instruction, Register};

use crate::scan::Site;
use crate::scan::targets::Targets;

/// `__syscall_cp_asm` up to its `syscall`: the look at the flag, then the moves.
const LOOK: usize = 3;
const ALL: [(Code, Register); 12] = [
    (Code::Mov_r32_rm32, Register::EAX),
    (Code::Test_rm32_r32, Register::EAX),
    (Code::Jne_rel8_64, Register::None),
    (Code::Mov_rm64_r64, Register::R11),
    (Code::Mov_rm64_r64, Register::RAX),
    (Code::Mov_rm64_r64, Register::RDI),
    (Code::Mov_rm64_r64, Register::RSI),
    (Code::Mov_rm64_r64, Register::RDX),
    (Code::Mov_rm64_r64, Register::R10),
    (Code::Mov_r64_rm64, Register::R8),
    (Code::Mov_r64_rm64, Register::R9),
    (Code::Mov_rm64_r64, Register::None),
];

/// The look that is written before the `syscall`: `cmpl $0, (%r11)`, `jne`.
pub const LOOK_AGAIN: u64 = 6;

/// The instructions to cover, if the site is musl's cancellation point.
pub(super) fn cover(site: &Site, targets: &Targets) -> Option<Range<usize>> {
    let start = site.index.checked_sub(ALL.len())?;
    let run = &site.code[start..site.index];
    let same = run.iter().zip(ALL).all(|(i, (code, register))| {
        let to = if matches!(register, Register::None) { Register::None } else { i.op0_register() };
        i.code() == code && to == register
    });
    let flag =
        run[0].memory_base() == Register::RDI && run[ALL.len() - 1].memory_base() == Register::RSP;
    let ends = site.code.get(site.index + 1).is_some_and(|i| i.code() == Code::Retnq);
    let away = run[LOOK - 1].near_branch_target() == site.address + 3;
    let entered = targets.all.iter().any(|&t| t > run[0].ip() && t <= site.address);
    let written = targets.is_relocated(run[0].ip(), site.address);
    (same && flag && ends && away && !entered && !written).then_some(start..site.index)
}

/// The part of the covered instructions that the trampoline does.
pub(super) fn moves(covered: &[Instruction]) -> &[Instruction] {
    covered.get(LOOK..).unwrap_or_default()
}
