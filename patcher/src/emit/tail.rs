//! Looking at an answer: code that is there once, for the sites that make many calls.
//!
//! Where the number is the caller's, a site has code for each number that a rule
//! is about: a hundred such sites would repeat the same look at the answer two
//! thousand times. Here it is once for each kind of look; the descriptor in r11,
//! which the slow path wants anyway, says where to go on.

use procsys_rules::reach::{
    After, MARKED_MODES, PROCFS_ROOT_MODE, RESOLVE_AT, Reach, SAFE_RESOLVE,
};

use super::code::{Code, Label};
use super::segment::Anchors;
use crate::shim::{NOTES_ARMED, NOTES_TRUSTED};

/// The looks that are needed so far, and where each will be.
#[derive(Default)]
pub(super) struct Tails {
    all: Vec<(Reach, Label)>,
}

impl Tails {
    /// Where the code is that looks at an answer: r11 holds the descriptor.
    pub(super) fn find(&mut self, code: &mut Code, reach: Reach) -> Label {
        let reach = Reach { before: false, ..reach };
        if let Some(&(_, label)) = self.all.iter().find(|(known, _)| *known == reach) {
            return label;
        }
        let label = code.label();
        self.all.push((reach, label));
        label
    }

    /// Writes all that were asked for.
    pub(super) fn write(self, code: &mut Code, anchors: &Anchors<'_>) {
        for (reach, label) in self.all {
            code.align(16);
            code.bind(label);
            let (success, slow) = (code.label(), code.label());
            unless_failed(code, reach, success);
            code.bind(slow);
            code.jmp_to(anchors.slow);
            code.bind(success);
            if_odd(code, anchors, reach, slow);
            code.raw(&[0x49, 0x63, 0x0b]); // movslq (%r11), %rcx: Descriptor.after
            code.raw(&[0x4d, 0x8d, 0x1c, 0x0b]); // lea (%r11,%rcx), %r11
            code.raw(&[0x41, 0xff, 0xe3]); // jmp *%r11
        }
    }
}

/// Goes to `success` unless rax is negative and failures are looked at.
pub(super) fn unless_failed(code: &mut Code, reach: Reach, success: Label) {
    if reach.after == After::Nothing {
        return code.jmp(success);
    }
    // mov %rax, %rcx; bswap %rcx; movzbl %cl, %ecx: 0 unless rax is negative.
    code.raw(&[0x48, 0x89, 0xc1, 0x48, 0x0f, 0xc9, 0x0f, 0xb6, 0xc9]);
    code.jrcxz(success);
}

/// Goes to `slow` if a success may be wrong, or the process has noted that it is
/// to be looked at.
pub(super) fn if_odd(code: &mut Code, anchors: &Anchors<'_>, reach: Reach, slow: Label) {
    match reach.after {
        After::FailureOrMode(argument, offset) => {
            code.movzx_ecx_argument(argument, offset);
            let mut subtracted = 0;
            for mode in [PROCFS_ROOT_MODE].into_iter().chain(MARKED_MODES) {
                code.lea_ecx_minus(u32::from(mode).wrapping_sub(subtracted));
                subtracted = u32::from(mode);
                code.jrcxz(slow);
            }
        }
        After::FailureOrTrapped => if_trapped(code, anchors, slow),
        // The last two take the slow path by themselves (dispatch.rs).
        After::Nothing | After::Failure | After::AlwaysWith(_) | After::Always => {}
    }
    if reach.armed {
        let (idle, armed) = (code.label(), code.label_at(anchors.notes + NOTES_ARMED));
        code.movzx_ecx_at(armed);
        code.jrcxz(idle);
        code.jmp(slow);
        code.bind(idle);
    }
}

/// Goes to `slow` if a successful openat2 may have been answered by a supervisor of
/// the host (`After::FailureOrTrapped`). The kernel has read the path to its NUL: of
/// two bytes that are looked at, the first is never that.
fn if_trapped(code: &mut Code, anchors: &Anchors, slow: Label) {
    const PATH: u8 = 1;
    const HOW: u8 = 2;
    let pair = |bytes: &[u8; 2]| u32::from(u16::from_le_bytes(*bytes));
    let (idle, safe, dotted, deeper) = (code.label(), code.label(), code.label(), code.label());
    let trusted = code.label_at(anchors.notes + NOTES_TRUSTED);
    code.movzx_ecx_at(trusted);
    code.jrcxz(idle);
    go_if(code, (HOW, RESOLVE_AT), u32::from(SAFE_RESOLVE), safe, idle);
    code.bind(safe);
    code.movzx_ecx_argument(PATH, 0);
    code.lea_ecx_minus(pair(b"sy"));
    code.jrcxz(slow);
    code.lea_ecx_minus(pair(b"./").wrapping_sub(pair(b"sy")));
    code.jrcxz(dotted);
    code.jmp(idle);
    code.bind(dotted);
    go_if(code, (PATH, 1), pair(b"/s"), deeper, idle);
    code.bind(deeper);
    go_if(code, (PATH, 2), pair(b"sy"), slow, idle);
    code.bind(idle);
}

/// Goes to `yes` if these are the 16 bits that an argument points to, so many bytes
/// on; else to `no`.
fn go_if(code: &mut Code, (argument, offset): (u8, u8), bits: u32, yes: Label, no: Label) {
    code.movzx_ecx_argument(argument, offset);
    code.lea_ecx_minus(bits);
    code.jrcxz(yes);
    code.jmp(no);
}
