//! When is a mount made private by the working directory (docs/rules.md,
//! `through = "working-directory"`)?
#![cfg(feature = "whole")]

mod pointers;

use std::cell::RefCell;
use std::ffi::CString;

use procsys_hook::{Call, Kept, Scratch};
use procsys_rules::compile::compile;
use procsys_rules::{Table, profiles};

use pointers::{get, put, text};

const EACCES: isize = -13;
const MS_PRIVATE: usize = 1 << 18;

/// The way to /a/b: root, /a, /a/b; the process stands in mount 12.
const PLAIN: &str = "10 1 8:1 / / rw - ext4 d rw\n\
    11 10 0:5 / /a rw shared:1 - tmpfs n rw\n\
    12 11 0:6 / /a/b rw shared:2 - tmpfs n rw\n\
    13 10 0:7 / /else rw - tmpfs n rw\n";

struct Kernel {
    mounts: String,
    is_mount_root: bool,
    is_procfs: bool,
    /// What mount(2) by `.` gives, and how often it was asked.
    answer: isize,
    made: RefCell<Vec<String>>,
    read: RefCell<usize>,
}

impl Kernel {
    fn new(mounts: &str) -> Self {
        let mounts = mounts.into();
        let (made, read) = (RefCell::default(), RefCell::default());
        Self { mounts, is_mount_root: true, is_procfs: true, answer: 0, made, read }
    }

    /// The program's mount("", path, "", flags), refused with EACCES.
    fn mount(&self, path: &str, flags: usize) -> isize {
        let profile = profiles::by_name("sysbox").expect("built in");
        let table = compile(&profile.rules().expect("it parses")).expect("few rules");
        let table = Table::new(&table).expect("it was compiled");
        let path = CString::new(path).expect("no NUL");
        let empty = c"".as_ptr() as usize;
        let args = [empty, path.as_ptr() as usize, empty, flags, empty, 0];
        let call = Call { nr: 165, args };
        procsys_hook::after(self, table, &mut Scratch::new(), &call, EACCES)
    }
}

impl procsys_hook::Kernel for Kernel {
    fn sees_writes(&self) -> bool {
        true
    }

    fn call(&self, nr: usize, args: [usize; 6]) -> isize {
        let [a, b, c, _, e, _] = args;
        match nr {
            0 => {
                let mut at = self.read.borrow_mut();
                let piece = &self.mounts.as_bytes()[*at..self.mounts.len().min(*at + c.min(50))];
                *at += piece.len();
                put(b, piece);
                piece.len() as isize
            }
            3 => 0,
            14 => -22,
            138 => {
                put(b, &(if self.is_procfs { 0x9fa0u64 } else { 1 }).to_le_bytes());
                0
            }
            165 => {
                self.made.borrow_mut().push(text(b));
                self.answer
            }
            257 if text(b) == "/proc" => 5,
            332 => {
                let mut statx = [0u8; 256];
                statx[..4].copy_from_slice(&0x1fffu32.to_le_bytes());
                let is_here = a == -100isize as usize;
                let (ino, mount) = if is_here { (2u64, 12u64) } else { (1, 20) };
                let attributes: u64 = if is_here && self.is_mount_root { 0x2000 } else { 0 };
                statx[8..16].copy_from_slice(&attributes.to_le_bytes());
                statx[32..40].copy_from_slice(&ino.to_le_bytes());
                statx[144..152].copy_from_slice(&mount.to_le_bytes());
                put(e, &statx);
                0
            }
            437 => {
                assert_eq!(text(b), "thread-self/mountinfo");
                *self.read.borrow_mut() = 0;
                6
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
}

#[test]
fn the_very_mount_is_made_private() {
    let kernel = Kernel::new(PLAIN);
    assert_eq!(kernel.mount("/a/b", MS_PRIVATE), 0);
    assert_eq!(*kernel.made.borrow(), ["."]);
}

#[test]
fn another_failure_is_told_and_the_same_one_stands() {
    for (answer, given) in [(-1, -1), (-22, -22), (EACCES, EACCES)] {
        let mut kernel = Kernel::new(PLAIN);
        kernel.answer = answer;
        assert_eq!(kernel.mount("/a/b", MS_PRIVATE), given);
    }
}

#[test]
fn anything_else_stays_refused() {
    let refused = |kernel: &Kernel, path: &str, flags: usize, why: &str| {
        assert_eq!(kernel.mount(path, flags), EACCES, "{why}");
        assert_eq!(*kernel.made.borrow(), [] as [&str; 0], "{why}");
    };
    let plain = Kernel::new(PLAIN);
    for path in ["/a", "/", "/a/b/c", "a/b", "/a/b/", "/a/./b", "/a/../a/b", "/a//b", "", "/else"] {
        refused(&plain, path, MS_PRIVATE, path);
    }
    for flags in [0, MS_PRIVATE | 1, MS_PRIVATE | 0x4000, 1 << 19, 1 << 20, 0x1000] {
        refused(&plain, "/a/b", flags, "other flags");
    }
    let covered = |line: &str| Kernel::new(&format!("{PLAIN}{line}"));
    let over = covered("14 12 0:8 / /a/b rw - tmpfs n rw\n");
    refused(&over, "/a/b", MS_PRIVATE, "another mount on it");
    let above = covered("14 11 0:8 / /a rw - tmpfs n rw\n");
    refused(&above, "/a/b", MS_PRIVATE, "another mount on the way");
    let root = covered("14 10 0:8 / / rw - tmpfs n rw\n");
    refused(&root, "/a/b", MS_PRIVATE, "another root");
    let odd = covered("14 10 0:8 / /odd\\040name rw - tmpfs n rw\n");
    refused(&odd, "/a/b", MS_PRIVATE, "a point that is not read");
    let gone = Kernel::new("10 1 8:1 / / rw - ext4 d rw\n");
    refused(&gone, "/a/b", MS_PRIVATE, "not in the table");
    let mut inside = Kernel::new(PLAIN);
    inside.is_mount_root = false;
    refused(&inside, "/a/b", MS_PRIVATE, "a directory in the mount");
    let mut fake = Kernel::new(PLAIN);
    fake.is_procfs = false;
    refused(&fake, "/a/b", MS_PRIVATE, "no procfs to ask");
}

#[test]
fn mounts_on_one_another_that_are_the_way_do_not_matter() {
    let stacked = "10 1 8:1 / / rw - ext4 d rw\n\
        11 10 0:5 / /a rw - tmpfs n rw\n\
        14 11 0:8 / /a rw - tmpfs n rw\n\
        12 14 0:6 / /a/b rw - tmpfs n rw\n";
    assert_eq!(Kernel::new(stacked).mount("/a/b", MS_PRIVATE), 0);
}
