//! Calls that name files: opened, asked for, read as links, changed.
//!
//! A call is shown to the hook as the system call that a static glibc makes of
//! it, so that both doors see the same.

use crate::function::interpose;

const CWD: i16 = -100;
/// `AT_EACCESS`: as the effective user.
const EACCESS: i16 = 0x200;

interpose! {
    after 0;
    fn open(path: usize, flags: i32, mode: u32) -> i32 = 257 (CWD) [path, flags, mode] ();
    fn open64(path: usize, flags: i32, mode: u32) -> i32 = 257 (CWD) [path, flags, mode] ();
    fn __open(path: usize, flags: i32, mode: u32) -> i32 = 257 (CWD) [path, flags, mode] ();
    fn __open64(path: usize, flags: i32, mode: u32) -> i32 = 257 (CWD) [path, flags, mode] ();
    fn __open_2(path: usize, flags: i32) -> i32 = 257 (CWD) [path, flags] (0);
    fn __open64_2(path: usize, flags: i32) -> i32 = 257 (CWD) [path, flags] (0);
    fn openat(dirfd: i32, path: usize, flags: i32, mode: u32) -> i32 = 257 () [dirfd, path, flags, mode] ();
    fn openat64(dirfd: i32, path: usize, flags: i32, mode: u32) -> i32 = 257 () [dirfd, path, flags, mode] ();
    fn __openat_2(dirfd: i32, path: usize, flags: i32) -> i32 = 257 () [dirfd, path, flags] (0);
    fn __openat64_2(dirfd: i32, path: usize, flags: i32) -> i32 = 257 () [dirfd, path, flags] (0);
    fn openat2(dirfd: i32, path: usize, how: usize, size: usize) -> i32 = 437 () [dirfd, path, how, size] ();
    fn creat(path: usize, mode: u32) -> i32 = 85 () [path, mode] ();
    fn creat64(path: usize, mode: u32) -> i32 = 85 () [path, mode] ();

    fn access(path: usize, mode: i32) -> i32 = 21 () [path, mode] ();
    fn eaccess(path: usize, mode: i32) -> i32 = 439 (CWD) [path, mode] (EACCESS);
    fn euidaccess(path: usize, mode: i32) -> i32 = 439 (CWD) [path, mode] (EACCESS);
    fn faccessat(dirfd: i32, path: usize, mode: i32, flags: i32) -> i32 = 439 () [dirfd, path, mode, flags] ();

    fn readlink(path: usize, buf: usize, size: usize) -> i64 = 89 () [path, buf, size] ();
    fn readlinkat(dirfd: i32, path: usize, buf: usize, size: usize) -> i64 = 267 () [dirfd, path, buf, size] ();
    fn __readlink_chk(path: usize, buf: usize, size: usize, room: usize) -> i64 = 89 () [path, buf, size] ();
    fn __readlinkat_chk(dirfd: i32, path: usize, buf: usize, size: usize, room: usize) -> i64 = 267 () [dirfd, path, buf, size] ();

    fn chdir(path: usize) -> i32 = 80 () [path] ();
    fn chroot(path: usize) -> i32 = 161 () [path] ();
    fn truncate(path: usize, length: i64) -> i32 = 76 () [path, length] ();
    fn truncate64(path: usize, length: i64) -> i32 = 76 () [path, length] ();
    fn mkdir(path: usize, mode: u32) -> i32 = 83 () [path, mode] ();
    fn mkdirat(dirfd: i32, path: usize, mode: u32) -> i32 = 258 () [dirfd, path, mode] ();
    fn mkfifo(path: usize, mode: u32) -> i32 = 133 () [path, mode] ();
    fn mkfifoat(dirfd: i32, path: usize, mode: u32) -> i32 = 259 () [dirfd, path, mode] ();
    fn mknod(path: usize, mode: u32, device: usize) -> i32 = 133 () [path, mode, device] ();
    fn mknodat(dirfd: i32, path: usize, mode: u32, device: usize) -> i32 = 259 () [dirfd, path, mode, device] ();
    fn __xmknod(version: i32, path: usize, mode: u32, device: usize) -> i32 = 133 () [path, mode] ();
    fn __xmknodat(version: i32, dirfd: i32, path: usize, mode: u32, device: usize) -> i32 = 259 () [dirfd, path, mode] ();
    fn rmdir(path: usize) -> i32 = 84 () [path] ();
    fn unlink(path: usize) -> i32 = 87 () [path] ();
    fn unlinkat(dirfd: i32, path: usize, flags: i32) -> i32 = 263 () [dirfd, path, flags] ();
    fn remove(path: usize) -> i32 = 87 () [path] ();
    fn rename(from: usize, to: usize) -> i32 = 82 () [from, to] ();
    fn renameat(fromfd: i32, from: usize, tofd: i32, to: usize) -> i32 = 264 () [fromfd, from, tofd, to] ();
    fn renameat2(fromfd: i32, from: usize, tofd: i32, to: usize, flags: u32) -> i32 = 316 () [fromfd, from, tofd, to, flags] ();
    fn link(from: usize, to: usize) -> i32 = 86 () [from, to] ();
    fn linkat(fromfd: i32, from: usize, tofd: i32, to: usize, flags: i32) -> i32 = 265 () [fromfd, from, tofd, to, flags] ();
    fn symlink(target: usize, path: usize) -> i32 = 88 () [target, path] ();
    fn symlinkat(target: usize, dirfd: i32, path: usize) -> i32 = 266 () [target, dirfd, path] ();
    fn chmod(path: usize, mode: u32) -> i32 = 90 () [path, mode] ();
    fn lchmod(path: usize, mode: u32) -> i32 = 452 (CWD) [path, mode] (0x100);
    fn fchmodat(dirfd: i32, path: usize, mode: u32, flags: i32) -> i32 = 452 () [dirfd, path, mode, flags] ();
    fn chown(path: usize, user: u32, group: u32) -> i32 = 92 () [path, user, group] ();
    fn lchown(path: usize, user: u32, group: u32) -> i32 = 94 () [path, user, group] ();
    fn fchownat(dirfd: i32, path: usize, user: u32, group: u32, flags: i32) -> i32 = 260 () [dirfd, path, user, group, flags] ();
    fn utime(path: usize, times: usize) -> i32 = 132 () [path, times] ();
    fn utimes(path: usize, times: usize) -> i32 = 235 () [path, times] ();
    fn lutimes(path: usize, times: usize) -> i32 = 235 () [path, times] ();
    fn futimesat(dirfd: i32, path: usize, times: usize) -> i32 = 261 () [dirfd, path, times] ();
    fn utimensat(dirfd: i32, path: usize, times: usize, flags: i32) -> i32 = 280 () [dirfd, path, times, flags] ();
    fn getxattr(path: usize, name: usize, value: usize, size: usize) -> i64 = 191 () [path, name, value, size] ();
    fn lgetxattr(path: usize, name: usize, value: usize, size: usize) -> i64 = 192 () [path, name, value, size] ();
    fn setxattr(path: usize, name: usize, value: usize, size: usize, flags: i32) -> i32 = 188 () [path, name, value, size, flags] ();
    fn lsetxattr(path: usize, name: usize, value: usize, size: usize, flags: i32) -> i32 = 189 () [path, name, value, size, flags] ();
    fn listxattr(path: usize, list: usize, size: usize) -> i64 = 194 () [path, list, size] ();
    fn llistxattr(path: usize, list: usize, size: usize) -> i64 = 195 () [path, list, size] ();
    fn removexattr(path: usize, name: usize) -> i32 = 197 () [path, name] ();
    fn lremovexattr(path: usize, name: usize) -> i32 = 198 () [path, name] ();
    fn inotify_add_watch(fd: i32, path: usize, mask: u32) -> i32 = 254 () [fd, path, mask] ();
    fn name_to_handle_at(dirfd: i32, path: usize, handle: usize, mount: usize, flags: i32) -> i32 = 303 () [dirfd, path, handle, mount, flags] ();

    // Shown as what libc does with the path later, in the child.
    fn posix_spawn_file_actions_addopen(actions: usize, fd: i32, path: usize, flags: i32, mode: u32) -> i32 = 257 (CWD) [path, flags, mode] ();
    fn posix_spawn_file_actions_addchdir_np(actions: usize, path: usize) -> i32 = 80 () [path] ();
}
