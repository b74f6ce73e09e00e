//! The functions that stand in the place of libc's, as data: which system call
//! each is, and which of its arguments are that call's.
//!
//! All of them take integers and pointers alone, at most six: on x86-64 these
//! are in six registers, whatever their types, also where libc's function is
//! variadic (System V ABI for x86-64, 3.2.3 and 3.5.7). So one function serves
//! them all, and a line of the lists costs some sixty bytes with its tables.

use core::arch::naked_asm;
use core::sync::atomic::AtomicUsize;

use procsys_hook::Call;

use crate::engine;
use crate::next::{Name, Next};

/// Where an argument of the system call comes from, in a byte: what it is, and
/// the position among the function's arguments or in [`FIXED`].
type Source = u8;

/// A pointer or a `long`.
const WORD: Source = 0;
/// An `int`.
const INT: Source = 8;
/// An `unsigned int`.
const UNSIGNED: Source = 16;
/// No argument of the function's.
const VALUE: Source = 24;

/// Zero, `AT_FDCWD`, `AT_SYMLINK_NOFOLLOW`, `AT_EACCESS`.
const FIXED: [i16; 4] = [0, -100, 0x100, 0x200];

const fn fixed(value: i16) -> Source {
    let mut i = 0;
    while FIXED[i] != value {
        i += 1;
    }
    VALUE + i as u8
}

/// One function.
pub(crate) struct Function {
    name: Name,
    nr: u16,
    returns_int: bool,
    sources: [Source; 6],
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

impl Function {
    /// From a line of [`interpose!`]; a wrong one does not compile.
    pub(crate) const fn new(
        name: &str,
        ret: &str,
        nr: u16,
        args: &[(&str, &str)],
        parts: (&[i16], &[&str], &[i16]),
    ) -> Self {
        let mut sources = [VALUE; 6];
        let (mut at, mut i) = (0, 0);
        while i < parts.0.len() {
            sources[at] = fixed(parts.0[i]);
            (at, i) = (at + 1, i + 1);
        }
        i = 0;
        while i < parts.1.len() {
            let mut position = 0;
            while !same(args[position].0, parts.1[i]) {
                position += 1;
            }
            sources[at] = match args[position].1.as_bytes() {
                b"i32" => INT,
                b"u32" => UNSIGNED,
                _ => WORD,
            } + position as u8;
            (at, i) = (at + 1, i + 1);
        }
        i = 0;
        while i < parts.2.len() {
            sources[at] = fixed(parts.2[i]);
            (at, i) = (at + 1, i + 1);
        }
        Self { name: Name::new(name), nr, returns_int: same(ret, "i32"), sources }
    }

    /// The system call that the function with these arguments is.
    fn call(&self, given: &[usize; 6]) -> Call {
        let args = self.sources.map(|source| {
            let at = usize::from(source % 8);
            let word = given.get(at).copied().unwrap_or(0);
            match source - source % 8 {
                WORD => word,
                INT => word as i32 as usize,
                UNSIGNED => word as u32 as usize,
                _ => FIXED.get(at).copied().unwrap_or(0) as usize,
            }
        });
        Call { nr: usize::from(self.nr), args }
    }

    /// The function's arguments, as the call has them now.
    fn arguments(&self, given: &[usize; 6], call: &Call) -> [usize; 6] {
        let mut args = *given;
        for (source, &word) in self.sources.iter().zip(&call.args) {
            let arg = args.get_mut(usize::from(source % 8)).filter(|_| *source < VALUE);
            if let Some(arg) = arg {
                *arg = word;
            }
        }
        args
    }
}

/// Where each function goes on: `r10` has its [`Function`], `r11` its address found.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn with_registers() -> isize {
    naked_asm!(
        ".cfi_startproc",
        "sub rsp, 56",
        ".cfi_def_cfa_offset 64",
        "mov [rsp], rdi",
        "mov [rsp + 8], rsi",
        "mov [rsp + 16], rdx",
        "mov [rsp + 24], rcx",
        "mov [rsp + 32], r8",
        "mov [rsp + 40], r9",
        "mov rdi, r10",
        "mov rsi, r11",
        "mov rdx, rsp",
        "call {enter}",
        "add rsp, 56",
        ".cfi_def_cfa_offset 8",
        "ret",
        ".cfi_endproc",
        enter = sym enter,
    )
}

/// The way of all of them.
extern "C" fn enter(function: &Function, found: &AtomicUsize, given: &[usize; 6]) -> isize {
    let next = Next::of(&function.name, found);
    engine::run(&function.call(given), &|call| {
        let Some(address) = next.address() else { return engine::directly(call) };
        let [a, b, c, d, e, f] = function.arguments(given, call);
        // SAFETY: the loader's tables have a function of this name there; it
        // looks at as many of the arguments as it has.
        let result = unsafe {
            let next: unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize =
                core::mem::transmute(address);
            next(a, b, c, d, e, f)
        };
        if function.returns_int { result as i32 as isize } else { result }
    })
}

/// Puts functions in the place of libc's. A line is the function as libc
/// declares it, and the system call that it is: the number, fixed first
/// arguments, those of the function, fixed last ones.
macro_rules! interpose {
    ($(fn $name:ident($($arg:ident: $type:ident),*) -> $ret:ident
        = $nr:literal ($($pre:expr),*) [$($slot:ident),*] ($($post:expr),*);)*) => {$(
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() -> isize {
            static FUNCTION: $crate::function::Function = $crate::function::Function::new(
                stringify!($name),
                stringify!($ret),
                $nr,
                &[$((stringify!($arg), stringify!($type))),*],
                (&[$($pre),*], &[$(stringify!($slot)),*], &[$($post),*]),
            );
            static FOUND: core::sync::atomic::AtomicUsize =
                core::sync::atomic::AtomicUsize::new(0);
            core::arch::naked_asm!(
                "lea r10, [rip + {function}]",
                "lea r11, [rip + {found}]",
                "jmp {with_registers}",
                function = sym FUNCTION,
                found = sym FOUND,
                with_registers = sym $crate::function::with_registers,
            )
        }
    )*};
}

pub(crate) use interpose;
