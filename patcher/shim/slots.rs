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
//! yet. Until then the lock is the stack pointer that the slot was taken at. Whoever
//! comes with the same one has left that frame, or has the stack of a thread that is
//! gone: no two threads are at one stack pointer.

use core::sync::atomic::{AtomicU64, Ordering};

use procsys_hook::{Kernel, nr};

use crate::layout::{SLOT_SIZE, SLOTS};
use crate::{Raw, Slot, address_of};

/// The states of a lock that has a thread's name: in the slow path, and on the way out.
/// `entry.s` and the tests know them too.
const INSIDE: u32 = 1;
const LEAVING: u32 = 2;
/// The two highest bits of a lock with a name, and the highest one, which is set:
/// no address begins so, and no thread's number is as long (FUTEX_TID_MASK).
const NAMED_BITS: u64 = 3 << 62;
const NAMED: u64 = 1 << 63;

/// From this slot on, a thread that takes one looks for those of threads that are gone.
const CROWDED: usize = SLOTS as usize * 3 / 4;

/// The value of a lock whose thread is on its way out.
pub(crate) fn leaving(thread: u32) -> u64 {
    NAMED | u64::from(thread) << 32 | u64::from(LEAVING)
}

/// The thread that a lock names, if it names one.
pub(crate) fn holder(lock: u64) -> Option<u32> {
    let is_named = lock & NAMED_BITS == NAMED && matches!(lock as u32, INSIDE | LEAVING);
    is_named.then_some(((lock & !NAMED_BITS) >> 32) as u32)
}

/// Says whose the slot at `base` is, frees what nobody holds any more, and gives
/// the thread.
pub(crate) fn take(base: usize, slot: &mut Slot) -> u32 {
    let stack = slot.rsp;
    let index = (base - address_of!("procsys_slots")) / SLOT_SIZE as usize;
    let thread = Raw.call(nr::GETTID, [0; 6]) as u32;
    let own = lock(index);
    own.store(NAMED | u64::from(thread) << 32 | u64::from(INSIDE), Ordering::Release);
    for other in (0..SLOTS as usize).filter(|&other| other != index) {
        free_if_left(other, thread, stack, index >= CROWDED);
    }
    slot.lock = own.as_ptr() as usize;
    slot.state = leaving(thread);
    slot.goes_on = base;
    thread
}

/// Frees a slot that nobody comes back to. Of two that see so at once one frees it:
/// somebody else may have taken it by the time the second one comes to do it.
fn free_if_left(index: usize, thread: u32, stack: usize, is_crowded: bool) {
    let lock = lock(index);
    let held = lock.load(Ordering::Acquire);
    if held == 0 {
        return;
    }
    let is_free = match holder(held) {
        Some(holder) if holder == thread => is_left(slot_at(index), stack),
        Some(holder) => is_crowded && is_gone(holder),
        None => held == stack as u64 || is_crowded && has_no_memory(held as usize),
    };
    if is_free {
        let _ = lock.compare_exchange(held, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// A slot's lock, as entry.s takes it: 0 free, or a stack pointer, or a name.
fn lock(index: usize) -> &'static AtomicU64 {
    let locks = address_of!("procsys_locks") as *mut u64;
    // SAFETY: zeroed memory of the shim's own, aligned, which other threads change: hence
    // an atomic.
    unsafe { AtomicU64::from_ptr(locks.wrapping_add(index)) }
}

fn slot_at(index: usize) -> *const Slot {
    (address_of!("procsys_slots") + index * SLOT_SIZE as usize) as *const Slot
}

/// Whether there is no such thread (tkill(2) without a signal).
pub(crate) fn is_gone(thread: u32) -> bool {
    const ESRCH: isize = -3;
    Raw.call(nr::TKILL, [thread as usize, 0, 0, 0, 0, 0]) == ESRCH
}

/// Whether there is no memory for a stack whose pointer is that: nothing is mapped
/// where it points, nor below, where an empty stack would lie.
fn has_no_memory(stack: usize) -> bool {
    is_unmapped(stack) && is_unmapped(stack.wrapping_sub(1))
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
