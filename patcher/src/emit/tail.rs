//! Looking at an answer: code that is there once, for the sites that make many calls.
//!
//! Where the number is the caller's, a site has code for each number that a rule
//! is about: a hundred such sites would repeat the same look at the answer two
//! thousand times. Here it is once for each kind of look; the descriptor in r11,
//! which the slow path wants anyway, says where to go on.

use procsys_rules::reach::{After, MARKED_MODES, PROCFS_ROOT_MODE};

use super::code::{Code, Label};
use super::segment::Anchors;

/// The looks that are needed so far, and where each will be.
#[derive(Default)]
pub(super) struct Tails {
    all: Vec<(After, Label)>,
}

impl Tails {
    /// Where the code is that looks at an answer: r11 holds the descriptor.
    pub(super) fn find(&mut self, code: &mut Code, after: After) -> Label {
        if let Some(&(_, label)) = self.all.iter().find(|(known, _)| *known == after) {
            return label;
        }
        let label = code.label();
        self.all.push((after, label));
        label
    }

    /// Writes all that were asked for.
    pub(super) fn write(self, code: &mut Code, anchors: &Anchors) {
        for (after, label) in self.all {
            code.align(16);
            code.bind(label);
            let (success, slow) = (code.label(), code.label());
            unless_failed(code, success);
            code.bind(slow);
            code.jmp_to(anchors.slow);
            code.bind(success);
            if_odd_mode(code, after, slow);
            code.raw(&[0x49, 0x63, 0x0b]); // movslq (%r11), %rcx: Descriptor.after
            code.raw(&[0x4d, 0x8d, 0x1c, 0x0b]); // lea (%r11,%rcx), %r11
            code.raw(&[0x41, 0xff, 0xe3]); // jmp *%r11
        }
    }
}

/// Goes to `success` unless rax is negative.
pub(super) fn unless_failed(code: &mut Code, success: Label) {
    // mov %rax, %rcx; bswap %rcx; movzbl %cl, %ecx: 0 unless rax is negative.
    code.raw(&[0x48, 0x89, 0xc1, 0x48, 0x0f, 0xc9, 0x0f, 0xb6, 0xc9]);
    code.jrcxz(success);
}

/// Goes to `slow` if the mode that was filled in may be wrong.
pub(super) fn if_odd_mode(code: &mut Code, after: After, slow: Label) {
    let After::FailureOrMode(argument, offset) = after else { return };
    code.movzx_ecx_argument(argument, offset);
    let mut subtracted = 0;
    for mode in [PROCFS_ROOT_MODE].into_iter().chain(MARKED_MODES) {
        code.lea_ecx_minus(u32::from(mode).wrapping_sub(subtracted));
        subtracted = u32::from(mode);
        code.jrcxz(slow);
    }
}
