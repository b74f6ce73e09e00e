//! Which refused opens are made again through the mounted /proc (docs/rules.md,
//! `through = "mounted-proc"`)?
#![cfg(feature = "whole")]

mod pointers;

use std::cell::RefCell;
use std::ffi::CString;

use procsys_hook::{Call, Kept, Scratch};
use procsys_rules::compile::compile;
use procsys_rules::{Table, profiles};

use pointers::{get, put, text};

const EACCES: isize = -13;
const O_PATH: usize = 0o10_000_000;
const O_NOFOLLOW: usize = 0o400_000;
const O_CLOEXEC: usize = 0o2_000_000;
const O_WRONLY: usize = 1;
const O_TRUNC: usize = 0o1000;

/// runc's flags for a sysctl.
const FLAGS: usize = O_WRONLY | O_TRUNC | O_CLOEXEC;

const PROC: u64 = 0x9fa0;

// The descriptors: the fd directory, the file, /proc, what is opened, the mounts.
const DIRECTORY: usize = 7;
const FILE: usize = 8;
const MOUNTED: usize = 20;
const OPENED: usize = 21;
const TABLE: usize = 22;

struct Kernel {
    /// The link of descriptor 8.
    link: &'static str,
    /// What kind of file system each descriptor is on.
    kind: fn(usize) -> u64,
    mode: u16,
    opened_mode: u16,
    /// The mount that the link leads to, and that of the descriptor.
    mounts: [u64; 2],
    flags: usize,
    root_ino: u64,
    table: &'static str,
    /// What openat2 beneath /proc gives.
    answer: isize,
    open: RefCell<Vec<usize>>,
    asked: RefCell<Vec<(String, u64, u64)>>,
}

/// The kernel of an LXC container: runc's procfs is mount 90, mounted nowhere.
fn usual() -> Kernel {
    Kernel {
        link: "/sys/net/ipv4/ip_unprivileged_port_start",
        kind: |_| PROC,
        mode: 0o100_644,
        opened_mode: 0o100_644,
        mounts: [90, 90],
        flags: O_PATH | O_NOFOLLOW,
        root_ino: 1,
        table: "30 1 0:9 / /proc rw - proc proc rw\n",
        answer: OPENED as isize,
        open: RefCell::default(),
        asked: RefCell::default(),
    }
}

impl Kernel {
    fn reopen(&self, name: &str, flags: usize) -> isize {
        let profile = profiles::by_name("lxc").expect("built in");
        let table = compile(&profile.rules().expect("it parses")).expect("few rules");
        let table = Table::new(&table).expect("it was compiled");
        let name = CString::new(name).expect("no NUL");
        let args = [DIRECTORY, name.as_ptr() as usize, flags, 0, 0, 0];
        procsys_hook::after(self, table, &mut Scratch::new(), &Call { nr: 257, args }, EACCES)
    }
}

impl procsys_hook::Kernel for Kernel {
    fn sees_writes(&self) -> bool {
        true
    }

    fn call(&self, nr: usize, args: [usize; 6]) -> isize {
        let [a, b, c, _, e, _] = args;
        let mut open = self.open.borrow_mut();
        match nr {
            0 => {
                let again = self.asked.borrow().iter().any(|asked| asked.0 == "read");
                self.asked.borrow_mut().push(("read".into(), 0, 0));
                if again {
                    return 0;
                }
                put(b, self.table.as_bytes());
                self.table.len() as isize
            }
            3 => {
                open.retain(|fd| *fd != a);
                0
            }
            14 => -22,
            72 => self.flags as isize,
            138 => {
                put(b, &(self.kind)(a).to_le_bytes());
                0
            }
            257 if text(b) == "/proc" => {
                open.push(MOUNTED);
                MOUNTED as isize
            }
            267 => {
                put(c, self.link.as_bytes());
                self.link.len() as isize
            }
            332 => {
                let is_link = a == DIRECTORY && text(b) == "8";
                let (mode, mount, ino) = match a {
                    MOUNTED => (0o040_555, 30, self.root_ino),
                    OPENED => (self.opened_mode, 30, 77),
                    _ => (self.mode, self.mounts[usize::from(!is_link)], 66),
                };
                let mut statx = [0u8; 256];
                statx[..4].copy_from_slice(&0x1fffu32.to_le_bytes());
                statx[28..30].copy_from_slice(&u16::to_le_bytes(mode));
                statx[32..40].copy_from_slice(&u64::to_le_bytes(ino));
                statx[144..152].copy_from_slice(&u64::to_le_bytes(mount));
                put(e, &statx);
                0
            }
            437 if text(b) == "thread-self/mountinfo" => {
                open.push(TABLE);
                TABLE as isize
            }
            437 => {
                let mut how = [0u8; 24];
                self.load(c, &mut how);
                let field = |at: usize| u64::from_le_bytes(how[at..at + 8].try_into().unwrap());
                self.asked.borrow_mut().push((text(b), field(0), field(16)));
                assert_eq!(a, MOUNTED);
                if self.answer > 0 {
                    open.push(OPENED);
                }
                self.answer
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
fn runcs_own_file_is_opened_beneath_proc() {
    let kernel = usual();
    assert_eq!(kernel.reopen("8", FLAGS), OPENED as isize);
    assert_eq!(*kernel.open.borrow(), [OPENED], "nothing else is left open");
    let asked = kernel.asked.borrow();
    let (path, flags, resolve) = asked.last().expect("it was opened");
    assert_eq!(path, "sys/net/ipv4/ip_unprivileged_port_start");
    assert_eq!(*flags as usize, FLAGS | O_NOFOLLOW);
    assert_eq!(*resolve, 0xf, "beneath, on the mount, without links");
}

#[test]
fn anything_else_stays_refused() {
    type Change = fn(&mut Kernel);
    let changes: [(&str, Change); 15] = [
        ("a directory that is no procfs", |k| k.kind = |fd| if fd == DIRECTORY { 1 } else { PROC }),
        ("a file that is none of procfs", |k| k.kind = |fd| if fd == FILE { 1 } else { PROC }),
        ("a /proc that is none", |k| k.kind = |fd| if fd == MOUNTED { 1 } else { PROC }),
        ("a part of procfs over /proc", |k| k.root_ino = 2),
        ("a result that is none of procfs", |k| k.kind = |fd| if fd == OPENED { 1 } else { PROC }),
        ("a result of another type", |k| k.opened_mode = 0o120_777),
        ("a result with other permissions", |k| k.opened_mode = 0o100_444),
        ("a directory", |k| k.mode = 0o040_555),
        ("a descriptor that can be used already", |k| k.flags = O_NOFOLLOW),
        ("a link that leads elsewhere", |k| k.mounts = [91, 90]),
        ("a procfs that is mounted", |k| k.table = "90 1 0:9 / /x rw - proc proc rw\n"),
        ("a file of a process", |k| k.link = "/1/attr/exec"),
        ("a path with ..", |k| k.link = "/sys/../1/attr/exec"),
        ("a relative path", |k| k.link = "sys/net"),
        ("something mounted over it", |k| k.answer = -18),
    ];
    for (why, change) in changes {
        let mut kernel = usual();
        change(&mut kernel);
        assert_eq!(kernel.reopen("8", FLAGS), EACCES, "{why}");
        assert_eq!(*kernel.open.borrow(), [] as [usize; 0], "{why}");
    }
    for name in ["", "8x", "/8", "./8", "-8", "12345678", "fd/8", "+8"] {
        assert_eq!(usual().reopen(name, FLAGS), EACCES, "{name}");
    }
    for flags in [FLAGS | 0o100, FLAGS | 0o200_000, O_PATH] {
        assert_eq!(usual().reopen("8", flags), EACCES, "{flags:o}");
    }
}
