//! Running other programs: redirects reach the path, and the environment that
//! makes the library travel is completed ([`travel`]).

use core::arch::naked_asm;
use core::ffi::c_int;
use core::marker::PhantomData;

use procsys_hook::Call;

use crate::engine::{self, call};
use crate::libc::{environment, errno, set_errno};
use crate::next::next;
use crate::{environment as travel, pool};

type List = *const *const u8;

const EXECVE: usize = 59;
const EXECVEAT: usize = 322;
const ENOSYS: c_int = 38;

/// Calls the next function of that name, as one of that type.
macro_rules! make {
    ($name:literal, fn($($type:ty),*), $($arg:expr),*) => {{
        match next!($name).address() {
            // SAFETY: the loader's tables have the function there, of libc's type.
            Some(address) => unsafe {
                let next: unsafe extern "C" fn($($type),*) -> c_int = core::mem::transmute(address);
                next($($arg),*)
            },
            None => {
                set_errno(ENOSYS);
                -1
            }
        }
    }};
}

/// Makes an exec with an environment. As [`engine::Make`], without a table.
#[derive(Clone, Copy)]
struct Exec<'a> {
    closure: *const (),
    call: unsafe fn(*const (), &Call, List) -> c_int,
    lives: PhantomData<&'a ()>,
}

impl<'a> Exec<'a> {
    fn by<F: Fn(&Call, List) -> c_int>(closure: &'a F) -> Self {
        unsafe fn call<F: Fn(&Call, List) -> c_int>(
            f: *const (),
            call: &Call,
            envp: List,
        ) -> c_int {
            // SAFETY: `by` put the address of an `F` there, which still lives.
            unsafe { (*f.cast::<F>())(call, envp) }
        }
        Self { closure: (&raw const *closure).cast(), call: call::<F>, lives: PhantomData }
    }

    fn make(self, call: &Call, envp: List) -> c_int {
        // SAFETY: both fields are of one closure, which lives as long as this.
        unsafe { (self.call)(self.closure, call, envp) }
    }
}

/// An exec of `path` (an argument of the call made by `make`) with `envp` completed.
fn exec<F: Fn(&Call, List) -> c_int>(call: &Call, envp: List, make: &F) -> c_int {
    exec_by(call, envp, Exec::by(make))
}

fn exec_by(call: &Call, envp: List, make: Exec<'_>) -> c_int {
    let mut result = -1;
    travel::completed(envp, &mut |envp| {
        result = engine::run(call, &|call| make.make(call, envp) as isize) as c_int;
    });
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execve(path: usize, argv: List, envp: List) -> c_int {
    exec(&call(EXECVE, &[path, argv as usize]), envp, &|call, envp| {
        make!("execve", fn(usize, List, List), call.args[0], argv, envp)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execv(path: usize, argv: List) -> c_int {
    // SAFETY: as execve's caller promises.
    unsafe { execve(path, argv, environment()) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execvpe(file: usize, argv: List, envp: List) -> c_int {
    let make =
        |call: &Call, envp: List| make!("execvpe", fn(usize, List, List), call.args[0], argv, envp);
    exec(&searched(file, argv), envp, &make)
}

/// The call of a file that is looked for in PATH, unless it has a slash: only
/// then it is a path that rules know.
fn searched(file: usize, argv: List) -> Call {
    // SAFETY: libc reads the text too; a bad pointer ends the program there.
    let is_path = file != 0 && unsafe { crate::libc::bytes(file as *const u8) }.contains(&b'/');
    call(if is_path { EXECVE } else { usize::MAX }, &[file, argv as usize])
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execvp(file: usize, argv: List) -> c_int {
    // SAFETY: as execvpe's caller promises.
    unsafe { execvpe(file, argv, environment()) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fexecve(fd: c_int, argv: List, envp: List) -> c_int {
    exec(&call(usize::MAX, &[]), envp, &|_, envp| {
        make!("fexecve", fn(c_int, List, List), fd, argv, envp)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execveat(
    dirfd: c_int,
    path: usize,
    argv: List,
    envp: List,
    flags: c_int,
) -> c_int {
    let words = [dirfd as isize as usize, path, argv as usize, 0, flags as usize];
    exec(&call(EXECVEAT, &words), envp, &|call, envp| {
        let [dirfd, path, ..] = call.args;
        let dirfd = dirfd as c_int;
        make!("execveat", fn(c_int, usize, List, List, c_int), dirfd, path, argv, envp, flags)
    })
}

/// posix_spawn and posix_spawnp give the errno as their result.
fn spawn<F: Fn(&Call, List) -> c_int>(call: &Call, envp: List, make: &F) -> c_int {
    spawn_by(call, envp, Exec::by(make))
}

fn spawn_by(call: &Call, envp: List, make: Exec<'_>) -> c_int {
    let before = errno();
    let result = exec(call, envp, &|call, envp| match make.make(call, envp) {
        0 => 0,
        error => {
            set_errno(error);
            -1
        }
    });
    let error = if result == 0 { 0 } else { errno() };
    set_errno(before);
    error
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_spawn(
    pid: usize,
    path: usize,
    actions: usize,
    attributes: usize,
    argv: List,
    envp: List,
) -> c_int {
    spawn(&call(EXECVE, &[path, argv as usize]), envp, &|call, envp| {
        make!(
            "posix_spawn",
            fn(usize, usize, usize, usize, List, List),
            pid,
            call.args[0],
            actions,
            attributes,
            argv,
            envp
        )
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_spawnp(
    pid: usize,
    file: usize,
    actions: usize,
    attributes: usize,
    argv: List,
    envp: List,
) -> c_int {
    spawn(&searched(file, argv), envp, &|call, envp| {
        make!(
            "posix_spawnp",
            fn(usize, usize, usize, usize, List, List),
            pid,
            call.args[0],
            actions,
            attributes,
            argv,
            envp
        )
    })
}

/// fork: the child has none of the threads that may hold the hook's slots.
#[unsafe(no_mangle)]
unsafe extern "C" fn fork() -> c_int {
    let result = make!("fork", fn(),);
    if result == 0 {
        pool::forked();
    }
    result
}

// The variadic ones: the arguments in registers are pushed below those on the
// stack, so that all of them lie in one row, as argv does. The return address,
// which lies between, is moved below them (and is the same again at the `ret`,
// as a shadow stack wants it).
macro_rules! variadic {
    ($($name:ident => $with:ident;)*) => {$(
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() -> c_int {
            naked_asm!(
                ".cfi_startproc",
                "pop r11",
                "push r9",
                "push r8",
                "push rcx",
                "push rdx",
                "push rsi",
                "mov rsi, rsp",
                "push r11",
                ".cfi_def_cfa_offset 48",
                "call {with}",
                "pop r11",
                "add rsp, 40",
                "push r11",
                ".cfi_def_cfa_offset 8",
                "ret",
                ".cfi_endproc",
                with = sym $with,
            )
        }
    )*};
}

variadic! {
    execl => execl_row;
    execlp => execlp_row;
    execle => execle_row;
}

unsafe extern "C" fn execl_row(path: usize, argv: List) -> c_int {
    // SAFETY: the caller's arguments, ended by a null.
    unsafe { execve(path, argv, environment()) }
}

unsafe extern "C" fn execlp_row(file: usize, argv: List) -> c_int {
    // SAFETY: as above.
    unsafe { execvpe(file, argv, environment()) }
}

unsafe extern "C" fn execle_row(path: usize, argv: List) -> c_int {
    let mut at = argv;
    // SAFETY: the environment stands after the null that ends the arguments.
    unsafe {
        while !at.read().is_null() {
            at = at.add(1);
        }
        execve(path, argv, at.add(1).read().cast())
    }
}

/// execve or execveat by `syscall`.
pub(crate) fn directly(call: &Call) -> isize {
    let position = if call.nr == EXECVE { 2 } else { 3 };
    let mut result = -1;
    travel::completed(call.args[position] as List, &mut |envp| {
        let mut call = *call;
        if let Some(arg) = call.args.get_mut(position) {
            *arg = envp as usize;
        }
        result = engine::run(&call, &engine::directly);
    });
    result
}
