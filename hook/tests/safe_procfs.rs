//! Which files on the mount that stood over /proc/sys are accepted, and what an
//! accepted descriptor answers (docs/rules.md, `through = "trusted-overmount"`).
#![cfg(feature = "whole")]

mod mounts;
mod pointers;

use mounts::{EXDEV, FUSE, Kernel, O_CLOEXEC, O_NOFOLLOW, O_PATH, PROC, TMPFS};

const PORT: &str = "./sys/net/ipv4/ip_unprivileged_port_start";
/// The same as the kernel's table of mounts has it, in sysbox's file system.
const PORT_ROOT: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// A container whose procfs has the trusted file system's part `root` over
/// `point`, after a process started with that file system over /proc/sys.
fn container(point: &str, root: &str) -> Kernel {
    let mut kernel = Kernel::started();
    kernel.enter_container();
    kernel.mount(point, FUSE, "0:99", root);
    kernel
}

#[test]
fn the_trusted_file_is_accepted_wherever_its_mount_begins() {
    for (point, root) in [
        ("sys", "/proc/sys"),
        ("sys/net", "/proc/sys/net"),
        ("sys/net/ipv4", "/proc/sys/net/ipv4"),
        ("sys/net/ipv4/ip_unprivileged_port_start", PORT_ROOT),
    ] {
        let kernel = container(point, root);
        let fd = kernel.open_safely(PORT);
        assert!(fd > 0, "{point}: {fd}");
        assert_eq!(kernel.left_open(), [fd as usize], "{point}");
    }
}

#[test]
fn the_path_may_be_written_in_other_ways() {
    let kernel = container("sys/net", "/proc/sys/net");
    for path in ["sys/net/ipv4/ip_unprivileged_port_start", ".//sys/./net//ipv4/./x"] {
        let fd = kernel.open_safely(path);
        assert_eq!(fd > 0, !path.ends_with('x'), "{path}: {fd}");
    }
    for path in [
        "sys",
        "./sys/",
        "/sys/net/ipv4/ip_unprivileged_port_start",
        "sys/net/../net/ipv4/ip_unprivileged_port_start",
        "sys/net/ipv4/ip_unprivileged_port_start/",
        "sys/net/ipv4/ip_unprivileged_port_start/.",
        "net/ipv4/ip_unprivileged_port_start",
        "systems/net",
        "sys/net/ipv4",
        "",
    ] {
        assert_eq!(kernel.open_safely(path), EXDEV, "{path}");
    }
    assert_eq!(kernel.left_open().len(), 1, "the accepted one");
}

#[test]
fn only_runcs_own_call_is_retried() {
    let kernel = container("sys/net", "/proc/sys/net");
    let flags = (O_PATH | O_NOFOLLOW | O_CLOEXEC) as u64;
    assert!(kernel.openat2(kernel.procfs, PORT, [flags & !(O_CLOEXEC as u64), 0, 0xb], 24) > 0);
    for (how, size) in [
        ([O_CLOEXEC as u64 | 1, 0, 0xb], 24),
        ([(O_PATH | O_CLOEXEC) as u64, 0, 0xb], 24),
        ([flags | 0o200_000, 0, 0xb], 24),
        ([flags, 0o600, 0xb], 24),
        ([flags, 0, 0x9], 24),
        ([flags, 0, 0x1b], 24),
        ([flags, 0, 0xf], 24),
        ([flags, 0, 0x1_0000_000b], 24),
        ([flags, 0, 0xb], 16),
    ] {
        assert_eq!(kernel.openat2(kernel.procfs, PORT, how, size), EXDEV, "{how:x?} {size}");
    }
    let below = kernel.directory("sys");
    assert_eq!(kernel.openat2(below, PORT, [flags, 0, 0xb], 24), EXDEV, "not the root");
}

#[test]
fn another_errno_is_left_alone() {
    let kernel = container("sys/net", "/proc/sys/net");
    for errno in [-1, -2, -11, -13, -40] {
        assert_eq!(kernel.open_safely_after(PORT, errno), errno);
    }
}

/// What an attacker can mount, each over a container's own procfs.
#[test]
fn what_is_not_the_trusted_file_is_refused() {
    type Prepare = fn(&mut Kernel);
    const FILE: &str = "sys/net/ipv4/ip_unprivileged_port_start";
    let cases: [(&str, Prepare); 16] = [
        ("a tmpfs", |k| _ = k.mount("sys/net", TMPFS, "0:50", "/")),
        ("a tmpfs file", |k| _ = k.mount(FILE, TMPFS, "0:50", "/x")),
        ("a file of procfs", |k| _ = k.mount(FILE, PROC, "0:40", "/sys/kernel/core_pattern")),
        ("a directory of procfs", |k| _ = k.mount("sys/net", PROC, "0:40", "/sys/kernel")),
        ("another FUSE, the file", |k| _ = k.mount(FILE, FUSE, "0:77", PORT_ROOT)),
        ("another FUSE, a directory", |k| _ = k.mount("sys/net", FUSE, "0:77", "/proc/sys/net")),
        ("another trusted file", |k| {
            k.mount(FILE, FUSE, "0:99", "/proc/sys/net/ipv4/ping_group_range");
        }),
        ("the same name one level up", |k| {
            k.mount(FILE, FUSE, "0:99", "/proc/sys/ipv4/ip_unprivileged_port_start");
        }),
        ("another trusted directory", |k| {
            k.mount("sys/net", FUSE, "0:99", "/proc/sys");
        }),
        ("a root beside the trusted one", |k| {
            k.mount("sys/net", FUSE, "0:99", "/proc/system/net");
        }),
        ("a deleted one", |k| _ = k.mount("sys/net", FUSE, "0:99", "/proc/sys/net//deleted")),
        ("a name with a space in it", |k| {
            k.mount("sys/net", FUSE, "0:99", "/proc/sys/net\\040");
        }),
        ("a name that is too long", |k| {
            k.mount("sys/net", FUSE, "0:99", &format!("/proc/sys/net/{}", "x".repeat(5000)));
        }),
        ("FUSE on a tmpfs", |k| {
            k.mount("sys/net", TMPFS, "0:50", "/");
            k.mount("sys/net/ipv4", FUSE, "0:99", "/proc/sys/net/ipv4");
        }),
        ("two on one another", |k| {
            k.mount("sys/net", TMPFS, "0:50", "/");
            k.mount("sys/net", FUSE, "0:99", "/proc/sys/net");
        }),
        ("a tmpfs on FUSE", |k| {
            k.mount("sys/net", FUSE, "0:99", "/proc/sys/net");
            k.mount("sys/net/ipv4", TMPFS, "0:50", "/");
        }),
    ];
    for (name, prepare) in cases {
        let mut kernel = Kernel::started();
        kernel.enter_container();
        prepare(&mut kernel);
        assert_eq!(kernel.open_safely(PORT), EXDEV, "{name}");
        assert_eq!(kernel.left_open(), [] as [usize; 0], "{name}");
        assert_eq!(kernel.requests_to("0:77"), 0, "{name}: the attacker's server was asked");
    }
}

#[test]
fn symlinks_and_what_is_no_regular_file_are_refused() {
    for kind in [0o120_777, 0o040_755, 0o020_644, 0o010_644] {
        let mut kernel = container("sys/net", "/proc/sys/net");
        kernel.set_mode("sys/net/ipv4/ip_unprivileged_port_start", kind);
        assert_eq!(kernel.open_safely(PORT), EXDEV, "{kind:o}");
        let mut kernel = container("sys/net", "/proc/sys/net");
        kernel.set_mode("sys/net/ipv4", kind);
        assert_eq!(kernel.open_safely(PORT) > 0, kind == 0o040_755, "{kind:o}");
    }
}

#[test]
fn without_a_trusted_mount_at_start_nothing_is_accepted() {
    type Prepare = fn(&mut Kernel);
    let cases: [(&str, Prepare); 6] = [
        ("nothing over /proc/sys", |_| {}),
        ("no FUSE", |k| _ = k.mount("sys", TMPFS, "0:99", "/proc/sys")),
        ("FUSE on a tmpfs", |k| {
            k.mount("sys", TMPFS, "0:50", "/");
            k.mount("sys", FUSE, "0:99", "/proc/sys");
        }),
        ("FUSE below", |k| _ = k.mount("sys/net", FUSE, "0:99", "/proc/sys/net")),
        ("no procfs", |k| k.procfs_type = 0x0102_1994),
        ("no root of procfs", |k| k.procfs_ino = 2),
    ];
    for (name, prepare) in cases {
        let mut kernel = Kernel::new();
        prepare(&mut kernel);
        kernel.start();
        kernel.procfs_type = mounts::PROC_SUPER_MAGIC;
        kernel.procfs_ino = 1;
        kernel.enter_container();
        kernel.mount("sys", FUSE, "0:99", "/proc/sys");
        assert_eq!(kernel.open_safely(PORT), EXDEV, "{name}");
    }
}

#[test]
fn the_procfs_must_be_one() {
    for (kind, ino) in [(0x0102_1994, 1), (mounts::PROC_SUPER_MAGIC, 2)] {
        let mut kernel = container("sys", "/proc/sys");
        kernel.procfs_type = kind;
        kernel.procfs_ino = ino;
        assert_eq!(kernel.open_safely(PORT), EXDEV);
    }
}

#[test]
fn a_mount_that_goes_away_on_the_way_is_refused() {
    let mut kernel = container("sys", "/proc/sys");
    kernel.hides_mounts = true;
    assert_eq!(kernel.open_safely(PORT), EXDEV);
}

#[test]
fn the_accepted_descriptor_answers_as_procfs_until_it_is_closed() {
    let kernel = container("sys", "/proc/sys");
    let other = kernel.open_plainly(PORT);
    let fd = kernel.open_safely(PORT) as usize;
    assert_eq!(kernel.fstatfs(fd), mounts::PROC_SUPER_MAGIC);
    assert_eq!(kernel.mount_id(fd, 0x1000), kernel.procfs_mount());
    assert_eq!(kernel.mount_id(fd, 0x5000), kernel.procfs_mount() + mounts::UNIQUE);
    assert_eq!(kernel.fstatfs(other), mounts::FUSE_SUPER_MAGIC, "another descriptor");
    assert_ne!(kernel.mount_id(other, 0x1000), kernel.procfs_mount(), "another descriptor");

    kernel.close(fd);
    kernel.duplicate(kernel.open_plainly(PORT), fd); // The number is used again.
    assert_eq!(kernel.fstatfs(fd), mounts::FUSE_SUPER_MAGIC, "after close");
    assert_ne!(kernel.mount_id(fd, 0x1000), kernel.procfs_mount(), "after close");
}

/// Each way to end a descriptor without close, with the very same file under the
/// same number afterwards: that is another descriptor.
#[test]
fn every_end_of_an_accepted_descriptor_is_seen() {
    const DUP2: usize = 33;
    const DUP3: usize = 292;
    const CLOSE_RANGE: usize = 436;
    type End = fn(&Kernel, usize, usize);
    let ends: [(&str, End); 4] = [
        ("dup2", |k, same, fd| k.descriptors(DUP2, [same, fd, 0], fd as isize)),
        ("dup3", |k, same, fd| k.descriptors(DUP3, [same, fd, O_CLOEXEC], fd as isize)),
        ("close_range", |k, same, fd| {
            k.descriptors(CLOSE_RANGE, [fd, fd + 1, 0], 0);
            k.duplicate(same, fd);
        }),
        ("close_range, to the end", |k, same, fd| {
            k.descriptors(CLOSE_RANGE, [same + 1, usize::MAX, 2], 0);
            k.duplicate(same, fd);
        }),
    ];
    for (name, end) in ends {
        let kernel = container("sys", "/proc/sys");
        let same = kernel.open_plainly(PORT);
        let fd = kernel.open_safely(PORT) as usize;
        assert!(kernel.is_armed());
        end(&kernel, same, fd);
        assert!(!kernel.is_armed(), "{name}: nothing is looked at any more");
        assert_eq!(kernel.fstatfs(fd), mounts::FUSE_SUPER_MAGIC, "{name}");
        assert_ne!(kernel.mount_id(fd, 0x1000), kernel.procfs_mount(), "{name}");
    }
}

#[test]
fn what_ends_nothing_changes_nothing() {
    let kernel = container("sys", "/proc/sys");
    let fd = kernel.open_safely(PORT) as usize;
    let other = kernel.open_plainly(PORT);
    kernel.descriptors(33, [fd, fd, 0], fd as isize); // dup2 onto itself.
    kernel.descriptors(33, [999, fd, 0], -9); // EBADF: the number is left open.
    kernel.descriptors(33, [fd, other, 0], other as isize); // A copy elsewhere.
    kernel.descriptors(436, [fd, fd, 4], 0); // CLOSE_RANGE_CLOEXEC: closed at exec.
    kernel.descriptors(436, [fd + 1, usize::MAX, 0], 0); // Others.
    kernel.close(other);
    assert_eq!(kernel.fstatfs(fd), mounts::PROC_SUPER_MAGIC);
    assert_eq!(kernel.mount_id(fd, 0x1000), kernel.procfs_mount());
    // A copy has a number of its own, and was not accepted.
    let copy = kernel.open_plainly("");
    kernel.duplicate(fd, copy);
    assert_eq!(kernel.fstatfs(copy), mounts::FUSE_SUPER_MAGIC);
}

/// Between a close's end in the kernel and its look here, another thread has been
/// given the number and had it accepted: that one stays.
#[test]
fn a_close_does_not_end_the_next_one_of_its_number() {
    let kernel = container("sys", "/proc/sys");
    let fd = kernel.open_safely(PORT) as usize;
    kernel.descriptors(3, [fd, 0, 0], 0);
    assert_eq!(kernel.fstatfs(fd), mounts::PROC_SUPER_MAGIC);
    kernel.close(fd);
    assert!(!kernel.is_armed());
}

#[test]
fn a_number_that_became_another_file_answers_for_that() {
    let kernel = container("sys", "/proc/sys");
    let fd = kernel.open_safely(PORT) as usize;
    let other = kernel.open_plainly("sys/net/ipv4/ping_group_range");
    kernel.duplicate(other, fd);
    assert_eq!(kernel.fstatfs(fd), mounts::FUSE_SUPER_MAGIC);
}

#[test]
fn what_the_host_let_through_is_checked_the_same() {
    let kernel = container("sys", "/proc/sys");
    let fd = kernel.open_plainly(PORT);
    assert_eq!(kernel.open_safely_after(PORT, fd as isize), fd as isize, "it stays the program's");
    assert_eq!(kernel.fstatfs(fd), mounts::PROC_SUPER_MAGIC);
    assert_eq!(kernel.left_open(), [fd], "nothing else is open");

    // The host gave another file than was asked for: it answers for itself.
    let fd = kernel.open_plainly("sys/net/ipv4/ping_group_range");
    assert_eq!(kernel.open_safely_after(PORT, fd as isize), fd as isize);
    assert_eq!(kernel.fstatfs(fd), mounts::FUSE_SUPER_MAGIC);

    // It gave an attacker's file.
    let mut kernel = Kernel::started();
    kernel.enter_container();
    kernel.mount("sys/net", FUSE, "0:77", "/proc/sys/net");
    let fd = kernel.open_plainly(PORT);
    assert_eq!(kernel.open_safely_after(PORT, fd as isize), fd as isize);
    assert_eq!(kernel.fstatfs(fd), mounts::FUSE_SUPER_MAGIC);
}

#[test]
fn more_descriptors_than_are_noted_do_no_harm() {
    let kernel = container("sys", "/proc/sys");
    let all: Vec<usize> = (0..40).map(|_| kernel.open_safely(PORT) as usize).collect();
    let noted = all.iter().filter(|&&fd| kernel.fstatfs(fd) == mounts::PROC_SUPER_MAGIC).count();
    assert_eq!(noted, 16, "the rest answer for themselves");
    all.iter().for_each(|&fd| kernel.close(fd));
    assert_eq!(kernel.fstatfs(kernel.open_safely(PORT) as usize), mounts::PROC_SUPER_MAGIC);
}

#[test]
fn the_default_profile_does_none_of_this() {
    let mut kernel = Kernel::started_with("gvisor");
    kernel.enter_container();
    kernel.mount("sys", FUSE, "0:99", "/proc/sys");
    assert_eq!(kernel.open_safely(PORT), EXDEV);
}
