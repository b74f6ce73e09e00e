//! Several messages in one call.

use core::ptr::copy_nonoverlapping;

use procsys_hook::{Before, Call};
use procsys_rules::sockets::{MMSGHDR, SOCKADDR_UN};

use crate::engine::{self, Make};
use crate::function::interpose;
use crate::kernel::Raw;
use crate::libc::{errno, set_errno};
use crate::{config, pool, trace};

interpose! {
    after crate::writes::NUMBERS.1;
    fn sendmmsg(fd: i32, messages: usize, count: u32, flags: i32) -> i32 = 307 () [fd, messages, count, flags] ();
    fn recvmmsg(fd: i32, messages: usize, count: u32, flags: i32, timeout: usize) -> i32 = 299 () [fd, messages, count, flags, timeout] ();
}

/// A message with another address behind it, as the hook puts it together.
#[repr(C, align(8))]
struct Copied([u8; MMSGHDR + SOCKADDR_UN + 1]);

/// Makes a sendmmsg in the hook's steps; `None` where no redirect means any of its
/// messages, and nothing has been done.
#[cold]
#[inline(never)]
pub(crate) fn in_steps(call: &Call, make: Make<'_>) -> Option<isize> {
    let table = config::table()?;
    let before = errno();
    let mut copied = Copied([0; MMSGHDR + SOCKADDR_UN + 1]);
    let mut sent = 0;
    let mut made: Option<(Call, isize)> = None;
    loop {
        let mut decision = Before::Pass;
        // Fails at the first step, or never: slots stay mapped.
        let mut held = pool::take()?;
        held.run(|scratch| {
            decision = match &made {
                None => procsys_hook::before(&Raw, table, scratch, call),
                Some((step, result)) => {
                    let step = (step, *result);
                    procsys_hook::goes_on(&Raw, table, scratch, call, step, &mut sent)
                }
            };
        });
        let mut step = match decision {
            Before::Pass => return None,
            Before::Answer(answer) => {
                drop(held);
                set_errno(before);
                let result = engine::in_libcs_manner(answer);
                return Some(match made {
                    Some(_) => engine::settle(call, before, result),
                    None => result,
                });
            }
            Before::Replace(step) => step,
        };
        if procsys_hook::is_copy(call, &step, sent) {
            let [_, row, ..] = &mut step.args;
            let to = (&raw mut copied).cast::<u8>();
            // SAFETY: the hook has put as many bytes there, and the slot is held; the
            // first word is the address of the name, which is copied, too.
            unsafe {
                copy_nonoverlapping(*row as *const u8, to, size_of_val(&copied.0));
                to.cast::<usize>().write(to as usize + MMSGHDR);
            }
            *row = to as usize;
        }
        // The call may block, be cancelled or never come back.
        drop(held);
        trace::redirected(call, &step);
        let result = make.make(&step);
        made = Some((step, if result == -1 { -(errno() as isize) } else { result }));
    }
}
