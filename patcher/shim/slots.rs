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
//!
//! A handler can also run just before signals are blocked, when no thread is named
//! yet. Whoever comes with the stack pointer that such a slot was taken at has left
//! that frame, or has the stack of a thread that is gone: no two threads are at one
//! stack pointer.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use procsys_hook::{Kernel, nr};

use crate::layout::{FRAMES_AT, SLOT_SIZE, SLOTS};
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
    // SAFETY: the lock and what lies beside it are this thread's, taken in entry.s.
    // The name comes first: at any moment one of the two says whose the slot is.
    unsafe {
        (&raw mut (*own).thread).write_volatile(thread);
        frame(index).write_volatile(0);
    }
    for other in (0..SLOTS as usize).filter(|&other| other != index) {
        free_if_left(other, thread, stack, index >= CROWDED);
    }
    slot.lock = own as usize;
    slot.state = leaving(thread);
    slot.goes_on = base;
    thread
}

/// Frees a slot that nobody comes back to. Of two that see so at once one frees it:
/// somebody else may have taken it by the time the second one comes to do it.
fn free_if_left(index: usize, thread: u32, stack: usize, is_crowded: bool) {
    // SAFETY: both words are zeroed memory of the shim's own, aligned, which other
    // threads change: hence atomics.
    let (lock, frame) =
        unsafe { (AtomicU64::from_ptr(lock(index).cast()), AtomicUsize::from_ptr(frame(index))) };
    let held = lock.load(Ordering::Acquire);
    let holder = (held >> 32) as u32;
    if holder != 0 {
        let is_free = if holder == thread {
            is_left(slot_at(index), stack)
        } else {
            is_crowded && is_gone(holder)
        };
        if is_free {
            let _ = lock.compare_exchange(held, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
        return;
    }
    let taken_at = frame.load(Ordering::Acquire);
    let is_free = taken_at != 0 && (taken_at == stack || is_crowded && is_unmapped(taken_at));
    if is_free && frame.compare_exchange(taken_at, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        lock.store(0, Ordering::Release);
    }
}

fn lock(index: usize) -> *mut Lock {
    (address_of!("procsys_locks") as *mut Lock).wrapping_add(index)
}

/// Where entry.s notes the stack pointer of who takes the slot.
fn frame(index: usize) -> *mut usize {
    ((address_of!("procsys_locks") + FRAMES_AT) as *mut usize).wrapping_add(index)
}

fn slot_at(index: usize) -> *const Slot {
    (address_of!("procsys_slots") + index * SLOT_SIZE as usize) as *const Slot
}

/// Whether there is no such thread (tkill(2) without a signal).
pub(crate) fn is_gone(thread: u32) -> bool {
    const ESRCH: isize = -3;
    Raw.call(nr::TKILL, [thread as usize, 0, 0, 0, 0, 0]) == ESRCH
}

/// Whether nothing is mapped at that address (mincore(2)).
fn is_unmapped(address: usize) -> bool {
    const ENOMEM: isize = -12;
    const PAGE: usize = 4096;
    let mut resident = 0u8;
    let to = &raw mut resident as usize;
    Raw.call(nr::MINCORE, [address & !(PAGE - 1), PAGE, to, 0, 0, 0]) == ENOMEM
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
