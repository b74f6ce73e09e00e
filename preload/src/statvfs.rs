//! statvfs: libc asks statfs for it by itself, unseen by us. So it is asked here,
//! and its answer put in the other order (source: glibc,
//! sysdeps/unix/sysv/linux/internal_statvfs.c; both structures are the same with
//! 64-bit offsets on x86-64).

use core::ffi::c_int;

use crate::engine::{self, call};

const STATFS: usize = 137;
const FSTATFS: usize = 138;
/// Set in `f_flags` by every kernel that fills them in (include/linux/statfs.h).
const ST_VALID: usize = 0x20;

/// Asks statfs or fstatfs about its first argument.
#[inline(never)]
fn ask(nr: usize, of: usize, answer: *mut [usize; 14]) -> c_int {
    let mut fs = [0usize; 15];
    let result = engine::run(&call(nr, &[of, fs.as_mut_ptr() as usize]), &engine::directly);
    if result >= 0 {
        let [
            kind,
            size,
            blocks,
            free,
            available,
            files,
            files_free,
            id,
            longest,
            fragment,
            flags,
            ..,
        ] = fs;
        let fragment = if fragment == 0 { size } else { fragment };
        let sizes = [size, fragment, blocks, free, available];
        let [a, b, c, d, e] = sizes;
        let flags = flags & !ST_VALID;
        let all = [a, b, c, d, e, files, files_free, files_free, id, flags, longest, kind, 0, 0];
        // SAFETY: the program's structure, which libc would write, too.
        unsafe { answer.write_unaligned(all) };
    }
    result as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn statvfs(path: usize, answer: *mut [usize; 14]) -> c_int {
    ask(STATFS, path, answer)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn statvfs64(path: usize, answer: *mut [usize; 14]) -> c_int {
    ask(STATFS, path, answer)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fstatvfs(fd: c_int, answer: *mut [usize; 14]) -> c_int {
    ask(FSTATFS, fd as usize, answer)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fstatvfs64(fd: c_int, answer: *mut [usize; 14]) -> c_int {
    ask(FSTATFS, fd as usize, answer)
}
