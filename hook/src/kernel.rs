//! The kernel as the actions see it.

use crate::kept::Kept;
use crate::notes::Notes;

/// Makes system calls and reaches the program's memory.
pub trait Kernel {
    /// Makes a system call. Returns what the kernel returns: a negative errno
    /// (-4095 to -1) is a failure.
    fn call(&self, nr: usize, args: [usize; 6]) -> isize;

    /// Copies from the program's memory. The caller knows that the kernel can
    /// read it: see [`crate::memory`].
    fn load(&self, address: usize, into: &mut [u8]);

    /// Copies to the program's memory, to where the kernel has just written or
    /// would have written.
    fn store(&self, address: usize, from: &[u8]);

    /// What is kept from call to call, of the first rules of the table: zeroed
    /// memory of the process, copied by fork and gone after exec.
    fn kept(&self) -> &[Kept];

    /// Whether every write of the program comes to the hook when it has failed.
    fn sees_writes(&self) -> bool;

    /// What the process remembers, where the door keeps notes.
    fn notes(&self) -> Option<&Notes> {
        None
    }
}

/// Numbers of the calls that the actions make (source: Linux,
/// arch/x86/entry/syscalls/syscall_64.tbl).
#[allow(missing_docs)]
pub mod nr {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const FSTAT: usize = 5;
    pub const LSTAT: usize = 6;
    pub const MMAP: usize = 9;
    pub const MUNMAP: usize = 11;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const PREAD64: usize = 17;
    pub const PWRITE64: usize = 18;
    pub const MINCORE: usize = 27;
    pub const UNAME: usize = 63;
    pub const FCNTL: usize = 72;
    pub const FCHMOD: usize = 91;
    pub const GETRLIMIT: usize = 97;
    pub const GETEUID: usize = 107;
    pub const SIGALTSTACK: usize = 131;
    pub const FSTATFS: usize = 138;
    pub const PRCTL: usize = 157;
    pub const MOUNT: usize = 165;
    pub const GETTID: usize = 186;
    pub const TKILL: usize = 200;
    pub const OPENAT: usize = 257;
    pub const MKDIRAT: usize = 258;
    pub const NEWFSTATAT: usize = 262;
    pub const UNLINKAT: usize = 263;
    pub const RENAMEAT: usize = 264;
    pub const READLINKAT: usize = 267;
    pub const UTIMENSAT: usize = 280;
    pub const TIMERFD_CREATE: usize = 283;
    pub const GETRANDOM: usize = 318;
    pub const MEMFD_CREATE: usize = 319;
    pub const STATX: usize = 332;
    pub const OPENAT2: usize = 437;
}

/// `AT_FDCWD`, as an argument (include/uapi/linux/fcntl.h).
pub(crate) const AT_FDCWD: usize = -100isize as usize;
/// `AT_SYMLINK_NOFOLLOW` (same source).
pub(crate) const AT_SYMLINK_NOFOLLOW: usize = 0x100;
/// `O_PATH` (include/uapi/asm-generic/fcntl.h).
pub(crate) const O_PATH: usize = 0o10_000_000;
/// `O_DIRECTORY` (same source).
pub(crate) const O_DIRECTORY: usize = 0o200_000;
/// `O_NOFOLLOW` (same source).
pub(crate) const O_NOFOLLOW: usize = 0o400_000;
/// `O_CLOEXEC` (same source).
pub(crate) const O_CLOEXEC: usize = 0o2_000_000;
/// `O_CREAT` (same source).
pub(crate) const O_CREAT: usize = 0o100;
/// `O_EXCL` (same source).
pub(crate) const O_EXCL: usize = 0o200;
/// `O_TRUNC` (same source).
pub(crate) const O_TRUNC: usize = 0o1000;
/// `O_NONBLOCK` (same source).
#[cfg(feature = "whole")]
pub(crate) const O_NONBLOCK: usize = 0o4000;
/// `O_ACCMODE` (same source).
pub(crate) const O_ACCMODE: usize = 3;
/// `O_WRONLY` (same source).
pub(crate) const O_WRONLY: usize = 1;

/// A descriptor of the hook's own, closed when it is dropped.
pub(crate) struct Fd<'k, K: Kernel> {
    kernel: &'k K,
    pub(crate) number: usize,
}

impl<'k, K: Kernel> Fd<'k, K> {
    /// Opens a directory to look at, not to read: `path` ends in NUL.
    pub(crate) fn directory(kernel: &'k K, dirfd: usize, path: &[u8]) -> Result<Self, isize> {
        debug_assert_eq!(path.last(), Some(&0));
        Self::open(kernel, dirfd, path.as_ptr() as usize, O_PATH | O_DIRECTORY)
    }

    /// Opens the path at this address.
    pub(crate) fn open(
        kernel: &'k K,
        dirfd: usize,
        path: usize,
        flags: usize,
    ) -> Result<Self, isize> {
        Self::create(kernel, dirfd, path, flags, 0)
    }

    /// As [`Fd::open`], with the permissions of a file that is made.
    pub(crate) fn create(
        kernel: &'k K,
        dirfd: usize,
        path: usize,
        flags: usize,
        mode: usize,
    ) -> Result<Self, isize> {
        Self::from_result(
            kernel,
            kernel.call(nr::OPENAT, [dirfd, path, flags | O_CLOEXEC, mode, 0, 0]),
        )
    }

    /// Takes what a call that opens has given.
    pub(crate) fn from_result(kernel: &'k K, result: isize) -> Result<Self, isize> {
        usize::try_from(result).map(|number| Self { kernel, number }).map_err(|_| result)
    }

    /// Hands the descriptor over to the program.
    pub(crate) fn give(self) -> isize {
        let number = self.number as isize;
        core::mem::forget(self);
        number
    }
}

impl<K: Kernel> Drop for Fd<'_, K> {
    fn drop(&mut self) {
        self.kernel.call(nr::CLOSE, [self.number, 0, 0, 0, 0, 0]);
    }
}
