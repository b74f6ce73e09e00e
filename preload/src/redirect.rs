//! Is a path one that a redirect means?
//!
//! Asked before a call with a path, where there are redirects at all, if the look in
//! [`crate::entry`] has not passed it: most have none of the prefixes' last
//! components. A path that starts with a prefix, word for word, gets its new text
//! here, on the caller's stack. Only what is left (relative, with `..`, through a
//! link) is looked at by the hook with the kernel's help.

use core::ptr::copy_nonoverlapping;
use core::sync::atomic::{AtomicUsize, Ordering};

use procsys_hook::{Call, PATH_MAX};
use procsys_rules::path;
use procsys_rules::sockets::{self, Carrier};
use procsys_rules::table::{Kind, Table};

use crate::early::Early;
use crate::function::Function;
use crate::{filter, readable};

/// The most redirects that are known here; where there are more, the hook looks
/// at every path.
pub(crate) const MOST: usize = 8;

#[derive(Clone, Copy)]
struct Redirect {
    from: &'static [u8],
    to: &'static [u8],
    /// The last component of `from`.
    last: &'static [u8],
}

/// The last component of a redirect's prefix, as [`crate::entry`] looks for it.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub(crate) struct Last {
    /// Its first byte, sixteen times.
    pub(crate) first: [u8; 16],
    /// Its last byte, as often; of a long one, one in its middle.
    pub(crate) last: [u8; 16],
    /// A slash, as often.
    pub(crate) slash: [u8; 16],
    /// How many of its bytes `last` is the last of; 0 behind the last of them.
    pub(crate) len: usize,
}

/// The longest that is asked for by its last byte.
pub(crate) const LONGEST_LAST: usize = 32;

/// Those of the list.
pub(crate) static LASTS: Early<[Last; MOST + 1]> =
    Early::new([Last { first: [0; 16], last: [0; 16], slash: [0; 16], len: 0 }; MOST + 1]);

/// `None` is all zeros, which take no room in the file.
static LIST: Early<[Option<Redirect>; MOST]> = Early::new([None; MOST]);
/// How many there are in the rules; those above [`MOST`] are not in the list.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether paths have to be looked at before a call is made.
pub(crate) fn is_any() -> bool {
    COUNT.load(Ordering::Relaxed) != 0
}

/// Notes the redirects of a table. Called before main. How many there are.
pub(crate) fn note(table: Table<'static>) -> usize {
    let mut count = 0;
    for rule in table.rules().filter(|r| r.kind() == Some(Kind::Redirect)) {
        // SAFETY: before main, by one thread.
        if let Some(place) = unsafe { LIST.set() }.get_mut(count) {
            let (from, to) = (rule.path(), rule.value());
            let last = path::last(from).unwrap_or_default();
            *place = Some(Redirect { from, to, last });
            // SAFETY: as above.
            if let Some(place) = unsafe { LASTS.set() }.get_mut(count) {
                let splat = |byte: Option<&u8>| [byte.copied().unwrap_or(b'/'); 16];
                let len = last.len().clamp(1, LONGEST_LAST);
                let (first, slash) = (splat(last.first()), splat(None));
                *place = Last { first, last: splat(last.get(len - 1)), slash, len };
            }
        }
        count += 1;
    }
    COUNT.store(count, Ordering::Relaxed);
    count
}

/// What a path is to the redirects.
#[derive(Clone, Copy)]
pub(crate) enum Meaning {
    /// None means it.
    Other,
    /// Its start is to be replaced.
    Below(Below),
    /// The hook has to look.
    Unknown,
}

/// A path whose start is to be replaced.
#[derive(Clone, Copy)]
pub(crate) struct Below {
    /// What takes its place.
    to: &'static [u8],
    /// What follows.
    rest: *const u8,
    /// The length of what follows.
    rest_len: usize,
}

impl Below {
    /// How many bytes the new path takes, with its NUL.
    pub(crate) fn len(&self) -> usize {
        self.to.len() + self.rest_len + 1
    }

    /// Writes the new path.
    ///
    /// # Safety
    /// `room` must have [`Self::len`] bytes; the old path must still be there.
    pub(crate) unsafe fn write(&self, room: *mut u8) {
        // SAFETY: as the caller promises. The NUL is ours: another thread may be
        // writing to the program's path meanwhile.
        unsafe {
            copy_nonoverlapping(self.to.as_ptr(), room, self.to.len());
            copy_nonoverlapping(self.rest, room.add(self.to.len()), self.rest_len);
            room.add(self.to.len() + self.rest_len).write(0);
        }
    }
}

/// Whether a call carries an address that may be the path of a socket. Its arguments
/// are those of the function.
pub(crate) fn may_name(carrier: Carrier, given: &[usize; 6]) -> bool {
    let arg = |position: u8| given.get(usize::from(position)).copied().unwrap_or(0);
    match carrier {
        Carrier::Given(address, _) => arg(address) != 0,
        Carrier::GivenInMessage(message) => start(arg(message)).is_some_and(|end| {
            // SAFETY: memory that can be read. The first word is the name's address.
            end - arg(message) < 8 || unsafe { *(arg(message) as *const usize) } != 0
        }),
        Carrier::Asked(..) => true,
        #[cfg(feature = "whole")]
        Carrier::GivenInMessages(row, _) => arg(row) != 0,
        _ => false,
    }
}

/// The end of the memory in which a path starts; `None` for a bad pointer.
fn start(address: usize) -> Option<usize> {
    if address == 0 { None } else { readable::end(address) }
}

/// What the path at `address`, of the call with this number, is to the redirects. Of
/// openat2's, where a path starts is in a structure, which the hook looks at.
fn meaning(nr: usize, address: usize) -> Meaning {
    const OPENAT2: usize = 437;
    let count = COUNT.load(Ordering::Relaxed);
    let Some(list) = LIST.get().get(..count) else { return Meaning::Unknown };
    let Some(end) = start(address) else { return Meaning::Other };
    // SAFETY: memory that can be read; it is the program's, as in libc's own functions.
    let room = unsafe { core::slice::from_raw_parts(address as *const u8, end - address) };
    let len = room.iter().take(PATH_MAX).position(|&b| b == 0);
    let Some(len) = len else { return Meaning::Unknown };
    let text = room.get(..len).unwrap_or_default();
    for redirect in list.iter().flatten() {
        if let Some(rest) = below(redirect.from, text) {
            let (rest, rest_len) = (rest.as_ptr(), rest.len());
            let new = Below { to: redirect.to, rest, rest_len };
            let is_known = new.len() <= PATH_MAX && nr != OPENAT2;
            return if is_known { Meaning::Below(new) } else { Meaning::Unknown };
        }
        if text.split(|&b| b == b'/').any(|component| component == redirect.last) {
            return Meaning::Unknown;
        }
    }
    Meaning::Other
}

/// As [`path::below`], quicker where the text starts as the prefix does.
fn below<'t>(prefix: &[u8], text: &'t [u8]) -> Option<&'t [u8]> {
    match text.strip_prefix(prefix) {
        Some(rest) if rest.is_empty() => Some(rest),
        Some(rest) if rest.first() == Some(&b'/') && !has_two_dots(rest) => Some(rest),
        _ => path::below(prefix, text),
    }
}

fn has_two_dots(text: &[u8]) -> bool {
    text.array_windows().any(|pair| pair == b"..")
}

/// What a function's paths are to the redirects, by their text alone.
pub(crate) enum One {
    /// None is meant.
    Other,
    /// One is: its position among the arguments, that of its directory, the new path.
    Below(usize, Option<usize>, Below),
}

/// As [`One`]; `None` where the hook has to look, or has more than one to replace.
pub(crate) fn one(function: &Function, given: &[usize; 6]) -> Option<One> {
    let mut found = One::Other;
    for (position, directory) in function.paths() {
        match (meaning(function.nr(), *given.get(position)?), &found) {
            (Meaning::Other, _) => {}
            (Meaning::Below(new), One::Other) => found = One::Below(position, directory, new),
            _ => return None,
        }
    }
    Some(found)
}

/// What each path of a call is to the redirects, by the position of the argument;
/// `None` where no redirect means any.
pub(crate) fn meanings(call: &Call) -> Option<[Meaning; 6]> {
    let mut all = [Meaning::Other; 6];
    let mut is_any = false;
    if sockets::carrier(call.nr).is_some_and(|carrier| may_name(carrier, &call.args)) {
        return Some([Meaning::Unknown; 6]);
    }
    let paths = filter::shape(call.nr)?.paths;
    for arg in paths.into_iter().flatten().map(|arg| usize::from(arg.path)) {
        if let (Some(place), Some(&address)) = (all.get_mut(arg), call.args.get(arg)) {
            *place = meaning(call.nr, address);
            is_any |= !matches!(place, Meaning::Other);
        }
    }
    is_any.then_some(all)
}
