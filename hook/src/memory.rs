//! Reading what the program's pointers point to, without a fault.

use procsys_rules::errno;

use crate::kernel::{Kernel, nr};

/// The longest path that the kernel takes, in bytes, NUL included
/// (include/uapi/linux/limits.h).
pub const PATH_MAX: usize = 4096;

/// Buffers for one call, kept off the stack.
#[derive(Debug)]
#[repr(C)]
pub struct Scratch {
    /// A path of the program's, copied.
    pub path: [u8; PATH_MAX],
    /// What takes the place of a path or of mount options; two, for `rename`.
    pub out: [[u8; PATH_MAX]; 2],
    /// The calling thread's number, as gettid(2) gives it; 0 where the door does
    /// not know it.
    pub thread: u32,
}

impl Scratch {
    /// Empty buffers.
    pub const fn new() -> Self {
        Self { path: [0; PATH_MAX], out: [[0; PATH_MAX]; 2], thread: 0 }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

const PAGE: usize = 4096;

/// Whether the kernel can read the 8 bytes around `address`.
///
/// `rt_sigprocmask` with a `how` that does not exist copies the new mask in
/// first (EFAULT), then refuses `how` (EINVAL), and changes nothing (Linux,
/// kernel/signal.c; gVisor, pkg/sentry/syscalls/linux/sys_signal.go).
pub fn readable(kernel: &impl Kernel, address: usize) -> bool {
    const NO_SUCH_HOW: usize = 99;
    const EINVAL: isize = -22;
    kernel.call(nr::RT_SIGPROCMASK, [NO_SUCH_HOW, address & !7, 0, 8, 0, 0]) == EINVAL
}

/// Reads some bytes of the program's, fewer than a page. Whether they can be read.
pub(crate) fn read(kernel: &impl Kernel, address: usize, into: &mut [u8]) -> bool {
    let Some(last) = into.len().checked_sub(1).and_then(|len| address.checked_add(len)) else {
        return false;
    };
    let is_there = readable(kernel, address) && readable(kernel, last);
    if is_there {
        kernel.load(address, into);
    }
    is_there
}

/// Stores an answer where the program wants it, or says that it can't be
/// written to: the kernel failed before it looked. Found out by asking the
/// kernel to write as many bytes there, which the answer then replaces.
pub(crate) fn store(kernel: &impl Kernel, address: usize, from: &[u8]) -> Result<(), u8> {
    let written = kernel.call(nr::GETRANDOM, [address, from.len(), 0, 0, 0, 0]);
    // Any other failure is about the call, not about the memory.
    if written == -isize::from(errno::EFAULT) || (0..from.len() as isize).contains(&written) {
        return Err(errno::EFAULT);
    }
    kernel.store(address, from);
    Ok(())
}

/// Puts `text` and a NUL into `buffer`. `None` when it does not fit.
#[cfg(feature = "whole")]
pub(crate) fn with_nul<'b>(buffer: &'b mut [u8], text: &[u8]) -> Option<&'b [u8]> {
    let place = buffer.get_mut(..=text.len())?;
    let (nul, room) = place.split_last_mut()?;
    room.copy_from_slice(text);
    *nul = 0;
    Some(place)
}

/// Copies a NUL-terminated text into `buffer`, NUL included. `None` when the
/// memory can't be read or the text does not fit.
pub(crate) fn text<'b>(
    kernel: &impl Kernel,
    address: usize,
    buffer: &'b mut [u8],
) -> Option<&'b [u8]> {
    let mut have = 0;
    while have < buffer.len() {
        let from = address.checked_add(have)?;
        if !readable(kernel, from) {
            return None;
        }
        let in_page = PAGE - from % PAGE;
        let end = buffer.len().min(have + in_page);
        // A first short piece: most texts are short, and their page may be the last.
        let end = if have == 0 { end.min(64) } else { end };
        let piece = buffer.get_mut(have..end)?;
        kernel.load(from, piece);
        if let Some(nul) = piece.iter().position(|&b| b == 0) {
            return buffer.get(..=have + nul);
        }
        have = end;
    }
    None
}
