//! Redirect: which paths are replaced, and by what.
#![cfg(feature = "whole")]

mod fake;

use std::ffi::{CStr, CString};

use fake::*;
use procsys_hook::{Before, Call};

fn program() -> Program {
    let p = Program::only(
        "[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/run/sysbox\"\nto = \"/var/lib/other/place\"\n\
         [[rule]]\nname = \"b\"\naction = \"redirect\"\nfrom = \"/etc\"\nto = \"/e\"\n\
         [[rule]]\nname = \"c\"\naction = \"redirect\"\nfrom = \"/proc/sys/kernel\"\nto = \"/k\"\n",
    );
    for path in ["/run/sysbox", "/run/sysboxes", "/etc", "/other/run"] {
        p.kernel.tree.borrow_mut().make_directory(path, 0o755);
    }
    p
}

/// The paths of a call after the hook, by position; `None` when it is passed on.
fn decided(p: &Program, nr: usize, args: [usize; 6], paths: &[usize]) -> Option<Vec<String>> {
    match p.before(&Call { nr, args }) {
        Before::Pass => None,
        Before::Replace(call) => {
            assert_eq!(call.nr, nr);
            let text = |&at: &usize| {
                // SAFETY: the hook's replacement ends in NUL and lies in the
                // program's scratch, or is the test's own path.
                let text = unsafe { CStr::from_ptr(call.args[at] as *const _) };
                text.to_str().expect("UTF-8").to_owned()
            };
            Some(paths.iter().map(text).collect())
        }
        Before::Answer(answer) => panic!("answered with {answer}"),
    }
}

fn open(p: &Program, dirfd: usize, path: &str) -> Option<String> {
    let path = CString::new(path).expect("no NUL");
    let args = [dirfd, path.as_ptr() as usize, 0o1, 0o600, 5, 6];
    let all = decided(p, 257, args, &[1])?;
    if let Before::Replace(call) = p.before(&Call { nr: 257, args }) {
        assert_eq!(call.args[2..], args[2..], "other arguments changed");
        assert_eq!(call.args[0], AT_FDCWD);
    }
    all.into_iter().next()
}

#[test]
fn absolute_paths() {
    let p = program();
    for (path, expected) in [
        ("/run/sysbox", "/var/lib/other/place"),
        ("/run/sysbox/", "/var/lib/other/place/"),
        ("/run/sysbox/a/b", "/var/lib/other/place/a/b"),
        ("//run/./sysbox//a", "/var/lib/other/place//a"),
        ("/etc/passwd", "/e/passwd"),
        ("/etc", "/e"),
        ("/run/../run/sysbox/a", "/var/lib/other/place/a"),
        ("/etc/../run/sysbox", "/var/lib/other/place"),
        ("/../etc/x", "/e/x"),
        ("/proc/sys/kernel/x", "/k/x"),
        ("/proc/self/../sys/kernel/x", "/k/x"),
        ("/srv/up/../kernel/x", "/k/x"),
    ] {
        assert_eq!(open(&p, AT_FDCWD, path).as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn prefixes_end_at_a_component() {
    let p = program();
    for path in [
        "/run/sysboxes",
        "/run/sysboxes/a",
        "/run/sysbo",
        "/run",
        "/run/",
        "/",
        "",
        "/etcetera",
        "/other/run/sysbox",
        "/other/etc",
        "/run/a/sysbox",
        "/x/etc/passwd",
        // Leads out again: where to is the kernel's to say.
        "/etc/../x",
        "/run/sysbox/../a",
        "/run/sysbox/a/../../b",
    ] {
        assert_eq!(open(&p, AT_FDCWD, path), None, "{path}");
    }
}

#[test]
fn relative_paths() {
    for (cwd, path, expected) in [
        ("/", "etc/passwd", Some("/e/passwd")),
        ("/", "./etc", Some("/e")),
        ("/run", "sysbox/a", Some("/var/lib/other/place/a")),
        ("/run", "./sysbox", Some("/var/lib/other/place")),
        ("/run", "../etc/x", Some("/e/x")),
        ("/run/sysboxes", "../sysbox/a", Some("/var/lib/other/place/a")),
        ("/proc", "sys/kernel/x", Some("/k/x")),
        ("/proc/sys", "kernel", Some("/k")),
        ("/run", "etc/passwd", None),
        ("/", "sysbox/a", None),
        ("/other/run", "sysbox/a", None),
        ("/plain/proc/sys", "kernel", None),
        ("/srv/sys", "kernel", None),
    ] {
        let p = program();
        p.chdir(cwd);
        assert_eq!(open(&p, AT_FDCWD, path).as_deref(), expected, "{path} in {cwd}");
        let fd = p.directory(cwd);
        p.chdir("/srv");
        assert_eq!(open(&p, fd, path).as_deref(), expected, "{path} at {cwd}");
    }
    let p = program();
    assert_eq!(open(&p, p.detached(), "sys/kernel/x").as_deref(), Some("/k/x"));
    assert_eq!(open(&p, 9999, "etc/x"), None);
    assert_eq!(open(&p, 9999, "/etc/x").as_deref(), Some("/e/x"));
}

#[test]
fn calls_with_two_paths() {
    let p = program();
    let (a, b) = (c"/etc/a".as_ptr() as usize, c"/run/sysbox/b".as_ptr() as usize);
    let plain = c"/srv/c".as_ptr() as usize;
    let both = |first: &str, second: &str| Some(vec![first.to_owned(), second.to_owned()]);
    let rename = |x, y| decided(&p, 82, [x, y, 0, 0, 0, 0], &[0, 1]);
    assert_eq!(rename(a, b), both("/e/a", "/var/lib/other/place/b"));
    assert_eq!(rename(b, a), both("/var/lib/other/place/b", "/e/a"));
    assert_eq!(rename(plain, a), both("/srv/c", "/e/a"));
    assert_eq!(rename(a, plain), both("/e/a", "/srv/c"));
    assert_eq!(rename(plain, plain), None);
    let fd = p.directory("/srv");
    let renameat = decided(&p, 264, [fd, a, fd, b, 0, 0], &[1, 3]);
    assert_eq!(renameat, both("/e/a", "/var/lib/other/place/b"));
    // symlinkat: the target is a text, not a path of this moment.
    assert_eq!(
        decided(&p, 266, [a, fd, b, 0, 0, 0], &[0, 2]),
        both("/etc/a", "/var/lib/other/place/b")
    );
    assert_eq!(decided(&p, 266, [a, fd, plain, 0, 0, 0], &[0, 2]), None);
}

#[test]
fn every_call_with_a_path() {
    for shape in procsys_rules::calls::SHAPES {
        let p = program();
        // openat2's third and fourth argument are looked at.
        let how = [0u64; 3];
        let mut args = [0, 0, how.as_ptr() as usize, 24, 0, 0];
        let positions: Vec<_> = shape.paths.iter().flatten().collect();
        for path in &positions {
            args[usize::from(path.path)] = c"/etc/x".as_ptr() as usize;
        }
        let at: Vec<_> = positions.iter().map(|p| usize::from(p.path)).collect();
        let expected = (!at.is_empty()).then(|| vec!["/e/x".to_owned(); at.len()]);
        assert_eq!(decided(&p, usize::from(shape.nr), args, &at), expected, "{shape:?}");
    }
    let p = program();
    for nr in [0, 1, 3, 39, 231, 600, usize::MAX] {
        let args = [c"/etc/x".as_ptr() as usize; 6];
        assert_eq!(p.before(&Call { nr, args }), Before::Pass, "{nr}");
    }
}

/// openat2 with RESOLVE_IN_ROOT: the path starts at the descriptor, also an absolute one,
/// and the replaced one would start at the working directory.
#[test]
fn a_root_of_the_callers_is_left_alone() {
    let p = program();
    let (root, etc) = (p.directory("/"), c"/etc/x".as_ptr() as usize);
    let openat2 = |at, path, how: usize, size| {
        decided(&p, 437, [at, path, how, size, 0, 0], &[1]).map(|paths| paths[0].clone())
    };
    let relative = c"etc/x".as_ptr() as usize;
    for (resolve, is_redirected) in [(0u64, true), (0x0f, true), (0x10, false), (0x1f, false)] {
        let how = [0, 0, resolve];
        let expected = is_redirected.then(|| "/e/x".to_owned());
        for path in [etc, relative] {
            assert_eq!(openat2(root, path, how.as_ptr() as usize, 24), expected, "{resolve:#x}");
        }
    }
    // A structure that the kernel will refuse.
    assert_eq!(openat2(root, etc, 64, 24), None);
    assert_eq!(openat2(root, etc, [0u64; 3].as_ptr() as usize, 16), None);
}

/// A replacement that would not fit leaves the call as it is.
#[test]
fn too_long() {
    let p = program();
    let longer = "/var/lib/other/place".len() - "/run/sysbox".len();
    let path = |len: usize| {
        let head = "/run/sysbox/";
        head.to_owned() + &"x".repeat(len - head.len())
    };
    let fits = open(&p, AT_FDCWD, &path(4095 - longer)).expect("it fits");
    assert_eq!(fits.len(), 4095);
    assert_eq!(open(&p, AT_FDCWD, &path(4096 - longer)), None);
    assert_eq!(open(&p, AT_FDCWD, &path(4095)), None);
    assert_eq!(open(&p, AT_FDCWD, &path(5000)), None);
    // One that gets shorter may have been too long only as long as it was the program's.
    assert!(open(&p, AT_FDCWD, &("/etc/".to_owned() + &"y".repeat(4090))).is_some());
}

#[test]
fn bad_pointers() {
    let p = program();
    let cut = p.kernel.memory.before_a_hole(b"/etc/passwd");
    for bad in [0, 64, cut, 0x8000_0000_0000, usize::MAX - 3, usize::MAX] {
        for nr in [2, 4, 257, 59, 82] {
            let args = [bad; 6];
            assert_eq!(p.before(&Call { nr, args }), Before::Pass, "{nr} {bad:#x}");
        }
    }
    let whole = p.kernel.memory.before_a_hole(b"/etc/passwd\0");
    let call = Call { nr: 2, args: [whole, 0, 0, 0, 0, 0] };
    assert!(matches!(p.before(&call), Before::Replace(_)));
}

/// The redirected call is the one that is made; the program's path stays as it was.
#[test]
fn the_other_file_is_opened() {
    let p = program();
    p.kernel.tree.borrow_mut().make_directory("/e", 0o755);
    p.kernel.tree.borrow_mut().add("/e/f", tree::Body::File(b"other".to_vec()), 0o100_644);
    p.kernel.tree.borrow_mut().add("/etc/f", tree::Body::File(b"own".to_vec()), 0o100_644);
    assert_eq!(p.contents(AT_FDCWD, "/etc/f").as_deref(), Ok("other"));
    assert_eq!(p.contents(AT_FDCWD, "/etc/none"), Err(ENOENT));
    let path = *b"/etc/f\0";
    let call = Call { nr: 2, args: [path.as_ptr() as usize, 0, 0, 0, 0, 0] };
    assert!(matches!(p.before(&call), Before::Replace(_)));
    assert_eq!(&path, b"/etc/f\0");
    assert!(p.stored().is_empty());
}
