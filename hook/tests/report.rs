//! Report: the inode number of the procfs root, and of nothing else.

mod fake;

use fake::program::WRONG_INO;
use fake::*;

#[test]
fn the_root_by_path() {
    let p = Program::new();
    for path in ["/proc", "/proc/", "/proc/.", "//proc", "/proc/self/..", "/srv/../proc"] {
        let stat = p.stat(AT_FDCWD, path, 0).expect("it is there");
        assert_eq!((stat.ino, stat.mode), (1, 0o040_555), "{path}");
        for same in [p.old_stat(4, path), p.old_stat(6, path), p.statx(AT_FDCWD, path, 0)] {
            assert_eq!(same, Ok(stat), "{path}");
        }
        assert_eq!(p.stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), Ok(stat), "{path}");
    }
    p.chdir("/proc/sys");
    assert_eq!(p.stat(AT_FDCWD, "..", 0).map(|s| s.ino), Ok(1));
}

#[test]
fn the_root_by_descriptor() {
    let p = Program::new();
    for fd in [p.directory("/proc"), p.detached(), p.open("/proc", O_PATH | O_DIRECTORY) as usize] {
        assert_eq!(p.every_fstat(fd).ino, 1);
        assert_eq!(p.stat(fd, ".", 0).map(|s| s.ino), Ok(1));
        assert_eq!(p.stat(fd, "self/..", 0).map(|s| s.ino), Ok(1));
    }
}

/// A link to it has a number of its own.
#[test]
fn a_link_to_the_root() {
    let p = Program::new();
    p.kernel.tree.borrow_mut().add("/p", tree::Body::Symlink(b"/proc".to_vec()), 0o120_777);
    assert_eq!(p.old_stat(4, "/p").map(|s| s.ino), Ok(1));
    assert_ne!(p.old_stat(6, "/p").map(|s| s.ino), Ok(1));
    assert_ne!(p.statx(AT_FDCWD, "/p", AT_SYMLINK_NOFOLLOW).map(|s| s.ino), Ok(1));
}

#[test]
fn nothing_else() {
    let p = Program::new();
    for path in [
        "/plain/proc",
        "/jail/proc",
        "/proc/sys",
        "/proc/42",
        "/proc/42/ns",
        "/proc/sys/kernel",
        "/",
    ] {
        let real = {
            let tree = p.kernel.tree.borrow();
            tree.nodes[tree.place(path).node].ino
        };
        assert_eq!(p.old_stat(4, path).map(|s| s.ino), Ok(real), "{path}");
        let fd = p.directory(path);
        assert_eq!(p.every_fstat(fd).ino, real, "{path}");
    }
    assert!(p.stored().is_empty());
}

/// A mount over /proc hides the root; what is there now is no root of procfs.
#[test]
fn a_part_of_procfs_over_proc() {
    let p = Program::new();
    let at = p.kernel.procfs_root();
    let part = p.kernel.tree.borrow().place("/proc/sys").node;
    p.kernel.tree.borrow_mut().bind(tree::PROC, part, at);
    let ino = p.old_stat(4, "/proc").expect("it is there").ino;
    assert!(ino != 1 && ino != WRONG_INO, "{ino}");
    // The real one below it is still one, by a descriptor from before.
    let fd = p.kernel.descriptor(at);
    assert_eq!(p.fstat(fd).ino, 1);
}

/// A healthy kernel is not asked anything, and nothing is stored.
#[test]
fn already_one() {
    let p = Program::with("", 1);
    for path in ["/proc", "/proc/."] {
        assert_eq!(p.old_stat(4, path).map(|s| s.ino), Ok(1), "{path}");
    }
    assert_eq!(p.every_fstat(p.directory("/proc")).ino, 1);
    assert!(p.asked().is_empty() && p.stored().is_empty());
}

/// Without the rule, nothing.
#[test]
fn without_the_rule() {
    let p = Program::only(
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/proc/a\"\nvalue = \"\"\n",
    );
    assert_eq!(p.old_stat(4, "/proc").map(|s| s.ino), Ok(WRONG_INO));
    assert!(p.stored().is_empty());
}

/// When the path means another file by the time the hook looks, its number stays.
#[test]
fn a_path_that_changes_meanwhile() {
    let p = Program::new();
    let mut stat = [0u8; 144];
    let path = c"/proc";
    let args = [path.as_ptr() as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0];
    assert_eq!(p.kernel.answer(4, args), 0);
    // Another procfs, whose root has another number.
    let at = p.kernel.procfs_root();
    let root = p.kernel.tree.borrow().mounts[tree::DETACHED].root;
    p.kernel.tree.borrow_mut().bind(tree::DETACHED, root, at);
    assert_eq!(p.after(&procsys_hook::Call { nr: 4, args }, 0), 0);
    assert_eq!(views::Facts::of_stat(&stat).ino, WRONG_INO);
}
