//! openat2(2) and statx(2): opening with limits on the way, and asking which
//! mount a descriptor is on.

use crate::how::{HOW_SIZE, How};
use crate::kernel::{Fd, Kernel, nr};

/// `RESOLVE_NO_XDEV` (include/uapi/linux/openat2.h).
pub(crate) const NO_XDEV: u64 = 0x01;
/// `RESOLVE_NO_MAGICLINKS` (same source).
pub(crate) const NO_MAGICLINKS: u64 = 0x02;
/// `RESOLVE_NO_SYMLINKS` (same source).
pub(crate) const NO_SYMLINKS: u64 = 0x04;
/// `RESOLVE_BENEATH` (same source).
pub(crate) const BENEATH: u64 = 0x08;

/// Opens a path that ends in NUL. The error is the kernel's, negative.
pub(crate) fn open<'k, K: Kernel>(
    kernel: &'k K,
    dirfd: usize,
    path: &[u8],
    flags: usize,
    resolve: u64,
) -> Result<Fd<'k, K>, isize> {
    debug_assert_eq!(path.last(), Some(&0));
    let how: How = [flags as u64, 0, resolve];
    let args = [dirfd, path.as_ptr() as usize, how.as_ptr() as usize, HOW_SIZE, 0, 0];
    Fd::from_result(kernel, kernel.call(nr::OPENAT2, args))
}

/// What statx(2) says of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// Type and permissions.
    pub(crate) mode: u16,
    /// The inode's number.
    pub(crate) ino: u64,
    /// The device: major number in the upper half, minor in the lower.
    pub(crate) device: u64,
    /// The mount that it was opened through.
    pub(crate) mount: u64,
    /// Whether it is that mount's root.
    pub(crate) is_mount_root: bool,
}

/// `STATX_TYPE | STATX_MODE | STATX_INO | STATX_MNT_ID` (include/uapi/linux/stat.h).
const WANTED: usize = 0x1 | 0x2 | 0x100 | STATX_MNT_ID as usize;
/// `STATX_MNT_ID` (same source), since Linux 5.8.
pub(crate) const STATX_MNT_ID: u32 = 0x1000;
/// `STATX_MNT_ID_UNIQUE` (same source), since Linux 6.8.
pub(crate) const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
/// Where `stx_mnt_id` lies in a `struct statx`, in bytes.
pub(crate) const STATX_MNT_ID_AT: usize = 144;
/// `STATX_ATTR_MOUNT_ROOT` (same source).
const ATTR_MOUNT_ROOT: u64 = 0x2000;
/// `AT_EMPTY_PATH | AT_STATX_DONT_SYNC`: a FUSE server is not asked when the
/// kernel knows (include/uapi/linux/fcntl.h).
const EMPTY_PATH_DONT_SYNC: usize = 0x1000 | 0x4000;

type Statx = [u8; 256];

fn statx(kernel: &impl Kernel, fd: usize, path: usize, mask: usize) -> Option<Statx> {
    let mut statx: Statx = [0; 256];
    let args = [fd, path, EMPTY_PATH_DONT_SYNC, mask, statx.as_mut_ptr() as usize, 0];
    (kernel.call(nr::STATX, args) == 0).then_some(statx)
}

fn u32_at(statx: &[u8], at: usize) -> u32 {
    let bytes = statx.get(at..).and_then(|b| b.first_chunk()).copied();
    u32::from_le_bytes(bytes.unwrap_or([0; 4]))
}

fn u64_at(statx: &[u8], at: usize) -> u64 {
    u64::from(u32_at(statx, at)) | u64::from(u32_at(statx, at + 4)) << 32
}

/// Asks about a descriptor. `None` also where the kernel has no mount ids.
pub(crate) fn status(kernel: &impl Kernel, fd: usize) -> Option<Status> {
    status_at(kernel, fd, c"".as_ptr() as usize)
}

/// Asks about the path at this address, following links.
pub(crate) fn status_at(kernel: &impl Kernel, dirfd: usize, path: usize) -> Option<Status> {
    let statx = statx(kernel, dirfd, path, WANTED)?;
    if u32_at(&statx, 0) & STATX_MNT_ID == 0 {
        return None;
    }
    Some(Status {
        mode: u32_at(&statx, 28) as u16,
        ino: u64_at(&statx, 32),
        device: u64::from(u32_at(&statx, 136)) << 32 | u64::from(u32_at(&statx, 140)),
        mount: u64_at(&statx, STATX_MNT_ID_AT),
        is_mount_root: u64_at(&statx, 8) & ATTR_MOUNT_ROOT != 0,
    })
}

/// The mount's unique id, 0 where the kernel has none.
pub(crate) fn unique_mount(kernel: &impl Kernel, fd: usize) -> u64 {
    match statx(kernel, fd, c"".as_ptr() as usize, STATX_MNT_ID_UNIQUE as usize) {
        Some(statx) if u32_at(&statx, 0) & STATX_MNT_ID_UNIQUE != 0 => {
            u64_at(&statx, STATX_MNT_ID_AT)
        }
        _ => 0,
    }
}

/// Whether the mode is a regular file's.
pub(crate) fn is_regular(status: &Status) -> bool {
    status.mode & 0o170_000 == 0o100_000
}
