//! Go's `Syscall6`, by which its programs make all calls whose number is the caller's.
//!
//! Go's unwinder knows no code but Go's: a sample of a CPU profile that finds a thread in
//! a trampoline has no callers. So a call of which the answer is looked at is made in
//! the function itself, by a second `syscall` in the covered bytes, with a jump behind it
//! that leads back. Its number is lost by then, as the kernel overwrites rax, rcx and
//! r11, and nothing may be written to a goroutine's stack; but the function has just copied
//! rbx to rdi, so the class of the number waits in rbx, and rbx is had back from rdi.
//! Only a debugger or a handler that asks for rbx during such a call sees the class;
//! Go's own handlers look at no register of assembly code
//! (sources: Go 1.19 to 1.27, internal/runtime/syscall/asm_linux_amd64.s,
//! runtime/preempt.go: isAsyncSafePoint).

use std::ops::Range;

use iced_x86::{Code, Register};

use super::JUMP;
use crate::scan::targets::Targets;
use crate::scan::{SYSCALL, Site};

/// The moves before the `syscall`: to, from.
const MOVES: [(Register, Register); 4] = [
    (Register::R10, Register::RSI),
    (Register::RDX, Register::RDI),
    (Register::RSI, Register::RCX),
    (Register::RDI, Register::RBX),
];
/// The bytes of the moves: a jump, the second `syscall`, the jump back.
const LEN: u64 = 2 * JUMP + SYSCALL.len() as u64;

/// The instructions to cover, if the site is that function's.
pub(super) fn cover(site: &Site, targets: &Targets) -> Option<Range<usize>> {
    let start = site.index.checked_sub(MOVES.len())?;
    let run = &site.code[start..site.index];
    let same = run.iter().zip(MOVES).all(|(i, (to, from))| {
        i.code() == Code::Mov_rm64_r64 && (i.op0_register(), i.op1_register()) == (to, from)
    });
    let from = run[0].ip();
    if !site.function.is_go || !same || site.address - from != LEN {
        return None;
    }
    let free = targets.all.range(from + 1..site.address).next().is_none()
        && !targets.is_relocated(from, site.address);
    free.then_some(start..site.index)
}

/// Where the second `syscall` is, of a detour that starts there.
pub fn call(start: u64) -> u64 {
    start + JUMP
}

/// Writes the second `syscall` and the way back to the trampoline, which begins at
/// `entry`, over the covered bytes. `None` when it is out of reach.
pub fn write(start: u64, entry: u64, bytes: &mut [u8]) -> Option<()> {
    let distance = i32::try_from(entry.wrapping_sub(start + LEN) as i64).ok()?;
    let jump = JUMP as usize;
    let back = jump + SYSCALL.len();
    bytes[jump..back].copy_from_slice(&SYSCALL);
    bytes[back] = 0xe9;
    bytes[back + 1..back + jump].copy_from_slice(&distance.to_le_bytes());
    Some(())
}
