//! Whether a path, as a program gave it, is the one that a rule names.
//!
//! The cheap answers come first: a path whose last component is another one
//! can't be meant; an absolute path without `..` that reads as the rule's does
//! is meant. Only then is the kernel asked: the part of the path that exists is
//! opened, and compared with the rule's directory by identity.

use procsys_rules::path::{self, component_matches, components, is_wild};

use crate::identity;
use crate::kernel::{Fd, Kernel};

/// `-ENOENT`.
const MISSING: isize = -2;

/// Whether `text`, which ends in NUL, names the file that `pattern` names. It is
/// used as room: at the end it is the same again.
pub(crate) fn is_named(
    kernel: &impl Kernel,
    dirfd: usize,
    text: &mut [u8],
    pattern: &[u8],
) -> bool {
    let Some(len) = text.iter().position(|&b| b == 0) else { return false };
    let Some(given) = text.get(..len) else { return false };
    if path::matches(pattern, given) {
        // A wildcard stands for what is there: a process that is not has no files.
        let start = component_start(text, len).unwrap_or(0);
        if !components(pattern).any(is_wild) || open_prefix(kernel, dirfd, text, start).is_ok() {
            return true;
        }
    }
    let mut wanted = components(pattern);
    let mut end = len;
    // One component more is taken off the end each time, until what is left exists.
    loop {
        let Some(start) = component_start(text, end) else { return false };
        let Some(component) = text.get(start..end) else { return false };
        match wanted.next_back() {
            Some(w) if is_wild(w) && (end < len || w == b"**") => return false,
            Some(w) if component != b".." && component_matches(w, component) => {}
            _ => return false,
        }
        match open_prefix(kernel, dirfd, text, start) {
            Ok(directory) => return identity::is_directory(kernel, directory, wanted),
            Err(MISSING) => end = trim(text, start),
            Err(_) => return false,
        }
    }
}

/// Where the last component of `text[..end]` starts. `None` when there is none.
fn component_start(text: &[u8], end: usize) -> Option<usize> {
    let head = text.get(..end)?;
    if head.is_empty() {
        return None;
    }
    Some(head.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1))
}

/// `end` without the slashes and `.` components before it.
fn trim(text: &[u8], mut end: usize) -> usize {
    loop {
        let head = text.get(..end).unwrap_or_default();
        let kept = match head {
            [rest @ .., b'/'] => rest.len(),
            [rest @ .., b'/', b'.'] => rest.len(),
            [b'.'] => 0,
            _ => return end,
        };
        end = kept;
    }
}

/// Opens the directory `text[..end]`, relative to `dirfd`.
pub(crate) fn open_prefix<'k, K: Kernel>(
    kernel: &'k K,
    dirfd: usize,
    text: &mut [u8],
    end: usize,
) -> Result<Fd<'k, K>, isize> {
    if end == 0 {
        return Fd::directory(kernel, dirfd, b".\0");
    }
    let Some(kept) = text.get(end).copied() else { return Err(MISSING) };
    set(text, end, 0);
    let opened = Fd::directory(kernel, dirfd, text.get(..=end).unwrap_or(b".\0"));
    set(text, end, kept);
    opened
}

fn set(text: &mut [u8], at: usize, byte: u8) {
    if let Some(place) = text.get_mut(at) {
        *place = byte;
    }
}

/// The directory descriptor and path of one path argument of a call.
pub(crate) fn argument(
    args: &[usize; 6],
    arg: procsys_rules::calls::PathArg,
) -> Option<(usize, usize)> {
    let dirfd = match arg.dirfd {
        Some(position) => *args.get(usize::from(position))?,
        None => crate::kernel::AT_FDCWD,
    };
    Some((dirfd, *args.get(usize::from(arg.path))?))
}
