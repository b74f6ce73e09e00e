//! What an accepted descriptor answers, until it is closed.
//!
//! libpathrs asks every descriptor that it opened in procfs for its mount's id
//! and its file system's type (cyphar/libpathrs, src/procfs.rs:
//! verify_same_procfs_mnt). An accepted file answers these two, and no other
//! question, as the procfs does. What ends it is looked at: close, dup2, dup3,
//! close_range. And which file a number stands for is asked of the kernel each
//! time, for ends that are not seen (libc's close in a dynamic executable).

use procsys_rules::calls::{
    ABOUT_ACCEPTED, CLOSE, CLOSE_RANGE, DUP2, DUP3, FSTATFS, OPENAT2, STATX,
};
use procsys_rules::table::{Kind, Table};

use super::{request, walk};
use crate::Call;
use crate::identity::PROC_SUPER_MAGIC;
use crate::kernel::{Kernel, nr};
use crate::memory::{self, Scratch};
use crate::notes::{File, Notes};
use crate::openat2::{self, STATX_MNT_ID, STATX_MNT_ID_AT, STATX_MNT_ID_UNIQUE, Status};

/// Looks at the answer to a call that succeeded. Whether it was changed.
pub(crate) fn success(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
    result: isize,
) -> bool {
    let Some(notes) = kernel.notes() else { return false };
    let Ok(number) = u16::try_from(call.nr) else { return false };
    match number {
        _ if ABOUT_ACCEPTED.contains(&number) && !notes.is_armed() => false,
        CLOSE | DUP2 | DUP3 | CLOSE_RANGE => {
            ended(kernel, notes, number, call);
            false
        }
        FSTATFS | STATX if !table.has(Kind::ReportTrustedOvermount) => false,
        FSTATFS => filesystem(kernel, notes, call),
        STATX => mount(kernel, notes, call),
        OPENAT2 if table.has(Kind::ReportTrustedOvermount) => {
            let _ = trapped(kernel, notes, scratch, call, result as usize);
            false
        }
        _ => false,
    }
}

/// Forgets what a successful call has closed, or given a number of another file.
fn ended(kernel: &impl Kernel, notes: &Notes, nr: u16, call: &Call) {
    /// `CLOSE_RANGE_CLOEXEC` (include/uapi/linux/close_range.h): nothing is closed yet.
    const AT_EXEC: usize = 4;
    let [first, second, third, ..] = call.args.map(|arg| arg as u32);
    let (from, to) = match nr {
        CLOSE => (first, first),
        CLOSE_RANGE if third as usize & AT_EXEC == 0 => (first, second),
        // The number was in use until it became another: no other thread had it.
        DUP2 | DUP3 if first != second => return notes.forget(second as usize),
        _ => return,
    };
    for number in notes.numbers().filter(|n| (from..=to).contains(n)) {
        // Another thread may have been given the number since, and the file with it.
        if procfs(kernel, notes, number as usize).is_none() {
            notes.forget(number as usize);
        }
    }
}

/// What tells the descriptor from others under its number: also how it was opened,
/// as the same file opened to be written is not it.
pub(super) fn file(kernel: &impl Kernel, fd: usize, status: &Status) -> File {
    const F_GETFL: usize = 3;
    let flags = kernel.call(nr::FCNTL, [fd, F_GETFL, 0, 0, 0, 0]);
    [status.device, status.ino, status.mount, flags as u64]
}

/// The mount ids of the procfs, if the descriptor is accepted and still is the
/// file that was accepted.
fn procfs(kernel: &impl Kernel, notes: &Notes, fd: usize) -> Option<[u64; 2]> {
    let (accepted, procfs) = notes.accepted(fd)?;
    let status = openat2::status(kernel, fd)?;
    (file(kernel, fd, &status) == accepted).then_some(procfs)
}

/// `fstatfs`: the type is procfs's.
fn filesystem(kernel: &impl Kernel, notes: &Notes, call: &Call) -> bool {
    let [fd, buffer, ..] = call.args;
    let is_accepted = procfs(kernel, notes, fd).is_some();
    if is_accepted {
        kernel.store(buffer, &PROC_SUPER_MAGIC.to_le_bytes());
    }
    is_accepted
}

/// `statx` of the descriptor itself: the mount's id is the procfs's, in the form
/// that the kernel gave it.
fn mount(kernel: &impl Kernel, notes: &Notes, call: &Call) -> bool {
    let [fd, path, _, _, buffer, _] = call.args;
    let mut first = [0; 1];
    if path != 0 {
        kernel.load(path, &mut first);
    }
    if first != [0] {
        return false;
    }
    let Some([short, unique]) = procfs(kernel, notes, fd) else { return false };
    let mut mask = [0; 4];
    kernel.load(buffer, &mut mask);
    let mask = u32::from_le_bytes(mask);
    let id = match () {
        () if mask & STATX_MNT_ID_UNIQUE != 0 => unique,
        () if mask & STATX_MNT_ID != 0 => short,
        () => return false,
    };
    kernel.store(buffer + STATX_MNT_ID_AT, &id.to_le_bytes());
    true
}

/// An open that succeeded although the kernel itself would have refused it: a
/// supervisor of the host answered it. The program keeps that descriptor. It is
/// accepted if our own walk leads to the same file on the same mount.
fn trapped(
    kernel: &impl Kernel,
    notes: &Notes,
    scratch: &mut Scratch,
    call: &Call,
    opened: usize,
) -> Option<()> {
    let close_on_exec = request(kernel, call)?;
    let [dirfd, path, ..] = call.args;
    let given = openat2::status(kernel, opened)?;
    if given.mount == openat2::status(kernel, dirfd)?.mount {
        return None;
    }
    memory::text(kernel, path, &mut scratch.path)?;
    let walked = walk::walk(kernel, notes, scratch, dirfd, close_on_exec)?;
    let what = |s: &Status| [s.device, s.ino, s.mount];
    if what(&given) == what(&walked.status) {
        notes.accept(opened, file(kernel, opened, &given), walked.procfs);
    }
    Some(())
}
