//! Calls about descriptors that only rules of the whole hook reach: writes that are
//! ignored, and the end of a descriptor that was accepted.
//!
//! What stdio has gathered libc writes by calls of its own, unseen by us.

use crate::function::interpose;

interpose! {
    after crate::socket::NUMBERS.1;
    fn close(fd: i32) -> i32 = 3 () [fd] ();
    fn __close(fd: i32) -> i32 = 3 () [fd] ();
    fn posix_close(fd: i32, flags: i32) -> i32 = 3 () [fd] ();
    fn dup2(from: i32, to: i32) -> i32 = 33 () [from, to] ();
    fn __dup2(from: i32, to: i32) -> i32 = 33 () [from, to] ();
    fn dup3(from: i32, to: i32, flags: i32) -> i32 = 292 () [from, to, flags] ();
    fn write(fd: i32, bytes: usize, size: usize) -> i64 = 1 () [fd, bytes, size] ();
    fn __write(fd: i32, bytes: usize, size: usize) -> i64 = 1 () [fd, bytes, size] ();
    fn pwrite(fd: i32, bytes: usize, size: usize, offset: i64) -> i64 = 18 () [fd, bytes, size, offset] ();
    fn pwrite64(fd: i32, bytes: usize, size: usize, offset: i64) -> i64 = 18 () [fd, bytes, size, offset] ();
    fn __pwrite64(fd: i32, bytes: usize, size: usize, offset: i64) -> i64 = 18 () [fd, bytes, size, offset] ();
    fn writev(fd: i32, vectors: usize, count: i32) -> i64 = 20 () [fd, vectors, count] ();
}
