//! realpath: libc walks the path by itself, unseen by us.
//!
//! Where a rule may have a say (redirects, a path that does not exist) it is
//! walked here as glibc does it, one readlink a component, each shown to the hook.

use core::ffi::c_int;

use crate::engine::{self, call};
use crate::libc::{self, errno, set_errno};
use crate::next::{self, Name, Next, next};
use crate::{config, kernel, redirect};

const PATH_MAX: usize = 4096;
const ENOENT: c_int = 2;
const EINVAL: c_int = 22;
const ENAMETOOLONG: c_int = 36;
const ELOOP: c_int = 40;

/// A path that grows and shrinks by components; always ended by NUL.
struct Path {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl Path {
    fn new() -> Self {
        Self { bytes: [0; PATH_MAX], len: 0 }
    }

    fn push(&mut self, component: &[u8]) -> Result<(), c_int> {
        let end = self.len + 1 + component.len();
        let place = self.bytes.get_mut(self.len..=end).ok_or(ENAMETOOLONG)?;
        for (to, &from) in place.iter_mut().zip(b"/".iter().chain(component).chain(b"\0")) {
            *to = from;
        }
        self.len = end;
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        self.len = len;
        if let Some(end) = self.bytes.get_mut(len) {
            *end = 0;
        }
    }

    fn pop(&mut self) {
        let head = self.bytes.get(..self.len).unwrap_or_default();
        self.truncate(head.iter().rposition(|&b| b == b'/').unwrap_or(0));
    }

    /// Starts anew with text in front of what is left.
    fn prepend(&mut self, text: &[u8], rest: &[u8]) -> Result<(), c_int> {
        let total = text.len() + rest.len();
        let place = self.bytes.get_mut(..=total).ok_or(ENAMETOOLONG)?;
        for (to, &from) in place.iter_mut().zip(text.iter().chain(rest).chain(b"\0")) {
            *to = from;
        }
        self.len = total;
        Ok(())
    }
}

/// Resolves `path` into `done`.
fn walk(path: &[u8], done: &mut Path) -> Result<(), c_int> {
    let (mut left, mut spare, mut target) = (Path::new(), Path::new(), [0u8; PATH_MAX]);
    left.prepend(path, b"")?;
    if path.first() != Some(&b'/') {
        let size = engine::directly(&call(
            kernel::nr::GETCWD,
            &[done.bytes.as_mut_ptr() as usize, PATH_MAX],
        ));
        done.truncate(usize::try_from(size - 1).map_err(|_| errno())?);
        // `(unreachable)`: it lies outside of the root (getcwd(2)).
        if done.bytes.first() != Some(&b'/') {
            return Err(ENOENT);
        }
        if done.len == 1 {
            done.truncate(0);
        }
    }
    let (mut at, mut links) = (0, 0);
    while at < left.len {
        let rest = left.bytes.get(at..left.len).unwrap_or_default();
        let len = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
        let component = rest.get(..len).unwrap_or_default();
        let is_last = len == rest.len();
        at += len + 1;
        match component {
            b"" | b"." => continue,
            b".." => {
                done.pop();
                continue;
            }
            _ => done.push(component)?,
        }
        let size = engine::run(
            &call(
                kernel::nr::READLINK,
                &[done.bytes.as_ptr() as usize, target.as_mut_ptr() as usize, PATH_MAX],
            ),
            &engine::directly,
        );
        let Ok(size) = usize::try_from(size) else {
            match errno() {
                EINVAL if is_last => continue,
                EINVAL => {
                    is_directory(done)?;
                    continue;
                }
                other => return Err(other),
            }
        };
        links += 1;
        if links > 40 {
            return Err(ELOOP);
        }
        let text = target.get(..size).unwrap_or_default();
        let rest = left.bytes.get(at - 1..left.len).unwrap_or_default();
        spare.prepend(text, rest)?;
        core::mem::swap(&mut left, &mut spare);
        at = 0;
        if text.first() == Some(&b'/') { done.truncate(0) } else { done.pop() }
    }
    if done.len == 0 {
        done.push(b"")?;
    }
    Ok(())
}

/// What a component that is not the last has to be.
fn is_directory(done: &mut Path) -> Result<(), c_int> {
    const ACCESS: usize = 21;
    let len = done.len;
    done.push(b".")?;
    let path = done.bytes.as_ptr() as usize;
    let result = engine::run(&call(ACCESS, &[path, 0]), &engine::directly);
    done.truncate(len);
    if result < 0 { Err(errno()) } else { Ok(()) }
}

#[inline(never)]
fn resolve(path: usize, out: *mut u8, before: c_int) -> *mut u8 {
    let mut done = Path::new();
    // SAFETY: libc reads the text too.
    let text = unsafe { libc::bytes(path as *const u8) };
    let walked = if text.is_empty() { Err(ENOENT) } else { walk(text, &mut done) };
    if let Err(error) = walked {
        set_errno(error);
        return core::ptr::null_mut();
    }
    // SAFETY: realpath(3) promises PATH_MAX bytes, or asks for memory of malloc's.
    unsafe {
        let out = if out.is_null() { allocate(done.len + 1) } else { out };
        if !out.is_null() {
            core::ptr::copy_nonoverlapping(done.bytes.as_ptr(), out, done.len + 1);
            set_errno(before);
        }
        out
    }
}

/// malloc: the program's, which will free it.
fn allocate(size: usize) -> *mut u8 {
    static MALLOC: Name = Name::new("malloc");
    let Some(address) = next::global(&MALLOC) else { return core::ptr::null_mut() };
    // SAFETY: the loader's tables have malloc there.
    unsafe { next::call(address, [size, 0, 0, 0, 0, 0]) as *mut u8 }
}

/// `room` is the size of `out` where it is known; libc ends the program if that is
/// too little.
fn realpath_by(next: &Next<'_>, path: usize, out: *mut u8, room: usize) -> *mut u8 {
    let before = errno();
    if path != 0 && redirect::is_any() && room >= PATH_MAX {
        return resolve(path, out, before);
    }
    // SAFETY: realpath's arguments, of which the one in question takes what it has.
    let result = unsafe { next.call([path, out as usize, room, 0, 0, 0]) }.unwrap_or(0) as *mut u8;
    if result.is_null() && errno() == ENOENT && config::table().is_some() {
        return resolve(path, out, before);
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realpath(path: usize, out: *mut u8) -> *mut u8 {
    realpath_by(&next!("realpath"), path, out, usize::MAX)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __realpath_chk(path: usize, out: *mut u8, room: usize) -> *mut u8 {
    realpath_by(&next!("__realpath_chk"), path, out, room)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn canonicalize_file_name(path: usize) -> *mut u8 {
    realpath_by(&next!("canonicalize_file_name"), path, core::ptr::null_mut(), usize::MAX)
}
