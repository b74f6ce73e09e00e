//! The way in of the interposed functions, in registers.
//!
//! A function that no rule can concern is passed on by a jump: libc's own frame
//! takes the place of ours. Of the others the arguments are kept on the stack,
//! the next function is called, and only a failure, a success whose mode is a
//! known one, or a path that a redirect may mean, is looked at further.

use core::arch::naked_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicUsize, Ordering};

use procsys_rules::reach::{MARKED_MODES, PROCFS_ROOT_MODE};
use procsys_rules::sockets;

use crate::function::{FUNCTIONS, Function, NONE, STATES, State, how, look};
use crate::readable::{self, KNOWN, Known, Range};
use crate::redirect::One;
use crate::{config, engine, libc, next, redirect, stack, trace};

/// How far errno lies from the thread pointer; kept before any function's calls
/// are looked at.
static ERRNO: AtomicUsize = AtomicUsize::new(0);

/// Called before main.
pub(crate) fn prepare() {
    ERRNO.store(libc::errno_offset(), Ordering::Relaxed);
}

/// Saves the arguments, with what is about the function: `r10` and `r11`.
macro_rules! save {
    () => {
        "sub rsp, 88
         .cfi_adjust_cfa_offset 88
         mov [rsp], rdi
         mov [rsp + 8], rsi
         mov [rsp + 16], rdx
         mov [rsp + 24], rcx
         mov [rsp + 32], r8
         mov [rsp + 40], r9
         mov [rsp + 48], r10
         mov [rsp + 56], r11"
    };
}

/// Takes all of that back, and leaves it on the stack.
macro_rules! load {
    () => {
        "mov rdi, [rsp]
         mov rsi, [rsp + 8]
         mov rdx, [rsp + 16]
         mov rcx, [rsp + 24]
         mov r8, [rsp + 32]
         mov r9, [rsp + 40]
         mov r10, [rsp + 48]
         mov r11, [rsp + 56]"
    };
}

/// Looks through the path at `rax`: on to `10:` if a redirect may concern it, to `13:` if
/// that can't be said here. It is what every call beside a redirect costs, where the
/// processor has just forgotten what branches do (in the kernel): so a path of fewer
/// than 48 bytes on the main thread's stack takes none. Changes `rcx`, `rdx` and `r8`.
macro_rules! look_through {
    () => {
        // Is it in memory that is there (readable.rs)?
        "mov rdx, [rip + {known} + {stack_end}]
         mov rcx, rsp
         and rcx, -{page}
         cmp rax, rcx
         jb 31f
         cmp rax, rdx
         jae 31f
         sub rdx, rsp
         cmp rdx, {stack}
         jae 31f
         30:
         cmp byte ptr [rax], 0x2f
         jne 34f
         // No more is read than the page that the text is in.
         35:
         mov ecx, eax
         and ecx, {page} - 1
         cmp ecx, {page} - {reads}
         ja 13f
         pxor xmm6, xmm6
         lea r8, [rip + {lasts}]
         // For each redirect, xmm6: bytes that are a slash (xmm2) before a component with
         // this first byte (xmm0) and, at its length (rcx), this last one (xmm1); xmm7: 0
         // where a NUL is.
         32:
         movdqa xmm0, [r8]
         movdqa xmm1, [r8 + 16]
         movdqa xmm2, [r8 + 32]
         mov ecx, [r8 + 48]
         movdqa xmm7, xmm0
         .irp at, 0, 16, 32
         movdqu xmm3, [rax + \\at]
         movdqu xmm4, [rax + \\at + 1]
         movdqu xmm5, [rax + rcx + \\at]
         pminub xmm7, xmm3
         pcmpeqb xmm3, xmm2
         pcmpeqb xmm4, xmm0
         pcmpeqb xmm5, xmm1
         pand xmm3, xmm4
         pand xmm3, xmm5
         por xmm6, xmm3
         .endr
         add r8, {last_size}
         cmp dword ptr [r8 + 48], 0
         jne 32b
         pmovmskb ecx, xmm6
         test ecx, ecx
         jnz 10f
         pcmpeqb xmm7, xmm6
         pmovmskb ecx, xmm7
         add rax, 48
         test ecx, ecx
         jz 35b"
    };
}

/// Where each function goes on, with its number in `al`: `r10` gets its [`Function`],
/// `r11` its [`State`]. `al` is 0 at each call of a next function: of variadic ones it
/// is the number of vector registers used.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn with_registers() -> isize {
    naked_asm!(
        ".cfi_startproc",
        "movzx eax, al",
        "lea r11, [rip + {states}]",
        "lea r10, [rax + 4*rax]",
        "shl eax, 4",
        "add r11, rax",
        "lea rax, [rip + {functions}]",
        "lea r10, [rax + 2*r10]",
        "mov eax, [r11 + 8]",
        "2:",
        "cmp eax, {never}",
        "jb 20f",
        "jne 3f",
        "xor eax, eax",
        "jmp [r11]",
        // The first call.
        "20:",
        save!(),
        "mov rdi, r10",
        "mov rsi, r11",
        "call {resolve}",
        load!(),
        "add rsp, 88",
        ".cfi_adjust_cfa_offset -88",
        "jmp 2b",
        // Something is looked at. From the start of a cache line: elsewhere, as the code
        // before it grew or shrank, a stat beside a redirect took 1.014 to 1.022 times
        // stock's.
        ".p2align 6",
        "3:",
        save!(),
        "mov [rsp + 68], eax",
        "test al, {before}",
        "jz 4f",
        // rax: its one path.
        "test al, {no_next}",
        "jnz 10f",
        "movzx ecx, word ptr [r10 + {paths}]",
        "cmp ch, {none}",
        "jne 13f",
        "and ecx, 15",
        "cmp cl, {none}",
        "je 13f",
        "mov rax, [rsp + 8*rcx]",
        look_through!(),
        "mov rdx, [rsp + 16]",
        "mov rcx, [rsp + 24]",
        "mov r8, [rsp + 32]",
        "4:",
        "mov rax, [rip + {errno}]",
        "mov eax, fs:[rax]",
        "mov [rsp + 64], eax",
        "xor eax, eax",
        "call [r11]",
        "cmp eax, -1",
        "je 12f",
        "mov ecx, [rsp + 68]",
        "test cl, {success}",
        "jnz 6f",
        "5:",
        "add rsp, 88",
        ".cfi_remember_state",
        ".cfi_adjust_cfa_offset -88",
        "ret",
        ".cfi_restore_state",
        // A success: the mode in the structure that was filled in.
        "6:",
        "test cl, {always}",
        "jnz 12f",
        "movzx edx, ch",
        "shr ecx, 16",
        "add rcx, [rsp + rdx]",
        "movzx ecx, word ptr [rcx]",
        "cmp ecx, {root}",
        "je 12f",
        "cmp ecx, {refused}",
        "je 12f",
        "cmp ecx, {accepted}",
        "je 12f",
        "cmp ecx, {namespace}",
        "jne 5b",
        "jmp 12f",
        // Not the stack: the program's file or heap.
        "31:",
        "cmp rax, [rip + {known} + {program_end}]",
        "jae 33f",
        "cmp rax, [rip + {known} + {program_start}]",
        "jae 30b",
        "33:",
        "mov rdx, [rip + {known} + {heap_end_at}]",
        "test rdx, rdx",
        "jz 13f",
        "cmp rax, [rdx]",
        "jae 13f",
        "cmp rax, [rip + {known} + {heap}]",
        "jae 30b",
        // Somewhere else, two paths, or a socket's address.
        "13:",
        "mov rdi, r10",
        "mov rsi, rsp",
        "call {may_be_redirected}",
        "test al, al",
        load!(),
        "jz 4b",
        "10:",
        "mov rdi, r10",
        "mov rsi, r11",
        "mov rdx, rsp",
        "call {enter}",
        "jmp 5b",
        // A relative path: its first component has no slash before it.
        "34:",
        "lea r8, [rip + {lasts}]",
        "mov cl, [rax]",
        "36:",
        "cmp cl, [r8]",
        "je 13b",
        "add r8, {last_size}",
        "cmp dword ptr [r8 + 48], 0",
        "jne 36b",
        "jmp 35b",
        // An answer that may be one to repair.
        "12:",
        "mov rdi, [rsp + 48]",
        "mov rsi, rsp",
        "mov edx, [rsp + 64]",
        "mov rcx, rax",
        "call {answered}",
        "jmp 5b",
        ".cfi_endproc",
        never = const look::NEVER,
        before = const look::PATHS | look::NO_NEXT,
        success = const look::MODE | look::ALWAYS,
        always = const look::ALWAYS,
        no_next = const look::NO_NEXT,
        root = const PROCFS_ROOT_MODE,
        refused = const MARKED_MODES[0],
        accepted = const MARKED_MODES[1],
        namespace = const MARKED_MODES[2],
        states = sym STATES,
        functions = sym FUNCTIONS,
        errno = sym ERRNO,
        may_be_redirected = sym may_be_redirected,
        none = const NONE,
        paths = const offset_of!(Function, paths),
        reads = const 48 + redirect::LONGEST_LAST,
        page = const readable::PAGE,
        stack = const readable::STACK,
        known = sym KNOWN,
        program_start = const offset_of!(Known, program),
        program_end = const offset_of!(Known, program) + offset_of!(Range, end),
        heap = const offset_of!(Known, heap),
        heap_end_at = const offset_of!(Known, heap_end_at),
        stack_end = const offset_of!(Known, stack) + offset_of!(Range, end),
        lasts = sym redirect::LASTS,
        last_size = const size_of::<redirect::Last>(),
        enter = sym enter,
        answered = sym answered,
        resolve = sym resolve,
    )
}

/// Finds the next definition, and out when its calls are looked at. That is kept,
/// once it is known what was asked for.
#[cold]
extern "C" fn resolve(function: &Function, state: &State) -> u32 {
    let no_next = if state.next().is_some() { 0 } else { look::NO_NEXT };
    let how = match config::table() {
        Some(table) => how(function, table.reach(function.nr())),
        None => look::NEVER,
    };
    if config::is_settled() {
        state.keep(how | no_next);
    }
    how | no_next
}

/// Whether one of the function's paths may be one of a redirect's.
extern "C" fn may_be_redirected(function: &Function, given: &[usize; 6]) -> bool {
    if function.has_path() {
        return !matches!(redirect::one(function, given), Some(One::Other));
    }
    sockets::carrier(function.nr()).is_some_and(|carrier| redirect::may_name(carrier, given))
}

/// Calls the next function.
///
/// # Safety
/// `address` must be that of a function that takes as many of the arguments as
/// it has, or fewer.
unsafe fn call(function: &Function, address: usize, args: [usize; 6]) -> isize {
    // SAFETY: as the caller promises.
    let result = unsafe { next::call(address, args) };
    function.widened(result)
}

/// A call that may have to be made with other paths, or without libc.
extern "C" fn enter(function: &Function, state: &State, given: &[usize; 6]) -> isize {
    let next = state.next();
    if let Some(address) = next
        && let Some(One::Below(position, directory, new)) = redirect::one(function, given)
    {
        let to = (address, state.may_stand());
        return redirected(function, to, given, (position, directory), &new);
    }
    engine::run(&function.call(given), &|changed| match next {
        // SAFETY: the loader's tables have a function of this name there.
        Some(address) => unsafe { call(function, address, function.arguments(given, changed)) },
        None => engine::directly(changed),
    })
}

/// A call with another path in the place of one. It is put together on the
/// caller's stack, where it lives as long as the call. `address` is the next
/// function's; no success is looked at where it may stand.
#[inline(never)]
fn redirected(
    function: &Function,
    (address, success_may_stand): (usize, bool),
    given: &[usize; 6],
    (position, directory): (usize, Option<usize>),
    new: &redirect::Below,
) -> isize {
    const AT_FDCWD: usize = -100isize as usize;
    let before = libc::errno();
    let mut result = -1;
    stack::with_room(new.len(), &mut |room| {
        // SAFETY: the room has that length.
        unsafe { new.write(room) };
        let mut args = *given;
        if let Some(path) = args.get_mut(position) {
            *path = room as usize;
        }
        if let Some(dirfd) = directory.and_then(|at| args.get_mut(at)) {
            *dirfd = AT_FDCWD;
        }
        if config::trace().is_some() {
            trace::redirected(&function.call(given), &function.call(&args));
        }
        // SAFETY: the loader's tables have a function of this name there.
        result = unsafe { call(function, address, args) };
        if success_may_stand && result != -1 {
            return;
        }
        result = engine::settle(&function.call(&args), before, result);
    });
    result
}

/// An answer that a rule may concern; errno was `before`.
#[cold]
extern "C" fn answered(
    function: &Function,
    given: &[usize; 6],
    before: i32,
    result: isize,
) -> isize {
    engine::settle(&function.call(given), before, function.widened(result))
}
