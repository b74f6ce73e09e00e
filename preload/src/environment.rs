//! The environment travels: what a program clears of ours is put back when it
//! runs another.

use core::sync::atomic::{AtomicUsize, Ordering};

use procsys_hook::Kernel;

use crate::early::Early;
use crate::kernel::{Raw, nr};
use crate::{config, libc, readable, stack};

const PRELOAD: &[u8] = b"LD_PRELOAD";
const PREFIX: &[u8] = b"PROCSYS_";
/// The library's name, to know its own entry in a list of libraries by.
const LIBRARY: &[u8] =
    if cfg!(feature = "whole") { b"libprocsys-whole.so" } else { b"libprocsys.so" };

/// The most variables that are kept.
const MOST: usize = 8;
/// Bytes for their texts.
const ROOM: usize = 4096;

/// Texts `NAME=value`, each ended by NUL: a copy, since programs write over
/// their environment (to show another title).
static TEXTS: Early<[u8; ROOM]> = Early::new([0; ROOM]);
/// How many bytes of them there are; nothing is put back while it is 0.
static LEN: AtomicUsize = AtomicUsize::new(0);

/// The most bytes that a completed list takes of the caller's stack: some 16,000
/// variables.
const ON_STACK: usize = 1 << 17;

/// Our variables as the program was started with them.
pub(crate) struct Own {
    texts: [&'static [u8]; MOST],
    count: usize,
}

/// The texts of a null-ended list.
///
/// # Safety
/// `list` must be null or such a list of texts.
unsafe fn entries<'a>(list: *const *const u8) -> impl Iterator<Item = &'a [u8]> {
    let mut at = list;
    core::iter::from_fn(move || {
        if at.is_null() {
            return None;
        }
        // SAFETY: as the caller promises; the iterator ends at the null.
        unsafe {
            let text = at.read();
            at = at.add(1);
            (!text.is_null()).then(|| libc::bytes(text))
        }
    })
}

/// Whether a list and its texts are there to be read. What is not is the kernel's to
/// answer (EFAULT), once it has looked at the path.
fn is_readable(list: *const *const u8) -> bool {
    // The last piece of memory that was found to be there.
    let (mut start, mut end) = (0, 0);
    let mut has = |at: usize| {
        if !(start..end).contains(&at) {
            let Some(found) = readable::end(at) else { return false };
            (start, end) = (at, found);
        }
        true
    };
    let mut word = list as usize;
    while has(word) && has(word.wrapping_add(size_of::<usize>() - 1)) {
        // SAFETY: it is there.
        let mut text = unsafe { (word as *const usize).read_unaligned() };
        if text == 0 {
            return true;
        }
        // SAFETY: as above.
        while has(text) && unsafe { *(text as *const u8) } != 0 {
            text = text.wrapping_add(1);
        }
        if !has(text) {
            return false;
        }
        word = word.wrapping_add(size_of::<usize>());
    }
    list.is_null()
}

/// The value, if `text` is `NAME=value`.
fn value_of<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    text.strip_prefix(name)?.strip_prefix(b"=")
}

fn name_of(text: &[u8]) -> &[u8] {
    text.split(|&b| b == b'=').next().unwrap_or_default()
}

/// Whether it is called as ours are: one word behind the prefix. Those that Kubernetes
/// gives each container for a service called procsys have more (PROCSYS_SERVICE_HOST).
fn is_ours(text: &[u8]) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| !libc::has(name_of(rest), b'_'))
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b':' | b' ')
}

/// Our own entry in the value of LD_PRELOAD.
fn own_entry(value: &[u8]) -> Option<&[u8]> {
    value
        .split(is_separator)
        .find(|entry| entry.rsplit(|&b| b == b'/').next().is_some_and(|n| n.starts_with(LIBRARY)))
}

impl Own {
    /// Finds them in `list`.
    pub(crate) fn read(list: *const *const u8) -> Self {
        let mut own = Self { texts: [&[]; MOST], count: 0 };
        // SAFETY: the program's environment, before main.
        let all = unsafe { entries(list) };
        for text in all.filter(|t| value_of(t, PRELOAD).is_some() || is_ours(t)) {
            if let Some(place) = own.texts.get_mut(own.count) {
                *place = text;
            }
            own.count += 1;
        }
        own
    }

    /// Whether there are more than can be kept.
    pub(crate) fn are_too_many(&self) -> bool {
        self.count > MOST
    }

    /// A variable's value; it is followed by NUL.
    pub(crate) fn value(&self, name: &[u8]) -> Option<&'static [u8]> {
        self.texts.iter().find_map(|text| value_of(text, name)).filter(|v| !v.is_empty())
    }

    /// Keeps them, to be put back. Without an entry of ours in LD_PRELOAD the
    /// library came in by other means, and does so again.
    pub(crate) fn keep(&self) {
        let Some(entry) = self.value(PRELOAD).and_then(own_entry) else { return };
        let mut len = 0;
        let mut add = |parts: &[&[u8]]| {
            for &byte in parts.iter().copied().flatten().chain(b"\0") {
                // SAFETY: before main: only this thread is here.
                match unsafe { TEXTS.set() }.get_mut(len) {
                    Some(place) => *place = byte,
                    None => config::fail(b"LD_PRELOAD and PROCSYS_* take more than 4 KiB", &[]),
                }
                len += 1;
            }
        };
        add(&[PRELOAD, b"=", entry]);
        self.texts.iter().filter(|t| t.starts_with(PREFIX)).for_each(|text| add(&[text]));
        LEN.store(len, Ordering::Release);
    }
}

/// What was kept, each text without its NUL but followed by it.
fn kept() -> impl Iterator<Item = &'static [u8]> {
    let len = LEN.load(Ordering::Acquire);
    let texts = TEXTS.get().get(..len).unwrap_or_default();
    texts.split(|&b| b == 0).filter(|text| !text.is_empty())
}

/// Whether anything is put back.
pub(crate) fn is_kept() -> bool {
    LEN.load(Ordering::Acquire) != 0
}

/// What a list lacks of ours.
struct Completion {
    list: *const *const u8,
    /// What the program has in LD_PRELOAD, which ours is put before.
    others: Option<&'static [u8]>,
    /// Bytes for the pointers, and for a joined LD_PRELOAD.
    words: usize,
    joined: usize,
}

impl Completion {
    /// `None` where nothing is missing, or the library is disabled, or is not
    /// there: after pivot_root, the programs of a container can't load it. A list that
    /// would take more than `room` bytes stays as it is, too, which is said.
    fn of(list: *const *const u8, room: usize) -> Option<Self> {
        if !is_kept() || !is_readable(list) {
            return None;
        }
        // SAFETY: the program's list, as it hands it to exec.
        let given = || unsafe { entries(list) };
        let is_disabled = given().any(|t| value_of(t, b"PROCSYS_DISABLE") == Some(b"1"));
        if is_disabled || !kept().any(|text| is_missing(list, text)) || !is_there() {
            return None;
        }
        let others = given().find(|t| value_of(t, PRELOAD).is_some_and(|v| !v.is_empty()));
        let own = kept().map(<[u8]>::len).next().unwrap_or(0);
        let joined = others.map_or(0, |t| t.len() + own + 2);
        let words = (given().count() + MOST + 1) * size_of::<usize>();
        if words + joined > room {
            config::say(b"an environment of too many variables is not completed", &[]);
            return None;
        }
        Some(Self { list, others: others.and_then(|o| value_of(o, PRELOAD)), words, joined })
    }

    /// Writes the completed list.
    ///
    /// # Safety
    /// `room` must be aligned, and have `words` and `joined` bytes.
    unsafe fn write(&self, room: *mut u8) -> *const *const u8 {
        let out = room.cast::<*const u8>();
        let mut count = 0;
        // SAFETY: the room has a word for each entry and one more, and behind
        // them the bytes of a joined LD_PRELOAD.
        let mut put = |text: *const u8| unsafe {
            out.add(count).write(text);
            count += 1;
        };
        for text in kept().filter(|t| is_missing(self.list, t)) {
            match self.others {
                Some(more) if value_of(text, PRELOAD).is_some() => {
                    // SAFETY: as above.
                    put(unsafe { join(room.add(self.words), text, more) });
                }
                _ => put(text.as_ptr()),
            }
        }
        let is_replaced = |t: &[u8]| value_of(t, PRELOAD).is_some_and(|v| own_entry(v).is_none());
        // SAFETY: the program's list, as before.
        let given = unsafe { entries(self.list) };
        given.filter(|t| !is_replaced(t)).for_each(|t| put(t.as_ptr()));
        put(core::ptr::null());
        out.cast()
    }
}

/// Whether a text of ours is missing in a list.
fn is_missing(list: *const *const u8, text: &[u8]) -> bool {
    // SAFETY: the program's list, as it hands it to exec.
    let mut given = unsafe { entries(list) };
    match value_of(text, PRELOAD) {
        Some(_) => !given.any(|t| value_of(t, PRELOAD).and_then(own_entry).is_some()),
        None => !given.any(|t| name_of(t) == name_of(text)),
    }
}

/// Whether the loader would find the library where it was named.
fn is_there() -> bool {
    const AT_FDCWD: usize = -100isize as usize;
    let Some(entry) = kept().next().and_then(|text| value_of(text, PRELOAD)) else { return false };
    // The entry is followed by NUL, as all kept texts are.
    let path = entry.as_ptr() as usize;
    !libc::has(entry, b'/') || Raw.call(nr::FACCESSAT, [AT_FDCWD, path, 0, 0, 0, 0]) == 0
}

/// Runs `f` with the environment `list`, completed by what is missing of ours.
/// The completed list is on the stack, as libc's own exec functions have theirs:
/// nothing can be allocated here (a vfork child), or given back (exec).
pub(crate) fn completed(list: *const *const u8, f: &mut dyn FnMut(*const *const u8)) {
    let Some(completion) = Completion::of(list, ON_STACK) else { return f(list) };
    stack::with_room(completion.words + completion.joined, &mut |room| {
        // SAFETY: the room is as long as that, and aligned.
        f(unsafe { completion.write(room) });
    });
}

/// As [`completed`], in a buffer; `None` where the list is to stay as it is.
pub(crate) fn completed_in(
    list: *const *const u8,
    room: *mut u8,
    len: usize,
) -> Option<*const *const u8> {
    let completion = Completion::of(list, len)?;
    // SAFETY: there is room, and the shim's buffers are aligned to a page.
    Some(unsafe { completion.write(room) })
}

/// Writes `first:more` and a NUL to `to`.
///
/// # Safety
/// `to` must have room for that.
unsafe fn join(to: *mut u8, first: &[u8], more: &[u8]) -> *const u8 {
    let mut at = to;
    for part in [first, b":", more, b"\0"] {
        // SAFETY: as the caller promises.
        unsafe {
            core::ptr::copy_nonoverlapping(part.as_ptr(), at, part.len());
            at = at.add(part.len());
        }
    }
    to
}
