//! How is the answer given?
//!
//! One implementation of every action, used by both doors. It asks the kernel
//! and reads the program's memory only through [`Kernel`], so that unit tests
//! run it against a fake one.
//!
//! What code in this crate may not do, because it runs inside another program
//! at any of its system calls, on a stack of a few KiB:
//!
//! - no allocation, no thread-local storage, no locks, no libc;
//! - no panic: the shim's link fails if a call to the panic machinery is left;
//! - no relocation: no static tables of pointers, no function pointers in data;
//! - no path buffers on the stack: they are in [`Scratch`];
//! - no floating point.
//!
//! Without the feature `whole` it is the small hook: no more than the default
//! profile and rules like its own need.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod condition;
mod emulate;
mod how;
mod identity;
mod kept;
mod kernel;
#[cfg(feature = "whole")]
mod kmsg;
mod locate;
mod memory;
#[cfg(feature = "whole")]
mod messages;
#[cfg(feature = "whole")]
mod mounted_proc;
#[cfg(feature = "whole")]
mod mountinfo;
mod notes;
#[cfg(feature = "whole")]
mod openat2;
#[cfg(feature = "whole")]
mod propagation;
#[cfg(feature = "redirect")]
mod redirect;
mod report;
mod retry;
#[cfg(feature = "whole")]
mod safe_procfs;
#[cfg(feature = "whole")]
mod sibling;
#[cfg(feature = "redirect")]
mod socket;
mod stat;
#[cfg(feature = "whole")]
mod state;

pub use kept::Kept;
pub use kernel::{Kernel, nr};
pub use memory::{PATH_MAX, Scratch, readable};
#[cfg(feature = "whole")]
pub use messages::{SENDMMSG, goes_on, is_copy};
pub use notes::Notes;
#[cfg(feature = "redirect")]
pub use redirect::without_directories;
pub use report::TMPFS_MAGIC;
#[cfg(feature = "whole")]
pub use safe_procfs::start;

#[cfg(feature = "whole")]
use procsys_rules::calls;
use procsys_rules::table::{Kind, Table};

/// One system call: its number and arguments, as the program made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Call {
    /// The number, as the kernel counts them on x86-64.
    pub nr: usize,
    /// The arguments.
    pub args: [usize; 6],
}

/// What is to be done with a call before the kernel is asked.
#[cfg(feature = "redirect")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Make the call as it stands.
    Pass,
    /// Make this one in its place: its arguments point into the scratch.
    Replace(Call),
    /// Don't make it: this is the answer, as the kernel would give it.
    Answer(isize),
}

/// Decides about a call before it is made: only redirects act here.
#[cfg(feature = "redirect")]
pub fn before(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
) -> Before {
    match procsys_rules::sockets::carrier(call.nr) {
        Some(carrier) => socket::before(kernel, table, scratch, call, carrier),
        None => redirect::apply(kernel, table, scratch, call),
    }
}

/// What the hook made of the kernel's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The result, as the kernel would give it.
    pub result: isize,
    /// Whether a rule changed it, or a field of what was filled in.
    pub is_repaired: bool,
}

/// Gives the answer to a call that the kernel has answered with `result`: the
/// same result, unless a rule names it.
pub fn after(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
    result: isize,
) -> isize {
    repair(kernel, table, scratch, call, result).result
}

/// As [`after`], and says whether a rule acted.
pub fn repair(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
    result: isize,
) -> Answer {
    if result >= 0 {
        return Answer { result, is_repaired: succeeded(kernel, table, scratch, call, result) };
    }
    let repaired = repaired(kernel, table, scratch, call, result);
    Answer { result: repaired.unwrap_or(result), is_repaired: repaired.is_some() }
}

/// The answer of a retry that has checks of its own (docs/rules.md, `through`).
#[cfg(feature = "whole")]
fn through(kernel: &impl Kernel, scratch: &mut Scratch, call: &Call, kind: Kind) -> Option<isize> {
    match kind {
        Kind::RetryTrustedOvermount => safe_procfs::open(kernel, scratch, call),
        Kind::RetryMountedProc => mounted_proc::open(kernel, scratch, call),
        Kind::RetryWorkingDirectory => propagation::again(kernel, scratch, call),
        _ => None,
    }
}

/// Looks at a successful answer. Whether something in it was corrected.
#[cfg_attr(not(feature = "whole"), allow(unused_variables))]
fn succeeded(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
    result: isize,
) -> bool {
    #[cfg(feature = "whole")]
    if safe_procfs::success(kernel, table, scratch, call, result) {
        return true;
    }
    #[cfg(feature = "redirect")]
    if socket::received(kernel, table, call, result) {
        return true;
    }
    report::success(kernel, table, call)
}

/// The answer of the first rule that concerns a failure.
fn repaired(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
    result: isize,
) -> Option<isize> {
    let errno = u8::try_from(result.unsigned_abs()).ok()?;
    for rule in table.rules().filter(|r| usize::from(r.call()) == call.nr && r.acts_on(errno)) {
        if !condition::all_hold(kernel, scratch, rule, call) {
            continue;
        }
        match rule.kind() {
            Some(Kind::Ignore) => return Some(ignored(call)),
            Some(Kind::ReportErrno) => return Some(-(rule.number() as isize)),
            Some(Kind::Retry) => return Some(retry::again(kernel, scratch, rule, call)),
            #[cfg(feature = "whole")]
            Some(kind) => {
                if let Some(answer) = through(kernel, scratch, call, kind) {
                    return Some(answer);
                }
            }
            _ => {}
        }
    }
    #[cfg(feature = "whole")]
    if calls::writes(call.nr) {
        return state::write(kernel, table, call, errno);
    }
    emulate::answer(kernel, table, scratch, call, errno)
}

/// What a call returns that did what it was asked to: `write` says how much.
fn ignored(call: &Call) -> isize {
    if [nr::WRITE, nr::PWRITE64].contains(&call.nr) { call.args[2] as isize } else { 0 }
}
