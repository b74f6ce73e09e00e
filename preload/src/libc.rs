//! The few things of libc that the library is linked against: names that every
//! libc since glibc 2.2.5, and musl, has.

use core::ffi::c_int;

#[link(name = "c")]
unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
    /// The program's environment.
    static environ: *const *const u8;
    pub(crate) fn malloc(size: usize) -> *mut u8;
    pub(crate) fn fdopen(fd: c_int, mode: *const u8) -> *mut u8;
    pub(crate) fn dl_iterate_phdr(
        callback: unsafe extern "C" fn(*mut u8, usize, *mut u8) -> c_int,
        data: *mut u8,
    ) -> c_int;
}

/// The calling thread's errno.
pub(crate) fn errno() -> i32 {
    // SAFETY: libc gives the address of the thread's own errno.
    unsafe { __errno_location().read() }
}

/// Sets the calling thread's errno.
pub(crate) fn set_errno(value: i32) {
    // SAFETY: as above.
    unsafe { __errno_location().write(value) }
}

/// The program's environment as it is now.
pub(crate) fn environment() -> *const *const u8 {
    // SAFETY: a word that libc owns; a program that changes its environment in
    // one thread while it execs in another has no answer from libc either.
    unsafe { (&raw const environ).read() }
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
