//! Several messages in one call: each is what it would be alone.

use core::ffi::c_int;

use crate::engine::{self, call};
use crate::libc::{errno, set_errno};
use crate::next::next;
use crate::redirect;

const RECVMSG: usize = 47;
const SENDMSG: usize = 46;
/// Length of a `struct mmsghdr`, and where in it the bytes are counted.
const MESSAGE: usize = 64;
const COUNTED: usize = 56;

/// sendmmsg(2) sends one after the other, and stops at the first that fails; it
/// says so only if it is the first.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendmmsg(fd: c_int, messages: usize, count: u32, flags: c_int) -> c_int {
    if !redirect::is_any() {
        let args = [fd as usize, messages, count as usize, flags as usize, 0, 0];
        // SAFETY: the program's own arguments.
        return unsafe { next!("sendmmsg").call(args) }.unwrap_or(-1) as c_int;
    }
    let before = errno();
    for sent in 0..count.min(1024) as usize {
        let message = messages + sent * MESSAGE;
        let one = call(SENDMSG, &[fd as usize, message, flags as usize]);
        let result = engine::run(&one, &|one| {
            let [a, b, c, ..] = one.args;
            // SAFETY: sendmsg's arguments.
            unsafe { next!("sendmsg").call([a, b, c, 0, 0, 0]) }.unwrap_or(-1)
        });
        if result < 0 {
            if sent == 0 {
                return -1;
            }
            set_errno(before);
            return sent as c_int;
        }
        // SAFETY: the kernel has read this message, and would write here.
        unsafe { ((message + COUNTED) as *mut u32).write_unaligned(result as u32) };
    }
    count.min(1024) as c_int
}

/// recvmmsg(2): of each message that came, the sender is shown as the program knows it.
#[unsafe(no_mangle)]
unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: usize,
    count: u32,
    flags: c_int,
    timeout: usize,
) -> c_int {
    let before = errno();
    let args = [fd as usize, messages, count as usize, flags as usize, timeout, 0];
    // SAFETY: the program's own arguments.
    let received = unsafe { next!("recvmmsg").call(args) }.unwrap_or(-1) as c_int;
    if redirect::is_any() {
        for message in 0..usize::try_from(received).unwrap_or(0) {
            let one = call(RECVMSG, &[fd as usize, messages + message * MESSAGE, flags as usize]);
            engine::settle(&one, before, 0);
        }
    }
    received
}
