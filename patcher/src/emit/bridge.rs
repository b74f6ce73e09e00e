//! The trampoline of glibc's cancellation point (plan/cancel.rs).
//!
//! It begins with the way back, which the code behind the `syscall` leads to; the way in
//! follows. Between them the call is made at its own place, so the class of its number
//! waits on the stack: in the argument that the function has just read its sixth from,
//! which is the function's own by then (System V ABI, AMD64, 3.2.3).

use super::code::Code;
use super::dispatch::{self, Make};
use super::segment::Anchors;
use super::tail::Tails;
use super::trampoline::{Special, by_class, choose, moved};
use crate::patch::Options;
use crate::plan::{Detour, WAY_IN, cancel};

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
    let (back, done) = (code.label(), code.label());
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
    let look = cancel::look(detour.form, detour.site.address);
    let make = |code: &mut Code, class: u32| {
        code.raw(&[0x48, 0xc7, 0x44, 0x24, 0x10]); // movq $class, 16(%rsp)
        code.raw(&class.to_le_bytes());
        code.raw(&[0x4c, 0x8b, 0x5c, 0x24, 0x08]); // mov 8(%rsp), %r11: the flag's address
        code.jmp_to(look);
    };
    choose(
        code,
        anchors,
        special,
        |code| make(code, 0),
        |code, class, (nr, reach)| {
            if reach.before {
                dispatch::ask_before(code, anchors, &mut descriptors, done, Some(nr));
            }
            make(code, class);
        },
    );
    code.bind(back);
    code.raw(&[0x48, 0x8b, 0x4c, 0x24, 0x10]); // mov 16(%rsp), %rcx
    let looked_at = code.label();
    code.jrcxz(done);
    code.jmp(looked_at);
    code.bind(done);
    moved(code, anchors.image, detour.after())?;
    code.bind(looked_at);
    by_class(code, special, |code, _, number| {
        let tails = Some(&mut *tails);
        dispatch::write(code, anchors, &mut descriptors, number, Make::Made, done, tails);
    });
    dispatch::write_descriptors(code, descriptors);
    Ok(())
}
