//! A program whose system calls pass the hook, as at both doors.

use std::cell::RefCell;
use std::ffi::CString;

#[cfg(feature = "whole")]
use procsys_hook::{Before, SENDMMSG};
use procsys_hook::{Call, Scratch};
use procsys_rules::compile::compile;
use procsys_rules::model::Rule;
use procsys_rules::reach::{After, MARKED_MODES, PROCFS_ROOT_MODE};
use procsys_rules::{Table, profiles, text};

use super::kernel::{FakeKernel, Made};
use super::tree::{DETACHED, Place};
use super::views::Facts;
use super::{AT_EMPTY_PATH, AT_FDCWD};

pub(crate) struct Program {
    pub(crate) kernel: FakeKernel,
    table: Vec<u8>,
    scratch: RefCell<Box<Scratch>>,
}

/// An inode number as gVisor gives it to the root of procfs.
pub(crate) const WRONG_INO: u64 = 4711;

impl Program {
    /// With the default profile, on a kernel that lacks what it answers.
    pub(crate) fn new() -> Self {
        Self::with("", WRONG_INO)
    }

    /// With the default profile and more rules.
    pub(crate) fn with(rules: &str, procfs_ino: u64) -> Self {
        let profile = profiles::by_name(profiles::DEFAULT).expect("it is built in");
        let mut set = profile.rules().expect("it parses");
        let (_, more) = text::parse("test", rules).unwrap_or_else(|e| panic!("{e}"));
        profiles::add(&mut set, more);
        Self::of(&set, procfs_ino)
    }

    /// With these rules alone.
    pub(crate) fn only(rules: &str) -> Self {
        let (_, set) = text::parse("test", rules).unwrap_or_else(|e| panic!("{e}"));
        Self::of(&set, WRONG_INO)
    }

    fn of(set: &[Rule], procfs_ino: u64) -> Self {
        let table = compile(set).expect("the rules are few");
        let scratch = RefCell::new(Box::new(Scratch::new()));
        Self { kernel: FakeKernel::new(procfs_ino), table, scratch }
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.table).expect("it was compiled")
    }

    /// What the hook asked the kernel since the last time.
    pub(crate) fn asked(&self) -> Vec<Made> {
        std::mem::take(&mut self.kernel.made.borrow_mut())
    }

    /// Where the hook stored since the last time: address and length.
    pub(crate) fn stored(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.kernel.stored.borrow_mut())
    }

    #[cfg(feature = "whole")]
    pub(crate) fn before(&self, call: &Call) -> Before {
        self.in_hook(|scratch| procsys_hook::before(&self.kernel, self.table(), scratch, call))
    }

    pub(crate) fn after(&self, call: &Call, result: isize) -> isize {
        self.in_hook(|scratch| {
            procsys_hook::after(&self.kernel, self.table(), scratch, call, result)
        })
    }

    /// Runs the hook and sees that it leaves no descriptor behind but one that
    /// is the call's result.
    fn in_hook<T>(&self, run: impl FnOnce(&mut Scratch) -> T) -> T {
        self.kernel.in_hook.set(true);
        let result = run(&mut self.scratch.borrow_mut());
        self.kernel.in_hook.set(false);
        result
    }

    fn open_descriptors(&self) -> Vec<usize> {
        self.kernel.descriptors.borrow().keys().copied().collect()
    }

    /// Makes a call as the hook says, step by step.
    #[cfg(feature = "whole")]
    fn in_steps(&self, call: &Call, mut step: Call) -> isize {
        let mut sent = 0;
        loop {
            let made = (&step, self.kernel.answer(step.nr, step.args));
            let next = self.in_hook(|scratch| {
                procsys_hook::goes_on(&self.kernel, self.table(), scratch, call, made, &mut sent)
            });
            match next {
                Before::Replace(next) => step = next,
                Before::Answer(answer) => return answer,
                Before::Pass => panic!("a call that has begun can't be passed on"),
            }
        }
    }

    /// Makes a call.
    pub(crate) fn call(&self, nr: usize, args: [usize; 6]) -> isize {
        let call = Call { nr, args };
        let reach = self.table().reach(nr);
        #[cfg(feature = "whole")]
        if reach.before {
            let before = self.open_descriptors();
            let decided = self.before(&call);
            assert_eq!(before, self.open_descriptors(), "the hook left a descriptor");
            match decided {
                Before::Pass => {}
                Before::Replace(first) if nr == SENDMMSG => return self.in_steps(&call, first),
                Before::Replace(other) => return self.kernel.answer(other.nr, other.args),
                Before::Answer(answer) => return answer,
            }
        }
        let result = self.kernel.answer(nr, args);
        let mut open = self.open_descriptors();
        let is_looked_at = match reach.after {
            After::Nothing => false,
            After::Failure => result < 0,
            After::FailureOrMode(buffer, at) => {
                result < 0 || self.has_marked_mode(args[usize::from(buffer)], at)
            }
            After::FailureOrTrapped => panic!("no rule of these tests reaches so"),
            After::AlwaysWith(arg) => args[usize::from(arg)] != 0,
            After::Always => true,
        };
        let (asked, stored) = (self.kernel.made.borrow().len(), self.kernel.stored.borrow().len());
        let given = self.after(&call, result);
        if !is_looked_at {
            // The doors would not have come here: nothing may differ.
            self.kernel.made.borrow_mut().truncate(asked);
            assert_eq!(given, result, "{call:?}: the table's reach leaves this out");
            assert_eq!(self.kernel.stored.borrow().len(), stored, "{call:?}: stored, out of reach");
        }
        if result < 0
            && given > 0
            && self.kernel.descriptors.borrow().contains_key(&(given as usize))
        {
            open.push(given as usize);
            open.sort_unstable();
        }
        assert_eq!(open, self.open_descriptors(), "{call:?}: the hook left a descriptor");
        assert!(result < 0 || given == result, "{call:?}: a success was changed");
        given
    }

    fn has_marked_mode(&self, buffer: usize, at: u8) -> bool {
        let mut mode = [0; 2];
        self.kernel.memory.read(buffer + usize::from(at), &mut mode).expect("just written");
        let mode = u16::from_le_bytes(mode);
        mode == PROCFS_ROOT_MODE || MARKED_MODES.contains(&mode)
    }

    pub(crate) fn openat(&self, dirfd: usize, path: &str, flags: usize) -> isize {
        let path = CString::new(path).expect("no NUL");
        self.call(257, [dirfd, path.as_ptr() as usize, flags, 0o600, 0, 0])
    }

    pub(crate) fn open(&self, path: &str, flags: usize) -> isize {
        self.openat(AT_FDCWD, path, flags)
    }

    /// All that a descriptor gives to read.
    pub(crate) fn read(&self, fd: isize) -> String {
        let mut buffer = [0u8; 256];
        let read =
            self.kernel.answer(17, [fd as usize, buffer.as_mut_ptr() as usize, 256, 0, 0, 0]);
        let read = usize::try_from(read).expect("it can be read");
        String::from_utf8(buffer[..read].to_vec()).expect("it is text")
    }

    /// Opens, reads and closes.
    pub(crate) fn contents(&self, dirfd: usize, path: &str) -> Result<String, isize> {
        let fd = self.openat(dirfd, path, 0);
        if fd < 0 {
            return Err(fd);
        }
        let text = self.read(fd);
        assert_eq!(self.call(3, [fd as usize, 0, 0, 0, 0, 0]), 0);
        Ok(text)
    }

    pub(crate) fn stat(&self, dirfd: usize, path: &str, flags: usize) -> Result<Facts, isize> {
        let path = CString::new(path).expect("no NUL");
        let mut stat = [0u8; 144];
        let to = stat.as_mut_ptr() as usize;
        match self.call(262, [dirfd, path.as_ptr() as usize, to, flags, 0, 0]) {
            0 => Ok(Facts::of_stat(&stat)),
            errno => Err(errno),
        }
    }

    pub(crate) fn statx(&self, dirfd: usize, path: &str, flags: usize) -> Result<Facts, isize> {
        let path = CString::new(path).expect("no NUL");
        let mut statx = [0u8; 256];
        let to = statx.as_mut_ptr() as usize;
        match self.call(332, [dirfd, path.as_ptr() as usize, flags, 0x7ff, to, 0]) {
            0 => Ok(Facts::of_statx(&statx)),
            errno => Err(errno),
        }
    }

    /// `stat` (4), `lstat` (6).
    pub(crate) fn old_stat(&self, nr: usize, path: &str) -> Result<Facts, isize> {
        let path = CString::new(path).expect("no NUL");
        let mut stat = [0u8; 144];
        match self.call(nr, [path.as_ptr() as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0]) {
            0 => Ok(Facts::of_stat(&stat)),
            errno => Err(errno),
        }
    }

    pub(crate) fn fstat(&self, fd: usize) -> Facts {
        let mut stat = [0u8; 144];
        assert_eq!(self.call(5, [fd, stat.as_mut_ptr() as usize, 0, 0, 0, 0]), 0);
        Facts::of_stat(&stat)
    }

    /// The ways to ask about a descriptor, which must all say the same.
    pub(crate) fn every_fstat(&self, fd: usize) -> Facts {
        let facts = self.fstat(fd);
        assert_eq!(self.stat(fd, "", AT_EMPTY_PATH), Ok(facts));
        assert_eq!(self.statx(fd, "", AT_EMPTY_PATH), Ok(facts));
        // Since Linux 6.11 the path may be null.
        let mut stat = [0u8; 144];
        let to = stat.as_mut_ptr() as usize;
        assert_eq!(self.call(262, [fd, 0, to, AT_EMPTY_PATH, 0, 0]), 0);
        assert_eq!(Facts::of_stat(&stat), facts);
        let mut statx = [0u8; 256];
        let to = statx.as_mut_ptr() as usize;
        assert_eq!(self.call(332, [fd, 0, AT_EMPTY_PATH, 0x7ff, to, 0]), 0);
        assert_eq!(Facts::of_statx(&statx), facts);
        facts
    }

    /// The file system's type, by path (137) or descriptor (138).
    pub(crate) fn statfs(&self, nr: usize, subject: usize) -> Result<u64, isize> {
        let mut statfs = [0u8; 120];
        match self.call(nr, [subject, statfs.as_mut_ptr() as usize, 0, 0, 0, 0]) {
            0 => Ok(u64::from_le_bytes(statfs[..8].try_into().expect("eight bytes"))),
            errno => Err(errno),
        }
    }

    pub(crate) fn chdir(&self, path: &str) {
        let place = self.kernel.tree.borrow().place(path);
        self.kernel.cwd.set(place);
    }

    /// A descriptor of a directory, as the program would open it.
    pub(crate) fn directory(&self, path: &str) -> usize {
        let place = self.kernel.tree.borrow().place(path);
        self.kernel.descriptor(place)
    }

    /// A descriptor of the detached procfs, as fsmount(2) gives.
    pub(crate) fn detached(&self) -> usize {
        let root = self.kernel.tree.borrow().mounts[DETACHED].root;
        self.kernel.descriptor(Place { mount: DETACHED, node: root })
    }
}
