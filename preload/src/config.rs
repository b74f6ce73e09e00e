//! What was asked for, read from the environment before main.
//!
//! - `PROCSYS_DISABLE=1`: do nothing at all;
//! - `PROCSYS_PROFILE=NAME`: a built-in profile in the place of the default one;
//!   without it, a program that procsys-patch patched brings its own rules;
//! - `PROCSYS_RULES=FILE`: rules besides those of the profile, or a compiled table
//!   in its place ([`rules_file`]);
//! - `PROCSYS_TRACE=FILE`: a line for each repair;
//! - `PROCSYS_PROPAGATE=0`: don't restore what a program clears from its environment.
//!
//! What can't be read is one line on standard error and exit code 2.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use procsys_hook::Kernel;
use procsys_rules::Table;

use crate::early::Early;
use crate::go::{self, Program};
use crate::kernel::{Raw, nr};
use crate::next::{self, Header};
use crate::{auxiliary, entry, environment, libc, readable, redirect, rules_file, trace};

/// The built-in profiles: name and table.
const PROFILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/profiles.rs"));
/// What is said of them.
const KNOWN: &[u8] = if cfg!(feature = "whole") {
    b"gvisor, k3s, kubelet, lxc, sysbox"
} else {
    b"gvisor; libprocsys-whole.so has all"
};
/// The profile that is used when none is named.
const DEFAULT: &str = include!(concat!(env!("OUT_DIR"), "/default.rs"));

static TABLE: Early<Option<Table<'static>>> = Early::new(None);
static IS_SETTLED: AtomicBool = AtomicBool::new(false);
static TRACE: AtomicPtr<u8> = AtomicPtr::new(null_mut());

/// The rules; `None` before they are read, and where they are disabled.
#[inline]
pub(crate) fn table() -> Option<Table<'static>> {
    *TABLE.get()
}

/// Whether what was asked for has been read: nothing of it changes any more.
pub(crate) fn is_settled() -> bool {
    IS_SETTLED.load(Ordering::Acquire)
}

/// The name of the trace file, ended by NUL.
pub(crate) fn trace() -> Option<*const u8> {
    let name = TRACE.load(Ordering::Relaxed);
    (!name.is_null()).then_some(name.cast_const())
}

#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

/// Runs before main, and before the threads and handlers of the program.
extern "C" fn at_load() {
    next::note_objects();
    let given = auxiliary::read();
    if !given.is_secure {
        let own = environment::Own::read(libc::environment());
        if own.value(b"PROCSYS_DISABLE") != Some(b"1") {
            start(&own, &given);
        }
    }
    IS_SETTLED.store(true, Ordering::Release);
}

/// Reads what is asked for, and does so from here on.
fn start(own: &environment::Own, given: &auxiliary::Given) {
    if own.are_too_many() {
        fail(b"more than seven variables PROCSYS_*", &[]);
    }
    let program = Program::new(given.headers);
    let patched = program.rules();
    let table = match (own.value(b"PROCSYS_RULES"), own.value(b"PROCSYS_PROFILE")) {
        (Some(file), profile) => checked(rules_file::read(file, profile)),
        (None, None) if let Some(rules) = patched => Table::new(rules).unwrap_or_else(|| {
            fail(b"the rules in the patched program are not of this library's version", &[])
        }),
        (None, name) => checked(built_in(name.unwrap_or(DEFAULT.as_bytes()))),
    };
    if let Some(name) = own.value(b"PROCSYS_TRACE") {
        TRACE.store(name.as_ptr().cast_mut(), Ordering::Relaxed);
        trace::keep();
    }
    let is_propagated = match own.value(b"PROCSYS_PROPAGATE") {
        None | Some(b"1") => true,
        Some(b"0") => false,
        Some(other) => fail(b"PROCSYS_PROPAGATE=", &[other, b": expected 0 or 1"]),
    };
    if is_propagated {
        own.keep();
    }
    if patched.is_none() && program.is_go() {
        go::attach(&program, table);
    }
    install(table, given.headers);
}

/// Refuses rules that the small hook does not have, rather than run without them.
fn checked(table: Table<'static>) -> Table<'static> {
    #[cfg(not(feature = "whole"))]
    if let Some(rule) = table.first_for_whole() {
        fail(b"rule ", &[rule.name(), b": libprocsys-whole.so has it, this library has not"]);
    }
    table
}

fn built_in(name: &[u8]) -> Table<'static> {
    let profile = PROFILES.iter().find(|(known, _)| known.as_bytes() == name);
    match profile.and_then(|(_, table)| Table::new(table)) {
        Some(table) => table,
        None => fail(b"PROCSYS_PROFILE=", &[name, b": not a profile of this library: ", KNOWN]),
    }
}

fn install(table: Table<'static>, headers: &[Header]) {
    entry::prepare();
    // Where there are more than are known, no path is read but by the hook.
    if (1..=redirect::MOST).contains(&redirect::note(table)) {
        readable::note(headers);
    }
    // SAFETY: before main, and nobody keeps a reference to it.
    *unsafe { TABLE.set() } = Some(table);
    #[cfg(feature = "whole")]
    if table.starts()
        && let Some(mut held) = crate::pool::take()
    {
        held.run(|scratch| procsys_hook::start(&Raw, table, scratch));
    }
}

/// Ends the program with one line: it never runs half-way.
pub(crate) fn fail(what: &[u8], more: &[&[u8]]) -> ! {
    say(what, more);
    loop {
        Raw.call(nr::EXIT_GROUP, [2, 0, 0, 0, 0, 0]);
    }
}

/// A line on standard error.
pub(crate) fn say(what: &[u8], more: &[&[u8]]) {
    let mut line = [0u8; 512];
    let mut len = 0;
    let mut add = |part: &[u8]| {
        for &byte in part {
            if let Some(place) = line.get_mut(len) {
                *place = byte;
                len += 1;
            }
        }
    };
    add(b"procsys: ");
    add(what);
    more.iter().for_each(|part| add(part));
    add(b"\n");
    Raw.call(nr::WRITE, [2, line.as_ptr() as usize, len, 0, 0, 0]);
}
