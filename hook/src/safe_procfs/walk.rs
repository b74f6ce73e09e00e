//! From the root of procfs to the file, one component at a time.

use procsys_rules::path::components;

use crate::identity::PROC_SUPER_MAGIC;
use crate::kernel::{Fd, Kernel, O_DIRECTORY, O_NOFOLLOW, O_PATH};
use crate::memory::Scratch;
use crate::mountinfo::{self, Buffers};
use crate::notes::{Notes, ROOT_MAX};
use crate::openat2::{self, BENEATH, NO_MAGICLINKS, NO_SYMLINKS, Status};
use crate::stat;

/// Inode number of the root of procfs (Linux, include/linux/proc_ns.h: PROC_ROOT_INO).
const PROC_ROOT_INO: u64 = 1;

/// An accepted file.
pub(super) struct Walked<'k, K: Kernel> {
    pub(super) file: Fd<'k, K>,
    pub(super) status: Status,
    /// The mount ids of the procfs: the short one, and the unique one or 0.
    pub(super) procfs: [u64; 2],
}

/// Walks the path in `scratch.path` from `procfs`. `None` when anything is not
/// as the module's list says.
pub(super) fn walk<'k, K: Kernel>(
    kernel: &'k K,
    notes: &Notes,
    scratch: &mut Scratch,
    procfs: usize,
    close_on_exec: usize,
) -> Option<Walked<'k, K>> {
    let mut kept = [0; ROOT_MAX];
    let (device, root) = notes.trusted(&mut kept)?;
    let procfs_mount = procfs_root(kernel, procfs)?.mount;
    let Scratch { path, out, .. } = scratch;
    let mut crossed = None;
    let mut current: Option<Fd<'k, K>> = None;
    let mut steps = Steps::new(path)?;
    while let Some((start, end)) = steps.next(path)? {
        let is_last = steps.is_last(path);
        let dirfd = current.as_ref().map_or(procfs, |fd| fd.number);
        let flags = if is_last { close_on_exec } else { O_DIRECTORY };
        let next = step(kernel, dirfd, path, (start, end), flags)?;
        let status = openat2::status(kernel, next.number)?;
        match crossed {
            None if status.mount == procfs_mount => {}
            None => {
                let expected = |mounted: &[u8]| steps.names(path, end, root, mounted);
                let trusted = (procfs_mount, device);
                if !is_trusted(kernel, procfs, out, status.mount, trusted, expected) {
                    return None;
                }
                crossed = Some(status.mount);
            }
            Some(mount) if status.mount == mount => {}
            Some(_) => return None,
        }
        if is_last {
            let is_accepted = crossed.is_some() && openat2::is_regular(&status);
            let unique = openat2::unique_mount(kernel, procfs);
            return is_accepted.then_some(Walked {
                file: next,
                status,
                procfs: [procfs_mount, unique],
            });
        }
        current = Some(next);
    }
    None
}

/// What the descriptor is, if that is the root directory of a procfs.
pub(crate) fn procfs_root(kernel: &impl Kernel, fd: usize) -> Option<Status> {
    if stat::filesystem_type(kernel, fd) != Some(PROC_SUPER_MAGIC) {
        return None;
    }
    openat2::status(kernel, fd).filter(|s| s.ino == PROC_ROOT_INO)
}

/// Opens the component `path[start..end]` of the directory `dirfd`.
fn step<'k, K: Kernel>(
    kernel: &'k K,
    dirfd: usize,
    path: &mut [u8],
    (start, end): (usize, usize),
    flags: usize,
) -> Option<Fd<'k, K>> {
    let after = path.get_mut(end)?;
    let kept = core::mem::replace(after, 0);
    let resolve = BENEATH | NO_SYMLINKS | NO_MAGICLINKS;
    let name = path.get(start..=end)?;
    let opened = openat2::open(kernel, dirfd, name, O_PATH | O_NOFOLLOW | flags, resolve);
    *path.get_mut(end)? = kept;
    opened.ok()
}

/// Whether the mount is the trusted file system, mounted on the procfs, and shows
/// there what is `expected`. The kernel's table of mounts says so: no request goes
/// to the file system. Its lines can't be made up, and the descriptor that was
/// opened through the mount keeps its id from being given to another.
fn is_trusted(
    kernel: &impl Kernel,
    procfs: usize,
    buffers: &mut Buffers,
    mount: u64,
    (parent, device): (u64, u64),
    expected: impl Fn(&[u8]) -> bool,
) -> bool {
    let found = mountinfo::find(kernel, procfs, buffers, |line| {
        (line.id == mount).then(|| {
            line.parent == parent
                && line.device == device
                && line.is_fuse
                && line.root.is_some_and(&expected)
        })
    });
    found == Some(Some(true))
}

/// The components of a path below sys/.
struct Steps {
    /// Where the next one is looked for.
    at: usize,
    /// Where `sys` ends.
    sys: usize,
}

impl Steps {
    /// `None` when the path is absolute, does not start with `sys`, has nothing
    /// below that, or has a `..`.
    fn new(path: &[u8]) -> Option<Self> {
        let len = path.iter().position(|&b| b == 0)?;
        let text = path.get(..len)?;
        let mut names = components(text);
        let is_below = text.first() != Some(&b'/')
            && names.next() == Some(b"sys")
            && names.next().is_some()
            && !matches!(text.last(), Some(b'/'))
            && !text.split(|&b| b == b'/').any(|c| c == b"..");
        let sys = text.windows(3).position(|w| w == b"sys")? + 3;
        is_below.then_some(Self { at: 0, sys })
    }

    /// Start and end of the next component; `.` and empty ones are left out.
    /// The outer `None` is a path that has no end.
    #[allow(clippy::should_implement_trait)]
    fn next(&mut self, path: &[u8]) -> Option<Option<(usize, usize)>> {
        loop {
            let rest = path.get(self.at..)?;
            let len = rest.iter().position(|&b| b == b'/' || b == 0)?;
            let (start, end) = (self.at, self.at + len);
            let is_end = path.get(end) == Some(&0);
            self.at = if is_end { end } else { end + 1 };
            match path.get(start..end)? {
                [] | b"." if is_end => return Some(None),
                [] | b"." => {}
                _ => return Some(Some((start, end))),
            }
        }
    }

    /// Whether the component that `next` gave last is the path's last.
    fn is_last(&self, path: &[u8]) -> bool {
        path.get(self.at) == Some(&0)
    }

    /// Whether `mounted` is, below the trusted mount's `root`, what the path names
    /// up to `end` below sys.
    fn names(&self, path: &[u8], end: usize, root: &[u8], mounted: &[u8]) -> bool {
        let root = if root == b"/" { b"" } else { root };
        let Some(below) = mounted.strip_prefix(root) else { return false };
        let Some(asked) = path.get(self.sys..end) else { return false };
        // `//deleted` ends the path of what is not there any more.
        let is_there = below.windows(2).all(|pair| pair != b"//");
        let is_below = matches!(below, [] | [b'/', ..]);
        is_there && is_below && components(below).eq(components(asked))
    }
}
