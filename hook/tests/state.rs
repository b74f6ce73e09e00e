//! Emulated files that remember what was written to them.
#![cfg(feature = "whole")]

mod fake;

use fake::tree::Body;
use fake::*;

const PANIC: &str = "/proc/sys/kernel/panic";
const STATE: &str = "/run/procsys";
const KEPT: &str = "/run/procsys/proc:sys:kernel:panic";

const RULES: &str = "
[[rule]]
name = \"panic\"
action = \"emulate\"
path = \"/proc/sys/kernel/panic\"
value = \"0\\n\"
write = \"remember\"
[[rule]]
name = \"other\"
action = \"emulate\"
path = \"/proc/sys/kernel/other\"
value = \"7\\n\"
write = \"remember\"
[[rule]]
name = \"forgets\"
action = \"emulate\"
path = \"/proc/sys/kernel/forgets\"
value = \"0\\n\"
write = \"accept\"
";

fn write(p: &Program, fd: isize, text: &str) -> isize {
    p.call(1, [fd as usize, text.as_ptr() as usize, text.len(), 0, 0, 0])
}

fn set(p: &Program, path: &str, text: &str) -> isize {
    let fd = p.open(path, O_WRONLY | O_TRUNC | O_CREAT);
    assert!(fd >= 0, "{path}: {fd}");
    let written = write(p, fd, text);
    assert_eq!(p.call(3, [fd as usize, 0, 0, 0, 0, 0]), 0);
    written
}

fn get(p: &Program, path: &str) -> String {
    p.contents(AT_FDCWD, path).expect("it is emulated")
}

/// A program that finds ENOENT also with O_CREAT, as the rules above name it.
fn program() -> Program {
    let p = Program::only(RULES);
    p.kernel.create_errno.set(ENOENT);
    p
}

fn is_there(p: &Program, path: &str) -> bool {
    p.stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW).is_ok()
}

#[test]
fn what_is_written_is_read_by_the_next() {
    let p = program();
    assert_eq!(get(&p, PANIC), "0\n");
    assert!(!is_there(&p, STATE), "made by a reader");
    assert_eq!(set(&p, PANIC, "10"), 2);
    assert_eq!(get(&p, PANIC), "10\n", "ended as procfs ends it");
    assert_eq!(get(&p, "/proc/sys/kernel/other"), "7\n", "another file");
    assert_eq!(set(&p, PANIC, "5\n"), 2);
    assert_eq!(get(&p, PANIC), "5\n");
    assert_eq!(p.stat(AT_FDCWD, STATE, 0).map(|f| f.mode), Ok(0o040_755));
    assert_eq!(p.stat(AT_FDCWD, KEPT, 0).map(|f| f.mode), Ok(0o100_644));
    // An accepted write is still only accepted.
    assert_eq!(set(&p, "/proc/sys/kernel/forgets", "1"), 1);
    assert_eq!(get(&p, "/proc/sys/kernel/forgets"), "0\n");
}

/// Nothing is seen of a write before it is whole, and nothing of a failed one.
#[test]
fn opening_changes_nothing() {
    let p = program();
    set(&p, PANIC, "10");
    let fd = p.open(PANIC, O_WRONLY | O_TRUNC);
    assert_eq!(get(&p, PANIC), "10\n", "emptied by an open");
    let hole = p.kernel.memory.before_a_hole(b"1") + 1;
    assert_eq!(p.call(1, [fd as usize, hole, 1, 0, 0, 0]), EFAULT);
    assert_eq!(get(&p, PANIC), "10\n");
    let long = "1".repeat(4096);
    assert_eq!(write(&p, fd, &long), EINVAL, "longer than a page of procfs");
    assert_eq!(get(&p, PANIC), "10\n");
    assert_eq!(write(&p, fd, "3"), 1);
    assert_eq!(get(&p, PANIC), "3\n");
    let kept = p.kernel.tree.borrow().place(STATE);
    let Body::Directory(files) = p.kernel.tree.borrow().nodes[kept.node].body.clone() else {
        panic!("no directory")
    };
    assert_eq!(files.len(), 1, "a write that failed left its file");
}

/// The descriptor says what it says without a memory of its own.
#[test]
fn questions_by_descriptor() {
    let p = program();
    for flags in [0, O_WRONLY, O_RDWR] {
        let fd = p.open(PANIC, flags) as usize;
        assert_eq!(Ok(p.every_fstat(fd)), p.stat(AT_FDCWD, PANIC, 0), "{flags}");
        assert_eq!(p.statfs(138, fd), Ok(PROC_SUPER_MAGIC));
    }
    // One opened to read refuses, and nothing is remembered.
    let fd = p.open(PANIC, 0);
    assert_eq!(write(&p, fd, "9"), EPERM);
    assert_eq!(get(&p, PANIC), "0\n");
}

/// Where the directory can't be had, writes succeed and are forgotten.
#[test]
fn without_the_directory() {
    let p = program();
    let run = p.kernel.tree.borrow().place("/run");
    p.kernel.tree.borrow_mut().forget(run);
    assert_eq!(set(&p, PANIC, "10"), 2);
    assert_eq!(get(&p, PANIC), "0\n");
    let fd = p.open(PANIC, O_RDWR | O_TRUNC);
    assert_eq!(write(&p, fd, "4"), 1);
    assert_eq!(p.read(fd), "4", "as in any memory file");
}

/// A descriptor outlives the directory's reach (chroot, pivot_root).
#[test]
fn when_the_directory_is_lost() {
    let p = program();
    let fd = p.open(PANIC, O_WRONLY);
    let run = p.kernel.tree.borrow().place("/run");
    p.kernel.tree.borrow_mut().forget(run);
    assert_eq!(write(&p, fd, "10"), 2, "forgotten");
    assert_eq!(write(&p, fd, &"1".repeat(4096)), EINVAL);
    let hole = p.kernel.memory.before_a_hole(b"1") + 1;
    assert_eq!(p.call(1, [fd as usize, hole, 1, 0, 0, 0]), EFAULT);
    assert_eq!(get(&p, PANIC), "0\n");
}

/// Who is another user by the time of the write is refused, as procfs refuses it.
#[test]
fn after_a_change_of_user() {
    let p = program();
    let fd = p.open(PANIC, O_WRONLY);
    p.kernel.user.set(1000);
    assert_eq!(write(&p, fd, "10"), EPERM);
    p.kernel.user.set(0);
    assert_eq!(get(&p, PANIC), "0\n");
    assert_eq!(write(&p, fd, "10"), 2);
}

/// A memory file with all marks can be made by anybody and handed to the program.
#[test]
fn a_file_of_anothers() {
    let p = program();
    let fd = p.open(PANIC, O_WRONLY);
    let node = p.kernel.descriptors.borrow()[&(fd as usize)].node;
    p.kernel.tree.borrow_mut().nodes[node].owner = 1000;
    assert_eq!(write(&p, fd, "10"), EPERM);
    assert_eq!(get(&p, PANIC), "0\n");
}

/// What is written behind the start has no effect.
#[test]
fn a_write_behind_the_start() {
    let p = program();
    let fd = p.open(PANIC, O_WRONLY) as usize;
    let pwrite = |text: &str, at| p.call(18, [fd, text.as_ptr() as usize, text.len(), at, 0, 0]);
    assert_eq!((pwrite("10", 0), pwrite("7", 2)), (2, 1));
    assert_eq!(get(&p, PANIC), "10\n");
}

/// At door 1 libc writes by calls of its own: they are forgotten, not refused, and
/// what others wrote is read.
#[test]
fn where_writes_are_not_seen() {
    let p = program();
    set(&p, PANIC, "10");
    p.kernel.sees_writes.set(false);
    assert_eq!(get(&p, PANIC), "10\n");
    assert_eq!(set(&p, PANIC, "3"), 1);
    assert_eq!(get(&p, PANIC), "10\n");
}

/// What another user may have made is neither read nor written.
#[test]
fn what_others_can_change_is_not_trusted() {
    fn link(to: &[u8]) -> Body {
        Body::Symlink(to.to_vec())
    }
    fn directory() -> Body {
        Body::Directory(Default::default())
    }
    type Setup = dyn Fn(&mut fake::tree::Tree);
    let setups: [(&str, &Setup); 6] = [
        ("a link for the directory", &|t| {
            t.make_directory("/tmp/theirs", 0o755);
            t.add("/tmp/theirs/proc:sys:kernel:panic", Body::File(b"6\n".to_vec()), 0o100_644);
            t.add(STATE, link(b"/tmp/theirs"), 0o120_777);
        }),
        ("a directory of another's", &|t| {
            let node = t.add(STATE, directory(), 0o040_755);
            t.nodes[node].owner = 1000;
            t.add(KEPT, Body::File(b"6\n".to_vec()), 0o100_644);
        }),
        ("a directory that others write to", &|t| {
            t.add(STATE, directory(), 0o040_777);
            t.add(KEPT, Body::File(b"6\n".to_vec()), 0o100_644);
        }),
        ("a directory above that others write to", &|t| {
            t.add(STATE, directory(), 0o040_755);
            t.add(KEPT, Body::File(b"6\n".to_vec()), 0o100_644);
            t.set_mode("/run", 0o777);
        }),
        ("no directory", &|t| {
            t.add(STATE, Body::File(b"6\n".to_vec()), 0o100_644);
        }),
        ("a link above", &|t| {
            t.make_directory("/tmp/theirs/procsys", 0o755);
            t.forget(t.place("/run"));
            t.add("/run", link(b"/tmp/theirs"), 0o120_777);
        }),
    ];
    for (what, setup) in setups {
        let p = program();
        setup(&mut p.kernel.tree.borrow_mut());
        assert_eq!(get(&p, PANIC), "0\n", "{what}");
        assert_eq!(set(&p, PANIC, "10"), 2, "{what}");
        assert_eq!(get(&p, PANIC), "0\n", "{what}");
    }
}

/// A file in a good directory that is not a good file.
#[test]
fn files_that_are_not_trusted() {
    for (what, body, mode, owner) in [
        ("a link", Body::Symlink(b"/tmp/x".to_vec()), 0o120_777, 0),
        ("another's", Body::File(b"6\n".to_vec()), 0o100_644, 1000),
        ("writable by all", Body::File(b"6\n".to_vec()), 0o100_666, 0),
        ("a directory", Body::Directory(Default::default()), 0o040_755, 0),
        ("a FIFO", Body::Fifo, 0o010_644, 0),
    ] {
        let p = program();
        let mut tree = p.kernel.tree.borrow_mut();
        tree.make_directory(STATE, 0o755);
        tree.add("/tmp/x", Body::File(b"6\n".to_vec()), 0o100_644);
        let node = tree.add(KEPT, body, mode);
        tree.nodes[node].owner = owner;
        drop(tree);
        assert_eq!(get(&p, PANIC), "0\n", "{what}");
        // rename(2) puts the new file in its place, whatever it was.
        assert_eq!(set(&p, PANIC, "10"), 2, "{what}");
        assert_eq!(get(&p, PANIC), "10\n", "{what}");
        assert!(is_there(&p, "/tmp/x"));
    }
}

/// A user reads what root wrote, and can't write to it.
#[test]
fn another_user() {
    let p = program();
    set(&p, PANIC, "10");
    p.kernel.user.set(1000);
    assert_eq!(get(&p, PANIC), "10\n");
    assert_eq!(set(&p, PANIC, "3"), 1, "forgotten");
    assert_eq!(get(&p, PANIC), "10\n");
    // What a user wrote, root does not read.
    let p = program();
    p.kernel.tree.borrow_mut().set_mode("/run", 0o1777);
    p.kernel.user.set(1000);
    p.kernel.tree.borrow_mut().nodes[0].owner = 0;
    p.kernel.user.set(0);
    assert_eq!(get(&p, PANIC), "0\n");
}

/// Anything else that is refused with EPERM stays refused.
#[test]
fn other_writes_are_left_alone() {
    let p = program();
    let fd = p.call(319, [c"x".as_ptr() as usize, 2, 0, 0, 0, 0]);
    assert!(fd >= 0);
    assert_eq!(p.call(72, [fd as usize, 1033, 8, 0, 0, 0]), 0, "sealed by the program");
    assert_eq!(write(&p, fd, "1"), EPERM);
    assert_eq!(p.call(91, [fd as usize, 0o1644, 0, 0, 0, 0]), 0, "with the mark's mode");
    assert_eq!(write(&p, fd, "1"), EPERM);
    assert!(!is_there(&p, STATE));
}
