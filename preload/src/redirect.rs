//! Is a path one that a redirect means?
//!
//! Asked before every call with a path, where there are redirects at all. A path
//! that has none of the prefixes' last components is passed; one that starts with
//! a prefix, word for word, gets its new text here, on the caller's stack. Only
//! what is left (relative, with `..`, through a link) is looked at by the hook
//! with the kernel's help.

use core::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set1_epi8, _mm_setzero_si128,
};
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
const MOST: usize = 8;

#[derive(Clone, Copy)]
struct Redirect {
    from: &'static [u8],
    to: &'static [u8],
    /// The last component of `from`.
    last: &'static [u8],
}

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
            *place = Some(Redirect { from, to, last: path::last(from).unwrap_or_default() });
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

/// Whether a redirect may concern the path at `address`.
#[inline]
pub(crate) fn may_concern(address: usize) -> bool {
    let count = COUNT.load(Ordering::Relaxed);
    let Some(list) = LIST.get().get(..count) else { return true };
    let Some(end) = start(address) else { return false };
    list.iter()
        .flatten()
        .any(|redirect| !matches!(scan(address, end, redirect.last), Scan::Without))
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

/// What the path at `address` is to the redirects.
fn meaning(address: usize) -> Meaning {
    let count = COUNT.load(Ordering::Relaxed);
    let Some(list) = LIST.get().get(..count) else { return Meaning::Unknown };
    let Some(end) = start(address) else { return Meaning::Other };
    for redirect in list.iter().flatten() {
        let len = match scan(address, end, redirect.last) {
            Scan::Without => continue,
            Scan::With(len) => len,
            Scan::Unfinished => return Meaning::Unknown,
        };
        // SAFETY: the scan has read these bytes; they are the program's, as in
        // libc's own functions.
        let text = unsafe { core::slice::from_raw_parts(address as *const u8, len) };
        let Some(rest) = below(redirect.from, text) else { return Meaning::Unknown };
        let (rest, rest_len) = (rest.as_ptr(), rest.len());
        let new = Below { to: redirect.to, rest, rest_len };
        return if new.len() <= PATH_MAX { Meaning::Below(new) } else { Meaning::Unknown };
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

/// The one path of a function's that a redirect means, by its text alone: its
/// position among the arguments, that of its directory, and the new path.
pub(crate) fn one(
    function: &Function,
    given: &[usize; 6],
) -> Option<(usize, Option<usize>, Below)> {
    let mut found = None;
    for (position, directory) in function.paths() {
        match meaning(*given.get(position)?) {
            Meaning::Other => {}
            Meaning::Below(new) if found.is_none() => found = Some((position, directory, new)),
            Meaning::Below(_) | Meaning::Unknown => return None,
        }
    }
    found
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
            *place = meaning(address);
            is_any |= !matches!(place, Meaning::Other);
        }
    }
    is_any.then_some(all)
}

/// What a look through a text found.
enum Scan {
    /// It has the component; so long is it.
    With(usize),
    /// It does not have it.
    Without,
    /// The text leads out of the memory that is known.
    Unfinished,
}

/// Looks through the text at `address` for a component. Sixteen aligned bytes at
/// a time, which never lie in two pages: all before `end` can be read.
fn scan(address: usize, end: usize, component: &[u8]) -> Scan {
    // SAFETY: SSE2 is part of x86-64.
    let (slash, first, nul) = unsafe {
        let first = component.first().copied().unwrap_or(0);
        (_mm_set1_epi8(b'/' as i8), _mm_set1_epi8(first as i8), _mm_setzero_si128())
    };
    let mut has_it = false;
    let mut block = address & !15;
    let mut starts = 1u32 << (address & 15);
    let mut valid = u32::MAX << (address & 15);
    while block < end {
        // SAFETY: aligned, and in a page that can be read.
        let data = unsafe { _mm_load_si128(block as *const __m128i) };
        let (slashes, firsts) = (equal(data, slash), equal(data, first));
        let ends = equal(data, nul) & valid;
        let before_end = ends.wrapping_sub(1) & !ends;
        starts |= (slashes & valid) << 1;
        let mut candidates = starts & firsts & before_end & 0xffff;
        while candidates != 0 && !has_it {
            let at = block + candidates.trailing_zeros() as usize;
            has_it = is_component(at, end, component);
            candidates &= candidates - 1;
        }
        if ends != 0 {
            let len = block + ends.trailing_zeros() as usize - address;
            return if has_it { Scan::With(len) } else { Scan::Without };
        }
        starts = (starts >> 16) & 1;
        valid = u32::MAX;
        block += 16;
    }
    Scan::Unfinished
}

/// Where the bytes are the same, as bits.
#[inline(always)]
fn equal(one: __m128i, two: __m128i) -> u32 {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(one, two)) as u32 }
}

/// Whether the component that starts at `at` is this one. A NUL is reached before
/// anything behind the text is read.
fn is_component(at: usize, end: usize, component: &[u8]) -> bool {
    if end - at <= component.len() {
        return true; // In doubt: the hook looks.
    }
    let byte = |i: usize| {
        // SAFETY: before `end`, and not behind a NUL, as the bytes before were equal.
        unsafe { ((at + i) as *const u8).read() }
    };
    component.iter().enumerate().all(|(i, &b)| byte(i) == b)
        && matches!(byte(component.len()), b'/' | 0)
}
