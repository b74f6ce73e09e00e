//! The system calls.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use procsys_hook::{Kept, Kernel};

use super::memory::Memory;
use super::tree::{Body, Found, MEMORY_FILES, NAMESPACES, PROC, Place, Tree};
use super::views::Facts;
use super::{
    AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, EACCES, EBADF, EEXIST, EINVAL, ELOOP, ENOENT,
    ENOTDIR, EPERM, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_PATH, PROC_SUPER_MAGIC,
};

/// A call that the hook made, and the kernel's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) nr: usize,
    pub(crate) args: [usize; 6],
    pub(crate) result: isize,
}

pub(crate) struct FakeKernel {
    pub(crate) memory: Memory,
    pub(crate) tree: RefCell<Tree>,
    pub(crate) descriptors: RefCell<BTreeMap<usize, Place>>,
    /// Those that were opened with O_PATH.
    path_only: RefCell<BTreeSet<usize>>,
    pub(crate) cwd: Cell<Place>,
    /// Files by the first address at which they are mapped.
    pub(crate) mapped: RefCell<BTreeMap<usize, Place>>,
    /// Whether /proc/self/map_files is there and this process may follow it.
    pub(crate) has_map_files: Cell<bool>,
    kept: Vec<Kept>,
    /// The last capability that it knows.
    pub(crate) last_cap: Cell<usize>,
    /// What procfs answers to O_CREAT of a missing file.
    pub(crate) create_errno: Cell<isize>,
    /// Whether it knows MFD_NOEXEC_SEAL.
    pub(crate) knows_noexec: Cell<bool>,
    /// Fails the n-th call of this number from now on.
    pub(crate) failure: Cell<Option<(usize, isize)>>,
    /// How long a file may become.
    pub(crate) file_limit: Cell<usize>,
    /// While the hook runs.
    pub(crate) in_hook: Cell<bool>,
    /// As at door 2.
    pub(crate) sees_writes: Cell<bool>,
    /// The program's user.
    pub(crate) user: Cell<u32>,
    pub(crate) made: RefCell<Vec<Made>>,
    pub(crate) stored: RefCell<Vec<(usize, usize)>>,
    /// Where messages went, and what was in them.
    pub(crate) sent: RefCell<Vec<(usize, Vec<u8>)>>,
    /// Options of the mounts that succeeded.
    pub(crate) mounted: RefCell<Vec<Option<String>>>,
}

impl FakeKernel {
    pub(crate) fn new(procfs_ino: u64) -> Self {
        let tree = Tree::new(procfs_ino);
        let cwd = Cell::new(tree.root);
        Self {
            memory: Memory::default(),
            tree: RefCell::new(tree),
            descriptors: RefCell::default(),
            path_only: RefCell::default(),
            cwd,
            mapped: RefCell::default(),
            has_map_files: Cell::new(true),
            kept: std::iter::repeat_with(Kept::default).take(64).collect(),
            last_cap: Cell::new(40),
            create_errno: Cell::new(EPERM),
            knows_noexec: Cell::new(true),
            failure: Cell::new(None),
            file_limit: Cell::new(usize::MAX),
            in_hook: Cell::new(false),
            sees_writes: Cell::new(true),
            user: Cell::new(0),
            made: RefCell::default(),
            stored: RefCell::default(),
            sent: RefCell::default(),
            mounted: RefCell::default(),
        }
    }

    /// A descriptor of a place, as fsmount(2) or a bug in the program may give.
    pub(crate) fn descriptor(&self, place: Place) -> usize {
        let mut all = self.descriptors.borrow_mut();
        let free = (3..).find(|n| !all.contains_key(n)).expect("numbers have no end");
        all.insert(free, place);
        free
    }

    /// Makes a call and forgets nothing.
    pub(crate) fn answer(&self, nr: usize, args: [usize; 6]) -> isize {
        if let Some((failing, errno)) = self.failure.get()
            && failing == nr
            && self.in_hook.get()
        {
            return errno;
        }
        self.dispatch(nr, args).unwrap_or_else(|errno| errno)
    }

    fn start(&self, dirfd: usize) -> Result<Place, isize> {
        match dirfd as u32 as i32 {
            -100 => Ok(self.cwd.get()),
            fd => self.descriptors.borrow().get(&(fd as usize)).copied().ok_or(EBADF),
        }
    }

    pub(super) fn walk(&self, dirfd: usize, path: &[u8], follow: bool) -> Result<Found, isize> {
        let from = if path.first() == Some(&b'/') { Ok(self.cwd.get()) } else { self.start(dirfd) };
        let by_number = |n: usize| self.descriptors.borrow().get(&n).copied();
        self.tree.borrow().walk(from?, path, follow, &by_number)
    }

    /// What a path argument names; `flags` are those of the `at` calls.
    fn find(&self, dirfd: usize, path: usize, flags: usize) -> Result<Place, isize> {
        if path == 0 && flags & AT_EMPTY_PATH != 0 {
            return self.start(dirfd);
        }
        let path = self.memory.text(path)?;
        if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
            return self.start(dirfd);
        }
        match self.walk(dirfd, &path, flags & AT_SYMLINK_NOFOLLOW == 0)? {
            Found::Here(place) => Ok(place),
            Found::Missing(..) => Err(ENOENT),
        }
    }

    fn facts(&self, place: Place) -> Facts {
        let tree = self.tree.borrow();
        let node = &tree.nodes[place.node];
        let size = match &node.body {
            Body::File(contents) => contents.len() as u64,
            _ => 0,
        };
        let dev = tree.mounts[place.mount].dev;
        Facts {
            mode: node.mode,
            ino: node.ino,
            nlink: node.nlink,
            size,
            dev,
            rdev: 0,
            uid: node.owner,
            accessed: node.accessed,
        }
    }

    fn new_file(&self, directory: Place, name: Vec<u8>, mode: u16) -> Result<Place, isize> {
        let mut tree = self.tree.borrow_mut();
        if tree.mounts[directory.mount].magic == PROC_SUPER_MAGIC {
            return Err(self.create_errno.get());
        }
        let user = self.user.get();
        if user != 0 && tree.nodes[directory.node].owner != user {
            return Err(EACCES);
        }
        let name = String::from_utf8(name).expect("the tests' names are UTF-8");
        let body = match mode & 0o170_000 {
            0o040_000 => Body::Directory(BTreeMap::new()),
            _ => Body::File(vec![]),
        };
        let node = tree.child(directory.node, &name, body, mode);
        tree.nodes[node].owner = user;
        Ok(Place { node, ..directory })
    }

    /// What `mkdirat`, `unlinkat` and `renameat` work on.
    fn entry(&self, dirfd: usize, path: usize) -> Result<Found, isize> {
        self.walk(dirfd, &self.memory.text(path)?, false)
    }

    fn unlink(&self, dirfd: usize, path: usize) -> Result<isize, isize> {
        let Found::Here(place) = self.entry(dirfd, path)? else { return Err(ENOENT) };
        self.tree.borrow_mut().forget(place);
        Ok(0)
    }

    fn rename(&self, from: (usize, usize), to: (usize, usize)) -> Result<isize, isize> {
        let Found::Here(place) = self.entry(from.0, from.1)? else { return Err(ENOENT) };
        if matches!(self.entry(to.0, to.1)?, Found::Here(_)) {
            self.unlink(to.0, to.1)?;
        }
        let Found::Missing(directory, name) = self.entry(to.0, to.1)? else { return Err(EEXIST) };
        let mut tree = self.tree.borrow_mut();
        tree.forget(place);
        let Body::Directory(children) = &mut tree.nodes[directory.node].body else {
            return Err(ENOTDIR);
        };
        children.insert(name, place.node);
        tree.nodes[place.node].parent = directory.node;
        Ok(0)
    }

    fn open(&self, dirfd: usize, path: usize, flags: usize) -> Result<isize, isize> {
        let path = self.memory.text(path)?;
        if let Some(ends) = path.strip_prefix(b"/proc/self/map_files/") {
            let place = self.mapped_at(ends).ok_or(ENOENT)?;
            return Ok(self.descriptor(place) as isize);
        }
        let no_follow = flags & O_NOFOLLOW != 0 || flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL;
        let place = match self.walk(dirfd, &path, !no_follow)? {
            Found::Here(_) if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL => return Err(EEXIST),
            Found::Here(place) => place,
            Found::Missing(directory, name) if flags & O_CREAT != 0 && flags & O_PATH == 0 => {
                self.new_file(directory, name, 0o100_644)?
            }
            Found::Missing(..) => return Err(ENOENT),
        };
        let body = self.tree.borrow().nodes[place.node].body.clone();
        let is_directory = matches!(body, Body::Directory(_) | Body::Descriptors);
        match body {
            _ if flags & O_DIRECTORY != 0 && !is_directory => Err(ENOTDIR),
            Body::Symlink(_) if flags & O_PATH == 0 => Err(ELOOP),
            Body::Fifo if flags & (O_PATH | O_NONBLOCK) == 0 => panic!("waits for ever"),
            _ => {
                let fd = self.descriptor(place);
                if flags & O_PATH != 0 {
                    self.path_only.borrow_mut().insert(fd);
                }
                Ok(fd as isize)
            }
        }
    }

    /// Maps one page of a file.
    fn map(&self, fd: usize) -> Result<isize, isize> {
        let place = self.start(fd)?;
        let mut mapped = self.mapped.borrow_mut();
        let address = 0x7f00_0000_0000 + mapped.len() * 0x1_0000;
        mapped.insert(address, place);
        Ok(address as isize)
    }

    /// What a link of map_files leads to.
    fn mapped_at(&self, ends: &[u8]) -> Option<Place> {
        let (start, end) = std::str::from_utf8(ends).ok()?.split_once('-')?;
        let address = |digits| usize::from_str_radix(digits, 16).ok();
        let is_page = address(start)? + 4096 == address(end)? && self.has_map_files.get();
        self.mapped.borrow().get(&address(start)?).copied().filter(|_| is_page)
    }

    fn access(&self, dirfd: usize, path: usize, mode: usize) -> Result<isize, isize> {
        let place = self.find(dirfd, path, 0)?;
        let granted = usize::from(self.facts(place).mode >> 6 & 7);
        if mode & !granted & 7 == 0 { Ok(0) } else { Err(EACCES) }
    }

    fn readlink(&self, dirfd: usize, path: usize, to: usize, size: usize) -> Result<isize, isize> {
        let place = self.find(dirfd, path, AT_SYMLINK_NOFOLLOW)?;
        let Body::Symlink(target) = self.tree.borrow().nodes[place.node].body.clone() else {
            return Err(EINVAL);
        };
        let target = &target[..target.len().min(size)];
        self.memory.write(to, target)?;
        Ok(target.len() as isize)
    }

    fn statfs(&self, place: Place, to: usize) -> Result<isize, isize> {
        let mut statfs = [0; 120];
        let magic = self.tree.borrow().mounts[place.mount].magic;
        statfs[..8].copy_from_slice(&magic.to_le_bytes());
        self.memory.write(to, &statfs).map(|()| 0)
    }

    fn memory_file(&self, flags: usize) -> Result<isize, isize> {
        const NOEXEC_SEAL: usize = 8;
        if flags & NOEXEC_SEAL != 0 && !self.knows_noexec.get() {
            return Err(EINVAL);
        }
        let mut tree = self.tree.borrow_mut();
        let mode = if flags & NOEXEC_SEAL != 0 { 0o100_666 } else { 0o100_777 };
        let node = tree.node(Body::File(vec![]), mode, 0);
        tree.nodes[node].nlink = 0;
        // F_SEAL_EXEC, or F_SEAL_SEAL when sealing was not asked for.
        let exec = if flags & NOEXEC_SEAL != 0 { 0x20 } else { 0 };
        tree.nodes[node].seals = Some(if flags & 2 != 0 { exec } else { 1 | exec });
        drop(tree);
        Ok(self.descriptor(Place { mount: MEMORY_FILES, node }) as isize)
    }

    fn fcntl(&self, fd: usize, command: usize, value: usize) -> Result<isize, isize> {
        let place = self.start(fd)?;
        if self.path_only.borrow().contains(&fd) {
            return Err(EBADF);
        }
        let mut tree = self.tree.borrow_mut();
        let seals = tree.nodes[place.node].seals.as_mut().ok_or(EINVAL)?;
        match command {
            1033 if *seals & 1 != 0 => Err(EPERM),
            1033 => {
                *seals |= value;
                Ok(0)
            }
            1034 => Ok(*seals as isize),
            _ => panic!("fcntl {command} is not in the fake kernel"),
        }
    }

    fn pwrite(&self, fd: usize, from: usize, len: usize, offset: usize) -> Result<isize, isize> {
        let place = self.start(fd)?;
        let mut new = vec![0; len];
        self.memory.read(from, &mut new)?;
        assert!(len == 0 || offset + len <= self.file_limit.get(), "killed by SIGXFSZ");
        let mut tree = self.tree.borrow_mut();
        let node = &mut tree.nodes[place.node];
        if node.seals.is_some_and(|s| s & 8 != 0) {
            return Err(EPERM);
        }
        let Body::File(contents) = &mut node.body else { return Err(EINVAL) };
        contents.resize(contents.len().max(offset + len), 0);
        contents[offset..offset + len].copy_from_slice(&new);
        Ok(len as isize)
    }

    fn pread(&self, fd: usize, to: usize, len: usize, offset: usize) -> Result<isize, isize> {
        let place = self.start(fd)?;
        let tree = self.tree.borrow();
        let Body::File(contents) = &tree.nodes[place.node].body else { return Err(EINVAL) };
        let rest = contents.get(offset..).unwrap_or_default();
        let piece = &rest[..rest.len().min(len)];
        self.memory.write(to, piece)?;
        Ok(piece.len() as isize)
    }

    /// As gVisor's tmpfs: it knows `mode` and `size`, and no other option.
    fn mount(&self, kind: usize, options: usize) -> Result<isize, isize> {
        let kind = self.memory.text(kind)?;
        let options = match options {
            0 => None,
            address => Some(String::from_utf8_lossy(&self.memory.text(address)?).into_owned()),
        };
        let known = |o: &str| o.is_empty() || o.starts_with("mode=") || o.starts_with("size=");
        if kind == b"tmpfs" && !options.as_deref().unwrap_or("").split(',').all(known) {
            return Err(EINVAL);
        }
        self.mounted.borrow_mut().push(options);
        Ok(0)
    }

    fn dispatch(&self, nr: usize, args: [usize; 6]) -> Result<isize, isize> {
        let [a, b, c, d, ..] = args;
        let stat = |facts: Facts, to| self.memory.write(to, &facts.stat()).map(|()| 0);
        match nr {
            2 => self.open(AT_FDCWD, a, b),
            85 => self.open(AT_FDCWD, a, O_CREAT | 0o1001),
            257 => self.open(a, b, c),
            437 => {
                let mut flags = [0; 24];
                self.memory.read(c, &mut flags)?;
                let [flags, ..] = *flags.as_chunks::<8>().0 else { return Err(EINVAL) };
                self.open(a, b, u64::from_le_bytes(flags) as usize)
            }
            9 => self.map(args[4]),
            3 => {
                self.path_only.borrow_mut().remove(&a);
                self.descriptors.borrow_mut().remove(&a).map(|_| 0).ok_or(EBADF)
            }
            4 => stat(self.facts(self.find(AT_FDCWD, a, 0)?), b),
            5 => stat(self.facts(self.start(a)?), b),
            6 => stat(self.facts(self.find(AT_FDCWD, a, AT_SYMLINK_NOFOLLOW)?), b),
            262 => stat(self.facts(self.find(a, b, d)?), c),
            332 => {
                let facts = self.facts(self.find(a, b, c)?);
                self.memory.write(args[4], &facts.statx()).map(|()| 0)
            }
            137 => self.statfs(self.find(AT_FDCWD, a, 0)?, b),
            138 => self.statfs(self.start(a)?, b),
            21 => self.access(AT_FDCWD, a, b),
            269 | 439 => self.access(a, b, c),
            89 if c as i32 <= 0 => Err(EINVAL),
            267 if d as i32 <= 0 => Err(EINVAL),
            89 => self.readlink(AT_FDCWD, a, b, c),
            267 => self.readlink(a, b, c, d),
            72 => self.fcntl(a, b, c),
            91 => {
                let node = self.start(a)?.node;
                let mode = &mut self.tree.borrow_mut().nodes[node].mode;
                *mode = *mode & 0o170_000 | b as u16 & 0o7777;
                Ok(0)
            }
            1 => self.pwrite(a, b, c, 0),
            17 => self.pread(a, b, c, d),
            18 => self.pwrite(a, b, c, d),
            319 => self.memory_file(b),
            107 => Ok(self.user.get() as isize),
            186 => Ok(77),
            258 => match self.entry(a, b)? {
                Found::Here(_) => Err(EEXIST),
                Found::Missing(directory, name) => {
                    self.new_file(directory, name, 0o040_000 | c as u16).map(|_| 0)
                }
            },
            263 => self.unlink(a, b),
            264 => self.rename((a, b), (c, d)),
            // utimensat of a descriptor
            280 if b == 0 => {
                let mut times = [0; 32];
                self.memory.read(c, &mut times)?;
                let [seconds, nanoseconds, ..] = *times.as_chunks::<8>().0 else { panic!() };
                let node = self.start(a)?.node;
                self.tree.borrow_mut().nodes[node].accessed =
                    (u64::from_le_bytes(seconds), u64::from_le_bytes(nanoseconds));
                Ok(0)
            }
            // timerfd_create
            283 => {
                let node = self.tree.borrow_mut().node(Body::Timer, 0o600, 0);
                Ok(self.descriptor(Place { mount: MEMORY_FILES, node }) as isize)
            }
            // uname
            63 => {
                let mut names = [0; 390];
                names[130..136].copy_from_slice(b"4.4.0\0");
                self.memory.write(a, &names).map(|()| 0)
            }

            // PR_CAPBSET_READ
            157 if a == 23 => {
                if b <= self.last_cap.get() {
                    Ok(1)
                } else {
                    Err(EINVAL)
                }
            }
            // rt_sigprocmask copies the mask in, then looks at `how`.
            14 if a == 99 => {
                self.memory.read(b, &mut [0; 8])?;
                Err(EINVAL)
            }
            // getrlimit
            97 if a == 1 => {
                let limits = [self.file_limit.get().to_le_bytes(), [0xff; 8]];
                self.memory.write(b, limits.as_flattened()).map(|()| 0)
            }
            // getrandom
            318 => self.memory.write(a, &vec![0xa5; b]).map(|()| b as isize),
            308 => match self.start(a)?.mount {
                NAMESPACES => Ok(0),
                _ => Err(EINVAL),
            },
            307 => self.sendmmsg(b, c),
            165 => self.mount(c, args[4]),
            // As gVisor's: `last` is an int.
            436 if (b as i32) < 0 => Err(EINVAL),
            436 => Ok(0),
            _ => panic!("call {nr} is not in the fake kernel"),
        }
    }

    /// Whether the place is the procfs root at /proc.
    pub(crate) fn procfs_root(&self) -> Place {
        Place { mount: PROC, node: self.tree.borrow().mounts[PROC].root }
    }
}

impl Kernel for FakeKernel {
    fn call(&self, nr: usize, args: [usize; 6]) -> isize {
        assert!(self.in_hook.get(), "only the hook calls through the trait");
        let result = self.answer(nr, args);
        self.made.borrow_mut().push(Made { nr, args, result });
        result
    }

    fn sees_writes(&self) -> bool {
        self.sees_writes.get()
    }

    fn load(&self, address: usize, into: &mut [u8]) {
        let loaded = self.memory.read(address, into);
        assert!(loaded.is_ok(), "fault: the hook read {} bytes at {address:#x}", into.len());
    }

    fn kept(&self) -> &[Kept] {
        &self.kept
    }

    fn store(&self, address: usize, from: &[u8]) {
        self.stored.borrow_mut().push((address, from.len()));
        let stored = self.memory.write(address, from);
        assert!(stored.is_ok(), "fault: the hook wrote {} bytes at {address:#x}", from.len());
    }
}
