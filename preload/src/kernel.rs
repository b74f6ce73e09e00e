//! The kernel itself, for the hook and for what the library does for itself.

use core::arch::asm;

use procsys_hook::Kernel;

/// Makes system calls.
pub(crate) struct Raw;

impl Kernel for Raw {
    #[inline(never)]
    fn call(&self, nr: usize, args: [usize; 6]) -> isize {
        let [a, b, c, d, e, f] = args;
        let result;
        // SAFETY: the pointers are the program's own arguments or our buffers;
        // rcx and r11 are named as overwritten.
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
        // SAFETY: the trait's contract: the kernel can read these bytes.
        unsafe { copy(into.as_mut_ptr(), address as *const u8, into.len()) }
    }

    fn store(&self, address: usize, from: &[u8]) {
        // SAFETY: the trait's contract: the program gave the address to be
        // written to.
        unsafe { copy(address as *mut u8, from.as_ptr(), from.len()) }
    }
}

/// Copies bytes that other threads of the program may be changing.
///
/// # Safety
/// `to` must be writable and `from` readable for `len` bytes, without overlap.
#[inline(always)]
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: as the caller promises; the ABI has the direction flag clear.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
    }
}

/// Numbers of the calls that the library makes for itself (source: Linux,
/// arch/x86/entry/syscalls/syscall_64.tbl).
pub(crate) mod nr {
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const FSTAT: usize = 5;
    pub(crate) const MMAP: usize = 9;
    pub(crate) const RT_SIGPROCMASK: usize = 14;
    pub(crate) const SCHED_YIELD: usize = 24;
    pub(crate) const GETPID: usize = 39;
    pub(crate) const GETCWD: usize = 79;
    pub(crate) const READLINK: usize = 89;
    pub(crate) const GETTID: usize = 186;
    pub(crate) const TKILL: usize = 200;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const OPENAT: usize = 257;
}
