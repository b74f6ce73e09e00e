//! Where redirected calls wait.
//!
//! A call that the hook put in the place of the program's is made with signals as
//! they were, and may block for ever (an open of a FIFO). It needs the registers
//! that the program gets back, and its paths, but no stack: it must not keep a
//! slot from others. So its save area moves to a parked one, of which there are
//! as many as a process can have threads in such calls, in memory of their own.

use core::mem::{size_of, size_of_val};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use procsys_hook::{Kernel, SENDMMSG, Scratch, nr};

use crate::layout::{AREAS_AT, SLOT_SCRATCH, SLOT_SIZE};
use crate::slots::{holder, is_gone, is_left, leaving};
use crate::{Raw, Slot, address_of, copy};

/// How many calls can wait; more keep their slots.
const AREAS: usize = 4096;
/// From this area on, those of threads that are gone are looked for.
const CROWDED: usize = 64;
/// Where an area has its lock: behind what the slot's save area uses.
const LOCK: usize = 0xf0;

/// sendmsg; with [`SENDMMSG`] the calls whose replaced argument points on to another.
const SENDMSG: usize = 46;

/// Moves a replaced call to an area of its own, if there is one.
pub(crate) fn park(slot: &mut Slot, scratch: &Scratch) {
    let thread = scratch.thread;
    let Some(area) = take(slot.rsp, thread) else { return };
    let (from, to) = (&raw const *slot as usize, area);
    let buffers = &raw const scratch.out as usize;
    // SAFETY: the area is this thread's now, as large as a slot, and apart from it.
    unsafe {
        copy(to as *mut u8, from as *const u8, size_of::<Slot>());
        let offset = buffers - from;
        copy((to + offset) as *mut u8, buffers as *const u8, size_of_val(&scratch.out));
        let parked = &mut *(area as *mut Slot);
        let moves = |arg: usize| arg.wrapping_sub(buffers) < size_of_val(&scratch.out);
        if matches!(slot.replaced.nr, SENDMSG | SENDMMSG) && moves(slot.replaced.args[1]) {
            // The message's first word is the address of the name, which moves, too.
            let name = (to + (slot.replaced.args[1] - from)) as *mut usize;
            *name = to + (*name - from);
        }
        for arg in &mut parked.replaced.args {
            if moves(*arg) {
                *arg = to + (*arg - from);
            }
        }
        parked.lock = area + LOCK;
        parked.state = leaving(thread);
        parked.goes_on = area;
    }
    slot.state = 0;
    slot.goes_on = area;
}

/// An area that is free, or that nobody comes back to.
fn take(stack: usize, thread: u32) -> Option<usize> {
    let first = areas()?;
    (0..AREAS).find_map(|index| {
        let area = first + index * SLOT_SIZE as usize;
        // SAFETY: the lock lies in the areas' memory, which stays mapped; other
        // threads change it, hence an atomic.
        let lock = unsafe { AtomicU64::from_ptr((area + LOCK) as *mut u64) };
        let held = lock.load(Ordering::Acquire);
        let is_free = match holder(held) {
            None => true,
            Some(holder) if holder == thread => is_left(area as *const Slot, stack),
            Some(holder) => index >= CROWDED && is_gone(holder),
        };
        let new = leaving(thread);
        let taken = is_free
            && lock.compare_exchange(held, new, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        taken.then_some(area)
    })
}

/// The address of the areas; mapped when the first call is parked.
fn areas() -> Option<usize> {
    /// `PROT_READ | PROT_WRITE`; `MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE` (mmap(2)).
    const PROTECTION: usize = 1 | 2;
    const FLAGS: usize = 2 | 0x20 | 0x4000;
    let kept = (address_of!("procsys_locks") + AREAS_AT) as *mut usize;
    // SAFETY: the word lies behind the locks in zeroed memory of the shim's own.
    let kept = unsafe { AtomicUsize::from_ptr(kept) };
    let known = kept.load(Ordering::Acquire);
    if known != 0 {
        return Some(known);
    }
    let len = AREAS * SLOT_SIZE as usize;
    let mapped = Raw.call(nr::MMAP, [0, len, PROTECTION, FLAGS, usize::MAX, 0]);
    let mapped = usize::try_from(mapped).ok()?;
    match kept.compare_exchange(0, mapped, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some(mapped),
        Err(other) => {
            Raw.call(nr::MUNMAP, [mapped, len, 0, 0, 0, 0]);
            Some(other)
        }
    }
}

const _: () = assert!(
    size_of::<Slot>() <= LOCK && SLOT_SCRATCH as usize + size_of::<Scratch>() <= SLOT_SIZE as usize
);
