//! Running other programs: redirects reach the path, and the environment that
//! makes the library travel is completed ([`travel`]).

use core::arch::naked_asm;
use core::ffi::c_int;
use core::sync::atomic::AtomicUsize;

use procsys_hook::Call;

use crate::engine;
use crate::libc::{bytes, environment, errno, has, set_errno};
use crate::next::{self, Next, next};
use crate::{environment as travel, function, pool};

type List = *const *const u8;

const EXECVE: u16 = 59;
const EXECVEAT: u16 = 322;
/// No call whose paths a redirect could mean.
const NO_CALL: usize = usize::MAX;
const ENOSYS: c_int = 38;

/// A function that runs a program: all of them take at most six words.
struct Program {
    /// The call that it is.
    nr: u16,
    /// Where among its arguments the environment is.
    envp: u8,
    /// Where those are that the call has first, and how many.
    paths: (u8, u8),
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It comes back with -1 and errno.
    Exec,
    /// The same; without a slash the file is looked for in PATH.
    Searched,
    /// It gives the errno as its result.
    Spawn,
    /// Both.
    SearchedSpawn,
}

/// For each of the functions its next definition ([`next::kept`]).
static FOUND: [AtomicUsize; COUNT] = [const { AtomicUsize::new(0) }; COUNT];

macro_rules! programs {
    ($($name:ident $at:literal = $nr:ident envp $envp:literal paths $paths:tt $kind:ident;)*) => {
        static PROGRAMS: [Program; COUNT] =
            [$(Program { nr: $nr, envp: $envp, paths: $paths, kind: Kind::$kind }),*];
        /// How many there are.
        pub(crate) const COUNT: usize = [$($at),*].len();
        $(
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(_: usize, _: usize, _: usize) -> c_int {
                // As the functions of the lists, whose numbers these follow.
                naked_asm!(
                    "mov al, {number}",
                    "jmp {in_a_row}",
                    number = const function::COUNT + $at,
                    in_a_row = sym in_a_row,
                )
            }
        )*
    };
}

programs! {
    execve 0 = EXECVE envp 2 paths (0, 1) Exec;
    execvpe 1 = EXECVE envp 2 paths (0, 1) Searched;
    fexecve 2 = EXECVE envp 2 paths (0, 0) Exec;
    execveat 3 = EXECVEAT envp 3 paths (0, 2) Exec;
    posix_spawn 4 = EXECVE envp 5 paths (1, 1) Spawn;
    posix_spawnp 5 = EXECVE envp 5 paths (1, 1) SearchedSpawn;
    pidfd_spawn 6 = EXECVE envp 5 paths (1, 1) Spawn;
    pidfd_spawnp 7 = EXECVE envp 5 paths (1, 1) SearchedSpawn;
}

/// Lays the arguments in a row, for [`run`].
#[unsafe(naked)]
unsafe extern "C" fn in_a_row() -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "push r9",
        "push r8",
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "movzx edi, al",
        "mov rsi, rsp",
        "push rax",
        ".cfi_adjust_cfa_offset 56",
        "call {run}",
        "add rsp, 56",
        ".cfi_adjust_cfa_offset -56",
        "ret",
        ".cfi_endproc",
        run = sym run,
    )
}

/// Runs a program with its environment completed; `number` is that of the function.
extern "C" fn run(number: usize, given: &[usize; 6]) -> c_int {
    let before = errno();
    let at = number - function::COUNT;
    let (Some(program), Some(found)) = (PROGRAMS.get(at), FOUND.get(at)) else { return -1 };
    let next = next::kept(found, || next::exported_name(number as u8));
    let is_spawn = matches!(program.kind, Kind::Spawn | Kind::SearchedSpawn);
    let call = program.call(given);
    let mut result = -1;
    let Some(&envp) = given.get(usize::from(program.envp)) else { return result };
    travel::completed(envp as List, &mut |envp| {
        result = engine::run(&call, &|call| {
            let Some(next) = next else {
                set_errno(ENOSYS);
                return -1;
            };
            let result = program.make(next, given, call, envp);
            if is_spawn && result != 0 {
                set_errno(result as c_int);
                return -1;
            }
            result
        }) as c_int;
    });
    if is_spawn {
        result = if result == 0 { 0 } else { errno() };
        set_errno(before);
    }
    result
}

impl Program {
    /// The call that it is. A file that is looked for in PATH is no path that rules
    /// know.
    fn call(&self, given: &[usize; 6]) -> Call {
        let mut call = engine::call(usize::from(self.nr), self.paths_in(given));
        let path = call.args[0];
        let is_searched = matches!(self.kind, Kind::Searched | Kind::SearchedSpawn);
        // SAFETY: libc reads the text too; a bad pointer ends the program there.
        if is_searched && (path == 0 || !has(unsafe { bytes(path as *const u8) }, b'/')) {
            call.nr = NO_CALL;
        }
        call
    }

    fn paths_in<'a>(&self, given: &'a [usize; 6]) -> &'a [usize] {
        let (start, count) = (usize::from(self.paths.0), usize::from(self.paths.1));
        given.get(start..start + count).unwrap_or_default()
    }

    /// Calls the next function with the paths of `call`, and that environment.
    fn make(&self, next: usize, given: &[usize; 6], call: &Call, envp: List) -> isize {
        let mut args = *given;
        let paths = args.iter_mut().skip(usize::from(self.paths.0)).zip(call.args);
        paths.take(usize::from(self.paths.1)).for_each(|(to, from)| *to = from);
        if let Some(place) = args.get_mut(usize::from(self.envp)) {
            *place = envp as usize;
        }
        // SAFETY: the loader's tables have a function of this name there; the
        // arguments are the program's own, and an environment.
        unsafe { next::call(next, args) as i32 as isize }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execv(path: usize, argv: usize) -> c_int {
    // SAFETY: as execve's caller promises.
    unsafe { execve(path, argv, environment() as usize) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn execvp(file: usize, argv: usize) -> c_int {
    // SAFETY: as execvpe's caller promises.
    unsafe { execvpe(file, argv, environment() as usize) }
}

/// fork: the child has none of the threads that may hold the hook's slots.
fn fork_by(next: &Next<'_>) -> c_int {
    // SAFETY: fork takes nothing.
    let result = unsafe { next.call([0; 6]) }.unwrap_or(-1) as c_int;
    if result == 0 {
        pool::forked();
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fork() -> c_int {
    fork_by(&next!("fork"))
}

/// As fork, without what other libraries have asked to be done in the child.
#[unsafe(no_mangle)]
unsafe extern "C" fn _Fork() -> c_int {
    fork_by(&next!("_Fork"))
}

/// glibc's other name for fork.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn __fork() -> c_int {
    naked_asm!("jmp {fork}", fork = sym fork)
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
    unsafe { execve(path, argv as usize, environment() as usize) }
}

unsafe extern "C" fn execlp_row(file: usize, argv: List) -> c_int {
    // SAFETY: as above.
    unsafe { execvpe(file, argv as usize, environment() as usize) }
}

unsafe extern "C" fn execle_row(path: usize, argv: List) -> c_int {
    let mut at = argv;
    // SAFETY: the environment stands after the null that ends the arguments.
    unsafe {
        while !at.read().is_null() {
            at = at.add(1);
        }
        execve(path, argv as usize, at.add(1).read() as usize)
    }
}

/// execve or execveat by `syscall`.
pub(crate) fn directly(call: &Call) -> isize {
    let position = if call.nr == usize::from(EXECVE) { 2 } else { 3 };
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
