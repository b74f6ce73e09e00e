//! The way in of the interposed functions, in registers.
//!
//! A function that no rule can concern is passed on by a jump: libc's own frame
//! takes the place of ours. Of the others the arguments are kept on the stack,
//! the next function is called, and only a failure, a success whose mode is a
//! known one, or a path that a redirect may mean, is looked at further.

use core::arch::naked_asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use procsys_rules::reach::{MARKED_MODES, PROCFS_ROOT_MODE};
use procsys_rules::sockets;

use crate::function::{FUNCTIONS, Function, STATES, State, how, look};
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
        // Something is looked at.
        "3:",
        save!(),
        "mov [rsp + 68], eax",
        "test al, {before}",
        "jnz 10f",
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
        // The paths, before.
        "10:",
        "test al, {no_next}",
        "jnz 11f",
        "mov rdi, r10",
        "mov rsi, rsp",
        "call {may_be_redirected}",
        "test al, al",
        load!(),
        "jz 4b",
        "11:",
        "mov rdi, r10",
        "mov rsi, r11",
        "mov rdx, rsp",
        "call {enter}",
        "jmp 5b",
        // An answer that may be one to repair.
        "12:",
        "mov rdi, [rsp + 48]",
        "mov rsi, rsp",
        "mov edx, [rsp + 64]",
        "mov rcx, rax",
        "call {answered}",
        "jmp 5b",
        // The first call.
        "20:",
        ".cfi_adjust_cfa_offset -88",
        save!(),
        "mov rdi, r10",
        "mov rsi, r11",
        "call {resolve}",
        load!(),
        "add rsp, 88",
        ".cfi_adjust_cfa_offset -88",
        "jmp 2b",
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
        let given = |(path, _)| given.get::<usize>(path).copied();
        return function.paths().filter_map(given).any(redirect::may_concern);
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
        && let Some((position, directory, new)) = redirect::one(function, given)
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
