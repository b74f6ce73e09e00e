//! The stat family and statfs, with the names of every glibc since 2.2.5.
//!
//! `struct stat` and `stat64`, `statfs` and `statfs64` are the same on x86-64.

use crate::function::interpose;

const CWD: i16 = -100;
const NOFOLLOW: i16 = 0x100;

interpose! {
    after crate::paths::NUMBERS.1;
    fn stat(path: usize, buf: usize) -> i32 = 262 (CWD) [path, buf] (0);
    fn stat64(path: usize, buf: usize) -> i32 = 262 (CWD) [path, buf] (0);
    fn lstat(path: usize, buf: usize) -> i32 = 262 (CWD) [path, buf] (NOFOLLOW);
    fn lstat64(path: usize, buf: usize) -> i32 = 262 (CWD) [path, buf] (NOFOLLOW);
    fn fstat(fd: i32, buf: usize) -> i32 = 5 () [fd, buf] ();
    fn fstat64(fd: i32, buf: usize) -> i32 = 5 () [fd, buf] ();
    fn fstatat(dirfd: i32, path: usize, buf: usize, flags: i32) -> i32 = 262 () [dirfd, path, buf, flags] ();
    fn fstatat64(dirfd: i32, path: usize, buf: usize, flags: i32) -> i32 = 262 () [dirfd, path, buf, flags] ();
    fn __xstat(version: i32, path: usize, buf: usize) -> i32 = 262 (CWD) [path, buf] (0);
    fn __xstat64(version: i32, path: usize, buf: usize) -> i32 = 262 (CWD) [path, buf] (0);
    fn __lxstat(version: i32, path: usize, buf: usize) -> i32 = 262 (CWD) [path, buf] (NOFOLLOW);
    fn __lxstat64(version: i32, path: usize, buf: usize) -> i32 = 262 (CWD) [path, buf] (NOFOLLOW);
    fn __fxstat(version: i32, fd: i32, buf: usize) -> i32 = 5 () [fd, buf] ();
    fn __fxstat64(version: i32, fd: i32, buf: usize) -> i32 = 5 () [fd, buf] ();
    fn __fxstatat(version: i32, dirfd: i32, path: usize, buf: usize, flags: i32) -> i32 = 262 () [dirfd, path, buf, flags] ();
    fn __fxstatat64(version: i32, dirfd: i32, path: usize, buf: usize, flags: i32) -> i32 = 262 () [dirfd, path, buf, flags] ();
    fn statx(dirfd: i32, path: usize, flags: i32, mask: u32, buf: usize) -> i32 = 332 () [dirfd, path, flags, mask, buf] ();
    fn statfs(path: usize, buf: usize) -> i32 = 137 () [path, buf] ();
    fn statfs64(path: usize, buf: usize) -> i32 = 137 () [path, buf] ();
    fn __statfs(path: usize, buf: usize) -> i32 = 137 () [path, buf] ();
    fn fstatfs(fd: i32, buf: usize) -> i32 = 138 () [fd, buf] ();
    fn fstatfs64(fd: i32, buf: usize) -> i32 = 138 () [fd, buf] ();
}
