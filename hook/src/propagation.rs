//! Propagation: mount("", PATH, MS_PRIVATE) where PATH can't be searched, but
//! the working directory is that very mount.
//!
//! A runtime in a user namespace may stand in a directory that it can't reach from
//! the root any more: mount(2) by path then fails with EACCES, by "." it does not.
//! The call is made by "." if that is provably the mount that the path means:
//!
//! - the working directory is the root of a mount;
//! - the kernel's table of mounts shows that mount at exactly this path;
//! - every other mount at the path, or at a directory above it, is one that this
//!   mount is mounted on in turn: nothing else covers the way.
//!
//! Nothing is pretended: the call either is made and succeeds, or its error stands.

use procsys_rules::errno;

use crate::Call;
use crate::kernel::{AT_FDCWD, Fd, Kernel, O_DIRECTORY, O_NOFOLLOW, O_PATH, nr};
use crate::memory::{self, Scratch};
use crate::mountinfo::{self, Buffers};
use crate::openat2;
use crate::safe_procfs::procfs_root;

/// `MS_PRIVATE` (include/uapi/linux/mount.h).
const MS_PRIVATE: usize = 1 << 18;
/// The most mounts that may lie on one another on the way to the root.
const CHAIN_MAX: usize = 32;

/// Makes the call for the working directory, if that is the mount that is meant.
/// `None` leaves the kernel's answer.
pub(crate) fn again(kernel: &impl Kernel, scratch: &mut Scratch, call: &Call) -> Option<isize> {
    let [source, path, kind, flags, data, _] = call.args;
    if flags != MS_PRIVATE {
        return None;
    }
    let len = memory::text(kernel, path, &mut scratch.path)?.len() - 1;
    let Scratch { path, out, .. } = scratch;
    let path = path.get(..len).filter(|path| is_clean(path))?;
    let here = openat2::status(kernel, AT_FDCWD).filter(|s| s.is_mount_root)?;
    let slash_proc = c"/proc".as_ptr() as usize;
    let procfs = Fd::open(kernel, AT_FDCWD, slash_proc, O_PATH | O_DIRECTORY | O_NOFOLLOW).ok()?;
    procfs_root(kernel, procfs.number)?;
    let mut chain = [0; CHAIN_MAX];
    let chain = ancestors(kernel, procfs.number, out, here.mount, &mut chain)?;
    if !is_the_mount_at(kernel, procfs.number, out, chain, path)? {
        return None;
    }
    let result = kernel.call(nr::MOUNT, [source, c".".as_ptr() as usize, kind, flags, data, 0]);
    (result != -isize::from(errno::EACCES)).then_some(result)
}

/// Whether a path is absolute and has only names in it.
fn is_clean(path: &[u8]) -> bool {
    let mut parts = path.split(|&b| b == b'/');
    path.len() > 1
        && parts.next() == Some(b"")
        && parts.all(|c| !c.is_empty() && c != b"." && c != b"..")
}

/// The mount, what it is mounted on, and so on to the last that is in the table.
fn ancestors<'c>(
    kernel: &impl Kernel,
    procfs: usize,
    buffers: &mut Buffers,
    mount: u64,
    chain: &'c mut [u64; CHAIN_MAX],
) -> Option<&'c [u64]> {
    let mut len = 0;
    let mut next = mount;
    while let Some(parent) =
        mountinfo::find(kernel, procfs, buffers, |line| (line.id == next).then_some(line.parent))?
    {
        *chain.get_mut(len)? = next;
        len += 1;
        if parent == next {
            break;
        }
        next = parent;
    }
    chain.get(..len).filter(|chain| !chain.is_empty())
}

/// Whether the first mount of the chain is what `path` leads to: it is at that
/// path, and all that lies at it or above belongs to the chain.
fn is_the_mount_at(
    kernel: &impl Kernel,
    procfs: usize,
    buffers: &mut Buffers,
    chain: &[u64],
    path: &[u8],
) -> Option<bool> {
    let mut is_there = false;
    let other = mountinfo::find(kernel, procfs, buffers, |line| {
        // A point that does not fit, or has a space in it, may be on the way.
        let on_the_way = line.point.is_none_or(|point| covers(point, path));
        is_there |= Some(&line.id) == chain.first() && line.point == Some(path);
        (on_the_way && !chain.contains(&line.id)).then_some(())
    })?;
    Some(is_there && other.is_none())
}

/// Whether `point` is `path` or a directory above it.
fn covers(point: &[u8], path: &[u8]) -> bool {
    let point = point.strip_suffix(b"/").unwrap_or(point);
    let rest = path.strip_prefix(point);
    rest.is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}
