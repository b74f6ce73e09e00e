//! The table of mounts, as the kernel writes it for the calling thread
//! (proc_pid_mountinfo(5)), read through a procfs that is known to be one.

use crate::kernel::{Fd, Kernel, O_CLOEXEC, nr};
use crate::openat2::{self, BENEATH, NO_MAGICLINKS, NO_XDEV};

/// Longest path that is kept of a line, in bytes.
const KEPT: usize = 2048;

/// Buffers of a reader: one piece of the file, and two paths.
pub(crate) type Buffers = [[u8; 4096]; 2];

/// One mount.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mount<'b> {
    /// Its id, as `STATX_MNT_ID` gives it.
    pub(crate) id: u64,
    /// The id of the mount that it is mounted on.
    pub(crate) parent: u64,
    /// Its file system's device: major number in the upper half, minor in the lower.
    pub(crate) device: u64,
    /// The directory or file of the file system that is mounted.
    pub(crate) root: Option<&'b [u8]>,
    /// Where it is mounted, from the process's root.
    pub(crate) point: Option<&'b [u8]>,
    /// Whether it is FUSE.
    pub(crate) is_fuse: bool,
}

/// Reads the table through the procfs root `procfs`, and hands over each mount
/// until `visit` has found what it wanted. `None` when the table can't be read.
pub(crate) fn find<T>(
    kernel: &impl Kernel,
    procfs: usize,
    buffers: &mut Buffers,
    mut visit: impl FnMut(&Mount<'_>) -> Option<T>,
) -> Option<Option<T>> {
    let resolve = BENEATH | NO_XDEV | NO_MAGICLINKS;
    let path = b"thread-self/mountinfo\0";
    let file = openat2::open(kernel, procfs, path, O_CLOEXEC, resolve).ok()?;
    let [piece, kept] = buffers;
    let mut line = Line::new(kept);
    loop {
        let read = read(kernel, &file, piece)?;
        if read.is_empty() {
            return Some(None);
        }
        for &byte in read {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            if let Some(found) = line.mount().and_then(|m| visit(&m)) {
                return Some(Some(found));
            }
            line.clear();
        }
    }
}

fn read<'p, K: Kernel>(kernel: &K, file: &Fd<'_, K>, piece: &'p mut [u8]) -> Option<&'p [u8]> {
    let args = [file.number, piece.as_mut_ptr() as usize, piece.len(), 0, 0, 0];
    let len = usize::try_from(kernel.call(nr::READ, args)).ok()?;
    piece.get(..len)
}

/// A line that is being read: `id parent major:minor root point options
/// [optional…] - type source options`.
struct Line<'b> {
    field: usize,
    /// Where the type's name is: in the field after the first single dash.
    kind: Kind,
    numbers: [u64; 4],
    root: Kept<'b>,
    point: Kept<'b>,
    /// The first bytes of the field that is being read.
    word: [u8; 8],
    word_len: usize,
    is_fuse: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ahead,
    Here,
    /// What follows is for the one who mounted it to choose.
    Seen,
}

struct Kept<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Line<'b> {
    fn new(kept: &'b mut [u8]) -> Self {
        let (root, point) = kept.split_at_mut_checked(KEPT).unwrap_or_default();
        Self {
            field: 0,
            kind: Kind::Ahead,
            numbers: [0; 4],
            root: Kept { buffer: root, len: 0 },
            point: Kept { buffer: point, len: 0 },
            word: [0; 8],
            word_len: 0,
            is_fuse: false,
        }
    }

    fn clear(&mut self) {
        self.field = 0;
        self.kind = Kind::Ahead;
        self.numbers = [0; 4];
        self.root.len = 0;
        self.point.len = 0;
        self.word_len = 0;
        self.is_fuse = false;
    }

    fn push(&mut self, byte: u8) {
        if byte == b' ' {
            return self.end_field();
        }
        match (self.field, byte) {
            // The device is two numbers in one field.
            (2, b':') => return self.field = 3,
            (0..=3, b'0'..=b'9') => {
                if let Some(number) = self.numbers.get_mut(self.field) {
                    *number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                }
            }
            (4, _) => self.root.push(byte),
            (5, _) => self.point.push(byte),
            _ => {}
        }
        if let Some(place) = self.word.get_mut(self.word_len) {
            *place = byte;
        }
        self.word_len += 1;
    }

    fn end_field(&mut self) {
        let word = self.word.get(..self.word_len.min(self.word.len())).unwrap_or_default();
        if self.kind == Kind::Here {
            // The type's name, and after a dot what the file system calls itself
            // (Linux, fs/proc_namespace.c: show_type).
            self.is_fuse = word == b"fuse" && self.word_len == 4 || word.starts_with(b"fuse.");
            self.kind = Kind::Seen;
        } else if self.kind == Kind::Ahead && self.field > 5 && word == b"-" && self.word_len == 1 {
            self.kind = Kind::Here;
        }
        self.field += 1;
        self.word_len = 0;
    }

    /// The mount, once the whole line was read.
    fn mount(&self) -> Option<Mount<'_>> {
        let [id, parent, major, minor] = self.numbers;
        (self.field > 8).then(|| Mount {
            id,
            parent,
            device: major << 32 | minor,
            root: self.root.whole(),
            point: self.point.whole(),
            is_fuse: self.is_fuse,
        })
    }
}

impl Kept<'_> {
    /// A backslash starts an octal number (the kernel writes space, tab, newline
    /// and backslash so): such a text counts as one that does not fit.
    fn push(&mut self, byte: u8) {
        match self.buffer.get_mut(self.len) {
            Some(place) if byte != b'\\' => *place = byte,
            _ => self.len = self.buffer.len(),
        }
        self.len += 1;
    }

    /// The text, if it fitted.
    fn whole(&self) -> Option<&[u8]> {
        self.buffer.get(..self.len)
    }
}
