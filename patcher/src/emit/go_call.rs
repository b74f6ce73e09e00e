//! The trampoline of Go's `Syscall6` (plan/go_call.rs).
//!
//! It begins with the way back, which the second `syscall` in the function leads to;
//! the way in follows. Between them the class of the number waits in rbx.

use super::code::Code;
use super::dispatch::{self, Make};
use super::segment::Anchors;
use super::tail::Tails;
use super::trampoline::{Special, by_class, choose, moved};
use crate::patch::Options;
use crate::plan::{Detour, WAY_IN, go_call};

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
    let (back, done) = (code.label(), code.label_at(detour.site.address + 2));
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
        |code| code.jmp_to(detour.site.address),
        |code, class, (nr, reach)| {
            if reach.before {
                dispatch::ask_before(code, anchors, &mut descriptors, done, Some(nr));
            }
            code.raw(&[0xbb]); // mov $class, %ebx
            code.raw(&class.to_le_bytes());
            code.jmp_to(go_call::call(detour.start()));
        },
    );
    code.bind(back);
    // mov %rbx, %rcx; mov %rdi, %rbx
    code.raw(&[0x48, 0x89, 0xd9, 0x48, 0x89, 0xfb]);
    by_class(code, special, |code, _, number| {
        let tails = Some(&mut *tails);
        dispatch::write(code, anchors, &mut descriptors, number, Make::Made, done, tails);
    });
    dispatch::write_descriptors(code, descriptors);
    Ok(())
}
