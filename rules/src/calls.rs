//! The shape of the system calls that rules reach: which argument is a path,
//! relative to which descriptor, and where the answer is written.
//!
//! Numbers are those of x86-64 (source: Linux, arch/x86/entry/syscalls/syscall_64.tbl);
//! argument positions are those of each call's man page in section 2.

use crate::names;

/// A system call number as the kernel counts them on x86-64.
pub type Nr = u16;

/// What a call asks about its path or descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Opens the path; the flags are this argument.
    Open(u8),
    /// `creat`: opens for writing, creating and truncating.
    Creat,
    /// `openat2`: the flags are the first field of the structure at this argument.
    OpenHow(u8),
    /// Fills a `struct stat` at this argument; follows a last symlink or not.
    Stat(u8),
    /// As [`Question::Stat`], with `AT_` flags at the second position given.
    StatAt(u8, u8),
    /// Fills a `struct statx` at the first position given; flags at the second.
    Statx(u8, u8),
    /// Fills a `struct statfs` at this argument.
    Statfs(u8),
    /// Asks for permission; the mode is this argument.
    Access(u8),
    /// Reads a symlink into the buffer at this argument; its size is the next one.
    Readlink(u8),
    /// Anything else that names a path: only redirects reach it.
    Other,
}

/// A path argument: the argument that holds it and, where the call has one,
/// the argument with the descriptor that a relative path starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathArg {
    /// Position of the directory descriptor; `None` means the working directory.
    pub dirfd: Option<u8>,
    /// Position of the path.
    pub path: u8,
}

/// A call that names files. It holds no pointer: the shim can have no relocation.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Its number.
    pub nr: Nr,
    /// Its path arguments.
    pub paths: [Option<PathArg>; 2],
    /// What it asks.
    pub question: Question,
}

const fn cwd(path: u8) -> PathArg {
    PathArg { dirfd: None, path }
}

const fn at(dirfd: u8, path: u8) -> PathArg {
    PathArg { dirfd: Some(dirfd), path }
}

const fn paths(given: &[PathArg]) -> [Option<PathArg>; 2] {
    match given {
        [] => [None, None],
        [a] => [Some(*a), None],
        [a, b] => [Some(*a), Some(*b)],
        _ => panic!("no call has more than two paths"),
    }
}

macro_rules! shapes {
    ($($name:ident $nr:literal [$($path:expr),*] $question:expr;)*) => {
        /// Every call that rules reach by a path or by an emulated descriptor.
        pub const SHAPES: &[Shape] = &[$(Shape {
            nr: $nr,
            paths: paths(&[$($path),*]),
            question: $question,
        }),*];

        /// The names of those calls, as their man pages have them, each with its
        /// number on a line: one text, as a table of names would be a pointer each.
        const NAMES: &str = concat!($(stringify!($name), " ", stringify!($nr), "\n"),*);
    };
}

use Question::{Access, Creat, Open, OpenHow, Other, Readlink, Stat, StatAt, Statfs, Statx};

shapes! {
    open 2 [cwd(0)] Open(1);
    stat 4 [cwd(0)] Stat(1);
    fstat 5 [] Stat(1);
    lstat 6 [cwd(0)] Stat(1);
    access 21 [cwd(0)] Access(1);
    execve 59 [cwd(0)] Other;
    truncate 76 [cwd(0)] Other;
    chdir 80 [cwd(0)] Other;
    rename 82 [cwd(0), cwd(1)] Other;
    mkdir 83 [cwd(0)] Other;
    rmdir 84 [cwd(0)] Other;
    creat 85 [cwd(0)] Creat;
    link 86 [cwd(0), cwd(1)] Other;
    unlink 87 [cwd(0)] Other;
    symlink 88 [cwd(1)] Other;
    readlink 89 [cwd(0)] Readlink(1);
    chmod 90 [cwd(0)] Other;
    chown 92 [cwd(0)] Other;
    lchown 94 [cwd(0)] Other;
    utime 132 [cwd(0)] Other;
    mknod 133 [cwd(0)] Other;
    statfs 137 [cwd(0)] Statfs(1);
    fstatfs 138 [] Statfs(1);
    chroot 161 [cwd(0)] Other;
    mount 165 [cwd(0), cwd(1)] Other;
    umount2 166 [cwd(0)] Other;
    setxattr 188 [cwd(0)] Other;
    lsetxattr 189 [cwd(0)] Other;
    getxattr 191 [cwd(0)] Other;
    lgetxattr 192 [cwd(0)] Other;
    listxattr 194 [cwd(0)] Other;
    llistxattr 195 [cwd(0)] Other;
    removexattr 197 [cwd(0)] Other;
    lremovexattr 198 [cwd(0)] Other;
    utimes 235 [cwd(0)] Other;
    inotify_add_watch 254 [cwd(1)] Other;
    openat 257 [at(0, 1)] Open(2);
    mkdirat 258 [at(0, 1)] Other;
    mknodat 259 [at(0, 1)] Other;
    fchownat 260 [at(0, 1)] Other;
    futimesat 261 [at(0, 1)] Other;
    newfstatat 262 [at(0, 1)] StatAt(2, 3);
    unlinkat 263 [at(0, 1)] Other;
    renameat 264 [at(0, 1), at(2, 3)] Other;
    linkat 265 [at(0, 1), at(2, 3)] Other;
    symlinkat 266 [at(1, 2)] Other;
    readlinkat 267 [at(0, 1)] Readlink(2);
    fchmodat 268 [at(0, 1)] Other;
    faccessat 269 [at(0, 1)] Access(2);
    utimensat 280 [at(0, 1)] Other;
    name_to_handle_at 303 [at(0, 1)] Other;
    renameat2 316 [at(0, 1), at(2, 3)] Other;
    execveat 322 [at(0, 1)] Other;
    statx 332 [at(0, 1)] Statx(4, 2);
    open_tree 428 [at(0, 1)] Other;
    move_mount 429 [at(0, 1), at(2, 3)] Other;
    openat2 437 [at(0, 1)] OpenHow(2);
    faccessat2 439 [at(0, 1)] Access(2);
    mount_setattr 442 [at(0, 1)] Other;
    fchmodat2 452 [at(0, 1)] Other;
}

/// Calls without a path that rules may name (`call = "…"`).
const PLAIN: &str = "\
write 1
pwrite64 18
writev 20
ioctl 16
connect 42
accept 43
sendto 44
recvfrom 45
sendmsg 46
recvmsg 47
bind 49
getsockname 51
getpeername 52
prctl 157
unshare 272
accept4 288
recvmmsg 299
sendmmsg 307
setns 308
fsopen 430
close_range 436
";

/// `close`.
pub const CLOSE: Nr = 3;
/// `dup2`.
pub const DUP2: Nr = 33;
/// `fstatfs`.
pub const FSTATFS: Nr = 138;
/// `dup3`.
pub const DUP3: Nr = 292;
/// `statx`.
pub const STATX: Nr = 332;
/// `close_range`.
pub const CLOSE_RANGE: Nr = 436;
/// `openat2`.
pub const OPENAT2: Nr = 437;

/// What ends an accepted descriptor, and what it is asked.
pub const ABOUT_ACCEPTED: [Nr; 6] = [CLOSE, DUP2, FSTATFS, DUP3, STATX, CLOSE_RANGE];

/// Whether a call writes from the program's memory to the descriptor that is its
/// first argument: `write`, `pwrite64`, `writev`.
pub fn writes(nr: usize) -> bool {
    matches!(nr, 1 | 18 | 20)
}

/// The shape of a call, or `None` for one that names no file.
pub fn shape(nr: usize) -> Option<&'static Shape> {
    SHAPES.iter().find(|s| usize::from(s.nr) == nr)
}

/// The number of a call that a rule may name.
pub fn by_name(name: &str) -> Option<Nr> {
    named().find(|(n, _)| *n == name).map(|(_, nr)| nr)
}

/// The name of a call that a rule may name.
pub fn name(nr: Nr) -> Option<&'static str> {
    named().find(|&(_, n)| n == nr).map(|(name, _)| name)
}

/// All names with their numbers.
fn named() -> impl Iterator<Item = (&'static str, Nr)> {
    names::named(NAMES).chain(names::named(PLAIN)).map(|(name, nr)| (name, nr as Nr))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that the kernel's own header gives (linux-libc-dev).
    #[test]
    fn numbers_are_the_kernels() {
        let header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
        let text = std::fs::read_to_string(header).expect("linux-libc-dev is installed");
        let mut checked = 0;
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("#define __NR_") else { continue };
            let (name, number) = rest.split_once(' ').expect("name and number");
            if let Some(nr) = by_name(name) {
                assert_eq!(nr.to_string(), number, "{name}");
                checked += 1;
            }
        }
        assert!(checked > 60, "only {checked} numbers found in {header}");
    }

    #[test]
    fn every_number_is_there_once() {
        for (i, a) in SHAPES.iter().enumerate() {
            assert!(SHAPES[i + 1..].iter().all(|b| a.nr != b.nr), "{}", a.nr);
        }
    }
}
