//! One interposed call: the way through the hook that all of them take.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::copy_nonoverlapping;

use procsys_hook::{Before, Call, Kernel};
use procsys_rules::sockets::{Carrier, MSGHDR, SOCKADDR_UN, carrier};
use procsys_rules::{Table, calls};

use crate::kernel::Raw;
use crate::libc::{errno, set_errno};
#[cfg(feature = "whole")]
use crate::messages;
use crate::redirect::{self, Meaning};
use crate::{config, filter, pool, stack, trace};

/// The one call whose replaced argument points on to another.
const SENDMSG: usize = 46;

/// Makes the call as libc would: -1 and errno for a failure.
///
/// A closure without a table of functions (`dyn`), which would be relocations.
#[derive(Clone, Copy)]
pub(crate) struct Make<'a> {
    closure: *const (),
    call: unsafe fn(*const (), &Call) -> isize,
    lives: PhantomData<&'a ()>,
}

impl<'a> Make<'a> {
    pub(crate) fn by<F: Fn(&Call) -> isize>(closure: &'a F) -> Self {
        unsafe fn call<F: Fn(&Call) -> isize>(closure: *const (), call: &Call) -> isize {
            // SAFETY: `by` put the address of an `F` there, which still lives.
            unsafe { (*closure.cast::<F>())(call) }
        }
        Self { closure: (&raw const *closure).cast(), call: call::<F>, lives: PhantomData }
    }

    pub(crate) fn make(self, call: &Call) -> isize {
        // SAFETY: both fields are of one closure, which lives as long as this.
        unsafe { (self.call)(self.closure, call) }
    }
}

/// A call by number, with those arguments and zeros.
#[inline(always)]
pub(crate) fn call(nr: usize, given: &[usize]) -> Call {
    let mut args = [0; 6];
    for (to, from) in args.iter_mut().zip(given) {
        *to = *from;
    }
    Call { nr, args }
}

/// Makes a call with what the rules say before and after it. Result and errno
/// are as libc gives them.
pub(crate) fn run<F: Fn(&Call) -> isize>(call: &Call, make: &F) -> isize {
    run_by(call, Make::by(make))
}

fn run_by(call: &Call, make: Make<'_>) -> isize {
    if redirect::is_any()
        && let Some(result) = beside_redirects(call, make)
    {
        return result;
    }
    let before = errno();
    settle(call, before, make.make(call))
}

/// As [`run`], where there are redirects. A frame of its own: what is known of the
/// paths must not lie on a small stack while an answer is looked at.
#[inline(never)]
fn beside_redirects(call: &Call, make: Make<'_>) -> Option<isize> {
    redirected(call, &redirect::meanings(call)?, make)
}

/// As [`run`], where a redirect may mean a path of the call; `None` where none
/// does, and nothing has been done.
#[inline(never)]
fn redirected(call: &Call, meanings: &[Meaning; 6], make: Make<'_>) -> Option<isize> {
    if meanings.iter().any(|meaning| matches!(meaning, Meaning::Unknown)) {
        #[cfg(feature = "whole")]
        if call.nr == procsys_hook::SENDMMSG {
            return messages::in_steps(call, make);
        }
        return config::table().and_then(|table| shown_before(table, call, make));
    }
    let new = |meaning: &Meaning| match meaning {
        Meaning::Below(new) => Some(*new),
        _ => None,
    };
    let before = errno();
    let mut result = -1;
    let len = meanings.iter().filter_map(new).map(|new| new.len()).sum();
    stack::with_room(len, &mut |mut room: *mut u8| {
        let mut changed = *call;
        for (arg, meaning) in changed.args.iter_mut().zip(meanings) {
            let Some(new) = new(meaning) else { continue };
            *arg = room as usize;
            // SAFETY: the room has the sum of all lengths.
            unsafe {
                new.write(room);
                room = room.add(new.len());
            }
        }
        procsys_hook::without_directories(call, &mut changed);
        trace::redirected(call, &changed);
        result = settle(&changed, before, make.make(&changed));
    });
    Some(result)
}

/// Shows the call to the hook. A frame of its own: the stack may be a small one.
#[cold]
#[inline(never)]
fn shown_before(table: Table<'_>, call: &Call, make: Make<'_>) -> Option<isize> {
    let before = errno();
    let mut held = pool::take()?;
    let mut decision = Before::Pass;
    held.run(|scratch| decision = procsys_hook::before(&Raw, table, scratch, call));
    let changed = match decision {
        Before::Pass => return None,
        Before::Replace(changed) => changed,
        Before::Answer(answer) => {
            drop(held);
            return Some(in_libcs_manner(answer));
        }
    };
    // The new paths are copied from the slot to the caller's stack: the call may
    // block, be cancelled or never come back, and the slot is needed by others.
    let lens = lengths(call, &changed);
    let held = Cell::new(Some(held));
    let mut result = -1;
    stack::with_room(lens.iter().sum(), &mut |mut room: *mut u8| {
        let mut copied = changed;
        for (arg, &len) in copied.args.iter_mut().zip(&lens).filter(|(_, len)| **len > 0) {
            // SAFETY: the room has the sum of all lengths; the slot is held.
            unsafe {
                copy_nonoverlapping(*arg as *const u8, room, len);
                *arg = room as usize;
                room = room.add(len);
            }
        }
        if copied.nr == SENDMSG {
            // SAFETY: the head of the message, copied with the name behind it.
            unsafe { *(copied.args[1] as *mut usize) = copied.args[1] + MSGHDR };
        }
        drop(held.take());
        trace::redirected(call, &copied);
        result = settle(&copied, before, make.make(&copied));
    });
    Some(result)
}

/// For each argument the bytes of the path that the hook has put in its place;
/// 0 for one that is as it was, and for descriptors.
fn lengths(call: &Call, changed: &Call) -> [usize; 6] {
    let mut lens = [0; 6];
    match carrier(call.nr) {
        Some(Carrier::Given(address, _)) => {
            if let Some(len) = lens.get_mut(usize::from(address)) {
                *len = SOCKADDR_UN + 1;
            }
        }
        Some(Carrier::GivenInMessage(_)) => lens[1] = MSGHDR + SOCKADDR_UN + 1,
        _ => {}
    }
    let shape = calls::shape(call.nr);
    for arg in shape.iter().flat_map(|s| s.paths).flatten().map(|a| usize::from(a.path)) {
        let (Some(before), Some(after)) = (call.args.get(arg), changed.args.get(arg)) else {
            continue;
        };
        if let Some(len) = lens.get_mut(arg).filter(|_| before != after) {
            // SAFETY: the hook ends every path that it puts in place with NUL.
            *len = unsafe { crate::libc::bytes(*after as *const u8) }.len() + 1;
        }
    }
    lens
}

/// Shows the answer to the hook, where a rule may concern it.
pub(crate) fn settle(call: &Call, before: i32, result: isize) -> isize {
    let Some(table) = config::table() else { return result };
    let raw = if result == -1 {
        let error = errno();
        if !filter::failure(table, call, error) {
            return result;
        }
        -(error as isize)
    } else if filter::success(call) {
        result
    } else {
        return result;
    };
    shown_to_the_hook(table, call, before, raw)
}

/// The answer of the hook to a result, in libc's manner.
#[cold]
#[inline(never)]
fn shown_to_the_hook(table: Table<'_>, call: &Call, before: i32, raw: isize) -> isize {
    let mut answer = procsys_hook::Answer { result: raw, is_repaired: false };
    if let Some(mut held) = pool::take() {
        held.run(|scratch| answer = procsys_hook::repair(&Raw, table, scratch, call, raw));
    }
    if answer.is_repaired {
        trace::repaired(call, raw, answer.result);
    }
    if answer.result < 0 {
        set_errno(-answer.result as i32);
        return -1;
    }
    set_errno(before);
    answer.result
}

/// A system call made without libc, in libc's manner.
pub(crate) fn directly(call: &Call) -> isize {
    in_libcs_manner(Raw.call(call.nr, call.args))
}

/// -1 and errno for a failure.
pub(crate) fn in_libcs_manner(result: isize) -> isize {
    if (-4095..0).contains(&result) {
        set_errno(-result as i32);
        return -1;
    }
    result
}
