//! Which answers can concern a rule? Asked at every call: no slot, a few
//! compares, and no system call. Whatever is in doubt goes to the hook.

use procsys_hook::{Call, TMPFS_MAGIC};
#[cfg(feature = "whole")]
use procsys_rules::calls;
use procsys_rules::calls::{Question, SHAPES, Shape};
use procsys_rules::reach::{MARKED_MODES, PROCFS_ROOT_MODE, STAT_MODE, STATX_MODE};
use procsys_rules::sockets::{self, Carrier};
use procsys_rules::table::{Kind, Table};
use procsys_rules::{errno, path};

const _: () = {
    let mut i = 1;
    while i < SHAPES.len() {
        assert!(SHAPES[i - 1].nr < SHAPES[i].nr, "the shapes are in the order of their numbers");
        i += 1;
    }
};

/// As [`procsys_rules::calls::shape`], by halves.
pub(crate) fn shape(nr: usize) -> Option<&'static Shape> {
    let place = SHAPES.binary_search_by(|shape| usize::from(shape.nr).cmp(&nr)).ok()?;
    SHAPES.get(place)
}

/// Whether a rule can concern this failure.
pub(crate) fn failure(table: Table<'_>, call: &Call, error: i32) -> bool {
    let Ok(error) = u8::try_from(error) else { return false };
    let mut tail = None;
    for rule in table.rules().filter(|r| r.acts_on(error)) {
        let concerns = match rule.kind() {
            Some(Kind::Emulate) => {
                let hash = *tail.get_or_insert_with(|| last_component(call, error));
                match hash {
                    Tail::Hash(hash) => rule.may_end_in(hash),
                    Tail::Unknown => true,
                    Tail::None => false,
                }
            }
            None | Some(Kind::Redirect | Kind::ReportProcfsRoot | Kind::ReportTrustedOvermount) => {
                false
            }
            Some(_) => usize::from(rule.call()) == call.nr,
        };
        if concerns {
            return true;
        }
    }
    false
}

/// What a call's path ends in.
#[derive(Clone, Copy)]
enum Tail {
    /// A component with this hash.
    Hash(u32),
    /// It can't be read here.
    Unknown,
    /// There is no path, or none that names a file.
    None,
}

fn last_component(call: &Call, error: u8) -> Tail {
    let shape = shape(call.nr).filter(|s| s.question != Question::Other);
    let Some(arg) = shape.and_then(|s| s.paths[0]) else { return Tail::None };
    let address = call.args.get(usize::from(arg.path)).copied().unwrap_or(0);
    // Only who has looked a path up says ENOENT: it can be read then. After any
    // other error (a seccomp filter's) the pointer may be a bad one.
    if error != errno::ENOENT || address == 0 {
        return Tail::Unknown;
    }
    // SAFETY: the kernel has just read this text to its NUL.
    let text = unsafe { crate::libc::bytes(address as *const u8) };
    path::last(text).map_or(Tail::None, |last| Tail::Hash(path::hash(last)))
}

/// Whether a rule can concern this success.
pub(crate) fn success(call: &Call) -> bool {
    #[cfg(feature = "whole")]
    if is_about_accepted(call) {
        return true;
    }
    match sockets::carrier(call.nr) {
        Some(Carrier::Received(address, _)) => {
            return call.args.get(usize::from(address)) != Some(&0);
        }
        Some(Carrier::ReceivedInMessage(_)) => return true,
        #[cfg(feature = "whole")]
        Some(Carrier::ReceivedInMessages(_)) => return true,
        _ => {}
    }
    let (buffer, offset) = match shape(call.nr).map(|s| s.question) {
        Some(Question::Stat(buffer) | Question::StatAt(buffer, _)) => (buffer, STAT_MODE),
        Some(Question::Statx(buffer, _)) => (buffer, STATX_MODE),
        Some(Question::Statfs(buffer)) => return is_memory_file_system(call, buffer),
        _ => return false,
    };
    let Some(&address) = call.args.get(usize::from(buffer)) else { return false };
    let at = (address + usize::from(offset)) as *const u16;
    // SAFETY: the call succeeded, so its structure is there.
    let mode = unsafe { at.read_unaligned() };
    mode == PROCFS_ROOT_MODE || MARKED_MODES.contains(&mode)
}

/// Whether a descriptor is opened as those are that a rule may accept, or may be
/// one of them.
#[cfg(feature = "whole")]
fn is_about_accepted(call: &Call) -> bool {
    let nr = u16::try_from(call.nr).unwrap_or(u16::MAX);
    match nr {
        calls::OPENAT2 => crate::config::table().is_some_and(|table| table.starts()),
        _ => calls::ABOUT_ACCEPTED.contains(&nr) && crate::kernel::NOTES.is_armed(),
    }
}

/// Whether a `struct statfs` is of the file system that memory files are on.
fn is_memory_file_system(call: &Call, buffer: u8) -> bool {
    let Some(&address) = call.args.get(usize::from(buffer)) else { return false };
    // SAFETY: the call succeeded, so its structure is there.
    let kind = unsafe { (address as *const u64).read_unaligned() };
    kind == TMPFS_MAGIC
}
