//! What one process remembers: memory of the door's own, zeroed at start.
//!
//! A forked child has a copy; a program that is executed starts with nothing.
//! There is no descriptor behind it that the program could see or close.
#![cfg_attr(not(feature = "whole"), allow(dead_code))] // The small hook notes nothing.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};

/// Longest path of an overmount's root inside its file system, in bytes.
pub(crate) const ROOT_MAX: usize = 256;
/// How many accepted descriptors can be open at once.
const ACCEPTED_MAX: usize = 16;

/// The notes of one process. The trampolines look at the first two.
#[derive(Debug)]
#[repr(C)]
pub struct Notes {
    /// How many descriptors are accepted: their ends and questions are looked at.
    armed: AtomicU8,
    /// Not 0 where a mount is trusted: opens are looked at that a supervisor of the
    /// host may have answered.
    has_trusted: AtomicU8,
    trusted: Trusted,
    accepted: [Accepted; ACCEPTED_MAX],
}

/// The mount that stood over /proc/sys when the process started.
#[derive(Debug)]
#[repr(C)]
struct Trusted {
    /// Length of `root`; 0 when there was none.
    len: AtomicU32,
    /// Device of its file system: major number in the upper half, minor in the lower.
    device: AtomicU64,
    /// The directory of that file system that is mounted.
    root: [AtomicU8; ROOT_MAX],
}

/// A descriptor that a rule accepted.
#[derive(Debug)]
#[repr(C)]
struct Accepted {
    /// Its number plus one; 0 when free, [`BUSY`] while it is filled in.
    number: AtomicU32,
    /// What it is, so that another file under the same number is not meant.
    file: [AtomicU64; 4],
    /// The mount ids of the procfs: the short one, and the unique one or 0.
    procfs: [AtomicU64; 2],
}

const BUSY: u32 = u32::MAX;

/// What a descriptor is: device, inode, mount id (statx(2)), flags (fcntl(2), F_GETFL).
pub(crate) type File = [u64; 4];

impl Notes {
    /// Which byte is not 0 while a descriptor is accepted.
    pub const ARMED_AT: usize = offset_of!(Notes, armed);
    /// Which byte is not 0 where a mount is trusted.
    pub const HAS_TRUSTED_AT: usize = offset_of!(Notes, has_trusted);

    /// Empty notes: all bytes zero.
    pub const fn new() -> Self {
        Self {
            armed: AtomicU8::new(0),
            has_trusted: AtomicU8::new(0),
            trusted: Trusted {
                len: AtomicU32::new(0),
                device: AtomicU64::new(0),
                root: [const { AtomicU8::new(0) }; ROOT_MAX],
            },
            accepted: [const { Accepted::new() }; ACCEPTED_MAX],
        }
    }

    /// Notes the trusted mount. Only called before the program's first instruction.
    pub(crate) fn trust(&self, device: u64, root: &[u8]) {
        if root.is_empty() || root.len() > ROOT_MAX {
            return;
        }
        for (to, from) in self.trusted.root.iter().zip(root) {
            to.store(*from, SeqCst);
        }
        self.trusted.device.store(device, SeqCst);
        self.trusted.len.store(root.len() as u32, SeqCst);
        self.has_trusted.store(1, SeqCst);
    }

    /// The trusted mount's device, and its root's path in `buffer`.
    pub(crate) fn trusted<'b>(&self, buffer: &'b mut [u8; ROOT_MAX]) -> Option<(u64, &'b [u8])> {
        let len = self.trusted.len.load(SeqCst) as usize;
        if len == 0 {
            return None;
        }
        for (to, from) in buffer.iter_mut().zip(&self.trusted.root) {
            *to = from.load(SeqCst);
        }
        Some((self.trusted.device.load(SeqCst), buffer.get(..len)?))
    }

    /// Whether a descriptor is accepted at all.
    pub fn is_armed(&self) -> bool {
        self.armed.load(SeqCst) != 0
    }

    /// Notes an accepted descriptor. Without room it is not noted: its questions
    /// are then answered by the kernel alone.
    pub(crate) fn accept(&self, number: usize, file: File, procfs: [u64; 2]) {
        self.forget(number);
        let take = |a: &&Accepted| a.number.compare_exchange(0, BUSY, SeqCst, SeqCst).is_ok();
        let Some(entry) = self.accepted.iter().find(take) else { return };
        store(&entry.file, file);
        store(&entry.procfs, procfs);
        self.armed.fetch_add(1, SeqCst);
        entry.number.store((number as u32).wrapping_add(1), SeqCst);
    }

    /// The mount ids of the procfs that an accepted descriptor answers with, and
    /// what file it is.
    pub(crate) fn accepted(&self, number: usize) -> Option<(File, [u64; 2])> {
        self.entry(number).map(|a| (load(&a.file), load(&a.procfs)))
    }

    /// Forgets a descriptor: it is closed, or its number stands for another.
    pub(crate) fn forget(&self, number: usize) {
        let Some(entry) = self.entry(number) else { return };
        let noted = (number as u32).wrapping_add(1);
        // Of two threads that forget it, one has done so.
        if entry.number.compare_exchange(noted, 0, SeqCst, SeqCst).is_ok() {
            self.armed.fetch_sub(1, SeqCst);
        }
    }

    /// The numbers of all accepted descriptors.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        let noted = self.accepted.iter().map(|a| a.number.load(SeqCst));
        noted.filter(|&n| n != BUSY).filter_map(|n| n.checked_sub(1))
    }

    /// The kernel takes a descriptor's number from the lower half of the register.
    fn entry(&self, number: usize) -> Option<&Accepted> {
        let number = (number as u32).checked_add(1).filter(|&n| n != BUSY)?;
        self.accepted.iter().find(|a| a.number.load(SeqCst) == number)
    }
}

impl Accepted {
    const fn new() -> Self {
        Self {
            number: AtomicU32::new(0),
            file: [const { AtomicU64::new(0) }; 4],
            procfs: [const { AtomicU64::new(0) }; 2],
        }
    }
}

impl Default for Notes {
    fn default() -> Self {
        Self::new()
    }
}

fn store<const N: usize>(to: &[AtomicU64; N], from: [u64; N]) {
    for (to, from) in to.iter().zip(from) {
        to.store(from, SeqCst);
    }
}

fn load<const N: usize>(from: &[AtomicU64; N]) -> [u64; N] {
    core::array::from_fn(|i| from.get(i).map_or(0, |a| a.load(SeqCst)))
}
