//! Where the hook runs: a few stacks and path buffers of the library's own.
//!
//! The program's stack may be an alternate one of 3 KiB, or have a few bytes
//! left. Signals are blocked while a slot is held, so that no handler runs on
//! its stack and none leaves it by longjmp; the program's own call is never
//! made meanwhile, so that nobody is cancelled or replaced (exec) there.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use procsys_hook::{Kernel, Scratch};

use crate::kernel::{Raw, nr};
use crate::stack;

/// How many threads can be in the hook at once; more wait for a moment.
const SLOTS: usize = 16;
/// The hook's stack: the shim's has the same size (patcher/shim/layout.rs).
const STACK: usize = 0x4000;

#[repr(C, align(64))]
struct Slot {
    stack: UnsafeCell<[u8; STACK]>,
    scratch: UnsafeCell<Scratch>,
}

// SAFETY: a slot is used only by the thread whose number is in its owner's word.
unsafe impl Sync for Slot {}

/// The address of the slots, 0 until the first of them is needed: most programs
/// never do, and memory of the library's own is mapped for each of them.
static POOL: AtomicUsize = AtomicUsize::new(0);

/// The thread that holds each slot; 0 for none.
static OWNERS: [AtomicU32; SLOTS] = [const { AtomicU32::new(0) }; SLOTS];

const SIG_SETMASK: usize = 2;

fn set_mask(new: &u64, old: *mut u64) {
    let new = (&raw const *new) as usize;
    Raw.call(nr::RT_SIGPROCMASK, [SIG_SETMASK, new, old as usize, 8, 0, 0]);
}

/// The slots; `None` where there is no memory for them.
fn pool() -> Option<&'static [Slot; SLOTS]> {
    /// `PROT_READ | PROT_WRITE`; `MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE` (mmap(2)).
    const PROTECTION: usize = 1 | 2;
    const FLAGS: usize = 2 | 0x20 | 0x4000;
    let mut address = POOL.load(Ordering::Acquire);
    if address == 0 {
        let len = size_of::<[Slot; SLOTS]>();
        let mapped = Raw.call(nr::MMAP, [0, len, PROTECTION, FLAGS, usize::MAX, 0]);
        address = usize::try_from(mapped).ok()?;
        let kept = POOL.compare_exchange(0, address, Ordering::AcqRel, Ordering::Acquire);
        if let Err(other) = kept {
            Raw.call(nr::MUNMAP, [address, len, 0, 0, 0, 0]);
            address = other;
        }
    }
    // SAFETY: mapped with that size, page-aligned and zeroed, and never unmapped.
    Some(unsafe { &*(address as *const [Slot; SLOTS]) })
}

/// A slot that this thread holds, with all signals blocked.
pub(crate) struct Held {
    slot: &'static Slot,
    owner: &'static AtomicU32,
    mask: u64,
}

/// Takes a slot. Without memory for slots there is none, and the kernel's answer
/// stands.
pub(crate) fn take() -> Option<Held> {
    let pool = pool()?;
    let mut mask = 0;
    set_mask(&u64::MAX, &raw mut mask);
    let own = Raw.call(nr::GETTID, [0; 6]) as u32;
    loop {
        for (owner, slot) in OWNERS.iter().zip(pool) {
            if owner.compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Some(Held { slot, owner, mask });
            }
        }
        // A thread that was killed in the hook never gives its slot back.
        for owner in &OWNERS {
            let thread = owner.load(Ordering::Relaxed);
            if thread != 0 && is_gone(thread) {
                let _ = owner.compare_exchange(thread, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
        Raw.call(nr::SCHED_YIELD, [0; 6]);
    }
}

/// Whether there is no such thread (tkill(2) without a signal).
fn is_gone(thread: u32) -> bool {
    const ESRCH: isize = -3;
    Raw.call(nr::TKILL, [thread as usize, 0, 0, 0, 0, 0]) == ESRCH
}

impl Held {
    /// Runs `f` on the slot's stack, with the slot's buffers.
    pub(crate) fn run(&mut self, mut f: impl FnMut(&mut Scratch)) {
        let top = self.slot.stack.get() as usize + STACK;
        let scratch = self.slot.scratch.get();
        // SAFETY: the slot is this thread's alone, its stack is in use by
        // nothing else, and signals are blocked.
        unsafe { stack::switched(top, &mut || f(&mut *scratch)) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.owner.store(0, Ordering::Release);
        set_mask(&self.mask, core::ptr::null_mut());
    }
}

/// In a forked child: frees the slots that threads of the parent held.
pub(crate) fn forked() {
    OWNERS.iter().for_each(|owner| owner.store(0, Ordering::Relaxed));
}
