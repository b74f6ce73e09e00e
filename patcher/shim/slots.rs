//! Which slots are held by nobody any more?
//!
//! A slot is given back when its call is answered. That does not happen when a
//! signal handler that runs on the way out leaves by longjmp, when a redirected
//! execve succeeds in a vfork child, or when a thread ends in such a call. Their
//! slots are found here and freed:
//!
//! - those of the calling thread, each time it comes: what it held before is an
//!   interrupted frame, alive only if a handler is running above it;
//! - those of threads that are gone, when most slots are taken.

use procsys_hook::{Kernel, nr};

use crate::layout::{SLOT_SIZE, SLOTS};
use crate::{Raw, Slot, address_of};

/// A slot's lock, as entry.s has it.
#[repr(C)]
struct Lock {
    /// 0 free, 1 in the slow path, 2 on the way out.
    state: u32,
    /// The thread that holds it; 0 until it has said so.
    thread: u32,
}

/// From this slot on, a thread that takes one looks for those of threads that are gone.
const CROWDED: usize = SLOTS as usize * 3 / 4;

/// The value of a lock whose thread is on its way out.
pub(crate) fn leaving(thread: u32) -> u64 {
    2 | u64::from(thread) << 32
}

/// Says whose the slot at `base` is, frees what nobody holds any more, and gives
/// the thread.
pub(crate) fn take(base: usize, slot: &mut Slot) -> u32 {
    let stack = slot.rsp;
    let index = (base - address_of!("procsys_slots")) / SLOT_SIZE as usize;
    let thread = Raw.call(nr::GETTID, [0; 6]) as u32;
    let own = lock(index);
    // SAFETY: the lock is this thread's, taken in entry.s.
    unsafe { (&raw mut (*own).thread).write_volatile(thread) };
    for other in (0..SLOTS as usize).filter(|&other| other != index) {
        // SAFETY: the locks are zeroed memory of the shim's own, which other
        // threads change: hence volatile.
        let holder = unsafe { (&raw const (*lock(other)).thread).read_volatile() };
        if holder == 0 {
            continue;
        }
        let is_free = holder == thread && is_left(slot_at(other), stack)
            || index >= CROWDED && is_gone(holder);
        if is_free {
            // SAFETY: as above; whoever held it does not come back to it.
            unsafe { lock(other).cast::<u64>().write_volatile(0) };
        }
    }
    slot.lock = own as usize;
    slot.state = leaving(thread);
    slot.goes_on = base;
    thread
}

fn lock(index: usize) -> *mut Lock {
    (address_of!("procsys_locks") as *mut Lock).wrapping_add(index)
}

fn slot_at(index: usize) -> *const Slot {
    (address_of!("procsys_slots") + index * SLOT_SIZE as usize) as *const Slot
}

/// Whether there is no such thread (tkill(2) without a signal).
pub(crate) fn is_gone(thread: u32) -> bool {
    const ESRCH: isize = -3;
    Raw.call(nr::TKILL, [thread as usize, 0, 0, 0, 0, 0]) == ESRCH
}

/// Whether the calling thread has left the frame that holds a slot of its own.
/// A frame that a handler interrupted lies above the handler's on the same
/// stack, or on the ordinary stack while the handler runs on the alternate one.
pub(crate) fn is_left(slot: *const Slot, stack: usize) -> bool {
    // SAFETY: the slot is this thread's own.
    let held = unsafe { (&raw const (*slot).rsp).read_volatile() };
    let (low, size) = alternate_stack();
    let on_alternate = |pointer: usize| pointer.wrapping_sub(low) < size;
    match (on_alternate(stack), on_alternate(held)) {
        (true, false) => false,
        (false, true) => true,
        _ => held <= stack,
    }
}

/// Start and length of the alternate signal stack (sigaltstack(2)).
fn alternate_stack() -> (usize, usize) {
    let mut stack = [0usize; 3];
    Raw.call(nr::SIGALTSTACK, [0, stack.as_mut_ptr() as usize, 0, 0, 0, 0]);
    let [low, _flags, size] = stack;
    (low, size)
}
