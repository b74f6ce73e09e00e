//! What is done with one call number: the code of one site for it.
//!
//! A call that succeeds costs a few instructions that touch neither flags nor
//! stack. Only a failure, or a success that may be wrong, takes the slow path.

use procsys_rules::reach::{After, Reach};
use procsys_rules::sockets::{Carrier, carrier};

use super::code::{Code, Label};
use super::segment::Anchors;
use super::tail::{self, Tails};
use crate::shim::{KIND_AFTER, KIND_BEFORE};

/// A descriptor that the slow path is to be handed (shim/layout.rs).
pub(super) struct Descriptor {
    label: Label,
    after: Label,
    /// Where to go on when the call is to be made as it stands: before it is made.
    resume: Option<Label>,
    nr: u32,
}

/// Calls that return a second time in a copy of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fork {
    /// `fork`: always.
    Always,
    /// `clone`: unless CLONE_VM is in the first argument.
    ByFlags,
}

fn fork(nr: u32) -> Option<Fork> {
    match nr {
        57 => Some(Fork::Always),
        56 => Some(Fork::ByFlags),
        _ => None,
    }
}

/// Whether the number needs code of its own at each site.
pub(super) fn is_special(nr: u32, reach: Reach) -> bool {
    reach.is_any() || fork(nr).is_some()
}

/// How a trampoline makes the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    /// By a `syscall` of its own.
    Here,
    /// It is made: the detour is behind it.
    Made,
    /// At musl's cancellation point, by the look at the flag at this address.
    Look(u64),
}

impl Make {
    /// Writes the call; control comes back after it.
    fn write(self, code: &mut Code) {
        match self {
            Make::Here => code.syscall(),
            Make::Made => {}
            Make::Look(address) => {
                // 16 bytes, so that the stack is aligned for what __cp_cancel calls.
                code.raw(&[0x48, 0x8d, 0x64, 0x24, 0xf8]); // lea -8(%rsp), %rsp
                code.raw(&[0x4c, 0x8b, 0x5c, 0x24, 0x10]); // mov 16(%rsp), %r11: the flag's address
                code.call_to(address);
                code.raw(&[0x48, 0x8d, 0x64, 0x24, 0x08]); // lea 8(%rsp), %rsp
            }
        }
    }
}

/// Writes the code that makes call `nr` and looks at its answer; it goes on at
/// `done`. The descriptors it needs are collected. With `tails`, the look is one
/// of those.
pub(super) fn write(
    code: &mut Code,
    anchors: &Anchors<'_>,
    descriptors: &mut Vec<Descriptor>,
    (nr, reach): (u32, Reach),
    make: Make,
    done: Label,
    tails: Option<&mut Tails>,
) {
    if reach.before && make != Make::Made {
        ask_before(code, anchors, descriptors, done, Some(nr));
    }
    make.write(code);
    if let Some(fork) = fork(nr) {
        return after_fork(code, anchors, fork, done);
    }
    if reach.after == After::Nothing && !reach.armed {
        return code.jmp(done);
    }
    let descriptor = code.label();
    descriptors.push(Descriptor { label: descriptor, after: done, resume: None, nr });
    if reach.after == After::Always {
        code.lea_r11(descriptor);
        return code.jmp_to(anchors.slow);
    }
    if let After::AlwaysWith(argument) = reach.after {
        let without = code.label();
        code.mov_rcx_argument(argument);
        code.jrcxz(without);
        code.lea_r11(descriptor);
        code.jmp_to(anchors.slow);
        code.bind(without);
        return code.jmp(done);
    }
    if let Some(tails) = tails {
        let tail = tails.find(code, reach);
        code.lea_r11(descriptor);
        return code.jmp(tail);
    }
    let (success, slow) = (code.label(), code.label());
    tail::unless_failed(code, reach, success);
    code.bind(slow);
    code.lea_r11(descriptor);
    code.jmp_to(anchors.slow);
    code.bind(success);
    tail::if_odd(code, anchors, reach, slow);
    code.jmp(done);
}

/// Writes the way through the hook before the call is made; it goes on here, or
/// at `done` when the hook made another call in its place. With a number, a call
/// that names no socket is passed.
pub(super) fn ask_before(
    code: &mut Code,
    anchors: &Anchors<'_>,
    descriptors: &mut Vec<Descriptor>,
    done: Label,
    nr: Option<u32>,
) {
    let (label, resume) = (code.label(), code.label());
    if let Some(Carrier::Given(address, _)) = nr.and_then(|nr| carrier(nr as usize)) {
        code.mov_rcx_argument(address);
        code.jrcxz(resume);
    }
    code.lea_r11(label);
    code.jmp_to(anchors.slow);
    code.bind(resume);
    descriptors.push(Descriptor { label, after: done, resume: Some(resume), nr: 0 });
}

/// In a forked child, the slots that other threads of the parent held are freed.
fn after_fork(code: &mut Code, anchors: &Anchors<'_>, fork: Fork, done: Label) {
    let (child, clear) = (code.label(), code.label());
    // mov %rax, %rcx
    code.raw(&[0x48, 0x89, 0xc1]);
    code.jrcxz(child);
    code.jmp(done);
    code.bind(child);
    if fork == Fork::ByFlags {
        // mov %rdi, %rcx; movzbl %ch, %ecx: the byte of the flags with CLONE_VM.
        code.raw(&[0x48, 0x89, 0xf9, 0x0f, 0xb6, 0xcd]);
        let table = code.label_at(anchors.clone_vm);
        code.lea_r11(table);
        // movzbl (%r11,%rcx), %ecx
        code.raw(&[0x41, 0x0f, 0xb6, 0x0c, 0x0b]);
        code.jrcxz(clear);
        code.jmp(done);
    }
    code.bind(clear);
    code.lea_r11(done);
    code.jmp_to(anchors.forked);
}

/// Writes the collected descriptors.
pub(super) fn write_descriptors(code: &mut Code, descriptors: Vec<Descriptor>) {
    for descriptor in descriptors {
        code.align(4);
        let origin = code.here();
        code.bind(descriptor.label);
        let kind = if descriptor.resume.is_some() { KIND_BEFORE } else { KIND_AFTER };
        code.distance(descriptor.after, origin);
        code.raw(&(descriptor.nr as u16).to_le_bytes());
        code.raw(&kind.to_le_bytes());
        if let Some(resume) = descriptor.resume {
            code.distance(resume, origin);
        }
    }
}
