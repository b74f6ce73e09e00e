//! Memory that can be read without asking the kernel.
//!
//! A redirect looks at paths before the kernel does. A bad pointer among them is
//! the kernel's to answer (EFAULT), so memory is read only where it is known to
//! be there: in the program's file, in its heap, on the main thread's stack. For
//! any other address the kernel is asked ([`procsys_hook::readable`]).

use procsys_hook::Kernel;

use crate::early::Early;
use crate::kernel::Raw;
use crate::libc;
use crate::next::{self, Name};

pub(crate) const PAGE: usize = 4096;

/// The main thread's stack is never so large that other memory is mistaken for
/// it: the kernel keeps 128 MiB below its top free (Linux, mm/util.c: MIN_GAP).
pub(crate) const STACK: usize = 8 << 20;

#[repr(C)]
pub(crate) struct Known {
    /// The program's file, as far as it is mapped in one run.
    pub(crate) program: Range,
    /// Where the heap starts that is there since before main.
    pub(crate) heap: usize,
    /// Where libc keeps the heap's end (glibc's `__curbrk`), or 0.
    pub(crate) heap_end_at: usize,
    /// What lay on the stack at the start, and the end of the stack.
    pub(crate) stack: Range,
}

/// From the first byte to behind the last.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Range {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

const NOWHERE: Range = Range { start: 0, end: 0 };

pub(crate) static KNOWN: Early<Known> =
    Early::new(Known { program: NOWHERE, heap: 0, heap_end_at: 0, stack: NOWHERE });

/// Notes what is there. Called before main, where redirects are asked for.
/// `headers` are the program's headers, as the kernel gave them.
pub(crate) fn note(headers: &[next::Header]) {
    const BRK: usize = 12;
    static CURBRK: Name = Name::new("__curbrk");
    let environment = libc::environment() as usize;
    let (start, end) = next::mapped_run(headers);
    let known = Known {
        program: Range { start, end },
        heap: Raw.call(BRK, [0; 6]) as usize,
        heap_end_at: next::data(&CURBRK).unwrap_or(0),
        // The environment's list lies on the stack, its texts behind it.
        stack: Range { start: environment & !(PAGE - 1), end: last_text_end(environment) },
    };
    // SAFETY: before main, by one thread.
    *unsafe { KNOWN.set() } = known;
}

/// The end of the page that holds the last of the environment's texts: the
/// kernel writes them in order.
fn last_text_end(environment: usize) -> usize {
    let mut last = environment;
    let mut at = environment as *const usize;
    // SAFETY: the program's environment before main ends in a null.
    while at as usize != 0 && unsafe { at.read() } != 0 {
        // SAFETY: as above.
        last = last.max(unsafe { at.read() });
        at = at.wrapping_add(1);
    }
    last.next_multiple_of(PAGE)
}

/// The end of the readable memory that `address` lies in.
#[inline]
pub(crate) fn end(address: usize) -> Option<usize> {
    let known = KNOWN.get();
    let within = |range: Range| address.wrapping_sub(range.start) < range.end - range.start;
    if within(known.program) {
        return Some(known.program.end);
    }
    let here = (&raw const known) as usize;
    let end = known.stack.end;
    let is_main_thread = end.wrapping_sub(here) < STACK;
    let stack = if is_main_thread { Range { start: here & !(PAGE - 1), end } } else { known.stack };
    if within(stack) {
        return Some(end);
    }
    if known.heap_end_at != 0 {
        // SAFETY: a word of libc's, which it changes by whole pages while others
        // may read it.
        let end = unsafe { (known.heap_end_at as *const usize).read_volatile() };
        if address >= known.heap && address < end {
            return Some(end);
        }
    }
    asked(address)
}

/// The end of the page, if the kernel says that it can be read.
#[cold]
fn asked(address: usize) -> Option<usize> {
    procsys_hook::readable(&Raw, address).then(|| (address | (PAGE - 1)).wrapping_add(1))
}
