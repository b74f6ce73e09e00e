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
        const ZERO: AtomicUsize = AtomicUsize::new(0);
        Self { state: ZERO, device: ZERO, inode: ZERO }
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

/// Opens the file that is kept for a rule, and that has this `st_mode`.
pub(crate) fn reopen(kernel: &impl Kernel, rule: usize, mode: u16, flags: usize) -> Option<usize> {
    let kept = kernel.kept().get(rule)?;
    let address = kept.state.load(Ordering::Acquire);
    if address <= NEVER {
        return None;
    }
    let path = link(address);
    let args = [AT_FDCWD, path.as_ptr() as usize, flags & !(O_NOFOLLOW | O_CREAT), 0, 0, 0];
    let opened = usize::try_from(kernel.call(nr::OPENAT, args)).ok();
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

/// The link to the file that is mapped at this address, with its NUL: two
/// numbers in hexadecimal without leading zeros.
fn link(address: usize) -> [u8; 64] {
    const FOLDER: &[u8; 21] = b"/proc/self/map_files/";
    let mut text = [0; 64];
    let mut end = 0;
    let mut push = |byte: u8| {
        // 21 bytes, twice 16 and one between: there is room.
        if let Some(to) = text.get_mut(end) {
            *to = byte;
        }
        end += 1;
    };
    for &byte in FOLDER {
        push(byte);
    }
    for number in [address, address + PAGE] {
        let mut shift = (usize::BITS - number.leading_zeros()).next_multiple_of(4);
        while shift > 0 {
            shift -= 4;
            let digit = (number >> shift) as u8 & 15;
            push(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit });
        }
        if number == address {
            push(b'-');
        }
    }
    text
}
