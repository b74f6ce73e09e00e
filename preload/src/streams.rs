//! Streams and directories: libc opens their files by itself, unseen by us.

use core::arch::naked_asm;
use core::cell::Cell;

use procsys_hook::Call;

use crate::engine::{self, Make, call};
use crate::libc::{self, errno, set_errno};
use crate::next::{Next, next};

const OPENAT: usize = 257;
const FACCESSAT: usize = 269;
const AT_FDCWD: usize = -100isize as usize;
const O_DIRECTORY_CLOEXEC: usize = 0o2_200_000;

/// The flags of open(2) that a mode of fopen(3) means.
fn flags(mode: &[u8]) -> usize {
    let has = |byte| libc::has(mode, byte);
    let access = match mode.first() {
        _ if has(b'+') => 0o2,
        Some(b'r') => 0,
        _ => 0o1,
    };
    let create = match mode.first() {
        Some(b'w') => 0o1100,
        Some(b'a') => 0o2100,
        _ => 0,
    };
    access | create | if has(b'x') { 0o200 } else { 0 } | if has(b'e') { 0o2_000_000 } else { 0 }
}

/// Opens by `make`, which gives the address of an object of libc, or 0. Where the
/// hook gives a descriptor in its place, a stream of that mode is made of it.
fn open(call: &Call, make: Make<'_>, mode: Option<*const u8>) -> *mut u8 {
    let object = Cell::new(0);
    let result = engine::run(call, &|call| {
        object.set(make.make(call));
        if object.get() == 0 { -1 } else { 0 }
    });
    let (object, Some(mode)) = (object.get(), mode) else { return object.get() as *mut u8 };
    if object != 0 || result < 0 {
        return object as *mut u8;
    }
    let before = errno();
    // SAFETY: a new descriptor and the program's mode.
    let wrapped = unsafe { fdopen(result as i32, mode) };
    if !wrapped.is_null() {
        set_errno(before);
    }
    wrapped
}

/// fdopen(3).
///
/// # Safety
/// `mode` must be a text.
unsafe fn fdopen(fd: i32, mode: *const u8) -> *mut u8 {
    // SAFETY: as the caller promises.
    let stream = unsafe { next!("fdopen").call([fd as usize, mode as usize, 0, 0, 0, 0]) };
    stream.unwrap_or(0) as *mut u8
}

fn fopen_by(next: &Next<'_>, path: usize, mode: *const u8) -> *mut u8 {
    // SAFETY: libc reads the mode as well.
    let flags = flags(unsafe { libc::bytes(mode) });
    let call = call(OPENAT, &[AT_FDCWD, path, flags, 0o666]);
    let make = |call: &Call| {
        // SAFETY: fopen's path and mode.
        unsafe { next.call([call.args[1], mode as usize, 0, 0, 0, 0]) }.unwrap_or(0)
    };
    open(&call, Make::by(&make), Some(mode))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fopen(path: usize, mode: *const u8) -> *mut u8 {
    fopen_by(&next!("fopen"), path, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fopen64(path: usize, mode: *const u8) -> *mut u8 {
    fopen_by(&next!("fopen64"), path, mode)
}

/// fopen, with glibc's flags for a stream that no other thread has.
#[unsafe(no_mangle)]
unsafe extern "C" fn setmntent(path: usize, mode: *const u8) -> *mut u8 {
    fopen_by(&next!("setmntent"), path, mode)
}

/// glibc's other name for it.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn __setmntent(_: usize, _: *const u8) -> *mut u8 {
    naked_asm!("jmp {setmntent}", setmntent = sym setmntent)
}

/// freopen closes the stream when it can't open the path, so that nothing is
/// left to repair: what is emulated is opened by us before, and by libc again
/// through its descriptor.
fn freopen_by(next: &Next<'_>, path: usize, mode: *const u8, stream: *mut u8) -> *mut u8 {
    let reopen = |path: usize| {
        // SAFETY: freopen's arguments.
        let new = unsafe { next.call([path, mode as usize, stream as usize, 0, 0, 0]) };
        new.unwrap_or(0) as *mut u8
    };
    if path == 0 {
        return reopen(path);
    }
    let before = errno();
    // SAFETY: libc reads the mode as well.
    let flags = flags(unsafe { libc::bytes(mode) });
    let result = Cell::new(core::ptr::null_mut());
    engine::run(&call(OPENAT, &[AT_FDCWD, path, flags, 0o666]), &|opened| {
        let path = opened.args[1];
        let is_missing = engine::directly(&call(FACCESSAT, &[AT_FDCWD, path, 0])) < 0;
        let emulated = if is_missing { engine::settle(opened, before, -1) } else { -1 };
        if emulated < 0 {
            result.set(reopen(path));
            return 0;
        }
        let name = descriptor_name(emulated as usize);
        result.set(reopen(name.as_ptr() as usize));
        let after = errno();
        engine::directly(&call(crate::kernel::nr::CLOSE, &[emulated as usize]));
        set_errno(if result.get().is_null() { after } else { before });
        0
    });
    result.get()
}

/// `/proc/self/fd/N`, ended by NUL.
fn descriptor_name(fd: usize) -> [u8; 32] {
    let mut name = [0; 32];
    let head = b"/proc/self/fd/";
    let digits = core::iter::successors(Some(fd), |n| (*n >= 10).then_some(n / 10)).count();
    for (place, &byte) in name.iter_mut().zip(head) {
        *place = byte;
    }
    let mut rest = fd;
    for place in name.iter_mut().skip(head.len()).take(digits).rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    name
}

#[unsafe(no_mangle)]
unsafe extern "C" fn freopen(path: usize, mode: *const u8, stream: *mut u8) -> *mut u8 {
    freopen_by(&next!("freopen"), path, mode, stream)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn freopen64(path: usize, mode: *const u8, stream: *mut u8) -> *mut u8 {
    freopen_by(&next!("freopen64"), path, mode, stream)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn opendir(path: usize) -> *mut u8 {
    let next = next!("opendir");
    let call = call(OPENAT, &[AT_FDCWD, path, O_DIRECTORY_CLOEXEC]);
    let make = |call: &Call| {
        // SAFETY: opendir's path.
        unsafe { next.call([call.args[1], 0, 0, 0, 0, 0]) }.unwrap_or(0)
    };
    // An emulated file is no directory: the hook gives no descriptor for one.
    open(&call, Make::by(&make), None)
}
