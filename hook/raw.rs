//! The kernel itself, by raw system calls.
//!
//! The hook holds no unsafe code, so this is no part of its crate: both doors
//! include this file (patcher/shim/main.rs, preload/src/kernel.rs).

use core::arch::asm;

use procsys_hook::{Kept, Kernel, Notes};

/// Makes system calls.
pub(crate) struct Raw;

impl Kernel for Raw {
    #[inline(never)]
    fn call(&self, nr: usize, args: [usize; 6]) -> isize {
        let [a, b, c, d, e, f] = args;
        let result;
        // SAFETY: the pointers are the program's own arguments or buffers of the
        // caller's; rcx and r11 are named as overwritten.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") nr as isize => result,
                in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
                lateout("rcx") _, lateout("r11") _,
                options(nostack)
            );
        }
        result
    }

    fn load(&self, address: usize, into: &mut [u8]) {
        // SAFETY: the trait's contract: the kernel can read these bytes. They
        // may change meanwhile, as for any system call; bytes have no invalid value.
        unsafe { copy(into.as_mut_ptr(), address as *const u8, into.len()) }
    }

    fn store(&self, address: usize, from: &[u8]) {
        // SAFETY: the trait's contract: the program handed the address to the
        // kernel to be written to.
        unsafe { copy(address as *mut u8, from.as_ptr(), from.len()) }
    }

    fn kept(&self) -> &[Kept] {
        super::kept()
    }

    fn sees_writes(&self) -> bool {
        super::SEES_WRITES
    }

    fn notes(&self) -> Option<&Notes> {
        super::notes()
    }
}

/// Copies bytes that other threads of the program may be changing.
///
/// # Safety
/// `to` must be writable and `from` readable for `len` bytes, without overlap.
#[inline(always)]
pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: as the caller promises; the direction flag is clear, by the ABI or
    // by the shim's entry.s.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
    }
}
