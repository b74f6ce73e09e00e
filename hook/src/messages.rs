//! sendmmsg beside redirects: several messages in one call, each with an address.
//!
//! It is made in steps, as the kernel makes it in its own loop (Linux, net/socket.c:
//! __sys_sendmmsg): messages in a row whose addresses stay as they are go in one call,
//! from where the program has them; one whose address is replaced goes alone, as a
//! copy. The first that fails ends it, and is told of only if none was sent before. So
//! nothing is held for more than one message, and what can't be read or written to is
//! found by the kernel in its turn.

use procsys_rules::sockets::{AF_UNIX, MMSGHDR, MOST_MESSAGES, MSGHDR, SUN_PATH};
use procsys_rules::table::Table;

use crate::kernel::Kernel;
use crate::memory::{self, Scratch};
use crate::socket::{Address, name_of, put_message, replaced, set};
use crate::{Before, Call};

/// The number of sendmmsg (arch/x86/entry/syscalls/syscall_64.tbl).
pub const SENDMMSG: usize = 307;

/// The call's arguments: the row of messages, and how many there are.
const ROW: u8 = 1;
const COUNT: u8 = 2;
/// Where a message says how many of its bytes were sent.
const BYTES_AT: usize = MSGHDR;

/// Where the program has its n-th message.
fn message(call: &Call, n: usize) -> usize {
    call.args.get(usize::from(ROW)).copied().unwrap_or(0).wrapping_add(n * MMSGHDR)
}

/// How many messages the kernel looks at.
fn count(call: &Call) -> usize {
    let given = call.args.get(usize::from(COUNT)).copied().unwrap_or(0);
    (given as u32 as usize).min(MOST_MESSAGES)
}

/// Whether a step that was decided on when `sent` messages had been sent is a copy: one
/// message in the scratch, whose first word points to the address behind it.
pub fn is_copy(call: &Call, step: &Call, sent: usize) -> bool {
    message(step, 0) != message(call, sent)
}

/// The step after `sent` messages. [`Before::Pass`] only if no message of the call is
/// concerned.
pub(crate) fn next(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
    sent: usize,
) -> Before {
    let all = count(call);
    let mut head = [0; MMSGHDR];
    let mut known_to = 0;
    let mut end = sent;
    let found = loop {
        if end >= all {
            break None;
        }
        let at = (message(call, end), &mut head, &mut known_to);
        match look(kernel, table, scratch, at) {
            Look::Stays => end += 1,
            Look::NoneLeft => {
                end = all;
                break None;
            }
            Look::Moves(new) => break Some(new),
        }
    };
    let mut step = *call;
    match found {
        None if sent == 0 => return Before::Pass,
        Some(new) if end == sent => {
            let new = match new {
                Ok(new) => new,
                Err(errno) => return ended(sent, -isize::from(errno)),
            };
            let copy = put_message(scratch, &mut head, &new);
            set(&mut step, ROW, copy);
            set(&mut step, COUNT, 1);
        }
        _ => {
            set(&mut step, ROW, message(call, sent));
            set(&mut step, COUNT, end - sent);
        }
    }
    Before::Replace(step)
}

/// After a step with this result: the next one, or the answer to the call. `sent`, 0 at
/// first, is what the door keeps from step to step.
pub fn goes_on(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
    (step, result): (&Call, isize),
    sent: &mut usize,
) -> Before {
    let Ok(more) = usize::try_from(result) else { return ended(*sent, result) };
    if is_copy(call, step, *sent) && more == 1 {
        let mut bytes = [0; 4];
        kernel.load(message(step, 0) + BYTES_AT, &mut bytes);
        if let Err(errno) = memory::store(kernel, message(call, *sent) + BYTES_AT, &bytes) {
            return ended(*sent, -isize::from(errno));
        }
    }
    *sent += more;
    if more < count(step) || *sent >= count(call) {
        return ended(*sent, 0);
    }
    next(kernel, table, scratch, call, *sent)
}

/// The answer: what was sent before a failure counts.
fn ended(sent: usize, failure: isize) -> Before {
    Before::Answer(if sent > 0 { sent as isize } else { failure })
}

/// What becomes of a message.
enum Look {
    /// It goes as it is.
    Stays,
    /// It does, and all that follow.
    NoneLeft,
    /// It goes to another address, or fails for it.
    Moves(Result<Address, u8>),
}

/// Looks at the message at this address, and copies it; the memory up to `known_to` is
/// known to be readable. Where the kernel counts what was sent is not read: if it can't
/// be written to either, that is found when the message has gone.
fn look(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    (message, copy, known_to): (usize, &mut [u8; MMSGHDR], &mut usize),
) -> Look {
    const PAGE: usize = 4096;
    let Some(last) = message.checked_add(MSGHDR - 1) else { return Look::NoneLeft };
    while *known_to <= last {
        let at = message.max(*known_to);
        if !memory::readable(kernel, at) {
            return Look::NoneLeft;
        }
        *known_to = (at | (PAGE - 1)).wrapping_add(1);
    }
    let Some(head) = copy.get_mut(..MSGHDR) else { return Look::NoneLeft };
    kernel.load(message, head);
    let (name, len) = name_of(head);
    // Either the socket is not an AF_UNIX one, or it takes no message for this address.
    if is_foreign(kernel, name, len) {
        return Look::NoneLeft;
    }
    match replaced(kernel, table, scratch, name, len) {
        Ok(None) => Look::Stays,
        Ok(Some(new)) => Look::Moves(Ok(new)),
        Err(errno) => Look::Moves(Err(errno)),
    }
}

/// Whether an address is not one of AF_UNIX: then those of the call's other messages
/// are not, or don't count.
pub(crate) fn is_foreign(kernel: &impl Kernel, name: usize, len: usize) -> bool {
    let mut family = [0; SUN_PATH];
    let is_there = name != 0 && len >= family.len() && memory::read(kernel, name, &mut family);
    is_there && family != [AF_UNIX, 0]
}
