//! A kernel's log in which nothing new ever comes.
//!
//! Readers of /dev/kmsg wait for the next record and take an end of file for a
//! fault (cAdvisor, utils/oomparser). A timer that is never set waits in the same
//! way: a read blocks, or gives EAGAIN; poll(2) and epoll(7) say that nothing is
//! there; it never ends; and it needs no file system (timerfd_create(2)).

use procsys_rules::errno;

use crate::kernel::{Kernel, O_CLOEXEC, O_NONBLOCK, nr};

/// Opens it for reading.
pub(crate) fn open(kernel: &impl Kernel, flags: usize) -> Result<isize, u8> {
    const CLOCK_MONOTONIC: usize = 1;
    // TFD_NONBLOCK and TFD_CLOEXEC are O_NONBLOCK and O_CLOEXEC.
    let flags = flags & (O_NONBLOCK | O_CLOEXEC);
    match kernel.call(nr::TIMERFD_CREATE, [CLOCK_MONOTONIC, flags, 0, 0, 0, 0]) {
        fd @ 0.. => Ok(fd),
        failed => Err(u8::try_from(failed.unsigned_abs()).unwrap_or(errno::EIO)),
    }
}
