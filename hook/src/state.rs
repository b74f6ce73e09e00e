//! Emulated files that remember: what one process writes, another reads.
//!
//! What is written is kept as a file of its own in the rule's directory, which
//! the first writer makes. A file opened for writing is a memory file as any
//! other emulated one, but sealed, so that `write` fails with EPERM and comes
//! here; the rule is known by a number in its time of last access, which a write
//! does not change (that of modification, it does also when it fails). Each write
//! becomes a new file that takes the old one's place by rename(2): a reader sees
//! the one value or the other, never half of one.
//!
//! Where writes don't come here (door 1), where the directory can't be reached
//! (after pivot_root), or could be another
//! user's doing, the file is an ordinary memory file: writes succeed and are gone
//! with the descriptor. So are they where that comes to be after the open.
//!
//! No symbolic link is followed on the way. Every directory on it must be root's
//! or the caller's, and writable by others only with the sticky bit; the last one
//! and the files in it must be the caller's to be written to, and not writable by
//! others.

use procsys_rules::table::{FileKind, Kind, Rule, Table, Write};
use procsys_rules::{errno, path};

use crate::Call;
use crate::emulate;
use crate::kernel::{
    AT_FDCWD, Fd, Kernel, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_WRONLY,
    nr,
};
use crate::memory;
use crate::stat;

/// Longer contents are not remembered: procfs takes no more than a page.
pub(crate) const LONGEST: usize = 4095;
/// Room for the name of a directory or a file, with its NUL.
const NAME: usize = 256;
/// `st_atime`'s nanoseconds of a memory file whose writes are remembered.
const TAG: u64 = 286_331_153;

/// What was written to the file last, at the start of `buffer`; `None` when
/// nothing was, or it can't be known to be true.
pub(crate) fn recall<'b>(
    kernel: &impl Kernel,
    rule: Rule<'_>,
    buffer: &'b mut [u8],
) -> Option<&'b [u8]> {
    let directory = directory(kernel, rule.state(), false)?;
    let mut name = [0; NAME];
    let name = file_name(rule.path(), b"", &mut name)?.as_ptr() as usize;
    // In a directory that others may write to (readers bear that) it can be a FIFO.
    let flags = O_NOFOLLOW | O_NONBLOCK;
    let file = Fd::open(kernel, directory.number, name, flags).ok()?;
    let stat = stat::of_fd(kernel, file.number)?;
    if !stat::is_regular(&stat) || !is_trusted(kernel, &stat, false) {
        return None;
    }
    let room = buffer.get_mut(..LONGEST)?;
    let args = [file.number, room.as_mut_ptr() as usize, LONGEST, 0, 0, 0];
    let len = usize::try_from(kernel.call(nr::PREAD64, args)).ok()?;
    // As procfs ends what it shows.
    let is_ended = buffer.get(..len)?.last().is_none_or(|&b| b == b'\n');
    *buffer.get_mut(len)? = b'\n';
    buffer.get(..len + usize::from(!is_ended))
}

/// Whether what this process writes to the file can be remembered.
pub(crate) fn is_at_hand(kernel: &impl Kernel, rule: Rule<'_>) -> bool {
    kernel.sees_writes() && directory(kernel, rule.state(), true).is_some()
}

/// Makes writes to the memory file `fd` come to [`write`].
pub(crate) fn attach(kernel: &impl Kernel, rule: Rule<'_>, fd: usize) -> Result<(), u8> {
    /// `F_SEAL_GROW | F_SEAL_WRITE` (include/uapi/linux/fcntl.h).
    const SEALS: usize = 4 | 8;
    let time = [u64::from(path::hash(rule.path())), TAG];
    let times = [time, time];
    let timed = kernel.call(nr::UTIMENSAT, [fd, 0, times.as_ptr() as usize, 0, 0, 0]);
    let result = if timed < 0 { timed } else { emulate::seal(kernel, fd, SEALS) };
    if result < 0 { Err(emulate::failed(result)) } else { Ok(()) }
}

/// The answer to a write that failed with `error`, if it was to a file that
/// remembers. `None` leaves the kernel's answer.
pub(crate) fn write(
    kernel: &impl Kernel,
    table: Table<'_>,
    call: &Call,
    error: u8,
) -> Option<isize> {
    if error != errno::EPERM {
        return None;
    }
    let fd = *call.args.first()?;
    let stat = stat::of_fd(kernel, fd)?;
    let (seconds, nanoseconds) = stat::accessed(&stat);
    if nanoseconds != TAG || emulate::marked(kernel, fd)?.file != FileKind::Proc {
        return None;
    }
    // Anybody can make a memory file with all of our marks and hand it over, but not
    // one that is the caller's. Who has changed users since is refused, as by procfs.
    if !is_callers(kernel, &stat) {
        return None;
    }
    let rule = table
        .rules()
        .filter(|r| r.kind() == Some(Kind::Emulate) && r.write() == Write::Remember)
        .find(|r| u64::from(path::hash(r.path())) == seconds)?;
    Some(match remember(kernel, rule, call) {
        Ok(written) => written,
        Err(error) => -isize::from(error),
    })
}

/// Makes the write to another file. The result is that of the call.
fn write_to(kernel: &impl Kernel, file: usize, call: &Call) -> isize {
    let mut args = call.args;
    args[0] = file;
    match kernel.call(call.nr, args) {
        len if len > LONGEST as isize => -isize::from(errno::EINVAL),
        result => result,
    }
}

/// Makes the write to a file that is gone with it.
fn forget(kernel: &impl Kernel, call: &Call) -> Result<isize, u8> {
    let file = emulate::memory_file(kernel, true)?;
    let written = write_to(kernel, file.number, call);
    if written < 0 { Err(emulate::failed(written)) } else { Ok(written) }
}

/// Makes the write anew to a new file, and puts that in the old one's place.
///
/// A write behind the start has no effect on a sysctl (Linux, kernel/sysctl.c:
/// proc_first_pos_non_zero_ignore), nor on this.
fn remember(kernel: &impl Kernel, rule: Rule<'_>, call: &Call) -> Result<isize, u8> {
    if call.nr == nr::PWRITE64 && call.args[3] != 0 {
        return forget(kernel, call);
    }
    let Some(directory) = directory(kernel, rule.state(), true) else {
        return forget(kernel, call);
    };
    let (mut name, mut new) = ([0; NAME], [0; NAME]);
    let thread = kernel.call(nr::GETTID, [0; 6]) as usize;
    let name = file_name(rule.path(), b"", &mut name).ok_or(errno::ENAMETOOLONG)?;
    let new = file_name(rule.path(), &thread.to_le_bytes(), &mut new).ok_or(errno::ENAMETOOLONG)?;
    let (name, new) = (name.as_ptr() as usize, new.as_ptr() as usize);
    // One that a killed thread of this number left.
    kernel.call(nr::UNLINKAT, [directory.number, new, 0, 0, 0, 0]);
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    let file = Fd::create(kernel, directory.number, new, flags, 0o644).map_err(emulate::failed)?;
    let written = write_to(kernel, file.number, call);
    let result = if written < 0 {
        written
    } else {
        kernel.call(nr::RENAMEAT, [directory.number, new, directory.number, name, 0, 0])
    };
    if result < 0 {
        kernel.call(nr::UNLINKAT, [directory.number, new, 0, 0, 0, 0]);
        return Err(emulate::failed(result));
    }
    Ok(written)
}

/// The state directory at this absolute path, if it can be trusted; made when it
/// is missing and is to be written to.
fn directory<'k, K: Kernel>(kernel: &'k K, path: &[u8], is_written: bool) -> Option<Fd<'k, K>> {
    let mut components = path::components(path).peekable();
    let mut current = Fd::directory(kernel, AT_FDCWD, b"/\0").ok()?;
    while let Some(component) = components.next() {
        let stat = stat::of_fd(kernel, current.number)?;
        if !is_trusted(kernel, &stat, false) {
            return None;
        }
        let mut name = [0; NAME];
        let name = memory::with_nul(&mut name, component)?.as_ptr() as usize;
        if is_written && components.peek().is_none() {
            kernel.call(nr::MKDIRAT, [current.number, name, 0o755, 0, 0, 0]);
        }
        let flags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
        current = Fd::open(kernel, current.number, name, flags).ok()?;
    }
    let stat = stat::of_fd(kernel, current.number)?;
    is_trusted(kernel, &stat, is_written).then_some(current)
}

/// Whether nobody but root and the caller can have changed a file or what a
/// directory holds; with `is_own`, whether it is the caller's.
fn is_trusted(kernel: &impl Kernel, stat: &stat::Stat, is_own: bool) -> bool {
    /// Of group and others: may write.
    const SHARED: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let mode = stat::mode(stat);
    let is_shared = mode & SHARED != 0 && (mode & STICKY == 0 || is_own);
    (is_callers(kernel, stat) || (stat::owner(stat) == 0 && !is_own)) && !is_shared
}

/// Whether a file is the caller's.
fn is_callers(kernel: &impl Kernel, stat: &stat::Stat) -> bool {
    let caller = kernel.call(nr::GETEUID, [0; 6]);
    isize::try_from(stat::owner(stat)).is_ok_and(|owner| owner == caller)
}

/// The name of the file that remembers what was written to `path`, ended by NUL:
/// the path with `:` for `/`. With a `mark`, a name that no other has.
fn file_name<'b>(path: &[u8], mark: &[u8], buffer: &'b mut [u8; NAME]) -> Option<&'b [u8]> {
    let name = path.get(1..)?.iter().map(|&b| if b == b'/' { b':' } else { b });
    let digits = mark.iter().flat_map(|&b| [b >> 4, b & 15]).map(|d| b'a' + d);
    let dot = (!mark.is_empty()).then_some(b'.');
    let mut len = 0;
    for byte in dot.into_iter().chain(name).chain(dot).chain(digits) {
        *buffer.get_mut(len)? = byte;
        len += 1;
    }
    *buffer.get_mut(len)? = 0;
    buffer.get(..=len)
}
