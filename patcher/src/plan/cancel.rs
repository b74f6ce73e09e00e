//! Where a C library makes the calls at which a thread can be cancelled: musl's
//! `__syscall_cp_asm`, and glibc's `__syscall_cancel_arch` (2.41 and later).
//!
//! pthread_cancel sends a signal, and the handler looks at the program counter: from
//! the function's start to its `syscall` the thread has looked at its flag and is about
//! to make, or waits in, the call, and is cancelled there. Anywhere else the handler
//! counts on the next look at the flag. So nothing may come between the look and the
//! `syscall`, and both must be where they are (sources: musl 1.2.3,
//! src/thread/x86_64/syscall_cp.s, pthread_cancel.c; glibc 2.41,
//! sysdeps/unix/sysv/linux/x86_64/syscall_cancel.S, nptl/pthread_cancel.c).
//!
//! The whole function up to its `syscall` is covered: the trampoline does what it
//! did, and every call is made through a second look at the flag that is written
//! right before the `syscall`, in its place.
//!
//! musl's function is called once more from the trampoline for a call of which the
//! answer is looked at. glibc unwinds the stack from there, and must find its own
//! callers: so its `ret` is covered, too, by a short jump to one to the trampoline.
//! That one jump lies where the handler takes a call for one not yet made. A signal
//! that finds the thread there cancels it though the call was made, as every cancelled
//! call could up to glibc 2.40.

use std::ops::Range;

use iced_x86::{Code, Instruction, Register};

use super::{Form, JUMP};
use crate::scan::Site;
use crate::scan::targets::Targets;

/// How the functions begin: the look at the flag.
const LOOK: usize = 3;
/// What follows in both: to, from.
const MOVES: [(Register, Register); 6] = [
    (Register::R11, Register::RDI),
    (Register::RAX, Register::RSI),
    (Register::RDI, Register::RDX),
    (Register::RSI, Register::RCX),
    (Register::RDX, Register::R8),
    (Register::R10, Register::R9),
];
/// And up to the `syscall`: which register is read or written, how far from rsp.
const ARGUMENTS: [(Code, Register, u64); 3] = [
    (Code::Mov_r64_rm64, Register::R8, 8),
    (Code::Mov_r64_rm64, Register::R9, 16),
    (Code::Mov_rm64_r64, Register::R11, 8),
];

/// The form and the instructions to cover, if the site is one of the two.
pub(super) fn cover(site: &Site, targets: &Targets) -> Option<(Form, Range<usize>)> {
    shape(site, targets).filter(|shape| !shape.is_entered(site, targets)).map(|shape| {
        let Shape { form, covered, .. } = shape;
        (form, covered)
    })
}

/// Whether the site is one of the two, but for a jump that seems to lead into it.
pub(super) fn is_entered(site: &Site, targets: &Targets) -> bool {
    shape(site, targets).is_some_and(|shape| shape.is_entered(site, targets))
}

/// One of the two functions.
struct Shape {
    form: Form,
    covered: Range<usize>,
    /// The last byte that is written.
    last: u64,
}

impl Shape {
    /// Whether control seems to come to other places in it than its start.
    fn is_entered(&self, site: &Site, targets: &Targets) -> bool {
        let start = site.code[self.covered.start].ip();
        targets.all.range(start + 1..=self.last).next().is_some()
    }
}

/// What the site has around it, if that is one of the two functions.
fn shape(site: &Site, targets: &Targets) -> Option<Shape> {
    let start = site.index.checked_sub(LOOK + MOVES.len() + ARGUMENTS.len())?;
    let run = &site.code[start..site.index];
    let (moves, arguments) = run[LOOK..].split_at(MOVES.len());
    let moved = moves.iter().zip(MOVES).all(|(i, (to, from))| {
        i.code() == Code::Mov_rm64_r64 && (i.op0_register(), i.op1_register()) == (to, from)
    });
    let read = arguments.iter().zip(ARGUMENTS).all(|(i, (code, register, at))| {
        i.code() == code
            && [i.op0_register(), i.op1_register()].contains(&register)
            && is_at(i, Register::RSP, at)
    });
    let flag = run[0].code() == Code::Mov_r32_rm32 && is_at(&run[0], Register::RDI, 0);
    let back = site.code.get(site.index + 1).filter(|i| i.code() == Code::Retnq)?;
    if !moved || !read || !flag {
        return None;
    }
    let tested = [run[0].op0_register(); 2];
    let (form, end, last) = match (run[1].code(), run[2].code()) {
        (Code::Test_rm32_r32, Code::Jne_rel8_64)
            if [run[1].op0_register(), run[1].op1_register()] == tested
                && run[2].near_branch_target() == site.address + 3 =>
        {
            (Form::CancellationPoint, site.index, site.address)
        }
        (Code::Test_rm8_imm8, Code::Jne_rel32_64)
            if is_at(&run[1], Register::RDI, 0) && targets.padding.contains(&back.next_ip()) =>
        {
            (Form::CancellationBridge, site.index + 2, back.next_ip())
        }
        _ => return None,
    };
    let written = targets.is_relocated(run[0].ip(), last + 1);
    (!written).then_some(Shape { form, covered: start..end, last })
}

/// Whether an instruction's operand in memory is so far from where a register points.
fn is_at(instruction: &Instruction, base: Register, displacement: u64) -> bool {
    let (index, segment) = (instruction.memory_index(), instruction.segment_prefix());
    instruction.memory_base() == base
        && instruction.memory_displacement64() == displacement
        && (index, segment) == (Register::None, Register::None)
}

/// The part of the covered instructions that the trampoline does.
pub(super) fn moves(covered: &[Instruction]) -> &[Instruction] {
    covered.get(LOOK..).unwrap_or_default()
}

/// Where the second look is, of a detour of one of these forms.
pub fn look(form: Form, site: u64) -> u64 {
    site - if form == Form::CancellationPoint { 6 } else { 10 }
}

/// Writes the second look, and for glibc the way back, over the covered bytes.
///
/// `covered` are the instructions, `bytes` take their place, `entry` is where the
/// trampoline begins. `None` when that is out of reach.
pub fn write(form: Form, covered: &[Instruction], entry: u64, bytes: &mut [u8]) -> Option<()> {
    if form == Form::CancellationPoint {
        let at = bytes.len() - 6;
        // cmpl $0, (%r11); jne __cp_cancel, three bytes on, behind syscall and ret.
        bytes[at..].copy_from_slice(&[0x41, 0x83, 0x3b, 0x00, 0x75, 0x03]);
        return Some(());
    }
    let start = covered[0].ip();
    let distance = |to: u64, next: u64| i32::try_from(to.wrapping_sub(next) as i64).ok();
    // Before the syscall, and behind it a byte of ret and one of padding.
    let after = bytes.len() - 2;
    let (look, next) = (after - 12, start + after as u64 - 2);
    // testb $flag, (%r11); jne __syscall_do_cancel; syscall
    bytes[look..look + 4].copy_from_slice(&[0x41, 0xf6, 0x03, covered[1].immediate8()]);
    bytes[look + 4..look + 6].copy_from_slice(&[0x0f, 0x85]);
    let away = distance(covered[2].near_branch_target(), next)?;
    bytes[look + 6..look + 10].copy_from_slice(&away.to_le_bytes());
    bytes[look + 10..after].copy_from_slice(&crate::scan::SYSCALL);
    // A short jump to one right behind that of the detour, which leads back.
    let relay = JUMP as usize;
    bytes[after] = 0xeb;
    bytes[after + 1] = i8::try_from(relay as i64 - bytes.len() as i64).ok()? as u8;
    bytes[relay] = 0xe9;
    let back = distance(entry, start + 2 * JUMP)?;
    bytes[relay + 1..relay + 5].copy_from_slice(&back.to_le_bytes());
    Some(())
}
