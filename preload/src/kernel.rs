//! The kernel itself, for the hook and for what the library does for itself.

#[path = "../../hook/raw.rs"]
mod raw;

pub(crate) use raw::Raw;

use procsys_hook::{Kept, Notes};

/// The library keeps no emulated file open to open it again quicker: the code for
/// it takes room that it does not have.
fn kept() -> &'static [Kept] {
    &[]
}

/// What is noted when the library is loaded: before main and the constructors of the
/// program, that is, before `runc init` joins or makes a namespace.
#[cfg(feature = "whole")]
pub(crate) static NOTES: Notes = Notes::new();

/// The small hook notes nothing.
fn notes() -> Option<&'static Notes> {
    #[cfg(feature = "whole")]
    return Some(&NOTES);
    #[cfg(not(feature = "whole"))]
    None
}

/// libc writes what stdio has gathered by calls of its own.
const SEES_WRITES: bool = false;

/// Numbers of the calls that the library makes for itself (source: Linux,
/// arch/x86/entry/syscalls/syscall_64.tbl).
pub(crate) mod nr {
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const FSTAT: usize = 5;
    pub(crate) const MMAP: usize = 9;
    pub(crate) const MUNMAP: usize = 11;
    pub(crate) const RT_SIGPROCMASK: usize = 14;
    pub(crate) const SCHED_YIELD: usize = 24;
    pub(crate) const GETPID: usize = 39;
    pub(crate) const FCNTL: usize = 72;
    pub(crate) const GETCWD: usize = 79;
    pub(crate) const READLINK: usize = 89;
    pub(crate) const GETTID: usize = 186;
    pub(crate) const TKILL: usize = 200;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const OPENAT: usize = 257;
    pub(crate) const FACCESSAT: usize = 269;
}
