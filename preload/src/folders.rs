//! Directories that libc opens and reads by itself: scandir and glob.

use core::ffi::c_int;

use crate::engine::{self, call};
use crate::next::{Next, next};
use crate::redirect;

const OPENAT: usize = 257;
const AT_FDCWD: c_int = -100;
const O_DIRECTORY_CLOEXEC: usize = 0o2_200_000;

/// scandirat(3) by `next`, whose first arguments `make` puts together.
fn scan(dirfd: c_int, path: usize, next: &Next<'_>, args: [usize; 6], at: usize) -> c_int {
    let opened = call(OPENAT, &[dirfd as usize, path, O_DIRECTORY_CLOEXEC]);
    engine::run(&opened, &|opened| {
        let mut args = args;
        let given = opened.args.iter().skip(1 - at).take(1 + at);
        args.iter_mut().zip(given).for_each(|(to, from)| *to = *from);
        // SAFETY: the program's own arguments, perhaps with another path.
        unsafe { next.call(args) }.unwrap_or(-1) as c_int as isize
    }) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn scandir(path: usize, list: usize, select: usize, order: usize) -> c_int {
    scan(AT_FDCWD, path, &next!("scandir"), [path, list, select, order, 0, 0], 0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn scandir64(path: usize, list: usize, select: usize, order: usize) -> c_int {
    scan(AT_FDCWD, path, &next!("scandir64"), [path, list, select, order, 0, 0], 0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn scandirat(
    dirfd: c_int,
    path: usize,
    list: usize,
    select: usize,
    order: usize,
) -> c_int {
    scan(dirfd, path, &next!("scandirat"), [dirfd as usize, path, list, select, order, 0], 1)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn scandirat64(
    dirfd: c_int,
    path: usize,
    list: usize,
    select: usize,
    order: usize,
) -> c_int {
    scan(dirfd, path, &next!("scandirat64"), [dirfd as usize, path, list, select, order, 0], 1)
}

unsafe extern "C" {
    fn opendir();
    fn lstat();
    fn stat();
}

/// glob(3) where there are redirects: it is given the functions that it is to open
/// and read directories with, which are those that the program would call. musl's
/// does not know the flag, and does as ever.
fn glob_by(
    next: &Next<'_>,
    pattern: usize,
    flags: c_int,
    error: usize,
    found: *mut usize,
) -> c_int {
    /// `GLOB_ALTDIRFUNC`, and where `gl_flags` and the functions are in a `glob_t`
    /// (glibc, posix/glob.h), in words.
    const OWN_FUNCTIONS: c_int = 1 << 9;
    const FLAGS: usize = 3;
    const FUNCTIONS: usize = 4;
    let is_ours = redirect::is_any() && flags & OWN_FUNCTIONS == 0;
    let flags = if is_ours { flags | OWN_FUNCTIONS } else { flags };
    if is_ours {
        let [close, read] = [next!("closedir").address(), next!("readdir").address()];
        let functions = [
            close.unwrap_or(0),
            read.unwrap_or(0),
            opendir as *const () as usize,
            lstat as *const () as usize,
            stat as *const () as usize,
        ];
        // SAFETY: the program's structure, as glibc declares it.
        unsafe { found.add(FUNCTIONS).cast::<[usize; 5]>().write(functions) };
    }
    // SAFETY: the program's own arguments.
    let result = unsafe { next.call([pattern, flags as usize, error, found as usize, 0, 0]) };
    if is_ours {
        // SAFETY: as above; the flag is not the program's.
        unsafe { *found.add(FLAGS) &= !(OWN_FUNCTIONS as usize) };
    }
    result.unwrap_or(-1) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn glob(pattern: usize, flags: c_int, error: usize, found: *mut usize) -> c_int {
    glob_by(&next!("glob"), pattern, flags, error, found)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn glob64(
    pattern: usize,
    flags: c_int,
    error: usize,
    found: *mut usize,
) -> c_int {
    glob_by(&next!("glob64"), pattern, flags, error, found)
}
