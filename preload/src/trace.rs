//! `PROCSYS_TRACE`: one line for each repair.

use procsys_hook::{Call, Kernel};
use procsys_rules::{calls, errno};

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::config;
use crate::kernel::{Raw, nr};

/// The descriptor of the trace file, or 0, and which file that is.
static KEPT: AtomicUsize = AtomicUsize::new(0);
static FILE: AtomicUsize = AtomicUsize::new(0);

/// Device and inode of a descriptor, in one number; 0 for none.
fn identity(fd: usize) -> usize {
    let mut stat = [0usize; 18];
    Raw.call(nr::FSTAT, [fd, stat.as_mut_ptr() as usize, 0, 0, 0, 0]);
    stat[0].rotate_left(32) ^ stat[1]
}

/// Opens the trace file by its name; a negative number where it can't be.
fn opened() -> usize {
    const O_WRONLY_CREAT_APPEND_CLOEXEC: usize = 0o2_002_101;
    const AT_FDCWD: usize = -100isize as usize;
    let file = config::trace().map_or(0, |name| name as usize);
    let flags = O_WRONLY_CREAT_APPEND_CLOEXEC;
    Raw.call(nr::OPENAT, [AT_FDCWD, file, flags, 0o666, 0, 0]) as usize
}

/// Keeps the trace file open, out of the way of the program's numbers. Called
/// before main.
pub(crate) fn keep() {
    /// `F_DUPFD_CLOEXEC` (include/uapi/linux/fcntl.h).
    const DUPLICATE: usize = 1030;
    const LOWEST: usize = 900;
    let fd = opened();
    let kept = Raw.call(nr::FCNTL, [fd, DUPLICATE, LOWEST, 0, 0, 0]).max(0) as usize;
    Raw.call(nr::CLOSE, [fd, 0, 0, 0, 0, 0]);
    FILE.store(identity(kept), Ordering::Relaxed);
    KEPT.store(kept, Ordering::Relaxed);
}

/// A line that is built without allocation; what does not fit is left out.
struct Line {
    bytes: [u8; 640],
    len: usize,
}

impl Line {
    fn text(&mut self, text: &[u8]) {
        for &byte in text {
            let printable = if (b' '..0x7f).contains(&byte) || byte == b'\n' { byte } else { b'?' };
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = printable;
                self.len += 1;
            }
        }
    }

    fn number(&mut self, value: isize) {
        if value < 0 {
            self.text(b"-");
        }
        let mut digits = [0u8; 20];
        let mut rest = value.unsigned_abs();
        let mut start = digits.len();
        loop {
            start -= 1;
            if let Some(digit) = digits.get_mut(start) {
                *digit = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if rest == 0 || start == 0 {
                break;
            }
        }
        self.text(digits.get(start..).unwrap_or_default());
    }

    /// `pid call path: `
    fn head(call: &Call) -> Self {
        let mut line = Self { bytes: [0; 640], len: 0 };
        line.number(Raw.call(nr::GETPID, [0; 6]));
        line.text(b" ");
        let name = u16::try_from(call.nr).ok().and_then(calls::name);
        line.text(name.unwrap_or("?").as_bytes());
        line.text(b" ");
        line.path(call);
        line
    }

    /// The call's path, if it has one that can be read, or its first argument.
    fn path(&mut self, call: &Call) {
        let arg = calls::shape(call.nr).and_then(|s| s.paths[0]);
        let address = arg.and_then(|a| call.args.get(usize::from(a.path))).copied().unwrap_or(0);
        if address == 0 {
            return self.number(call.args.first().copied().unwrap_or(0) as i32 as isize);
        }
        // SAFETY: a repaired call's path has been read by the hook.
        let text = unsafe { crate::libc::bytes(address as *const u8) };
        self.text(text.get(..256).unwrap_or(text));
    }

    fn result(&mut self, result: isize) {
        match u8::try_from(-result) {
            Ok(error) if result < 0 => self.text(errno::name(error).as_bytes()),
            _ => self.number(result),
        }
    }

    /// Appends the line to the trace file, in one write: by the descriptor that is
    /// kept, which leads there after pivot_root, too. A program that closes all of
    /// its descriptors, or has another under that number, has the file opened anew.
    fn write(&mut self) {
        self.text(b"\n");
        let bytes = self.bytes.as_ptr() as usize;
        let kept = KEPT.load(Ordering::Relaxed);
        let is_kept = kept != 0 && identity(kept) == FILE.load(Ordering::Relaxed);
        let fd = if is_kept { kept } else { opened() };
        Raw.call(nr::WRITE, [fd, bytes, self.len, 0, 0, 0]);
        if !is_kept {
            Raw.call(nr::CLOSE, [fd, 0, 0, 0, 0, 0]);
        }
    }
}

/// A call whose answer was repaired.
pub(crate) fn repaired(call: &Call, from: isize, to: isize) {
    if config::trace().is_some() {
        write_repaired(call, from, to);
    }
}

// Apart, so that no line takes room on the stack where none is written.
#[cold]
#[inline(never)]
fn write_repaired(call: &Call, from: isize, to: isize) {
    let mut line = Line::head(call);
    line.text(b": ");
    if from == to {
        line.text(b"corrected a field");
    } else {
        line.result(from);
        line.text(b" -> ");
        line.result(to);
    }
    line.write();
}

/// A call that is made with other paths.
pub(crate) fn redirected(from: &Call, to: &Call) {
    if config::trace().is_some() {
        write_redirected(from, to);
    }
}

#[cold]
#[inline(never)]
fn write_redirected(from: &Call, to: &Call) {
    let mut line = Line::head(from);
    line.text(b" -> ");
    line.path(to);
    line.write();
}
