//! Safe procfs: a file of /proc/sys on a mount that the program trusts.
//!
//! runc opens a sysctl with `RESOLVE_NO_XDEV`, so that nothing that a container
//! mounted over it is mistaken for it. A system container (sysbox) has a FUSE
//! file system of its host over /proc/sys, and the call fails with EXDEV. After
//! that failure, and only then, the file is accepted if it is provably the one
//! of that file system (docs/safe-procfs.md has the reasons):
//!
//! - the call is runc's own, relative to the real root of a procfs, for a path
//!   below sys/ without `..`;
//! - the way is walked once, component by component, each opened relative to the
//!   descriptor of the one before, without symlinks. No path is looked up twice:
//!   what was looked at is what the program gets;
//! - on the way exactly one mount is crossed, and it is mounted on the procfs
//!   mount itself;
//! - it is FUSE, on the device that stood over /proc/sys when the process
//!   started, before anything of a container ran ([`start`]);
//! - the directory or file of that file system which is mounted, and the
//!   components walked below it, make up the path that was asked for;
//! - the file is a regular one.
//!
//! Before the mount is known to be the trusted one, nothing is asked of its file
//! system: an attacker's FUSE server gets no request.

mod accepted;
mod start;
mod walk;

pub(crate) use accepted::success;
pub use start::start;
pub(crate) use walk::procfs_root;

use crate::kernel::{Kernel, O_CLOEXEC, O_NOFOLLOW, O_PATH};
use crate::memory::{self, Scratch};
use crate::openat2::{BENEATH, NO_MAGICLINKS, NO_XDEV};
use crate::{Call, how};
use walk::Walked;

/// Opens what a failed call of runc's asked for, if it is to be accepted. `None`
/// leaves the kernel's answer.
pub(crate) fn open(kernel: &impl Kernel, scratch: &mut Scratch, call: &Call) -> Option<isize> {
    let notes = kernel.notes()?;
    let flags = request(kernel, call)?;
    let [dirfd, path, ..] = call.args;
    memory::text(kernel, path, &mut scratch.path)?;
    let Walked { file, status, procfs } = walk::walk(kernel, notes, scratch, dirfd, flags)?;
    notes.accept(file.number, accepted::file(kernel, file.number, &status), procfs);
    Some(file.give())
}

/// Whether the call opens a path as runc opens what lies in procfs: `O_PATH` and
/// `O_NOFOLLOW`, beneath the directory, on its mount, without magic links
/// (filepath-securejoin 0.5.2, pathrs-lite/internal/procfs/procfs_lookup_linux.go:
/// procfsLookupInRoot). Gives `O_CLOEXEC` if that was asked for.
fn request(kernel: &impl Kernel, call: &Call) -> Option<usize> {
    let [flags, mode, resolve] = how::given(kernel, call)?;
    let wanted = (O_PATH | O_NOFOLLOW) as u64;
    let is_safe = flags & !(O_CLOEXEC as u64) == wanted
        && mode == 0
        && resolve == BENEATH | NO_XDEV | NO_MAGICLINKS;
    is_safe.then_some(flags as usize & O_CLOEXEC)
}
