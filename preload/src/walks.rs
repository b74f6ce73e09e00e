//! ftw and nftw: libc walks a tree by itself, unseen by us.
//!
//! With redirects libc gets the root that the rules put in the place of the
//! program's, and a function of ours, which hands on each name as the program knows
//! it. The walk is libc's: order, kinds, descriptors, loops, what ends it.

use core::ffi::c_int;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::next::{self, Next, next};
use crate::{given, libc, stack};

/// A walk that goes on, on the stack of its thread.
struct Walk {
    /// The program's function, and whether it takes the [`Place`].
    function: usize,
    takes_place: bool,
    /// The root as libc has it, and as the program has; without slashes at the end.
    root: &'static [u8],
    known_as: &'static [u8],
}

/// `struct FTW`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Place {
    base: c_int,
    level: c_int,
}

/// How many walks can go on at once; with more, names stay libc's.
const MOST: usize = 64;

/// For each walk its thread, 0 for none, and where it lies: the function that libc
/// calls is told nothing of its walk.
static WALKS: [(AtomicUsize, AtomicUsize); MOST] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; MOST];

/// The walks of a thread, in no order.
fn walks(thread: usize) -> impl Iterator<Item = &'static (AtomicUsize, AtomicUsize)> {
    WALKS.iter().filter(move |(owner, _)| owner.load(Ordering::Relaxed) == thread)
}

/// Notes a walk. Walks not above it on the thread's stack were left by longjmp, or by the
/// end of a thread that had the same number.
fn note(walk: &Walk) -> Option<&'static AtomicUsize> {
    let (thread, at) = (libc::errno_location() as usize, (&raw const *walk) as usize);
    walks(thread)
        .filter(|(_, walk)| walk.load(Ordering::Relaxed) <= at)
        .for_each(|(owner, _)| owner.store(0, Ordering::Relaxed));
    WALKS.iter().find_map(|(owner, walk)| {
        owner.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        walk.store(at, Ordering::Relaxed);
        Some(owner)
    })
}

/// The walk that this thread is in: the one that is nearest above on its stack.
fn current() -> Option<&'static Walk> {
    let here = 0u8;
    let here = (&raw const here) as usize;
    let above = |(_, walk): &(AtomicUsize, AtomicUsize)| {
        Some(walk.load(Ordering::Relaxed)).filter(|&walk| walk > here)
    };
    let at = walks(libc::errno_location() as usize).filter_map(above).min()?;
    // SAFETY: it lies in the frame of `nftw_by`, which waits for the walk to end.
    Some(unsafe { &*(at as *const Walk) })
}

/// What libc calls for each name.
extern "C" fn found(path: *const u8, stat: usize, kind: c_int, place: *const Place) -> c_int {
    let Some(walk) = current() else { return -1 };
    // SAFETY: libc's own text.
    let path = unsafe { libc::bytes(path) };
    let rest = path.strip_prefix(walk.root).unwrap_or_default();
    let mut result = -1;
    stack::with_room(walk.known_as.len() + rest.len() + 2, &mut |name: *mut u8| {
        let mut end = name;
        // SAFETY: the room has the length of both, of a slash and of a NUL.
        unsafe {
            for &byte in walk.known_as.iter().chain(rest) {
                end.write(byte);
                end = end.add(1);
            }
            if end == name {
                end.write(b'/');
                end = end.add(1);
            }
            end.write(0);
        }
        let mut shifted = Place { base: 0, level: 0 };
        if walk.takes_place {
            // SAFETY: nftw's function gets one.
            shifted = unsafe { place.read() };
            shifted.base = match shifted.level {
                0 => base(walk.known_as),
                _ => shifted.base - walk.root.len() as c_int + walk.known_as.len() as c_int,
            };
        }
        let args = [name as usize, stat, kind as usize, (&raw const shifted) as usize, 0, 0];
        // SAFETY: the program's function, which takes these.
        result = unsafe { next::call(walk.function, args) } as c_int;
    });
    result
}

/// Where the last component of a root starts.
fn base(root: &[u8]) -> c_int {
    root.iter().rposition(|&b| b == b'/').map_or(0, |at| at as c_int + 1)
}

/// A root's text without slashes at its end.
///
/// # Safety
/// As [`libc::bytes`].
unsafe fn root(path: usize) -> &'static [u8] {
    // SAFETY: as the caller promises.
    let text = unsafe { libc::bytes(path as *const u8) };
    let slashes = text.iter().rev().take_while(|&&b| b == b'/').count();
    text.get(..text.len() - slashes).unwrap_or_default()
}

fn nftw_by(
    next: &Next<'_>,
    path: usize,
    function: usize,
    descriptors: c_int,
    flags: Option<c_int>,
) -> c_int {
    const FTW_PHYS: c_int = 1;
    const AT_SYMLINK_NOFOLLOW: usize = 0x100;
    let nofollow = flags.is_some_and(|flags| flags & FTW_PHYS != 0);
    let follow = if nofollow { AT_SYMLINK_NOFOLLOW } else { 0 };
    let go = |path: usize, function: usize| {
        let args = [path, function, descriptors as usize, flags.unwrap_or(0) as usize, 0, 0];
        // SAFETY: the program's own arguments, perhaps with another path and with
        // our function, which calls the program's.
        unsafe { next.call(args) }.unwrap_or(-1)
    };
    given::asks(path, follow, |changed| {
        if changed == path {
            return go(path, function);
        }
        // SAFETY: both are texts that stay as long as this call.
        let (root, known_as) = unsafe { (root(changed), root(path)) };
        let walk = Walk { function, takes_place: flags.is_some(), root, known_as };
        let Some(noted) = note(&walk) else { return go(changed, function) };
        let result = go(changed, found as *const () as usize);
        noted.store(0, Ordering::Relaxed);
        result
    }) as c_int
}

macro_rules! walking {
    ($($name:ident ($($flags:ident)?) $given:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(path: usize, function: usize, descriptors: c_int $(, $flags: c_int)?) -> c_int {
            nftw_by(&next!(stringify!($name)), path, function, descriptors, $given)
        }
    )*};
}

walking! {
    ftw () None;
    ftw64 () None;
    nftw (flags) Some(flags);
    nftw64 (flags) Some(flags);
}
