//! Mounted /proc: a file of procfs that is opened once more, where a policy by
//! paths refuses the way that the program takes.
//!
//! runc keeps a procfs of its own that is mounted nowhere (fsopen, open_tree) and
//! opens its files again through thread-self/fd/N. AppArmor names such a file by
//! its path from that procfs's root, /sys/net/…, and refuses what it would allow as
//! /proc/sys/net/…. After EACCES, and only then, the same file is opened by the
//! same relative path beneath the real /proc, as runc itself does where it can
//! have no procfs of its own: on its mount alone, without links. A file of another
//! file system, or over which anything is mounted, is not reached that way.

use crate::identity::PROC_SUPER_MAGIC;
use crate::kernel::{AT_FDCWD, Fd, Kernel, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_PATH, nr};
use crate::memory::{self, Scratch};
use crate::openat2::{self, BENEATH, NO_MAGICLINKS, NO_SYMLINKS, NO_XDEV, Status};
use crate::safe_procfs::procfs_root;
use crate::{Call, mountinfo, stat};

/// Opens what a refused openat asked for, if it is such a file. `None` leaves the
/// kernel's answer.
pub(crate) fn open(kernel: &impl Kernel, scratch: &mut Scratch, call: &Call) -> Option<isize> {
    let [directory, path, flags, ..] = call.args;
    if flags & (O_CREAT | O_DIRECTORY | O_PATH) != 0 {
        return None;
    }
    let handle = number(memory::text(kernel, path, &mut scratch.path)?)?;
    let of_procfs = |fd| stat::filesystem_type(kernel, fd) == Some(PROC_SUPER_MAGIC);
    let known = openat2::status(kernel, handle)?;
    // The directory is the caller's fd directory: it leads to the same file.
    let is_reopened = of_procfs(directory)
        && of_procfs(handle)
        && openat2::is_regular(&known)
        && is_path_only(kernel, handle)
        && openat2::status_at(kernel, directory, path) == Some(known);
    if !is_reopened {
        return None;
    }
    let slash_proc = c"/proc".as_ptr() as usize;
    let procfs = Fd::open(kernel, AT_FDCWD, slash_proc, O_PATH | O_DIRECTORY | O_NOFOLLOW).ok()?;
    procfs_root(kernel, procfs.number)?;
    if !is_detached(kernel, procfs.number, scratch, &known)? {
        return None;
    }
    let name = relative(kernel, directory, path, &mut scratch.path)?;
    let resolve = BENEATH | NO_XDEV | NO_SYMLINKS | NO_MAGICLINKS;
    let opened = openat2::open(kernel, procfs.number, name, flags | O_NOFOLLOW, resolve).ok()?;
    let status = openat2::status(kernel, opened.number)?;
    let is_same = status.mode == known.mode && of_procfs(opened.number);
    is_same.then(|| opened.give())
}

/// A descriptor's number as the name of its link.
fn number(text: &[u8]) -> Option<usize> {
    let digits = text.strip_suffix(b"\0").filter(|d| (1..=7).contains(&d.len()))?;
    digits.iter().try_fold(0, |number, &digit| {
        digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0'))
    })
}

/// Whether the descriptor was opened with `O_PATH` (fcntl(2), F_GETFL).
fn is_path_only(kernel: &impl Kernel, fd: usize) -> bool {
    const F_GETFL: usize = 3;
    let flags = kernel.call(nr::FCNTL, [fd, F_GETFL, 0, 0, 0, 0]);
    usize::try_from(flags).is_ok_and(|flags| flags & O_PATH != 0)
}

/// Whether the file's mount is mounted nowhere in the caller's namespace.
fn is_detached(
    kernel: &impl Kernel,
    procfs: usize,
    scratch: &mut Scratch,
    status: &Status,
) -> Option<bool> {
    let found = mountinfo::find(kernel, procfs, &mut scratch.out, |line| {
        (line.id == status.mount).then_some(())
    })?;
    Some(found.is_none())
}

/// The file's path from the root of the procfs, which the link tells of a mount
/// that is mounted nowhere; below sys/ only: what lies there does not depend on the
/// procfs, as what belongs to a process does. Ends in NUL.
fn relative<'b>(
    kernel: &impl Kernel,
    directory: usize,
    link: usize,
    buffer: &'b mut [u8],
) -> Option<&'b [u8]> {
    let args = [directory, link, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0];
    let len = usize::try_from(kernel.call(nr::READLINKAT, args)).ok()?;
    *buffer.get_mut(len)? = 0;
    let text = buffer.get(..=len)?.strip_prefix(b"/")?;
    let is_below =
        text.starts_with(b"sys/") && text.split(|&b| b == b'/' || b == 0).all(|c| c != b"..");
    is_below.then_some(text)
}
