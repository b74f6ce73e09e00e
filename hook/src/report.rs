//! Report: one known-wrong field of a successful answer is corrected.

use procsys_rules::calls::{self, Question};
use procsys_rules::reach::{PROCFS_ROOT_MODE, STAT_MODE, STATX_MODE};
use procsys_rules::table::{Kind, Table};

use crate::kernel::{AT_SYMLINK_NOFOLLOW, Fd, Kernel, O_NOFOLLOW, O_PATH, nr};
use crate::{Call, emulate, identity, locate, stat};

/// `TMPFS_MAGIC` (include/uapi/linux/magic.h): the type of the file system that
/// memory files are on.
pub const TMPFS_MAGIC: u64 = 0x0102_1994;
/// Where `st_ino` lies in a `struct stat`, in bytes.
const STAT_INO: usize = 8;
/// Where `stx_ino` lies in a `struct statx`, in bytes.
const STATX_INO: usize = 32;
/// The inode number of the root of procfs (Linux, include/linux/proc_ns.h: PROC_ROOT_INO).
const PROC_ROOT_INO: u64 = 1;

/// Looks at a successful answer, and corrects it where a rule says so. Whether
/// it did.
pub(crate) fn success(kernel: &impl Kernel, table: Table<'_>, call: &Call) -> bool {
    let Some(shape) = calls::shape(call.nr) else { return false };
    let (buffer, mode_at, ino_at) = match shape.question {
        Question::Stat(buffer) | Question::StatAt(buffer, _) => (buffer, STAT_MODE, STAT_INO),
        Question::Statx(buffer, _) => (buffer, STATX_MODE, STATX_INO),
        Question::Statfs(buffer) => {
            return is_tmpfs(kernel, call, buffer) && emulate::correct(kernel, table, call);
        }
        _ => return false,
    };
    let Some(&address) = call.args.get(usize::from(buffer)) else { return false };
    let mut mode = [0; 2];
    kernel.load(address + usize::from(mode_at), &mut mode);
    if u16::from_le_bytes(mode) != PROCFS_ROOT_MODE {
        return emulate::correct(kernel, table, call);
    }
    let mut ino = [0; 8];
    kernel.load(address + ino_at, &mut ino);
    let ino = u64::from_le_bytes(ino);
    let is_wrong = ino != PROC_ROOT_INO
        && table.rules().any(|r| r.kind() == Some(Kind::ReportProcfsRoot))
        && is_procfs_root(kernel, call, shape, ino);
    if is_wrong {
        kernel.store(address + ino_at, &PROC_ROOT_INO.to_le_bytes());
    }
    is_wrong
}

/// Whether the answer in a `struct statfs` is that of a memory file's file system.
fn is_tmpfs(kernel: &impl Kernel, call: &Call, buffer: u8) -> bool {
    let Some(&address) = call.args.get(usize::from(buffer)) else { return false };
    let mut kind = [0; 8];
    kernel.load(address, &mut kind);
    u64::from_le_bytes(kind) == stat::TMPFS_MAGIC
}

/// Whether what the call asked about is the root of a procfs, and still has the
/// inode number that was answered.
fn is_procfs_root(kernel: &impl Kernel, call: &Call, shape: &calls::Shape, ino: u64) -> bool {
    let Some((dirfd, path)) = subject(kernel, call, shape) else { return false };
    let Some(path) = path else { return identity::is_procfs_root(kernel, dirfd) };
    let flags = O_PATH | if follows(call, shape) { 0 } else { O_NOFOLLOW };
    let Ok(opened) = Fd::open(kernel, dirfd, path, flags) else { return false };
    stat::of_fd(kernel, opened.number).is_some_and(|s| stat::ino(&s) == ino)
        && identity::is_procfs_root(kernel, opened.number)
}

/// What a call of the stat family asks about: a descriptor alone, or a path
/// (its address) relative to one.
pub(crate) fn subject(
    kernel: &impl Kernel,
    call: &Call,
    shape: &calls::Shape,
) -> Option<(usize, Option<usize>)> {
    let Some(arg) = shape.paths[0] else { return Some((*call.args.first()?, None)) };
    let (dirfd, path) = locate::argument(&call.args, arg)?;
    if path == 0 {
        // statx and newfstatat with AT_EMPTY_PATH take a null path since Linux 6.11.
        return Some((dirfd, None));
    }
    let mut first = [0; 1];
    kernel.load(path, &mut first);
    Some((dirfd, (first != [0]).then_some(path)))
}

/// Whether a last symlink of the path is followed.
pub(crate) fn follows(call: &Call, shape: &calls::Shape) -> bool {
    match shape.question {
        Question::StatAt(_, flags) | Question::Statx(_, flags) => {
            call.args.get(usize::from(flags)).is_some_and(|f| f & AT_SYMLINK_NOFOLLOW == 0)
        }
        _ => call.nr != nr::LSTAT,
    }
}
