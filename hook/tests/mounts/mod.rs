//! A kernel in memory that knows mounts, for a procfs with others over it.
//!
//! Every path below a mount exists, as what [`Kernel::set_mode`] says or by its
//! name: `ip_…` and `ping_…` are regular files, all else are directories.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CString;

use procsys_hook::{Call, Kept, Notes, Scratch};
use procsys_rules::compile::compile;
use procsys_rules::{Table, profiles};

use crate::pointers::{get, put, text};

pub(crate) const EXDEV: isize = -18;
const ENOENT: isize = -2;
const ENOTDIR: isize = -20;
const EINVAL: isize = -22;

pub(crate) const O_PATH: usize = 0o10_000_000;
pub(crate) const O_NOFOLLOW: usize = 0o400_000;
pub(crate) const O_CLOEXEC: usize = 0o2_000_000;
const O_DIRECTORY: usize = 0o200_000;

pub(crate) const PROC: &str = "proc";
pub(crate) const FUSE: &str = "fuse.sysboxfs";
pub(crate) const TMPFS: &str = "tmpfs";
pub(crate) const PROC_SUPER_MAGIC: u64 = 0x9fa0;
pub(crate) const FUSE_SUPER_MAGIC: u64 = 0x6573_5546;
/// What a mount's unique id is above its short one.
pub(crate) const UNIQUE: u64 = 1 << 33;

struct Mount {
    id: u64,
    parent: u64,
    point: String,
    kind: &'static str,
    device: &'static str,
    root: String,
}

#[derive(Clone)]
enum Open {
    /// A path from procfs's root, and the mount it is on.
    File(String, u64),
    /// The table of mounts, read up to here.
    Table(usize),
}

/// The kernel, with one process in it whose calls pass the hook.
pub(crate) struct Kernel {
    mounts: Vec<Mount>,
    modes: BTreeMap<String, u16>,
    open: RefCell<BTreeMap<usize, Open>>,
    asked: RefCell<Vec<u64>>,
    notes: Notes,
    table: Vec<u8>,
    /// What fstatfs says of procfs.
    pub(crate) procfs_type: u64,
    /// The inode number of procfs's root.
    pub(crate) procfs_ino: u64,
    /// Whether the table of mounts has lost those over procfs.
    pub(crate) hides_mounts: bool,
    /// The program's descriptor of procfs.
    pub(crate) procfs: usize,
}

impl Kernel {
    pub(crate) fn new() -> Self {
        Self::with("sysbox")
    }

    fn with(profile: &str) -> Self {
        let rules = profiles::by_name(profile).expect("built in").rules().expect("it parses");
        let procfs = Mount {
            id: 20,
            parent: 1,
            point: String::new(),
            kind: PROC,
            device: "0:30",
            root: "/".into(),
        };
        Self {
            mounts: vec![procfs],
            modes: BTreeMap::new(),
            open: RefCell::new(BTreeMap::from([(3, Open::File(String::new(), 20))])),
            asked: RefCell::new(Vec::new()),
            notes: Notes::new(),
            table: compile(&rules).expect("few rules"),
            procfs_type: PROC_SUPER_MAGIC,
            procfs_ino: 1,
            hides_mounts: false,
            procfs: 3,
        }
    }

    /// With a process that started with sysbox's file system over /proc/sys.
    pub(crate) fn started() -> Self {
        Self::started_with("sysbox")
    }

    pub(crate) fn started_with(profile: &str) -> Self {
        let mut kernel = Self::with(profile);
        kernel.mount("sys", FUSE, "0:99", "/proc/sys");
        kernel.start();
        kernel
    }

    pub(crate) fn start(&self) {
        procsys_hook::start(self, self.table(), &mut Scratch::new());
        assert_eq!(self.left_open(), [] as [usize; 0], "nothing is kept open");
    }

    /// Another procfs, with nothing over it, takes the first one's place.
    pub(crate) fn enter_container(&mut self) {
        self.mounts.truncate(1);
        self.mounts[0].id = 200;
        self.open.get_mut().insert(3, Open::File(String::new(), 200));
    }

    /// Mounts something over what is at `point` now.
    pub(crate) fn mount(
        &mut self,
        point: &str,
        kind: &'static str,
        device: &'static str,
        root: &str,
    ) -> u64 {
        let parent = self.mount_at(point).id;
        let id = self.mounts[0].id + self.mounts.len() as u64;
        let (point, root) = (point.into(), root.into());
        self.mounts.push(Mount { id, parent, point, kind, device, root });
        id
    }

    pub(crate) fn set_mode(&mut self, path: &str, mode: u16) {
        self.modes.insert(path.into(), mode);
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.table).expect("it was compiled")
    }

    /// The mount that a path below procfs's root is on: the last one over it.
    fn mount_at(&self, path: &str) -> &Mount {
        let covers = |m: &&Mount| {
            m.point.is_empty() || path == m.point || path.starts_with(&format!("{}/", m.point))
        };
        self.mounts.iter().rev().find(covers).expect("procfs covers all")
    }

    fn mode(&self, path: &str) -> u16 {
        let last = path.rsplit('/').next().unwrap_or_default();
        let is_file = last.starts_with("ip_") || last.starts_with("ping_");
        let usual = if is_file { 0o100_644 } else { 0o040_755 };
        self.modes.get(path).copied().unwrap_or(usual)
    }

    fn insert(&self, file: Open) -> isize {
        let mut open = self.open.borrow_mut();
        let number = (4..).find(|n| !open.contains_key(n)).expect("numbers do not end");
        open.insert(number, file);
        number as isize
    }

    /// What the program has open beside its procfs.
    pub(crate) fn left_open(&self) -> Vec<usize> {
        self.open.borrow().keys().copied().filter(|&n| n != 3).collect()
    }

    /// How often something below the root of this device's mounts was opened:
    /// what its file system was asked for.
    pub(crate) fn requests_to(&self, device: &str) -> usize {
        let asked = self.asked.borrow();
        let of_device = |id: &&u64| self.mounts.iter().any(|m| m.id == **id && m.device == device);
        asked.iter().filter(of_device).count()
    }

    /// The program's openat2, which the kernel answers with EXDEV.
    pub(crate) fn openat2(&self, dirfd: usize, path: &str, how: [u64; 3], size: usize) -> isize {
        self.hooked_openat2(dirfd, path, how, size, EXDEV)
    }

    pub(crate) fn open_safely(&self, path: &str) -> isize {
        self.open_safely_after(path, EXDEV)
    }

    pub(crate) fn open_safely_after(&self, path: &str, answer: isize) -> isize {
        let flags = (O_PATH | O_NOFOLLOW | O_CLOEXEC) as u64;
        self.hooked_openat2(self.procfs, path, [flags, 0, 0xb], 24, answer)
    }

    fn hooked_openat2(
        &self,
        dirfd: usize,
        path: &str,
        how: [u64; 3],
        size: usize,
        answer: isize,
    ) -> isize {
        let path = CString::new(path).expect("no NUL");
        let args = [dirfd, path.as_ptr() as usize, how.as_ptr() as usize, size, 0, 0];
        self.after(437, args, answer)
    }

    fn after(&self, nr: usize, args: [usize; 6], answer: isize) -> isize {
        let call = Call { nr, args };
        procsys_hook::after(self, self.table(), &mut Scratch::new(), &call, answer)
    }

    /// A descriptor that no rule had to do with.
    pub(crate) fn open_plainly(&self, path: &str) -> usize {
        let path = path.trim_start_matches("./");
        let mount = self.mount_at(path).id;
        self.insert(Open::File(path.into(), mount)) as usize
    }

    pub(crate) fn directory(&self, path: &str) -> usize {
        self.open_plainly(path)
    }

    pub(crate) fn duplicate(&self, from: usize, to: usize) {
        let file = self.open.borrow()[&from].clone();
        self.open.borrow_mut().insert(to, file);
    }

    pub(crate) fn close(&self, fd: usize) {
        // The upper half of the register is not the descriptor's.
        let args = [fd | 0xdead << 32, 0, 0, 0, 0, 0];
        let answer = procsys_hook::Kernel::call(self, 3, [fd, 0, 0, 0, 0, 0]);
        self.after(3, args, answer);
    }

    /// A call of the program's about descriptors, which the kernel carries out
    /// (`duplicate`, or nothing) and answers with `answer`.
    pub(crate) fn descriptors(&self, nr: usize, args: [usize; 3], answer: isize) {
        let [a, b, c] = args;
        match nr {
            33 | 292 if answer >= 0 && a != b => self.duplicate(a, b),
            436 if answer >= 0 && c & 4 == 0 => {
                self.open.borrow_mut().retain(|fd, _| !(a..=b).contains(fd));
            }
            _ => {}
        }
        self.after(nr, [a, b, c, 0, 0, 0], answer);
    }

    /// Whether a descriptor is accepted.
    pub(crate) fn is_armed(&self) -> bool {
        self.notes.is_armed()
    }

    /// What the program is told of a descriptor's file system.
    pub(crate) fn fstatfs(&self, fd: usize) -> u64 {
        let mut buffer = [0u64; 15];
        let args = [fd, buffer.as_mut_ptr() as usize, 0, 0, 0, 0];
        let answer = procsys_hook::Kernel::call(self, 138, args);
        assert_eq!(self.after(138, args, answer), 0);
        buffer[0]
    }

    /// What the program is told of a descriptor's mount.
    pub(crate) fn mount_id(&self, fd: usize, mask: usize) -> u64 {
        let mut buffer = [0u64; 32];
        let to = buffer.as_mut_ptr() as usize;
        let args = [fd, c"".as_ptr() as usize, 0x1000, mask, to, 0];
        let answer = procsys_hook::Kernel::call(self, 332, args);
        assert_eq!(self.after(332, args, answer), 0);
        buffer[18]
    }

    pub(crate) fn procfs_mount(&self) -> u64 {
        self.mounts[0].id
    }

    fn answer_openat2(&self, dirfd: usize, name: &str, flags: usize, resolve: u64) -> isize {
        if name == "thread-self/mountinfo" {
            assert_eq!(resolve & 1, 1, "read on procfs's own mount");
            return self.insert(Open::Table(0));
        }
        assert_eq!(resolve & 0xe, 0xe, "beneath, without links");
        assert!(!name.contains('/') && flags & (O_PATH | O_NOFOLLOW) == O_PATH | O_NOFOLLOW);
        let Some(Open::File(directory, mount)) = self.open.borrow().get(&dirfd).cloned() else {
            panic!("{dirfd} is no directory");
        };
        self.asked.borrow_mut().push(mount);
        let path = if directory.is_empty() { name.into() } else { format!("{directory}/{name}") };
        if name == "x" {
            return ENOENT;
        }
        if flags & O_DIRECTORY != 0 && self.mode(&path) & 0o170_000 != 0o040_000 {
            return ENOTDIR;
        }
        let mount = self.mount_at(&path).id;
        self.insert(Open::File(path, mount))
    }

    fn answer_statx(&self, fd: usize, mask: usize, to: usize) -> isize {
        let Some(Open::File(path, mount)) = self.open.borrow().get(&fd).cloned() else {
            return -9;
        };
        let ino = match path.as_str() {
            "" => self.procfs_ino,
            _ => path.bytes().fold(7, |sum, b| sum * 31 % 1_000_003 + u64::from(b)),
        };
        let (given, id) =
            if mask & 0x4000 != 0 { (0x4000u32, mount + UNIQUE) } else { (0x1000, mount) };
        let mut buffer = [0u8; 256];
        buffer[..4].copy_from_slice(&(0x7ff | given).to_le_bytes());
        buffer[28..30].copy_from_slice(&self.mode(&path).to_le_bytes());
        buffer[32..40].copy_from_slice(&ino.to_le_bytes());
        buffer[140..144].copy_from_slice(&(mount as u32).to_le_bytes());
        buffer[144..152].copy_from_slice(&id.to_le_bytes());
        put(to, &buffer);
        0
    }

    fn answer_read(&self, fd: usize, to: usize, len: usize) -> isize {
        let text = self.mountinfo();
        let mut open = self.open.borrow_mut();
        let Some(Open::Table(at)) = open.get_mut(&fd) else { panic!("{fd} is not read") };
        // Short pieces: a line may come in several.
        let piece = &text.as_bytes()[*at..text.len().min(*at + len.min(37))];
        *at += piece.len();
        put(to, piece);
        piece.len() as isize
    }

    fn mountinfo(&self) -> String {
        let mut text = "1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n".to_owned();
        text += &format!("2 1 0:5 /{} /a\\040b rw - overlay none rw\n", "x".repeat(3000));
        for mount in self.mounts.iter().filter(|m| !self.hides_mounts || m.point.is_empty()) {
            let Mount { id, parent, point, kind, device, root } = mount;
            let line = format!("{id} {parent} {device} {root} /proc/{point} rw,nosuid");
            text += &format!("{line} master:3 propagate_from:2 - {kind} source rw\n");
        }
        text
    }
}

impl procsys_hook::Kernel for Kernel {
    fn sees_writes(&self) -> bool {
        true
    }

    fn call(&self, nr: usize, args: [usize; 6]) -> isize {
        let [a, b, c, d, e, _] = args;
        match nr {
            0 => self.answer_read(a, b, c),
            3 => self.open.borrow_mut().remove(&a).map_or(-9, |_| 0),
            14 => EINVAL,
            72 => O_PATH as isize,
            138 => {
                let Some(Open::File(_, mount)) = self.open.borrow().get(&a).cloned() else {
                    return -9;
                };
                let kind = self.mounts.iter().find(|m| m.id == mount).map_or("", |m| m.kind);
                let magic = match kind {
                    PROC if mount == self.mounts[0].id => self.procfs_type,
                    PROC => PROC_SUPER_MAGIC,
                    FUSE => FUSE_SUPER_MAGIC,
                    _ => 0x0102_1994,
                };
                put(b, &magic.to_le_bytes());
                0
            }
            257 if text(b) == "/proc" => self.insert(Open::File(String::new(), self.mounts[0].id)),
            332 => self.answer_statx(a, d, e),
            437 => {
                let mut how = [0u8; 24];
                self.load(c, &mut how);
                let field = |at: usize| u64::from_le_bytes(how[at..at + 8].try_into().unwrap());
                self.answer_openat2(a, &text(b), field(0) as usize, field(16))
            }
            _ => panic!("the hook made call {nr}"),
        }
    }

    fn load(&self, address: usize, into: &mut [u8]) {
        get(address, into);
    }

    fn store(&self, address: usize, from: &[u8]) {
        put(address, from);
    }

    fn kept(&self) -> &[Kept] {
        &[]
    }

    fn notes(&self) -> Option<&Notes> {
        Some(&self.notes)
    }
}
