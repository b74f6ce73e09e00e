//! The few things of libc that the library is linked against: names that every
//! libc since glibc 2.16, and musl, has.

use core::ffi::c_int;
use core::hint::black_box;

#[link(name = "c")]
unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
    /// The program's environment.
    static environ: *const *const u8;
    fn getauxval(kind: usize) -> usize;
    fn dl_iterate_phdr(callback: Callback, data: *mut u8) -> c_int;
}

/// What dl_iterate_phdr(3) calls for each loaded object.
pub(crate) type Callback = unsafe extern "C" fn(*mut u8, usize, *mut u8) -> c_int;

// The functions are called by their addresses: a library without a procedure
// linkage table has three sections and four dynamic entries less.

/// Where the calling thread's errno is.
#[inline(never)]
pub(crate) fn errno_location() -> *mut c_int {
    let function: unsafe extern "C" fn() -> *mut c_int = black_box(__errno_location);
    // SAFETY: libc's own function, which takes nothing and can't fail.
    unsafe { function() }
}

/// Calls `callback` for each loaded object, until it gives something other than 0.
///
/// # Safety
/// `callback` must be right for `data`.
pub(crate) unsafe fn each_object(callback: Callback, data: *mut u8) {
    let function: unsafe extern "C" fn(Callback, *mut u8) -> c_int = black_box(dl_iterate_phdr);
    // SAFETY: as the caller promises.
    unsafe { function(callback, data) };
}

/// A word that the kernel told the program, or 0.
pub(crate) fn auxiliary(kind: usize) -> usize {
    let function: unsafe extern "C" fn(usize) -> usize = black_box(getauxval);
    // SAFETY: libc's own function, which takes a number.
    unsafe { function(kind) }
}

/// How far a thread's errno lies from its thread pointer: the same for all, as
/// libc is loaded with the program (source: System V ABI for x86-64, 3.4.6 of the
/// TLS document: static TLS blocks lie at fixed offsets).
pub(crate) fn errno_offset() -> usize {
    let pointer: usize;
    // SAFETY: the word at the thread pointer is the thread pointer itself.
    unsafe {
        core::arch::asm!("mov {}, fs:[0]", out(reg) pointer, options(nostack, readonly));
        (errno_location() as usize).wrapping_sub(pointer)
    }
}

/// The calling thread's errno.
pub(crate) fn errno() -> i32 {
    // SAFETY: libc gives the address of the thread's own errno.
    unsafe { errno_location().read() }
}

/// Sets the calling thread's errno.
pub(crate) fn set_errno(value: i32) {
    // SAFETY: as above.
    unsafe { errno_location().write(value) }
}

/// The program's environment as it is now.
pub(crate) fn environment() -> *const *const u8 {
    // SAFETY: a word that libc owns; a program that changes its environment in
    // one thread while it execs in another has no answer from libc either.
    unsafe { (&raw const environ).read() }
}

/// Whether a byte is in a text.
#[allow(clippy::manual_contains)] // Core's takes 200 bytes.
pub(crate) fn has(text: &[u8], byte: u8) -> bool {
    text.iter().any(|&b| b == byte)
}

/// The bytes of a text of the program's, without the NUL.
///
/// # Safety
/// `text` must be readable up to its NUL, and stay so.
pub(crate) unsafe fn bytes<'a>(text: *const u8) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: as the caller promises.
    unsafe {
        while text.add(len).read() != 0 {
            len += 1;
        }
        core::slice::from_raw_parts(text, len)
    }
}
