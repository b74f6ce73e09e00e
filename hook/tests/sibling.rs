//! A missing file that another of its directory answers for; a log without
//! records; writes that a rule accepts.
#![cfg(feature = "whole")]

mod fake;

use fake::tree::Body;
use fake::*;

const CGROUP: &str = "/sys/fs/cgroup";
const RULES: &str = "
[[rule]]
name = \"percpu\"
action = \"emulate\"
path = \"/sys/fs/cgroup/**/cpuacct.usage_percpu\"
sibling = \"cpuacct.usage\"
[[rule]]
name = \"kmsg\"
action = \"emulate\"
path = \"/dev/kmsg\"
file = \"kmsg\"
[[rule]]
name = \"release\"
action = \"emulate\"
path = \"/proc/sys/kernel/osrelease\"
probe = \"osrelease\"
[[rule]]
name = \"overcommit\"
action = \"ignore\"
call = \"write\"
on = [\"EIO\"]
when = [{ arg = 0, file = \"/proc/sys/kernel/hostname\" }]
";

fn program() -> Program {
    let p = Program::only(RULES);
    let mut tree = p.kernel.tree.borrow_mut();
    for directory in ["cpuacct", "cpuacct/pods/one", "cpuacct/pods/two"] {
        let path = format!("{CGROUP}/{directory}");
        tree.make_directory(&path, 0o755);
        let usage = format!("{}\n", directory.len());
        tree.add(&format!("{path}/cpuacct.usage"), Body::File(usage.into()), 0o100_644);
    }
    tree.make_directory("/elsewhere/cpuacct", 0o755);
    tree.add("/elsewhere/cpuacct/cpuacct.usage", Body::File(b"1\n".to_vec()), 0o100_644);
    tree.add("/cg", Body::Symlink(b"/sys/fs/cgroup/cpuacct".to_vec()), 0o120_777);
    tree.make_directory("/sys/fs/cgroup/memory", 0o755);
    drop(tree);
    p
}

#[test]
fn in_every_directory() {
    let p = program();
    for (path, usage) in [
        ("/sys/fs/cgroup/cpuacct", "7\n"),
        ("/sys/fs/cgroup/cpuacct/pods/one", "16\n"),
        ("/sys/fs/cgroup//cpuacct/./pods/two", "16\n"),
        ("/sys/fs/cgroup/cpuacct/pods/one/..", ""),
        ("/sys/fs/cgroup/cpuacct/pods/one/../two", "16\n"),
        ("/cg", "7\n"),
        ("/cg/pods/one", "16\n"),
    ] {
        let file = format!("{path}/cpuacct.usage_percpu");
        let expected = if usage.is_empty() { Err(ENOENT) } else { Ok(usage.to_owned()) };
        assert_eq!(p.contents(AT_FDCWD, &file), expected, "{file}");
    }
    let one = p.directory("/sys/fs/cgroup/cpuacct/pods/one");
    assert_eq!(p.contents(one, "cpuacct.usage_percpu").as_deref(), Ok("16\n"));
    assert_eq!(p.contents(one, "../two/cpuacct.usage_percpu").as_deref(), Ok("16\n"));
    // A directory that is made later, too.
    p.kernel.tree.borrow_mut().make_directory("/sys/fs/cgroup/cpuacct/new", 0o755);
    let new = "/sys/fs/cgroup/cpuacct/new/cpuacct.usage";
    p.kernel.tree.borrow_mut().add(new, Body::File(b"3\n".to_vec()), 0o100_644);
    assert_eq!(p.contents(AT_FDCWD, &format!("{new}_percpu")).as_deref(), Ok("3\n"));
}

#[test]
fn nowhere_else() {
    let p = program();
    for path in [
        "/elsewhere/cpuacct/cpuacct.usage_percpu",
        "/sys/fs/cgroup/memory/cpuacct.usage_percpu",
        "/sys/fs/cgroup/missing/cpuacct.usage_percpu",
        "/sys/fs/cgroup/../../../elsewhere/cpuacct/cpuacct.usage_percpu",
        "/sys/fs/cgroup/cpuacct/cpuacct.usage_sys",
    ] {
        assert_eq!(p.contents(AT_FDCWD, path), Err(ENOENT), "{path}");
    }
    let elsewhere = p.directory("/elsewhere/cpuacct");
    assert_eq!(p.contents(elsewhere, "cpuacct.usage_percpu"), Err(ENOENT));
}

/// Every question is the sibling's to answer, and it is only read.
#[test]
fn questions() {
    let p = program();
    let (usage, percpu) = ("/cg/cpuacct.usage", "/cg/cpuacct.usage_percpu");
    assert_eq!(p.stat(AT_FDCWD, percpu, 0), p.stat(AT_FDCWD, usage, 0));
    assert_eq!(p.statx(AT_FDCWD, percpu, 0), p.statx(AT_FDCWD, usage, 0));
    for flags in [O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC] {
        assert_eq!(p.open(percpu, flags), EACCES, "{flags:o}");
    }
}

#[test]
fn the_log() {
    let p = program();
    let facts = p.stat(AT_FDCWD, "/dev/kmsg", 0).expect("it is emulated");
    assert_eq!((facts.mode, facts.rdev), (0o020_444, 1 << 8 | 11));
    assert_eq!(p.statx(AT_FDCWD, "/dev/kmsg", 0), Ok(facts));
    p.asked();
    let fd = p.open("/dev/kmsg", O_CLOEXEC | 0o4000);
    assert!(fd >= 0, "{fd}");
    let made = p.asked();
    let timer = made.iter().find(|m| m.nr == 283).expect("one was made");
    assert_eq!(timer.args[..2], [1, O_CLOEXEC | 0o4000], "CLOCK_MONOTONIC, and the flags");
    assert_eq!(p.open("/dev/kmsg", O_WRONLY), EACCES);
    assert_eq!(p.open("/dev/kmsg", O_RDWR), EACCES);
    assert_eq!(p.open("/dev/kmsg", O_DIRECTORY), ENOTDIR);
}

#[test]
fn the_release_is_unames() {
    let p = program();
    assert_eq!(p.contents(AT_FDCWD, "/proc/sys/kernel/osrelease").as_deref(), Ok("4.4.0\n"));
}

/// A write that a rule accepts has written all that it was given.
#[test]
fn a_write_that_is_accepted() {
    const EIO: isize = -5;
    let p = program();
    let file = p.open("/proc/sys/kernel/hostname", O_WRONLY);
    let other = p.open("/proc/sys/net/ipv4/ip_forward", O_WRONLY);
    let text = "1\n";
    let call = |fd: isize| procsys_hook::Call {
        nr: 1,
        args: [fd as usize, text.as_ptr() as usize, text.len(), 0, 0, 0],
    };
    assert_eq!(p.after(&call(file), EIO), 2);
    assert_eq!(p.after(&call(file), EPERM), EPERM);
    assert_eq!(p.after(&call(other), EIO), EIO);
    assert_eq!(p.after(&call(99), EIO), EIO);
    assert_eq!(p.after(&procsys_hook::Call { nr: 18, ..call(file) }, EIO), EIO);
}
