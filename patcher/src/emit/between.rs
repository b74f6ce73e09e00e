//! The trampolines of functions in which the call is made at a place of the function's
//! own: glibc's cancellation point (plan/cancel.rs), and Go's `Syscall6`
//! (plan/go_call.rs).
//!
//! Each begins with the way back, which the code behind the `syscall` leads to; the way
//! in follows. Between them the class of the number waits where the function keeps
//! nothing: 0 is of a number that no rule is about.

use super::code::{Code, Label};
use super::dispatch::{self, Make};
use super::segment::Anchors;
use super::tail::Tails;
use super::trampoline::{Special, by_class, choose, moved};
use crate::patch::Options;
use crate::plan::{Detour, Form, WAY_IN, cancel, go_call};

/// Writes it at the end of `code`.
///
/// # Errors
/// When a moved instruction can't be encoded at its new place.
pub(super) fn write(
    code: &mut Code,
    anchors: &Anchors<'_>,
    special: &Special,
    options: &Options,
    detour: &Detour<'_>,
    tails: &mut Tails,
) -> Result<(), String> {
    let back = code.label();
    let done = match detour.form {
        Form::GoCall => code.label_at(detour.site.address + 2),
        _ => code.label(),
    };
    let mut descriptors = Vec::new();
    let way_in = code.here() + WAY_IN;
    code.jmp(back);
    while code.here() < way_in {
        code.raw(&[0xcc]);
    }
    moved(code, anchors.image, detour.before())?;
    if options.every_call {
        dispatch::ask_before(code, anchors, &mut descriptors, done, None);
    }
    choose(
        code,
        anchors,
        special,
        |code| make(code, detour, 0),
        |code, class, (nr, reach)| {
            if reach.before {
                dispatch::ask_before(code, anchors, &mut descriptors, done, Some(nr));
            }
            make(code, detour, class);
        },
    );
    code.bind(back);
    take_back(code, anchors, detour, done)?;
    by_class(code, special, |code, _, number| {
        let tails = Some(&mut *tails);
        dispatch::write(code, anchors, &mut descriptors, number, Make::Made, done, tails);
    });
    dispatch::write_descriptors(code, descriptors);
    Ok(())
}

/// Goes to where the call is made, with the class of its number put away.
fn make(code: &mut Code, detour: &Detour<'_>, class: u32) {
    match detour.form {
        Form::GoCall if class == 0 => code.jmp_to(detour.site.address),
        Form::GoCall => {
            code.raw(&[0xbb]); // mov $class, %ebx
            code.raw(&class.to_le_bytes());
            code.jmp_to(go_call::call(detour.start()));
        }
        // In the argument that the function has just read its sixth from, which is its
        // own by then (System V ABI, AMD64, 3.2.3).
        _ => {
            code.raw(&[0x48, 0xc7, 0x44, 0x24, 0x10]); // movq $class, 16(%rsp)
            code.raw(&class.to_le_bytes());
            code.raw(&[0x4c, 0x8b, 0x5c, 0x24, 0x08]); // mov 8(%rsp), %r11: the flag's address
            code.jmp_to(cancel::look(detour.form, detour.site.address));
        }
    }
}

/// Takes the class to rcx. What is `done` with no look at the answer is so from here on.
fn take_back(
    code: &mut Code,
    anchors: &Anchors<'_>,
    detour: &Detour<'_>,
    done: Label,
) -> Result<(), String> {
    if detour.form == Form::GoCall {
        // mov %rbx, %rcx; mov %rdi, %rbx
        code.raw(&[0x48, 0x89, 0xd9, 0x48, 0x89, 0xfb]);
        return Ok(());
    }
    code.raw(&[0x48, 0x8b, 0x4c, 0x24, 0x10]); // mov 16(%rsp), %rcx
    let looked_at = code.label();
    code.jrcxz(done);
    code.jmp(looked_at);
    code.bind(done);
    moved(code, anchors.image, detour.after())?;
    code.bind(looked_at);
    Ok(())
}
