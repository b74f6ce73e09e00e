//! The return from a signal handler, where nothing describes it.
//!
//! A C library points the kernel to a few bytes that call rt_sigreturn. No table
//! describes them in dietlibc and valgrind, and what is before and behind them
//! need not read as code. They are known by their bytes, as libgcc and gdb know
//! them (libgcc, config/i386/linux-unwind.h), and keep them: the call does not
//! return, and no rule is about it.

use iced_x86::{Decoder, DecoderOptions};

use super::{Function, Site};

/// rt_sigreturn's number (Linux, arch/x86/entry/syscalls/syscall_64.tbl).
pub const RT_SIGRETURN: u32 = 15;

/// What stands for the name of its function.
const NAME: &str = "return from a signal handler";

/// `mov $15, %rax` and `mov $15, %eax`.
const MOVES: [&[u8]; 2] = [&[0x48, 0xc7, 0xc0, 15, 0, 0, 0], &[0xb8, 15, 0, 0, 0]];

/// The site at `at` in a segment, if its number is set right before it. It is of
/// those two instructions alone.
pub(super) fn site(segment: u64, bytes: &[u8], at: usize) -> Option<Site> {
    let before = bytes.get(..at)?;
    let length = MOVES.iter().find(|m| before.ends_with(m))?.len();
    let (start, end) = (segment + (at - length) as u64, segment + at as u64 + 2);
    let code = &bytes[at - length..at + 2];
    let code = Decoder::with_ip(64, code, start, DecoderOptions::NONE).iter().collect();
    let function = Function { start, end, name: Some(NAME.into()), is_go: false };
    Some(Site { address: end - 2, function, code, index: 1 })
}

/// Whether a site is one of these: it keeps its bytes.
pub fn is_alone(site: &Site) -> bool {
    site.code.len() == 2 && site.function.name.as_deref() == Some(NAME)
}
