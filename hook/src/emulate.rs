//! Emulate: a missing file is answered from memory.
//!
//! An open gives a memory file (memfd) with the rule's contents: it needs no
//! mount and no file, survives pivot_root and chroot, is passed on by fork and
//! exec, and can be opened again through /proc/…/fd. Its mode is a mark
//! ([`MARKED_MODES`]) that no other file has, so that later questions about the
//! descriptor, in any process, get the same answer as those about the path.

use procsys_rules::calls::{self, Question, Shape};
use procsys_rules::reach::MARKED_MODES;
use procsys_rules::table::{FileKind, Kind, Probe, Rule, Table, Write};
use procsys_rules::{errno, path};

use crate::kernel::{
    AT_SYMLINK_NOFOLLOW, Fd, Kernel, O_ACCMODE, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL,
    O_NOFOLLOW, O_PATH, O_TRUNC, O_WRONLY, nr,
};
use crate::memory::{self, PATH_MAX, Scratch};
use crate::stat::Facts;
use crate::{Call, how, kept, locate, report, stat};
#[cfg(feature = "whole")]
use crate::{kmsg, sibling, state};

/// What a marked memory file stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) file: FileKind,
    accepts_writes: bool,
}

impl Mark {
    fn of(rule: Rule<'_>) -> Self {
        Self { file: rule.file(), accepts_writes: rule.accepts_writes() }
    }

    /// Of a memory file's mode; a log is none.
    fn mode(self) -> u16 {
        let [refused, accepted, namespace] = MARKED_MODES;
        match (self.file, self.accepts_writes) {
            (FileKind::Namespace, _) => namespace,
            (_, false) => refused,
            (_, true) => accepted,
        }
    }

    fn from_mode(mode: u32) -> Option<Self> {
        let [refused, accepted, namespace] = MARKED_MODES;
        let mode = u16::try_from(mode).ok()?;
        if mode == refused {
            Some(Self { file: FileKind::Proc, accepts_writes: false })
        } else if mode == accepted {
            Some(Self { file: FileKind::Proc, accepts_writes: true })
        } else if mode == namespace {
            Some(Self { file: FileKind::Namespace, accepts_writes: false })
        } else {
            None
        }
    }
}

/// `F_ADD_SEALS` and `F_GET_SEALS` (include/uapi/linux/fcntl.h).
const F_ADD_SEALS: usize = 1033;
const F_GET_SEALS: usize = 1034;
/// `F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE` (same source).
const SEALED: usize = 0xf;
/// `F_SEAL_SEAL`: what every tmpfs file has that is not a memory file of ours.
const F_SEAL_SEAL: usize = 1;

/// What the descriptor stands for, if it is an emulated file: by its mode, and
/// by the seals that only a memory file can have. (That it has no name does not
/// show everywhere: gVisor gives memory files a link count of 1.)
pub(crate) fn marked(kernel: &impl Kernel, fd: usize) -> Option<Mark> {
    let stat = stat::of_fd(kernel, fd)?;
    let mark = Mark::from_mode(stat::mode(&stat))?;
    let seals = kernel.call(nr::FCNTL, [fd, F_GET_SEALS, 0, 0, 0, 0]);
    let sealed = if seals == -isize::from(errno::EBADF) {
        is_memory_file(kernel, &stat)
    } else {
        let seals = usize::try_from(seals).ok()?;
        if mark.accepts_writes { seals & F_SEAL_SEAL == 0 } else { seals & SEALED == SEALED }
    };
    sealed.then_some(mark)
}

/// Whether a file is on the file system of memory files, which is mounted nowhere: a
/// descriptor that was opened with `O_PATH` does not tell its seals.
fn is_memory_file(kernel: &impl Kernel, stat: &stat::Stat) -> bool {
    let own = memory_file(kernel, true).ok().and_then(|own| stat::of_fd(kernel, own.number));
    own.is_some_and(|own| stat::dev(&own) == stat::dev(stat))
}

/// Corrects a successful answer about a descriptor of an emulated file. Whether
/// it was one.
pub(crate) fn correct(kernel: &impl Kernel, table: Table<'_>, call: &Call) -> bool {
    let Some(shape) = calls::shape(call.nr) else { return false };
    if !table.has(Kind::Emulate) {
        return false;
    }
    let mark = match report::subject(kernel, call, shape) {
        Some((fd, None)) => marked(kernel, fd),
        Some((dirfd, Some(path))) => marked_by_path(kernel, dirfd, path),
        None => None,
    };
    let Some(mark) = mark else { return false };
    let permissions = mark.mode() & 0o777;
    tell(kernel, call, shape.question, Facts::file(mark.file, permissions)).is_ok()
}

/// As [`marked`], for a path such as /proc/self/fd/N. What it leads to may be somebody
/// else's, or be another file by now, so it is not opened but with `O_PATH`: no waiting
/// for a FIFO's other end, no device that starts.
fn marked_by_path(kernel: &impl Kernel, dirfd: usize, path: usize) -> Option<Mark> {
    let opened = Fd::open(kernel, dirfd, path, O_PATH).ok()?;
    marked(kernel, opened.number)
}

/// Writes facts to where a call of the stat family wants them.
fn tell(kernel: &impl Kernel, call: &Call, question: Question, facts: Facts) -> Result<(), u8> {
    let to = |arg: u8| call.args.get(usize::from(arg)).copied().unwrap_or(0);
    match question {
        Question::Stat(arg) | Question::StatAt(arg, _) => {
            memory::store(kernel, to(arg), &facts.stat())
        }
        Question::Statx(arg, _) => memory::store(kernel, to(arg), &facts.statx()),
        Question::Statfs(arg) => memory::store(kernel, to(arg), &facts.statfs()),
        _ => Ok(()),
    }
}

/// The answer of an emulated file to a call that failed with `error`, if a rule
/// names its path. `None` leaves the kernel's answer.
pub(crate) fn answer(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
    error: u8,
) -> Option<isize> {
    let shape = calls::shape(call.nr).filter(|s| s.question != Question::Other)?;
    let (dirfd, address) = locate::argument(&call.args, shape.paths[0]?)?;
    if how::is_left_alone(kernel, call) {
        return None;
    }
    let concerned = |r: &Rule<'_>| r.kind() == Some(Kind::Emulate) && r.acts_on(error);
    if !table.rules().any(|r| concerned(&r)) {
        return None;
    }
    let text = memory::text(kernel, address, &mut scratch.path)?;
    let len = text.len();
    let tail = path::hash(path::last(text.split_last()?.1)?);
    let text = scratch.path.get_mut(..len)?;
    let rule = table
        .rules()
        .filter(|r| r.may_end_in(tail) && concerned(r))
        .find(|r| locate::is_named(kernel, dirfd, text, r.path()))?;
    if error != errno::ENOENT && !is_missing(kernel, dirfd, text) {
        return None;
    }
    let flags = open_flags(kernel, call, shape.question);
    let answered = match flags {
        #[cfg(feature = "whole")]
        _ if rule.probe() == Probe::Sibling => {
            let [out, _] = &mut scratch.out;
            sibling::answer(kernel, rule, call, flags, shape.paths[0]?, text, out)
        }
        Some(flags) => open(kernel, rule, scratch, flags),
        None => question(kernel, rule, call, shape),
    };
    Some(match answered {
        Ok(value) => value,
        Err(errno) => -isize::from(errno),
    })
}

/// Whether nothing is there, whatever the call that failed wanted of it.
fn is_missing(kernel: &impl Kernel, dirfd: usize, text: &[u8]) -> bool {
    let mut stat: stat::Stat = [0; 144];
    let buffer = stat.as_mut_ptr() as usize;
    let path = text.as_ptr() as usize;
    kernel.call(nr::NEWFSTATAT, [dirfd, path, buffer, AT_SYMLINK_NOFOLLOW, 0, 0])
        == -isize::from(errno::ENOENT)
}

/// The flags of a call that opens.
fn open_flags(kernel: &impl Kernel, call: &Call, question: Question) -> Option<usize> {
    let arg = |position: u8| call.args.get(usize::from(position)).copied().unwrap_or(0);
    match question {
        Question::Open(flags) => Some(arg(flags)),
        Question::Creat => Some(O_WRONLY | O_TRUNC),
        Question::OpenHow(how) => {
            let mut flags = [0; 8];
            // As long and as readable as a structure has to be: see `how`.
            kernel.load(arg(how), &mut flags);
            Some(u64::from_le_bytes(flags) as usize)
        }
        _ => None,
    }
}

/// Answers one question about an emulated path, with an errno where the file,
/// were it there, would refuse.
fn question(kernel: &impl Kernel, rule: Rule<'_>, call: &Call, shape: &Shape) -> Result<isize, u8> {
    let arg = |position: u8| call.args.get(usize::from(position)).copied().unwrap_or(0);
    match shape.question {
        Question::Stat(_) | Question::StatAt(..) | Question::Statx(..) | Question::Statfs(_) => {
            let is_link = rule.file() == FileKind::Namespace
                && !report::follows(call, shape)
                && !matches!(shape.question, Question::Statfs(_));
            let facts = if is_link { Facts::link() } else { Facts::file(rule.file(), rule.mode()) };
            tell(kernel, call, shape.question, facts).map(|()| 0)
        }
        Question::Access(mode) => access(rule, arg(mode)),
        Question::Readlink(buffer) => readlink(kernel, rule, arg(buffer), arg(buffer + 1)),
        _ => Err(errno::ENOENT),
    }
}

/// access(2), as root would be answered: nothing but the rule refuses.
fn access(rule: Rule<'_>, mode: usize) -> Result<isize, u8> {
    const X_OK: usize = 1;
    const W_OK: usize = 2;
    let refused = mode & X_OK != 0 || (mode & W_OK != 0 && !rule.accepts_writes());
    if refused { Err(errno::EACCES) } else { Ok(0) }
}

fn readlink(kernel: &impl Kernel, rule: Rule<'_>, buffer: usize, size: usize) -> Result<isize, u8> {
    if rule.file() != FileKind::Namespace || size == 0 {
        return Err(errno::EINVAL);
    }
    let target = rule.value();
    let target = target.get(..size).unwrap_or(target);
    memory::store(kernel, buffer, target)?;
    Ok(target.len() as isize)
}

/// open(2) of an emulated file.
fn open(
    kernel: &impl Kernel,
    rule: Rule<'_>,
    scratch: &mut Scratch,
    flags: usize,
) -> Result<isize, u8> {
    let only_path = flags & O_PATH != 0;
    if flags & O_DIRECTORY != 0 {
        return Err(errno::ENOTDIR);
    }
    if !only_path {
        if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
            return Err(errno::EEXIST);
        }
        if rule.file() == FileKind::Namespace && flags & O_NOFOLLOW != 0 {
            return Err(errno::ELOOP);
        }
        if flags & O_ACCMODE != 0 && !rule.accepts_writes() {
            return Err(errno::EACCES);
        }
    }
    #[cfg(feature = "whole")]
    if rule.file() == FileKind::Kmsg {
        return kmsg::open(kernel, flags);
    }
    // What is written starts an empty file, so that nothing old stands behind it.
    let is_emptied = !only_path && (flags & O_TRUNC != 0 || flags & O_ACCMODE == O_WRONLY);
    let is_read_only = !only_path && flags & O_ACCMODE == 0;
    let is_fixed = rule.file() == FileKind::Proc && rule.write() != Write::Remember;
    let is_kept = is_read_only && !is_emptied && is_fixed;
    let thread = scratch.thread;
    let again = || kept::reopen(kernel, rule.index, Mark::of(rule).mode(), flags, thread);
    if let Some(fd) = is_kept.then(again).flatten() {
        return Ok(fd as isize);
    }
    let file = memory_file(kernel, flags & O_CLOEXEC != 0)?;
    fill(kernel, rule, scratch, file.number, Opened { is_emptied, is_read_only })?;
    if is_kept {
        kept::keep(kernel, rule.index, file.number);
    }
    Ok(file.give())
}

/// How a file is opened.
#[derive(Clone, Copy)]
struct Opened {
    is_emptied: bool,
    is_read_only: bool,
}

/// The errno of a call of the hook's own that failed.
pub(crate) fn failed(result: isize) -> u8 {
    u8::try_from(result.unsigned_abs()).unwrap_or(errno::EIO)
}

/// A new memory file that takes seals, never executable where the kernel knows
/// how to say so (memfd_create(2); MFD_NOEXEC_SEAL since Linux 6.3).
pub(crate) fn memory_file<K: Kernel>(kernel: &K, close_on_exec: bool) -> Result<Fd<'_, K>, u8> {
    const MFD_CLOEXEC: usize = 1;
    const MFD_ALLOW_SEALING: usize = 2;
    const MFD_NOEXEC_SEAL: usize = 8;
    let name = c"procsys".as_ptr() as usize;
    let flags = MFD_ALLOW_SEALING | if close_on_exec { MFD_CLOEXEC } else { 0 };
    let mut fd = kernel.call(nr::MEMFD_CREATE, [name, flags | MFD_NOEXEC_SEAL, 0, 0, 0, 0]);
    if fd == -isize::from(errno::EINVAL) {
        fd = kernel.call(nr::MEMFD_CREATE, [name, flags, 0, 0, 0, 0]);
    }
    Fd::from_result(kernel, fd).map_err(failed)
}

/// Gives a memory file its contents, its mark and its seals. The descriptor of a
/// memory file is always one to read and write; where the program asked for one
/// to read, a seal refuses the writes.
fn fill(
    kernel: &impl Kernel,
    rule: Rule<'_>,
    scratch: &mut Scratch,
    fd: usize,
    opened: Opened,
) -> Result<(), u8> {
    let contents = match rule.file() {
        _ if opened.is_emptied => &[],
        FileKind::Namespace => &[],
        _ => contents(kernel, rule, scratch),
    };
    if !contents.is_empty() {
        if !may_be_written(kernel, contents.len()) {
            return Err(EFBIG);
        }
        let args = [fd, contents.as_ptr() as usize, contents.len(), 0, 0, 0];
        let written = kernel.call(nr::PWRITE64, args);
        if written != contents.len() as isize {
            return Err(failed(written.min(0)));
        }
    }
    let mark = Mark::of(rule);
    let marked = kernel.call(nr::FCHMOD, [fd, usize::from(mark.mode()) & 0o7777, 0, 0, 0, 0]);
    if marked < 0 {
        return Err(failed(marked));
    }
    if !mark.accepts_writes || opened.is_read_only {
        let seals = if mark.accepts_writes { SEALED & !F_SEAL_SEAL } else { SEALED };
        let sealed = seal(kernel, fd, seals);
        if sealed < 0 {
            return Err(failed(sealed));
        }
        return Ok(());
    }
    #[cfg(feature = "whole")]
    if rule.write() == Write::Remember && state::is_at_hand(kernel, rule) {
        return state::attach(kernel, rule, fd);
    }
    Ok(())
}

/// What write(2) says of a file that is too large (include/uapi/asm-generic/errno-base.h).
const EFBIG: u8 = 27;

/// Whether a file may become as long as that: where it may not (RLIMIT_FSIZE), the write
/// would end the program by SIGXFSZ.
fn may_be_written(kernel: &impl Kernel, len: usize) -> bool {
    const RLIMIT_FSIZE: usize = 1;
    let mut limits = [usize::MAX; 2];
    kernel.call(nr::GETRLIMIT, [RLIMIT_FSIZE, limits.as_mut_ptr() as usize, 0, 0, 0, 0]);
    limits[0] >= len
}

/// Adds seals to a memory file.
pub(crate) fn seal(kernel: &impl Kernel, fd: usize, seals: usize) -> isize {
    kernel.call(nr::FCNTL, [fd, F_ADD_SEALS, seals, 0, 0, 0])
}

/// What an emulated file holds now.
fn contents<'s>(kernel: &impl Kernel, rule: Rule<'s>, scratch: &'s mut Scratch) -> &'s [u8] {
    let [room, _] = &mut scratch.out;
    match rule.probe() {
        Probe::CapLastCap => cap_last_cap(kernel, room),
        #[cfg(feature = "whole")]
        Probe::Osrelease => osrelease(kernel, room),
        #[cfg(feature = "whole")]
        _ if rule.write() == Write::Remember => {
            state::recall(kernel, rule, room).unwrap_or(rule.value())
        }
        _ => rule.value(),
    }
}

/// The last capability that the kernel knows, as procfs would write it: the
/// highest that `PR_CAPBSET_READ` does not refuse with EINVAL (capabilities(7)).
fn cap_last_cap<'d>(kernel: &impl Kernel, room: &'d mut [u8; PATH_MAX]) -> &'d [u8] {
    const PR_CAPBSET_READ: usize = 23;
    let known = |cap: &usize| kernel.call(nr::PRCTL, [PR_CAPBSET_READ, *cap, 0, 0, 0, 0]) >= 0;
    let last = (0..64usize).take_while(known).last().unwrap_or(0) as u8;
    [room[0], room[1], room[2]] = [b'0' + last / 10, b'0' + last % 10, b'\n'];
    if last < 10 { &room[1..3] } else { &room[..3] }
}

/// The kernel's release, as procfs shows it: the third field of uname(2).
#[cfg(feature = "whole")]
fn osrelease<'d>(kernel: &impl Kernel, room: &'d mut [u8; PATH_MAX]) -> &'d [u8] {
    /// Length of a field of `struct new_utsname` (include/uapi/linux/utsname.h).
    const FIELD: usize = 65;
    kernel.call(nr::UNAME, [room.as_mut_ptr() as usize, 0, 0, 0, 0, 0]);
    let release = &mut room[2 * FIELD..3 * FIELD];
    let len = release.iter().position(|&b| b == 0).unwrap_or(FIELD - 1);
    if let Some(end) = release.get_mut(len) {
        *end = b'\n';
    }
    release.get(..=len).unwrap_or_default()
}
