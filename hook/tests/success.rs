//! The kernel's success is never changed: nothing is asked, nothing stored.

mod fake;

use fake::*;

const FILE: &std::ffi::CStr = c"/proc/sys/kernel/hostname";

/// Every call of the table on a file that is there.
#[test]
fn nothing_is_asked_or_stored() {
    let p = Program::new();
    let path = FILE.as_ptr() as usize;
    let mut buffer = [0u8; 512];
    let to = buffer.as_mut_ptr() as usize;
    let fd = p.directory("/proc/sys/kernel/hostname");
    let how = [0u64; 3];
    p.asked();
    for (nr, args) in [
        (2, [path, 0, 0, 0, 0, 0]),
        (257, [AT_FDCWD, path, 0, 0, 0, 0]),
        (437, [AT_FDCWD, path, how.as_ptr() as usize, 24, 0, 0]),
        (85, [path, 0o644, 0, 0, 0, 0]),
        (4, [path, to, 0, 0, 0, 0]),
        (6, [path, to, 0, 0, 0, 0]),
        (5, [fd, to, 0, 0, 0, 0]),
        (262, [AT_FDCWD, path, to, 0, 0, 0]),
        (332, [AT_FDCWD, path, 0, 0x7ff, to, 0]),
        (21, [path, 4, 0, 0, 0, 0]),
        (269, [AT_FDCWD, path, 4, 0, 0, 0]),
        (439, [AT_FDCWD, path, 4, 0, 0, 0]),
        (89, [c"/proc/self".as_ptr() as usize, to, 64, 0, 0, 0]),
        (267, [AT_FDCWD, c"/proc/self".as_ptr() as usize, to, 64, 0, 0]),
        (137, [path, to, 0, 0, 0, 0]),
        (436, [3, 10, 0, 0, 0, 0]),
        (165, [path, path, c"tmpfs".as_ptr() as usize, 0, c"mode=755".as_ptr() as usize, 0]),
    ] {
        assert!(p.kernel.answer(nr, args) >= 0, "{nr}");
        let before = buffer;
        assert!(p.call(nr, args) >= 0, "{nr}");
        assert_eq!(buffer, before, "{nr}");
        assert_eq!((p.asked(), p.stored()), (vec![], vec![]), "{nr}");
    }
    // fstatfs has no mode to see: only where the file system is that of memory
    // files is the mark asked for, and this is another.
    let args = [fd, to, 0, 0, 0, 0];
    let result = p.kernel.answer(138, args);
    assert_eq!(p.after(&procsys_hook::Call { nr: 138, args }, result), 0);
    assert_eq!((p.asked(), p.stored()), (vec![], vec![]));
}

/// Any number, any result: a success of a call that no rule is about is passed on.
#[test]
fn every_number() {
    let p = Program::new();
    for nr in (0..600).chain([usize::MAX, 1 << 31]) {
        if [4, 5, 6, 137, 138, 262, 332].contains(&nr) {
            continue;
        }
        for result in [0, 1, 77, isize::MAX] {
            let call = procsys_hook::Call { nr, args: [1, 2, 3, 4, 5, 6] };
            assert_eq!(p.after(&call, result), result, "{nr}");
        }
    }
    assert!(p.asked().is_empty() && p.stored().is_empty());
}

/// Results that are no errno (mmap's addresses, for one) are no failures.
#[test]
fn numbers_below_the_errnos() {
    let p = Program::new();
    for result in [-4096, -256, isize::MIN] {
        let path = c"/proc/sys/kernel/cap_last_cap".as_ptr() as usize;
        let call = procsys_hook::Call { nr: 2, args: [path, 0, 0, 0, 0, 0] };
        assert_eq!(p.after(&call, result), result);
    }
    assert!(p.asked().is_empty());
}
