//! Emulate: one answer to every question about a file that is not there.

mod fake;

use fake::views::Facts;
use fake::*;

const REGULAR: u16 = 0o100_000;

/// Every question by path.
#[test]
fn questions_by_path() {
    let p = Program::new();
    let facts = p.stat(AT_FDCWD, CAP, 0).expect("it is emulated");
    assert_eq!(facts.mode, REGULAR | 0o444);
    assert_eq!((facts.nlink, facts.size), (1, 0), "as procfs has it");
    for same in [
        p.old_stat(4, CAP),
        p.old_stat(6, CAP),
        p.stat(AT_FDCWD, CAP, AT_SYMLINK_NOFOLLOW),
        p.statx(AT_FDCWD, CAP, 0),
        p.statx(AT_FDCWD, CAP, AT_SYMLINK_NOFOLLOW),
    ] {
        assert_eq!(same, Ok(facts));
    }
    let path = c"/proc/sys/kernel/cap_last_cap".as_ptr() as usize;
    assert_eq!(p.statfs(137, path), Ok(PROC_SUPER_MAGIC));
    let mut link = [0u8; 64];
    let (to, at) = (link.as_mut_ptr() as usize, AT_FDCWD);
    assert_eq!(p.call(89, [path, to, 64, 0, 0, 0]), EINVAL);
    assert_eq!(p.call(267, [at, path, to, 64, 0, 0]), EINVAL);
    for (mode, answer) in [(0, 0), (4, 0), (2, EACCES), (6, EACCES), (1, EACCES), (5, EACCES)] {
        assert_eq!(p.call(21, [path, mode, 0, 0, 0, 0]), answer, "access {mode}");
        assert_eq!(p.call(269, [at, path, mode, 0, 0, 0]), answer, "faccessat {mode}");
        assert_eq!(p.call(439, [at, path, mode, 0x200, 0, 0]), answer, "faccessat2 {mode}");
    }
}

/// A descriptor says the same as the path, however it was opened.
#[test]
fn questions_by_descriptor() {
    for (path, magic) in [(CAP, PROC_SUPER_MAGIC), (PORT, PROC_SUPER_MAGIC), (CGROUP, NSFS_MAGIC)] {
        let p = Program::new();
        let by_path = p.stat(AT_FDCWD, path, 0).expect("it is emulated");
        for flags in [0, O_PATH, O_CLOEXEC] {
            let fd = p.open(path, flags) as usize;
            assert_eq!(p.every_fstat(fd), by_path, "{path}");
            assert_eq!(p.statfs(138, fd), Ok(magic), "{path}");
            // Opened again through /proc, as libpathrs does.
            let again = p.open(&format!("/proc/self/fd/{fd}"), 0);
            assert!(again >= 0, "{path}: {again}");
            assert_eq!(p.every_fstat(again as usize), by_path, "{path}");
            assert_eq!(p.read(again), p.read(fd as isize), "{path}");
        }
    }
}

/// The same through the descriptor's own path.
#[test]
fn questions_through_proc_self_fd() {
    let p = Program::new();
    let fd = p.open(CAP, 0);
    let path = format!("/proc/self/fd/{fd}");
    assert_eq!(p.stat(AT_FDCWD, &path, 0), p.stat(AT_FDCWD, CAP, 0));
    assert_eq!(p.statx(AT_FDCWD, &path, 0), p.stat(AT_FDCWD, CAP, 0));
    let path = std::ffi::CString::new(path).expect("no NUL");
    assert_eq!(p.statfs(137, path.as_ptr() as usize), Ok(PROC_SUPER_MAGIC));
}

/// A descriptor opened with O_PATH through that path tells the same.
#[test]
fn questions_by_a_path_descriptor() {
    for path in [CAP, PORT, CGROUP] {
        let p = Program::new();
        let fd = p.open(path, 0);
        let only_path = p.open(&format!("/proc/self/fd/{fd}"), O_PATH);
        assert_eq!(p.every_fstat(only_path as usize), p.every_fstat(fd as usize), "{path}");
    }
    // One of a file that only has the mode is no emulated file's.
    let p = Program::new();
    p.kernel.tree.borrow_mut().add("/file", tree::Body::File(vec![]), 0o101_444);
    assert_eq!(p.every_fstat(p.open("/file", O_PATH) as usize).mode, 0o101_444);
}

/// A question opens no file of the program's: it could be a FIFO by then, or a device.
#[test]
fn questions_open_nothing() {
    let p = Program::new();
    let fd = p.open(CAP, 0);
    p.kernel.tree.borrow_mut().add("/file", tree::Body::File(vec![]), 0o101_444);
    for path in ["/file".to_owned(), format!("/proc/self/fd/{fd}")] {
        p.asked();
        assert!(p.old_stat(4, &path).is_ok() && p.statx(AT_FDCWD, &path, 0).is_ok());
        let text = std::ffi::CString::new(path.clone()).expect("no NUL");
        assert!(p.statfs(137, text.as_ptr() as usize).is_ok());
        let opened = |m: &kernel::Made| m.nr == 257 && m.args[2] & O_PATH == 0;
        assert!(!p.asked().iter().any(opened), "{path} was opened");
    }
}

/// openat2 with RESOLVE_IN_ROOT: no path of it means a file of the process's own root.
#[test]
fn a_root_of_the_callers_is_left_alone() {
    let p = Program::new();
    let openat2 = |at: usize, path: &std::ffi::CStr, resolve: u64| {
        let how = [0, 0, resolve];
        p.call(437, [at, path.as_ptr() as usize, how.as_ptr() as usize, 24, 0, 0])
    };
    let (root, proc) = (p.directory("/jail"), p.directory("/proc"));
    let (whole, relative) = (c"/proc/sys/kernel/cap_last_cap", c"sys/kernel/cap_last_cap");
    assert!(openat2(root, whole, 0) >= 0 && openat2(proc, relative, 0x0b) >= 0);
    assert_eq!(openat2(root, whole, 0x10), ENOENT);
    assert_eq!(openat2(proc, relative, 0x10), ENOENT);
}

/// A filter answers before the kernel looks at the structure.
#[test]
fn openat2_without_a_structure() {
    let p = Program::new();
    let path = c"/proc/sys/net/ipv4/ip_unprivileged_port_start".as_ptr() as usize;
    let cut = p.kernel.memory.before_a_hole(&[0; 20]);
    let good = [0u64; 3].as_ptr() as usize;
    for (how, size) in [(0, 0), (0, 24), (64, 24), (cut, 24), (usize::MAX, 24), (good, 23)] {
        let args = [AT_FDCWD, path, how, size, 0, 0];
        assert_eq!(p.after(&procsys_hook::Call { nr: 437, args }, EPERM), EPERM, "{how:#x}");
    }
    let args = [AT_FDCWD, path, good, 24, 0, 0];
    assert!(p.after(&procsys_hook::Call { nr: 437, args }, EPERM) >= 0);
}

/// Every way to open it.
#[test]
fn open_by_every_call() {
    let p = Program::new();
    let path = c"/proc/sys/net/ipv4/ip_unprivileged_port_start".as_ptr() as usize;
    let read = |fd: isize| {
        assert!(fd >= 0, "{fd}");
        p.read(fd)
    };
    assert_eq!(read(p.call(2, [path, 0, 0, 0, 0, 0])), "1024\n");
    assert_eq!(read(p.call(257, [AT_FDCWD, path, 0, 0, 0, 0])), "1024\n");
    let how = [O_CLOEXEC as u64, 0, 0];
    assert_eq!(read(p.call(437, [AT_FDCWD, path, how.as_ptr() as usize, 24, 0, 0])), "1024\n");
    // creat truncates: nothing is left to read.
    assert_eq!(read(p.call(85, [path, 0o644, 0, 0, 0, 0])), "");
}

/// What open(2) says of a file that is there, this one says, too.
#[test]
fn flags_of_open() {
    let p = Program::new();
    for (path, flags, expected) in [
        (CAP, O_WRONLY, EACCES),
        (CAP, O_RDWR, EACCES),
        (CAP, O_WRONLY | O_TRUNC, EACCES),
        (CAP, O_DIRECTORY, ENOTDIR),
        (CAP, O_DIRECTORY | O_PATH, ENOTDIR),
        (CAP, O_CREAT | O_EXCL, EEXIST),
        (CAP, O_CREAT | O_EXCL | O_WRONLY, EEXIST),
        (PORT, O_CREAT | O_EXCL | O_WRONLY, EEXIST),
        (PORT, O_DIRECTORY, ENOTDIR),
        (CGROUP, O_NOFOLLOW, ELOOP),
        (CGROUP, O_WRONLY, EACCES),
    ] {
        // gVisor's procfs answers EPERM to O_CREAT; the rule of cap_last_cap
        // does not name that errno, so that one is left as it is.
        p.kernel.create_errno.set(ENOENT);
        assert_eq!(p.open(path, flags), expected, "{path} {flags:o}");
    }
    for (path, flags) in [
        (CAP, 0),
        (CAP, O_NOFOLLOW),
        (CAP, O_PATH),
        (CAP, O_PATH | O_NOFOLLOW),
        (CAP, O_PATH | O_WRONLY),
        (CAP, O_CREAT),
        (PORT, O_WRONLY),
        (PORT, O_RDWR),
        (PORT, O_WRONLY | O_CREAT | O_TRUNC),
        (CGROUP, 0),
        (CGROUP, O_PATH),
    ] {
        let fd = p.open(path, flags);
        assert!(fd >= 0, "{path} {flags:o}: {fd}");
    }
}

#[test]
fn close_on_exec_is_passed_on() {
    const MEMFD_CREATE: usize = 319;
    let p = Program::new();
    for (flags, expected) in [(0, 0), (O_CLOEXEC, 1)] {
        p.asked();
        p.open(CAP, flags);
        let made = p.asked();
        let memfd = made.iter().find(|m| m.nr == MEMFD_CREATE).expect("one was made");
        assert_eq!(memfd.args[1] & 1, expected);
    }
}

#[test]
fn writes_are_refused_or_accepted_as_the_rule_says() {
    let p = Program::new();
    let write = |fd: isize| {
        let text = "7\n";
        p.call(18, [fd as usize, text.as_ptr() as usize, text.len(), 0, 0, 0])
    };
    let fd = p.open(CAP, 0);
    assert!(write(fd) < 0, "written to a file that refuses");
    assert_eq!(p.read(fd), "40\n");
    for flags in [O_WRONLY, O_WRONLY | O_TRUNC, O_RDWR | O_TRUNC, O_WRONLY | O_CREAT] {
        let fd = p.open(PORT, flags);
        assert_eq!(p.read(fd), "", "old bytes behind what is written");
        assert_eq!(write(fd), 2);
        assert_eq!(p.read(fd), "7\n");
        // Another open finds the value again: the write has no effect.
        assert_eq!(p.contents(AT_FDCWD, PORT).as_deref(), Ok("1024\n"));
    }
    let fd = p.open(PORT, O_RDWR);
    assert_eq!(p.read(fd), "1024\n");
}

/// The value of cap_last_cap is the kernel's own.
#[test]
fn cap_last_cap_is_probed() {
    for (last, text) in [(0, "0\n"), (9, "9\n"), (10, "10\n"), (40, "40\n"), (63, "63\n")] {
        let p = Program::new();
        p.kernel.last_cap.set(last);
        assert_eq!(p.contents(AT_FDCWD, CAP).as_deref(), Ok(text));
    }
}

#[test]
fn values_are_those_of_the_rules() {
    let p = Program::new();
    assert_eq!(p.contents(AT_FDCWD, PORT).as_deref(), Ok("1024\n"));
    let path = "/proc/sys/net/ipv4/ping_group_range";
    assert_eq!(p.contents(AT_FDCWD, path).as_deref(), Ok("1\t0\n"));
    let p = Program::only(
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/proc/a\"\nvalue = \"x\\u0000y\"\n",
    );
    assert_eq!(p.contents(AT_FDCWD, "/proc/a").as_deref(), Ok("x\0y"));
}

/// A namespace file is a link to one of nsfs.
#[test]
fn namespace_file() {
    let p = Program::new();
    let link = Facts { mode: 0o120_777, ..p.old_stat(6, CGROUP).expect("it is emulated") };
    assert_eq!(p.old_stat(6, CGROUP), Ok(link));
    assert_eq!(p.stat(AT_FDCWD, CGROUP, AT_SYMLINK_NOFOLLOW), Ok(link));
    assert_eq!(p.statx(AT_FDCWD, CGROUP, AT_SYMLINK_NOFOLLOW), Ok(link));
    let file = p.old_stat(4, CGROUP).expect("it is emulated");
    assert_eq!((file.mode, file.ino), (0o100_444, 4_026_531_835), "as its target says");
    let path = c"/proc/self/ns/cgroup".as_ptr() as usize;
    let target = b"cgroup:[4026531835]";
    for size in [1, 10, target.len(), 64] {
        let mut link = [0xaau8; 64];
        let len = p.call(89, [path, link.as_mut_ptr() as usize, size, 0, 0, 0]);
        let expected = &target[..size.min(target.len())];
        assert_eq!(len as usize, expected.len());
        assert_eq!(&link[..expected.len()], expected);
        assert!(link[expected.len()..].iter().all(|&b| b == 0xaa), "written past the size");
    }
    let to = [0u8; 8].as_mut_ptr() as usize;
    assert_eq!(p.call(89, [path, to, 0, 0, 0, 0]), EINVAL);
}

/// EPERM about a file that is there is the kernel's last word.
#[test]
fn a_rule_about_eperm_leaves_a_file_that_is_there() {
    let p = Program::new();
    assert!(p.open(PORT, O_WRONLY | O_CREAT) >= 0, "missing, and EPERM to O_CREAT");
    p.kernel.tree.borrow_mut().add(PORT, tree::Body::File(b"80\n".to_vec()), 0o100_644);
    assert_eq!(p.contents(AT_FDCWD, PORT).as_deref(), Ok("80\n"));
    let call = procsys_hook::Call {
        nr: 257,
        args: [
            AT_FDCWD,
            c"/proc/sys/net/ipv4/ip_unprivileged_port_start".as_ptr() as usize,
            O_WRONLY,
            0,
            0,
            0,
        ],
    };
    // As a security module would refuse it.
    assert_eq!(p.after(&call, EPERM), EPERM);
    p.kernel.tree.borrow_mut().remove(PORT);
    assert!(p.after(&call, EPERM) >= 0, "the same call, once the file is missing");
}

/// Errors that the rule does not name stand.
#[test]
fn other_errors_stand() {
    let p = Program::new();
    let path = c"/proc/sys/kernel/cap_last_cap".as_ptr() as usize;
    let call = procsys_hook::Call { nr: 257, args: [AT_FDCWD, path, 0, 0, 0, 0] };
    assert_eq!(p.after(&call, EPERM), EPERM, "named by other rules, not by this path's");
    p.asked();
    for errno in 3..=4095 {
        assert_eq!(p.after(&call, -errno), -errno);
    }
    assert!(p.asked().is_empty(), "the kernel was asked about an error that no rule names");
    assert!(p.after(&call, ENOENT) >= 0);
}

/// A kernel that has the file is never second-guessed.
#[test]
fn a_file_that_is_there_is_the_kernels() {
    let p = Program::new();
    p.kernel.tree.borrow_mut().add(CAP, tree::Body::File(b"37\n".to_vec()), 0o100_400);
    assert_eq!(p.contents(AT_FDCWD, CAP).as_deref(), Ok("37\n"));
    assert_eq!(p.stat(AT_FDCWD, CAP, 0).map(|f| f.mode), Ok(0o100_400));
    assert_eq!(p.open(CAP, O_CREAT | O_EXCL), EEXIST);
    assert!(p.asked().is_empty() && p.stored().is_empty());
}

/// Older kernels refuse a flag of memfd_create that they don't know.
#[test]
fn kernels_without_noexec_seals() {
    let p = Program::new();
    p.kernel.knows_noexec.set(false);
    assert_eq!(p.contents(AT_FDCWD, CAP).as_deref(), Ok("40\n"));
    let fd = p.open(CAP, 0) as usize;
    assert_eq!(Ok(p.every_fstat(fd)), p.stat(AT_FDCWD, CAP, 0));
}

/// When the memory file can't be made, the call fails with the reason, and
/// nothing is left open ([`Program::call`] looks).
#[test]
fn failures_on_the_way() {
    const EMFILE: isize = -24;
    for call in [319, 18, 91, 72] {
        let p = Program::new();
        p.kernel.failure.set(Some((call, EMFILE)));
        assert_eq!(p.open(CAP, 0), EMFILE, "call {call}");
    }
}

/// A limit on the length of files is no reason to be killed for reading one.
#[test]
fn under_a_limit_of_file_lengths() {
    let p = Program::new();
    for (limit, expected) in [(0, Err(EFBIG)), (2, Err(EFBIG)), (3, Ok("40\n"))] {
        p.kernel.file_limit.set(limit);
        let contents = p.contents(AT_FDCWD, CAP);
        assert_eq!(contents.as_deref().map_err(|e| *e), expected, "{limit}");
    }
    p.kernel.file_limit.set(0);
    assert!(p.open(PORT, O_WRONLY | O_TRUNC) >= 0, "nothing is written to it");
    assert!(p.stat(AT_FDCWD, CAP, 0).is_ok());
}

/// A file of the program's own that has the mark's mode is not an emulated one.
#[test]
fn a_file_with_the_same_mode_is_left_alone() {
    let p = Program::new();
    for mode in [0o101_444, 0o101_644, 0o103_444] {
        let path = format!("/file{mode:o}");
        p.kernel.tree.borrow_mut().add(&path, tree::Body::File(b"x".to_vec()), mode);
        let fd = p.open(&path, 0) as usize;
        assert_eq!(p.every_fstat(fd).mode, mode);
        assert_eq!(p.statfs(138, fd), Ok(TMPFS_MAGIC));
    }
    // Nor is a memory file of its own, with the mode but without the seals.
    let fd = p.call(319, [c"x".as_ptr() as usize, 2, 0, 0, 0, 0]) as usize;
    for mode in [0o1444, 0o3444] {
        assert_eq!(p.call(91, [fd, mode, 0, 0, 0, 0]), 0);
        assert_eq!(p.every_fstat(fd).mode, REGULAR | mode as u16);
    }
}

/// A bad buffer is EFAULT, as for a file that is there; never a fault.
#[test]
fn bad_buffers() {
    let p = Program::new();
    let path = c"/proc/sys/kernel/cap_last_cap".as_ptr() as usize;
    let link = c"/proc/self/ns/cgroup".as_ptr() as usize;
    let hole = p.kernel.memory.before_a_hole(&[0; 60]);
    for bad in [0, 64, hole, p.kernel.memory.read_only_page(), usize::MAX - 7] {
        assert_eq!(p.call(4, [path, bad, 0, 0, 0, 0]), EFAULT, "stat {bad:#x}");
        assert_eq!(p.call(262, [AT_FDCWD, path, bad, 0, 0, 0]), EFAULT, "newfstatat {bad:#x}");
        assert_eq!(p.call(332, [AT_FDCWD, path, 0, 0x7ff, bad, 0]), EFAULT, "statx {bad:#x}");
        assert_eq!(p.call(137, [path, bad, 0, 0, 0, 0]), EFAULT, "statfs {bad:#x}");
        if bad != hole {
            assert_eq!(p.call(89, [link, bad, 64, 0, 0, 0]), EFAULT, "readlink {bad:#x}");
        }
    }
    // Its 19 bytes fit before the hole.
    assert_eq!(p.call(89, [link, hole, 64, 0, 0, 0]), 19);
}
