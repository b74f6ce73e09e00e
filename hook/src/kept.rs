//! Memory files that are opened again and again.
//!
//! A new memory file for every open costs a page and an inode each time. From
//! the second time that a process opens an emulated file to read, its memory
//! file stays mapped, and later opens open that mapping's file again
//! (/proc/self/map_files, proc_pid_map_files(5)), as they would open a file of
//! procfs: each with an offset of its own. No descriptor is kept, which a
//! program would see, close, and hand to its children.
//!
//! What is opened so counts only if it is the very file: /proc may be anything
//! by now. Where it isn't, or the kernel has no such links or does not let this
//! process follow them (CAP_CHECKPOINT_RESTORE), a new memory file is made each
//! time.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::kernel::{AT_FDCWD, Kernel, O_CREAT, O_NOFOLLOW, nr};
use crate::stat;

/// What is known about the file of one rule. All zero at first.
#[derive(Debug, Default)]
pub struct Kept {
    /// The address of the mapping, or one of the states below, which are none.
    state: AtomicUsize,
    device: AtomicUsize,
    inode: AtomicUsize,
}

impl Kept {
    /// Nothing known.
    pub const fn new() -> Self {
        Self {
            state: AtomicUsize::new(NEW),
            device: AtomicUsize::new(0),
            inode: AtomicUsize::new(0),
        }
    }
}

/// Not opened yet.
const NEW: usize = 0;
/// Opened once.
const SEEN: usize = 1;
/// Some thread is about to map it.
const TAKEN: usize = 2;
/// Not to be kept.
const NEVER: usize = 3;

const PAGE: usize = 4096;

/// No more descriptors (include/uapi/asm-generic/errno-base.h): not the link's fault.
const ENFILE: isize = 23;
const EMFILE: isize = 24;

/// Opens the file that is kept for a rule, and that has this `st_mode`.
pub(crate) fn reopen(
    kernel: &impl Kernel,
    rule: usize,
    mode: u16,
    flags: usize,
    thread: u32,
) -> Option<usize> {
    let kept = kernel.kept().get(rule)?;
    let address = kept.state.load(Ordering::Acquire);
    if address <= NEVER {
        return None;
    }
    let path = link(thread, address);
    let args = [AT_FDCWD, path.as_ptr() as usize, flags & !(O_NOFOLLOW | O_CREAT), 0, 0, 0];
    let result = kernel.call(nr::OPENAT, args);
    if [ENFILE, EMFILE].contains(&-result) {
        return None;
    }
    let opened = usize::try_from(result).ok();
    let is_it = |fd: &usize| {
        stat::of_fd(kernel, *fd).is_some_and(|s| {
            stat::mode(&s) == u32::from(mode)
                && kept.device.load(Ordering::Relaxed) == stat::dev(&s) as usize
                && kept.inode.load(Ordering::Relaxed) == stat::ino(&s) as usize
        })
    };
    if let Some(fd) = opened.filter(is_it) {
        return Some(fd);
    }
    if let Some(fd) = opened {
        kernel.call(nr::CLOSE, [fd, 0, 0, 0, 0, 0]);
    }
    // The mapping stays: the address may be somebody else's by now.
    kept.state.store(NEVER, Ordering::Relaxed);
    None
}

/// Keeps the file that has just been made for a rule, if it is the second one.
pub(crate) fn keep(kernel: &impl Kernel, rule: usize, fd: usize) {
    let Some(kept) = kernel.kept().get(rule) else { return };
    let from =
        |old, new| kept.state.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
    if from(NEW, SEEN).is_ok() || from(SEEN, TAKEN).is_err() {
        return;
    }
    let address = map(kernel, kept, fd).unwrap_or(NEVER);
    kept.state.store(address, Ordering::Release);
}

/// Maps the file's first page, to read and private: that a file is sealed
/// against writes forbids nothing of this on any kernel.
fn map(kernel: &impl Kernel, kept: &Kept, fd: usize) -> Option<usize> {
    const PROT_READ: usize = 1;
    const MAP_PRIVATE: usize = 2;
    let stat = stat::of_fd(kernel, fd)?;
    kept.device.store(stat::dev(&stat) as usize, Ordering::Relaxed);
    kept.inode.store(stat::ino(&stat) as usize, Ordering::Relaxed);
    let address = kernel.call(nr::MMAP, [0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0]);
    usize::try_from(address).ok()
}

/// The link to the file that is mapped at this address, with its NUL. The way
/// by the thread's number is shorter for the kernel than that by `self`; where
/// /proc counts otherwise, another file or none is there.
fn link(thread: u32, address: usize) -> [u8; 64] {
    let mut text = Text { bytes: [0; 64], len: 0 };
    text.push(b"/proc/");
    match thread {
        0 => text.push(b"self"),
        number => text.decimal(number),
    }
    text.push(b"/map_files/");
    text.hexadecimal(address);
    text.push(b"-");
    text.hexadecimal(address + PAGE);
    text.bytes
}

/// A text in the making. 17 bytes, 10 digits, twice 16 and a dash leave a NUL.
struct Text {
    bytes: [u8; 64],
    len: usize,
}

impl Text {
    fn push(&mut self, text: &[u8]) {
        for &byte in text {
            if let Some(to) = self.bytes.get_mut(self.len) {
                *to = byte;
            }
            self.len += 1;
        }
    }

    fn decimal(&mut self, number: u32) {
        let mut digits = [0; 10];
        let (mut rest, mut first) = (number, digits.len());
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            first -= 1;
            if rest == 0 {
                break;
            }
        }
        self.push(digits.get(first..).unwrap_or_default());
    }

    /// In hexadecimal, without leading zeros.
    fn hexadecimal(&mut self, number: usize) {
        let mut shift = (usize::BITS - number.leading_zeros()).next_multiple_of(4);
        while shift > 0 {
            shift -= 4;
            let digit = (number >> shift) as u8 & 15;
            self.push(&[if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::link;

    fn text(thread: u32, address: usize) -> String {
        let bytes = link(thread, address);
        let end = bytes.iter().position(|&b| b == 0).expect("a NUL");
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    #[test]
    fn links_are_named_as_the_kernel_names_them() {
        assert_eq!(text(0, 0x7f00_1234_5000), "/proc/self/map_files/7f0012345000-7f0012346000");
        assert_eq!(text(907, 0xf000), "/proc/907/map_files/f000-10000");
        let longest = text(u32::MAX, usize::MAX - 0x1fff);
        assert_eq!(longest, "/proc/4294967295/map_files/ffffffffffffe000-fffffffffffff000");
    }
}
