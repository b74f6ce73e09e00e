//! The return from a signal handler, which keeps its bytes.
//!
//! A C library, and Go's runtime, point the kernel to a few bytes that call
//! rt_sigreturn. libgcc and gdb know them by these bytes, and go on to who was
//! interrupted (libgcc, config/i386/linux-unwind.h; gdb, amd64-linux-tdep.c). The call
//! does not return, and no rule is about it. In dietlibc and valgrind no table describes
//! them, and what is before and behind them need not read as code.

use iced_x86::{Code, Decoder, DecoderOptions, Register};

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

/// Whether a site that a table describes has those bytes.
pub fn is_known(site: &Site) -> bool {
    let number = site.index.checked_sub(1).map(|before| &site.code[before]);
    number.is_some_and(|i| {
        let moves = [(Code::Mov_rm64_imm32, Register::RAX), (Code::Mov_r32_imm32, Register::EAX)];
        moves.contains(&(i.code(), i.op0_register())) && i.immediate32() == RT_SIGRETURN
    })
}

/// Whether a site is one that no table describes.
pub fn is_alone(site: &Site) -> bool {
    site.code.len() == 2 && site.function.name.as_deref() == Some(NAME)
}
