//! Running code on another stack, or with room on this one. Both keep a frame
//! pointer and say so to unwinders: a thread may be cancelled in what they call.

use core::arch::naked_asm;

/// Calls `f(data)` with the stack pointer at `top`.
///
/// # Safety
/// The memory below `top` must be a stack of nobody else's.
#[unsafe(naked)]
unsafe extern "C" fn on_stack(top: usize, f: extern "C" fn(*mut u8), data: *mut u8) {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdi",
        "mov rdi, rdx",
        "call rsi",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}

/// Calls `f(data, room)` with `len` bytes of room on the stack, touching each
/// page in turn, so that no guard page is jumped over.
#[unsafe(naked)]
unsafe extern "C" fn room_on_stack(len: usize, f: extern "C" fn(*mut u8, *mut u8), data: *mut u8) {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "2:",
        "cmp rdi, 4096",
        "jb 3f",
        "sub rsp, 4096",
        "or qword ptr [rsp], 0",
        "sub rdi, 4096",
        "jmp 2b",
        "3:",
        "sub rsp, rdi",
        "and rsp, -16",
        "mov rax, rsi",
        "mov rdi, rdx",
        "mov rsi, rsp",
        "call rax",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}

/// Runs `f` on the stack that ends at `top`.
///
/// # Safety
/// As [`on_stack`], with room for what `f` needs; `top` a multiple of 16.
pub(crate) unsafe fn switched<F: FnMut()>(top: usize, f: &mut F) {
    extern "C" fn enter<F: FnMut()>(f: *mut u8) {
        // SAFETY: `switched` passes the address of its `f`.
        unsafe { (*f.cast::<F>())() }
    }
    // SAFETY: as the caller promises.
    unsafe { on_stack(top, enter::<F>, (&raw mut *f).cast()) }
}

/// Runs `f` with `len` bytes of room, aligned to 16, on the caller's stack.
pub(crate) fn with_room<F: FnMut(*mut u8)>(len: usize, f: &mut F) {
    extern "C" fn enter<F: FnMut(*mut u8)>(f: *mut u8, room: *mut u8) {
        // SAFETY: `with_room` passes the address of its `f`.
        unsafe { (*f.cast::<F>())(room) }
    }
    // SAFETY: the stack grows down from here, and `enter` keeps to the ABI.
    unsafe { room_on_stack(len, enter::<F>, (&raw mut *f).cast()) }
}
