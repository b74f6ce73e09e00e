//! Which paths mean the file that a rule names, and which don't?

mod fake;

use fake::*;

const VALUE: Result<&str, &isize> = Ok("40\n");

fn open(p: &Program, dirfd: usize, path: &str) -> Result<String, isize> {
    p.contents(dirfd, path)
}

#[test]
fn absolute() {
    let p = Program::new();
    for path in [
        CAP,
        "//proc/sys/kernel/cap_last_cap",
        "/proc///sys//kernel/////cap_last_cap",
        "/./proc/./sys/./kernel/./cap_last_cap",
        "/proc/sys/kernel/../kernel/cap_last_cap",
        "/proc/../proc/sys/net/../kernel/cap_last_cap",
        "/../../proc/sys/kernel/cap_last_cap",
        "/srv/../proc/sys/kernel/cap_last_cap",
        "/proc/self/../sys/kernel/cap_last_cap",
        "/proc/thread-self/../../../sys/kernel/cap_last_cap",
        "/link/kernel/cap_last_cap",
        "/srv/up/cap_last_cap",
        "/srv/up/./../kernel//cap_last_cap",
    ] {
        assert_eq!(open(&p, AT_FDCWD, path).as_deref(), VALUE, "{path}");
    }
}

#[test]
fn relative_to_the_working_directory() {
    for (cwd, path) in [
        ("/", "proc/sys/kernel/cap_last_cap"),
        ("/", "./proc/sys/kernel/cap_last_cap"),
        ("/proc", "sys/kernel/cap_last_cap"),
        ("/proc/sys", "./kernel/cap_last_cap"),
        ("/proc/sys/kernel", "cap_last_cap"),
        ("/proc/sys/kernel", "./cap_last_cap"),
        ("/proc/sys/net/ipv4", "../../kernel/cap_last_cap"),
        ("/srv", "../proc/sys/kernel/cap_last_cap"),
        ("/srv", "up/cap_last_cap"),
        ("/proc/42/task/42/ns", "../../../../sys/kernel/cap_last_cap"),
    ] {
        let p = Program::new();
        p.chdir(cwd);
        assert_eq!(open(&p, AT_FDCWD, path).as_deref(), VALUE, "{path} in {cwd}");
        assert!(p.stat(AT_FDCWD, path, 0).is_ok(), "{path} in {cwd}");
        assert_eq!(p.old_stat(4, path), p.stat(AT_FDCWD, CAP, 0), "{path} in {cwd}");
    }
}

#[test]
fn relative_to_a_descriptor() {
    let p = Program::new();
    for (directory, path) in [
        ("/", "proc/sys/kernel/cap_last_cap"),
        ("/proc", "sys/kernel/cap_last_cap"),
        ("/proc/sys/kernel", "cap_last_cap"),
        ("/proc/sys/net", "../kernel/cap_last_cap"),
        // The descriptor does not matter to an absolute path.
        ("/srv", CAP),
    ] {
        let fd = p.directory(directory);
        assert_eq!(open(&p, fd, path).as_deref(), VALUE, "{path} at {directory}");
        assert_eq!(p.stat(fd, path, 0), p.stat(AT_FDCWD, CAP, 0), "{path} at {directory}");
        // As an argument of 32 bits, with anything in the upper half.
        let fd = fd | 0xdead_beef << 32;
        assert_eq!(open(&p, fd, path).as_deref(), VALUE, "{path} at {directory}");
    }
    assert_eq!(open(&p, 9999, "cap_last_cap"), Err(EBADF));
    assert_eq!(open(&p, 9999, CAP).as_deref(), VALUE);
}

#[test]
fn through_a_descriptor_in_proc() {
    let p = Program::new();
    let fd = p.directory("/proc/sys");
    for path in [
        format!("/proc/self/fd/{fd}/kernel/cap_last_cap"),
        format!("/proc/42/fd/{fd}/kernel/cap_last_cap"),
        format!("/proc/self/fd/{fd}/../sys/kernel/cap_last_cap"),
    ] {
        assert_eq!(open(&p, AT_FDCWD, &path).as_deref(), VALUE, "{path}");
    }
}

/// runc's own procfs, mounted nowhere.
#[test]
fn a_detached_procfs() {
    let p = Program::new();
    let root = p.detached();
    assert_eq!(open(&p, root, "sys/kernel/cap_last_cap").as_deref(), VALUE);
    assert_eq!(open(&p, root, "./sys//net/../kernel/cap_last_cap").as_deref(), VALUE);
    assert_eq!(open(&p, root, "../../sys/kernel/cap_last_cap").as_deref(), VALUE);
    let kernel = p.openat(root, "sys/kernel", O_PATH | O_DIRECTORY);
    assert_eq!(open(&p, kernel as usize, "cap_last_cap").as_deref(), VALUE);
    for path in ["self/ns/cgroup", "thread-self/../../ns/cgroup", "42/ns/cgroup"] {
        assert!(p.stat(root, path, 0).is_ok(), "{path}");
    }
    assert_eq!(open(&p, root, "42/cap_last_cap"), Err(ENOENT));
}

#[test]
fn the_process_in_every_form() {
    let p = Program::new();
    for path in [
        "/proc/self/ns/cgroup",
        "/proc/42/ns/cgroup",
        "/proc/1/ns/cgroup",
        "/proc/thread-self/ns/cgroup",
        "//proc//self/./ns/cgroup",
        "/proc/self/../self/ns/cgroup",
        "/proc/self/ns/../ns/cgroup",
    ] {
        assert!(p.old_stat(4, path).is_ok(), "{path}");
    }
    p.chdir("/proc/42");
    assert!(p.old_stat(4, "ns/cgroup").is_ok());
    p.chdir("/proc/42/ns");
    assert!(p.old_stat(4, "cgroup").is_ok());
}

/// There is no such process: the kernel is right.
#[test]
fn a_process_that_is_not_there_has_no_files() {
    let p = Program::new();
    p.chdir("/proc");
    for path in [
        "/proc/99/ns/cgroup",
        "99/ns/cgroup",
        "/proc/./99/ns/cgroup",
        "/proc/sys/../99/ns/cgroup",
        "/proc/nobody/ns/cgroup",
    ] {
        assert_eq!(p.old_stat(4, path), Err(ENOENT), "{path}");
        assert_eq!(p.open(path, 0), ENOENT, "{path}");
    }
    assert_eq!(p.stat(p.detached(), "99/ns/cgroup", 0), Err(ENOENT));
}

/// Old gVisor lacks whole directories of sysctls.
#[test]
fn missing_parents() {
    let p = Program::new();
    p.kernel.tree.borrow_mut().remove("/proc/sys/net/ipv4");
    p.kernel.tree.borrow_mut().remove("/proc/sys/net");
    let value = Ok("1024\n");
    for path in [PORT, "//proc/sys/./net/ipv4/ip_unprivileged_port_start"] {
        assert_eq!(open(&p, AT_FDCWD, path).as_deref(), value, "{path}");
    }
    let detached = p.directory("/proc");
    for path in [
        "sys/net/ipv4/ip_unprivileged_port_start",
        "sys/net//ipv4/ip_unprivileged_port_start",
        "sys/./net/./ipv4/./ip_unprivileged_port_start",
        "sys/kernel/../net/ipv4/ip_unprivileged_port_start",
    ] {
        assert_eq!(open(&p, detached, path).as_deref(), value, "{path}");
    }
    p.chdir("/proc/sys");
    assert_eq!(open(&p, AT_FDCWD, "net/ipv4/ip_unprivileged_port_start").as_deref(), value);
    // `..` out of a directory that is not there leads nowhere.
    for path in [
        "/proc/sys/net/ipv4/../ipv4/ip_unprivileged_port_start",
        "net/../net/ipv4/ip_unprivileged_port_start",
    ] {
        assert_eq!(open(&p, AT_FDCWD, path), Err(ENOENT), "{path}");
    }
}

/// After pivot_root there is no /proc at all.
#[test]
fn no_procfs_at_all() {
    let p = Program::new();
    let empty = p.kernel.tree.borrow_mut().make_directory("/new/root", 0o755);
    p.chdir("/new/root");
    p.kernel.tree.borrow_mut().root = empty;
    assert_eq!(open(&p, AT_FDCWD, CAP).as_deref(), VALUE);
    assert_eq!(open(&p, AT_FDCWD, "proc/sys/kernel/cap_last_cap").as_deref(), VALUE);
    assert_eq!(open(&p, AT_FDCWD, "sys/kernel/cap_last_cap"), Err(ENOENT));
    assert_eq!(open(&p, AT_FDCWD, CGROUP), Err(ENOENT), "nor is there a process");
}

/// The same last component elsewhere is another file.
#[test]
fn elsewhere() {
    let p = Program::new();
    for path in [
        "/cap_last_cap",
        "/srv/cap_last_cap",
        "/srv/sys/kernel/cap_last_cap",
        "/plain/proc/sys/kernel/cap_last_cap",
        "/proc/cap_last_cap",
        "/proc/sys/cap_last_cap",
        "/proc/sys/net/ipv4/cap_last_cap",
        "/proc/42/cap_last_cap",
        "/proc/42/sys/kernel/cap_last_cap",
        "/proc/sys/kernel/cap_last_cap/cap_last_cap",
        "/proc/sys/kernel/../cap_last_cap",
        "/jail/proc/sys/kernel/cap_last_cap",
        "/proc/sys/kernel/cap_last_ca",
        "/proc/sys/kernel/CAP_LAST_CAP",
        "/srv/ns/cgroup",
        "/proc/ns/cgroup",
        "/proc/self/task/42/ns/cgroup",
        "/jail/proc/ns/cgroup",
        "/nowhere/proc/sys/kernel/cap_last_cap",
        "",
        "cap_last_cap",
    ] {
        assert!(matches!(open(&p, AT_FDCWD, path), Err(ENOENT | EINVAL)), "{path}");
    }
    for (cwd, path) in [
        ("/srv", "cap_last_cap"),
        ("/srv", "sys/kernel/cap_last_cap"),
        ("/plain/proc", "sys/kernel/cap_last_cap"),
        ("/plain/proc/sys/kernel", "cap_last_cap"),
        ("/jail/proc", "ns/cgroup"),
        ("/srv/ns", "cgroup"),
        ("/proc/42", "sys/kernel/cap_last_cap"),
    ] {
        p.chdir(cwd);
        assert_eq!(open(&p, AT_FDCWD, path), Err(ENOENT), "{path} in {cwd}");
    }
    let fd = p.directory("/plain/proc");
    assert_eq!(open(&p, fd, "sys/kernel/cap_last_cap"), Err(ENOENT));
}

/// A tmpfs over sys/kernel: by name it is still that directory, whichever way.
#[test]
fn a_mount_over_the_directory() {
    let p = Program::new();
    p.kernel.tree.borrow_mut().mount_tmpfs("/proc/sys/kernel");
    assert_eq!(open(&p, AT_FDCWD, CAP).as_deref(), VALUE);
    p.chdir("/proc/sys/kernel");
    assert_eq!(open(&p, AT_FDCWD, "cap_last_cap").as_deref(), VALUE);
    assert_eq!(open(&p, AT_FDCWD, "/proc/sys/kernel/hostname"), Err(ENOENT));
}

/// What runs into memory that can't be read is the kernel's EFAULT.
#[test]
fn bad_pointers() {
    let p = Program::new();
    let cut = p.kernel.memory.before_a_hole(CAP.as_bytes());
    for bad in [0, 1, 64, cut, 0x8000_0000_0000, 0xffff_ffff_8100_0000, usize::MAX] {
        for (nr, args) in [
            (2, [bad, 0, 0, 0, 0, 0]),
            (257, [AT_FDCWD, bad, 0, 0, 0, 0]),
            (4, [bad, 0x7000_0000, 0, 0, 0, 0]),
            (21, [bad, 0, 0, 0, 0, 0]),
            (89, [bad, 0x7000_0000, 64, 0, 0, 0]),
            (137, [bad, 0x7000_0000, 0, 0, 0, 0]),
        ] {
            assert_eq!(p.call(nr, args), EFAULT, "call {nr} with {bad:#x}");
            // Also when the kernel said that there is no such file.
            let call = procsys_hook::Call { nr, args };
            assert_eq!(p.after(&call, ENOENT), ENOENT, "call {nr} with {bad:#x}");
        }
    }
    // Whole, right before memory that can't be read, at every alignment.
    for more in 0..16 {
        let mut text = "/".repeat(more).into_bytes();
        text.extend_from_slice(CAP.as_bytes());
        text.push(0);
        let whole = p.kernel.memory.before_a_hole(&text);
        assert!(p.call(2, [whole, 0, 0, 0, 0, 0]) >= 0, "{more}");
    }
}

/// Long paths: up to the kernel's limit they are looked at, past it they are not.
#[test]
fn long_paths() {
    let p = Program::new();
    let padded = |len: usize| "/".repeat(len - CAP.len()) + CAP;
    assert_eq!(open(&p, AT_FDCWD, &padded(4095)).as_deref(), VALUE);
    assert_eq!(open(&p, AT_FDCWD, &padded(4096)), Err(-36));
    let dots = "./".repeat(2000) + "proc/sys/kernel/cap_last_cap";
    assert_eq!(open(&p, AT_FDCWD, &dots).as_deref(), VALUE);
}

/// Most failures have nothing to do with any rule: they cost one question, about
/// the memory of the path, and nothing is opened.
#[test]
fn unrelated_failures_cost_no_walk() {
    let p = Program::new();
    for path in ["/etc/nothing", "nothing", "/proc/sys/kernel/nothing"] {
        p.asked();
        assert_eq!(open(&p, AT_FDCWD, path), Err(ENOENT));
        let asked: Vec<_> = p.asked().iter().map(|m| m.nr).collect();
        assert_eq!(asked, [14], "{path}");
    }
}
