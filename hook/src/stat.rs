//! The structures of the stat family on x86-64, as bytes.
//!
//! Sources: Linux, arch/x86/include/uapi/asm/stat.h, include/uapi/linux/stat.h,
//! include/uapi/asm-generic/statfs.h.

use procsys_rules::table::FileKind;

use crate::identity::PROC_SUPER_MAGIC;
use crate::kernel::{Kernel, nr};

/// A `struct stat`.
pub(crate) type Stat = [u8; 144];
/// A `struct statx`.
pub(crate) type Statx = [u8; 256];
/// A `struct statfs`.
pub(crate) type Statfs = [u8; 120];

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFLNK: u32 = 0o120_000;

/// `TMPFS_MAGIC` (include/uapi/linux/magic.h).
pub(crate) const TMPFS_MAGIC: u64 = 0x0102_1994;
/// /dev/kmsg: major and minor number (Linux, Documentation/admin-guide/devices.txt).
const KMSG: (u8, u8) = (1, 11);
/// `NSFS_MAGIC` (include/uapi/linux/magic.h).
const NSFS_MAGIC: u64 = 0x6e73_6673;
/// `STATX_BASIC_STATS` (include/uapi/linux/stat.h).
const STATX_BASIC_STATS: u32 = 0x7ff;
/// Inode number given for emulated files of procfs: below those that procfs
/// hands out itself (Linux, fs/proc/generic.c: PROC_DYNAMIC_FIRST).
const EMULATED_INO: u64 = 0xefff_0000;
/// Inode number of the initial cgroup namespace (Linux,
/// include/linux/proc_ns.h: PROC_CGROUP_INIT_INO).
const CGROUP_NAMESPACE_INO: u64 = 0xefff_fffb;

/// Writes a field. The offsets are constants inside the arrays' bounds, which
/// the compiler sees; a wrong one would change nothing.
fn put<const N: usize>(buffer: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(field) = buffer.get_mut(at..at + N) {
        field.copy_from_slice(&value);
    }
}

fn get<const N: usize>(buffer: &[u8], at: usize) -> [u8; N] {
    buffer.get(at..).and_then(|b| b.first_chunk()).copied().unwrap_or([0; N])
}

pub(crate) fn dev(stat: &Stat) -> u64 {
    u64::from_le_bytes(get(stat, 0))
}

pub(crate) fn ino(stat: &Stat) -> u64 {
    u64::from_le_bytes(get(stat, 8))
}

pub(crate) fn mode(stat: &Stat) -> u32 {
    u32::from_le_bytes(get(stat, 24))
}

/// `st_uid`.
#[cfg(feature = "whole")]
pub(crate) fn owner(stat: &Stat) -> u32 {
    u32::from_le_bytes(get(stat, 28))
}

/// `st_atime`: seconds and nanoseconds.
#[cfg(feature = "whole")]
pub(crate) fn accessed(stat: &Stat) -> (u64, u64) {
    (u64::from_le_bytes(get(stat, 72)), u64::from_le_bytes(get(stat, 80)))
}

#[cfg(feature = "whole")]
pub(crate) fn is_regular(stat: &Stat) -> bool {
    mode(stat) & S_IFMT == S_IFREG
}

pub(crate) fn is_symlink(stat: &Stat) -> bool {
    mode(stat) & S_IFMT == S_IFLNK
}

/// Asks about a path that ends in NUL.
pub(crate) fn of_path(
    kernel: &impl Kernel,
    dirfd: usize,
    path: &[u8],
    flags: usize,
) -> Option<Stat> {
    debug_assert!(path.contains(&0));
    let path = path.as_ptr() as usize;
    let mut stat: Stat = [0; 144];
    let buffer = stat.as_mut_ptr() as usize;
    let result = kernel.call(nr::NEWFSTATAT, [dirfd, path, buffer, flags, 0, 0]);
    (result == 0).then_some(stat)
}

/// Asks about a descriptor.
pub(crate) fn of_fd(kernel: &impl Kernel, fd: usize) -> Option<Stat> {
    let mut stat: Stat = [0; 144];
    let result = kernel.call(nr::FSTAT, [fd, stat.as_mut_ptr() as usize, 0, 0, 0, 0]);
    (result == 0).then_some(stat)
}

/// The type of the file system that a descriptor is on.
pub(crate) fn filesystem_type(kernel: &impl Kernel, fd: usize) -> Option<u64> {
    let mut statfs: Statfs = [0; 120];
    let result = kernel.call(nr::FSTATFS, [fd, statfs.as_mut_ptr() as usize, 0, 0, 0, 0]);
    (result == 0).then(|| u64::from_le_bytes(get(&statfs, 0)))
}

/// What is said of an emulated file by every call that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) mode: u32,
    pub(crate) ino: u64,
    pub(crate) filesystem: u64,
    /// The device that the file is: major number, minor number.
    pub(crate) device: (u8, u8),
}

impl Facts {
    /// The file itself, with these permission bits.
    pub(crate) fn file(kind: FileKind, permissions: u16) -> Self {
        let (kind, ino, filesystem, device) = match kind {
            FileKind::Proc => (S_IFREG, EMULATED_INO, PROC_SUPER_MAGIC, (0, 0)),
            FileKind::Namespace => (S_IFREG, CGROUP_NAMESPACE_INO, NSFS_MAGIC, (0, 0)),
            FileKind::Kmsg => (S_IFCHR, EMULATED_INO, TMPFS_MAGIC, KMSG),
        };
        Self { mode: kind | u32::from(permissions), ino, filesystem, device }
    }

    /// The link that leads to a namespace file.
    pub(crate) fn link() -> Self {
        let mode = S_IFLNK | 0o777;
        Self { mode, ino: EMULATED_INO, filesystem: PROC_SUPER_MAGIC, device: (0, 0) }
    }

    /// As a `struct stat`: root's, empty as procfs has it, on device 0:0.
    pub(crate) fn stat(self) -> Stat {
        let mut stat: Stat = [0; 144];
        put(&mut stat, 8, self.ino.to_le_bytes());
        put(&mut stat, 16, 1u64.to_le_bytes());
        put(&mut stat, 24, self.mode.to_le_bytes());
        let (major, minor) = self.device;
        put(&mut stat, 40, (u64::from(major) << 8 | u64::from(minor)).to_le_bytes());
        put(&mut stat, 56, 1024u64.to_le_bytes());
        stat
    }

    /// As a `struct statx` with the basic fields.
    pub(crate) fn statx(self) -> Statx {
        let mut statx: Statx = [0; 256];
        put(&mut statx, 0, STATX_BASIC_STATS.to_le_bytes());
        put(&mut statx, 4, 1024u32.to_le_bytes());
        put(&mut statx, 16, 1u32.to_le_bytes());
        put(&mut statx, 28, (self.mode as u16).to_le_bytes());
        put(&mut statx, 32, self.ino.to_le_bytes());
        put(&mut statx, 128, u32::from(self.device.0).to_le_bytes());
        put(&mut statx, 132, u32::from(self.device.1).to_le_bytes());
        statx
    }

    /// As a `struct statfs`.
    pub(crate) fn statfs(self) -> Statfs {
        /// `ST_VALID | ST_NOSUID | ST_NODEV | ST_NOEXEC` (include/linux/statfs.h).
        const FLAGS: u64 = 0x20 | 2 | 4 | 8;
        let mut statfs: Statfs = [0; 120];
        put(&mut statfs, 0, self.filesystem.to_le_bytes());
        put(&mut statfs, 8, 4096u64.to_le_bytes());
        put(&mut statfs, 64, 255u64.to_le_bytes());
        put(&mut statfs, 72, 4096u64.to_le_bytes());
        put(&mut statfs, 80, FLAGS.to_le_bytes());
        statfs
    }
}
