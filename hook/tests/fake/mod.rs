//! A kernel in memory, and a program above it whose calls pass the hook.
//!
//! The kernel has a file tree with mounts, as the hook sees them ([`tree`]);
//! memory files with modes and seals; a program's memory of which parts can't
//! be read or written ([`memory`]); and a log of what the hook asked and stored.
//! It answers only what the tests need: any other call is a failed test.
//!
//! The program ([`program`]) makes its calls as both doors make them: the hook
//! is asked when the table's `reach` says so, and not otherwise.
#![allow(dead_code)] // Every test file uses a part.

pub(crate) mod kernel;
pub(crate) mod memory;
pub(crate) mod messages;
pub(crate) mod program;
pub(crate) mod tree;
pub(crate) mod views;

pub(crate) use program::Program;

pub(crate) const EPERM: isize = -1;
pub(crate) const ENOENT: isize = -2;
pub(crate) const EBADF: isize = -9;
pub(crate) const EACCES: isize = -13;
pub(crate) const EFAULT: isize = -14;
pub(crate) const EFBIG: isize = -27;
pub(crate) const EEXIST: isize = -17;
pub(crate) const ENOTDIR: isize = -20;
pub(crate) const EINVAL: isize = -22;
pub(crate) const ELOOP: isize = -40;

pub(crate) const AT_FDCWD: usize = -100isize as usize;
pub(crate) const AT_SYMLINK_NOFOLLOW: usize = 0x100;
pub(crate) const AT_EMPTY_PATH: usize = 0x1000;

pub(crate) const O_WRONLY: usize = 1;
pub(crate) const O_RDWR: usize = 2;
pub(crate) const O_CREAT: usize = 0o100;
pub(crate) const O_EXCL: usize = 0o200;
pub(crate) const O_TRUNC: usize = 0o1000;
pub(crate) const O_DIRECTORY: usize = 0o200_000;
pub(crate) const O_NOFOLLOW: usize = 0o400_000;
pub(crate) const O_NONBLOCK: usize = 0o4000;
pub(crate) const O_CLOEXEC: usize = 0o2_000_000;
pub(crate) const O_PATH: usize = 0o10_000_000;

pub(crate) const PROC_SUPER_MAGIC: u64 = 0x9fa0;
pub(crate) const TMPFS_MAGIC: u64 = 0x0102_1994;
pub(crate) const NSFS_MAGIC: u64 = 0x6e73_6673;

pub(crate) const CAP: &str = "/proc/sys/kernel/cap_last_cap";
pub(crate) const PORT: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
pub(crate) const CGROUP: &str = "/proc/self/ns/cgroup";
