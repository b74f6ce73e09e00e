//! What the small fake kernels of these tests read and write behind the pointers
//! that the hook hands to them: memory of the test's own process.

use std::ffi::CStr;

/// Writes to where the hook or the program wants an answer.
pub(crate) fn put(to: usize, bytes: &[u8]) {
    // SAFETY: the hook and the tests hand over buffers of at least that length.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) }
}

/// Reads from a buffer of the program's.
pub(crate) fn get(from: usize, into: &mut [u8]) {
    // SAFETY: the tests hand over live buffers.
    unsafe { std::ptr::copy_nonoverlapping(from as *const u8, into.as_mut_ptr(), into.len()) }
}

/// A path.
pub(crate) fn text(at: usize) -> String {
    // SAFETY: the hook's paths end in NUL.
    unsafe { CStr::from_ptr(at as *const _) }.to_string_lossy().into_owned()
}
