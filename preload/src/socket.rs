//! Calls that carry the address of a socket.

use core::ffi::c_int;

use crate::function::interpose;
use crate::next::next;

interpose! {
    after crate::plain::NUMBERS.1;
    fn connect(fd: i32, address: usize, len: u32) -> i32 = 42 () [fd, address, len] ();
    fn __connect(fd: i32, address: usize, len: u32) -> i32 = 42 () [fd, address, len] ();
    fn bind(fd: i32, address: usize, len: u32) -> i32 = 49 () [fd, address, len] ();
    fn accept(fd: i32, address: usize, len: usize) -> i32 = 43 () [fd, address, len] ();
    fn accept4(fd: i32, address: usize, len: usize, flags: i32) -> i32 = 288 () [fd, address, len, flags] ();
    fn getsockname(fd: i32, address: usize, len: usize) -> i32 = 51 () [fd, address, len] ();
    fn getpeername(fd: i32, address: usize, len: usize) -> i32 = 52 () [fd, address, len] ();
    fn sendto(fd: i32, bytes: usize, size: usize, flags: i32, address: usize, len: u32) -> i64 = 44 () [fd, bytes, size, flags, address, len] ();
    fn recvfrom(fd: i32, bytes: usize, size: usize, flags: i32, address: usize, len: usize) -> i64 = 45 () [fd, bytes, size, flags, address, len] ();
    fn sendmsg(fd: i32, message: usize, flags: i32) -> i64 = 46 () [fd, message, flags] ();
    fn recvmsg(fd: i32, message: usize, flags: i32) -> i64 = 47 () [fd, message, flags] ();
}

unsafe extern "C" {
    #[link_name = "recvfrom"]
    fn ours(
        fd: c_int,
        bytes: usize,
        size: usize,
        flags: c_int,
        address: usize,
        len: usize,
    ) -> isize;
}

/// recvfrom with -D_FORTIFY_SOURCE: seven arguments, so not one of the lists.
#[unsafe(no_mangle)]
unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    bytes: usize,
    size: usize,
    room: usize,
    flags: c_int,
    address: usize,
    len: usize,
) -> isize {
    if size > room {
        // SAFETY: glibc's __chk_fail takes nothing and ends the program.
        unsafe { next!("__chk_fail").call([0; 6]) };
    }
    // SAFETY: as the caller promises for recvfrom.
    unsafe { ours(fd, bytes, size, flags, address, len) }
}
