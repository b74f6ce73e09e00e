//! The functions that stand in the place of libc's, as data: which system call
//! each is, and which of its arguments are that call's.
//!
//! All of them take integers and pointers alone, at most six: on x86-64 these
//! are in six registers, whatever their types, also where libc's function is
//! variadic (System V ABI for x86-64, 3.2.3 and 3.5.7). So one way in serves
//! them all ([`crate::entry`]), and a line of the lists costs some sixty bytes
//! with its tables.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use procsys_hook::Call;
use procsys_rules::calls::{SHAPES, Shape};
use procsys_rules::reach::{After, Reach};

use crate::next;

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

/// One function. All of them lie in a row ([`FUNCTIONS`]); so do the [`State`]s.
/// Its name is that of the symbol with its number ([`next::exported_name`]).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Function {
    /// The call's number, and [`RETURNS_INT`].
    nr: u16,
    sources: [Source; 6],
    /// Its paths.
    pub(crate) paths: [Path; 2],
}

/// The bit of a function that returns an `int`.
const RETURNS_INT: u16 = 1 << 15;

/// A path of a function: in the low half of the byte its position among the
/// function's own arguments, in the high one that of its directory; or [`NONE`].
type Path = u8;

/// No argument.
pub(crate) const NONE: u8 = 0xf;

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

const fn shape(nr: u16) -> Option<&'static Shape> {
    let mut i = 0;
    while i < SHAPES.len() {
        if SHAPES[i].nr == nr {
            return Some(&SHAPES[i]);
        }
        i += 1;
    }
    None
}

/// The call's paths, as positions among the function's own arguments.
const fn paths(nr: u16, sources: &[Source; 6]) -> [Path; 2] {
    let mut found = [NONE; 2];
    let Some(shape) = shape(nr) else { return found };
    let mut i = 0;
    while i < found.len() {
        if let Some(arg) = shape.paths[i] {
            let source = sources[arg.path as usize];
            assert!(source < INT, "a path is one of the function's own pointers");
            let directory = match arg.dirfd {
                Some(dirfd) if sources[dirfd as usize] < VALUE => sources[dirfd as usize] % 8,
                _ => NONE,
            };
            found[i] = (source % 8) | (directory << 4);
        }
        i += 1;
    }
    found
}

impl Function {
    /// From a line of [`interpose!`]; a wrong one does not compile.
    pub(crate) const fn new(
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
        let int = if same(ret, "i32") { RETURNS_INT } else { 0 };
        Self { nr: nr | int, sources, paths: paths(nr, &sources) }
    }

    /// The number of the system call that it is.
    pub(crate) fn nr(&self) -> usize {
        usize::from(self.nr & !RETURNS_INT)
    }

    /// What it returned, as a whole word.
    pub(crate) fn widened(&self, result: isize) -> isize {
        if self.nr & RETURNS_INT != 0 { result as i32 as isize } else { result }
    }

    /// Whether it is given any path.
    pub(crate) fn has_path(&self) -> bool {
        self.paths != [NONE; 2]
    }

    /// Where its paths are among its own arguments, and their directories, if it
    /// is given any.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        let given = |position: u8| (position != NONE).then_some(usize::from(position));
        self.paths.into_iter().filter_map(move |p| Some((given(p & NONE)?, given(p >> 4))))
    }

    /// The system call that the function with these arguments is.
    pub(crate) fn call(&self, given: &[usize; 6]) -> Call {
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
        Call { nr: self.nr(), args }
    }

    /// The function's arguments, as the call has them now.
    pub(crate) fn arguments(&self, given: &[usize; 6], call: &Call) -> [usize; 6] {
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

/// How many functions there are in the lists; the programs' numbers follow.
pub(crate) const COUNT: usize = LAST.1;

/// Number and end of the last list.
#[cfg(feature = "whole")]
const LAST: (usize, usize) = crate::messages::NUMBERS;
#[cfg(not(feature = "whole"))]
const LAST: (usize, usize) = crate::socket::NUMBERS;

/// The functions of all lists.
pub(crate) static FUNCTIONS: [Function; COUNT] = {
    let mut all = [crate::paths::LIST[0]; COUNT];
    let lists: &[((usize, usize), &[Function])] = &[
        (crate::paths::NUMBERS, &crate::paths::LIST),
        (crate::stats::NUMBERS, &crate::stats::LIST),
        (crate::plain::NUMBERS, &crate::plain::LIST),
        (crate::socket::NUMBERS, &crate::socket::LIST),
        #[cfg(feature = "whole")]
        (crate::writes::NUMBERS, &crate::writes::LIST),
        #[cfg(feature = "whole")]
        (crate::messages::NUMBERS, &crate::messages::LIST),
    ];
    let mut list = 0;
    while list < lists.len() {
        let ((first, end), functions) = lists[list];
        let mut at = first;
        while at < end {
            all[at] = functions[at - first];
            at += 1;
        }
        list += 1;
    }
    all
};

/// Their states: zeros, which take no room in the file.
pub(crate) static STATES: [State; COUNT] = [const { State::new() }; COUNT];

/// What is known of a function once it has been called: zeros until then.
#[repr(C)]
pub(crate) struct State {
    /// Its next definition (see [`next::kept`]).
    next: AtomicUsize,
    /// When its calls are looked at: the bits of [`look`], the buffer's offset
    /// among the saved arguments, that of the mode in the buffer.
    how: AtomicU32,
}

/// The bits of a [`State`] that say when calls are looked at.
pub(crate) mod look {
    /// The function has been found, and this is all that is known of it: it is
    /// passed on to as it stands.
    pub(crate) const NEVER: u32 = 1;
    /// Its paths, before the call.
    pub(crate) const PATHS: u32 = 2;
    /// Its failures.
    pub(crate) const FAILURE: u32 = 4;
    /// Successes whose mode is a known one.
    pub(crate) const MODE: u32 = 8;
    /// Every success.
    pub(crate) const ALWAYS: u32 = 16;
    /// It has no next definition: the call is made without libc.
    pub(crate) const NO_NEXT: u32 = 32;
}

impl State {
    const fn new() -> Self {
        Self { next: AtomicUsize::new(0), how: AtomicU32::new(0) }
    }

    /// The address of its function's next definition.
    pub(crate) fn next(&self) -> Option<usize> {
        let number =
            (core::ptr::from_ref(self) as usize - (&raw const STATES) as usize) / size_of::<Self>();
        next::kept(&self.next, || next::exported_name(number as u8))
    }

    /// Whether a success is known not to be looked at.
    pub(crate) fn may_stand(&self) -> bool {
        let how = self.how.load(Ordering::Relaxed);
        how != 0 && how & (look::MODE | look::ALWAYS) == 0
    }

    /// Keeps what is found out: the address was kept before.
    pub(crate) fn keep(&self, how: u32) {
        self.how.store(how, Ordering::Release);
    }
}

/// The bits for a call that rules reach so.
pub(crate) fn how(function: &Function, reach: Reach) -> u32 {
    let mut how = look::NEVER;
    if reach.before {
        how |= look::PATHS;
    }
    if cfg!(feature = "whole") && reach.armed {
        how |= look::FAILURE | look::ALWAYS;
    }
    match reach.after {
        After::Nothing => how,
        // A trapped success is about what was noted at start (filter.rs).
        #[cfg(feature = "whole")]
        After::FailureOrTrapped => how | look::FAILURE | look::ALWAYS,
        #[cfg(not(feature = "whole"))]
        After::FailureOrTrapped => how | look::FAILURE,
        After::Failure => how | look::FAILURE,
        // Whether the argument is given is asked of the answer (filter.rs).
        After::Always | After::AlwaysWith(_) => how | look::FAILURE | look::ALWAYS,
        After::FailureOrMode(buffer, offset) => {
            let source = function.sources.get(usize::from(buffer)).copied().unwrap_or(0);
            let saved_at = u32::from(source % 8) * 8;
            how | look::FAILURE | look::MODE | (saved_at << 8) | (u32::from(offset) << 16)
        }
    }
}

/// Puts functions in the place of libc's. A line is the function as libc
/// declares it, and the system call that it is: the number, fixed first
/// arguments, those of the function, fixed last ones. The lists are numbered in
/// one row: each follows the one that it names.
///
/// A function is two instructions: its number, in a register in which a caller
/// passes nothing that is needed, and a jump. [`next::exported_name`] knows them.
macro_rules! interpose {
    (after $first:expr;
     $(fn $name:ident($($arg:ident: $type:ident),*) -> $ret:ident
        = $nr:literal ($($pre:expr),*) [$($slot:ident),*] ($($post:expr),*);)*) => {
        #[allow(non_camel_case_types)]
        enum Number { $($name),* }

        /// The functions of this list.
        pub(crate) const LIST: [$crate::function::Function; [$(Number::$name as usize),*].len()] =
            [$($crate::function::Function::new(
                stringify!($ret),
                $nr,
                &[$((stringify!($arg), stringify!($type))),*],
                (&[$($pre),*], &[$(stringify!($slot)),*], &[$($post),*]),
            )),*];

        /// The first one's number, and the one after the last.
        pub(crate) const NUMBERS: (usize, usize) = ($first, $first + LIST.len());

        $(
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name() -> isize {
                core::arch::naked_asm!(
                    "mov al, {number}",
                    "jmp {with_registers}",
                    number = const NUMBERS.0 + Number::$name as usize,
                    with_registers = sym $crate::entry::with_registers,
                )
            }
        )*
    };
}

pub(crate) use interpose;

const _: () = assert!(size_of::<Function>() == 10 && size_of::<State>() == 16);
const _: () = assert!(core::mem::offset_of!(State, how) == 8);
const _: () = assert!(COUNT + crate::exec::COUNT <= 256, "a number is a byte");
