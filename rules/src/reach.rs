//! Which calls a table reaches, and when: what the doors hook.

use crate::calls::{self, Question};
use crate::sockets::{Carrier, carrier};
use crate::table::{ANY_CALL, FileKind, Kind, Probe, Rule, Table, Write};

/// What must be looked at once the kernel has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum After {
    /// Nothing.
    #[default]
    Nothing,
    /// Failures.
    Failure,
    /// Failures, and successes whose `st_mode` is one of [`MARKED_MODES`] or
    /// [`PROCFS_ROOT_MODE`]: the argument that holds the buffer, and the offset
    /// of the 16-bit mode in it.
    FailureOrMode(u8, u8),
    /// Failures, and while the process has noted a mount that it trusts also
    /// successes of openat2 with [`SAFE_RESOLVE`] and a path that starts with `sy`
    /// or `./sy`.
    FailureOrTrapped,
    /// Every answer, if this argument is not 0.
    AlwaysWith(u8),
    /// Every answer.
    Always,
}

/// When the hook looks at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Before the kernel is asked (redirects).
    pub before: bool,
    /// After the kernel has answered.
    pub after: After,
    /// After the kernel has answered, whatever it said, while a descriptor that
    /// the process has accepted is open.
    pub armed: bool,
}

impl Reach {
    /// Whether the call is hooked at all.
    pub fn is_any(self) -> bool {
        self.before || self.armed || self.after != After::Nothing
    }
}

/// `st_mode` of the memory files that stand for emulated ones: regular, with
/// the sticky bit, which no regular file has by accident. In this order: writes
/// refused, writes accepted, a namespace file.
pub const MARKED_MODES: [u16; 3] = [0o101_444, 0o101_644, 0o103_444];

/// `st_mode` of the root directory of procfs (Linux, fs/proc/root.c: proc_root).
pub const PROCFS_ROOT_MODE: u16 = 0o040_555;

/// Where `st_mode` lies in a `struct stat` of x86-64, in bytes.
pub const STAT_MODE: u8 = 24;
/// Where `stx_mode` lies in a `struct statx`, in bytes.
pub const STATX_MODE: u8 = 28;

/// Where `resolve` lies in a `struct open_how`, in bytes.
pub const RESOLVE_AT: u8 = 16;
/// `RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS`: how runc opens
/// what lies in procfs (include/uapi/linux/openat2.h).
pub const SAFE_RESOLVE: u16 = 0x0b;

impl Table<'_> {
    /// Whether the rules ask for more than the small hook has (hook/Cargo.toml,
    /// feature `whole`). What is not known to be in the small one needs the whole.
    pub fn needs_whole(&self) -> bool {
        !self.rules().all(is_small)
    }

    /// The first rule that libprocsys.so does not have, which has the small hook and
    /// redirects; libprocsys-whole.so and patched programs have it.
    pub fn first_for_whole(&self) -> Option<Rule<'_>> {
        self.rules().find(|&rule| rule.kind() != Some(Kind::Redirect) && !is_small(rule))
    }

    /// When the hook looks at the call with this number.
    pub fn reach(&self, nr: usize) -> Reach {
        let mut reach = Reach::default();
        for rule in self.rules() {
            let Some(kind) = rule.kind() else { continue };
            reach.after = reach.after.max(match kind {
                // What is remembered is written to files that refuse it.
                Kind::Emulate if rule.write() == Write::Remember && calls::writes(nr) => {
                    After::Failure
                }
                Kind::Emulate => emulation(nr),
                Kind::Redirect => {
                    let (before, after) = redirection(nr);
                    reach.before |= before;
                    after
                }
                Kind::ReportProcfsRoot => mode_of(nr),
                Kind::ReportTrustedOvermount => {
                    reach.armed |= calls::ABOUT_ACCEPTED.iter().any(|&n| usize::from(n) == nr);
                    trapped(nr)
                }
                Kind::Retry
                | Kind::Ignore
                | Kind::ReportErrno
                | Kind::RetryTrustedOvermount
                | Kind::RetryMountedProc
                | Kind::RetryWorkingDirectory => {
                    let named = rule.call() != ANY_CALL && usize::from(rule.call()) == nr;
                    if named { After::Failure } else { After::Nothing }
                }
            });
        }
        reach
    }

    /// The numbers of all calls that are hooked, in ascending order.
    pub fn reached(&self) -> impl Iterator<Item = (u16, Reach)> + '_ {
        (0..512).map(|nr| (nr, self.reach(usize::from(nr)))).filter(|(_, reach)| reach.is_any())
    }
}

/// Whether the small hook has what the rule asks for.
fn is_small(rule: Rule<'_>) -> bool {
    match rule.kind() {
        Some(Kind::Emulate) => is_small_emulation(rule),
        Some(Kind::Retry | Kind::Ignore | Kind::ReportErrno) => !rule.asks_for_file(),
        Some(Kind::ReportProcfsRoot) => true,
        _ => false,
    }
}

/// Whether the small hook can emulate the file.
fn is_small_emulation(rule: Rule<'_>) -> bool {
    rule.write() != Write::Remember
        && matches!(rule.probe(), Probe::None | Probe::CapLastCap)
        && rule.file() != FileKind::Kmsg
        && !rule.path().array_windows().any(|pair| pair == b"**")
}

impl After {
    /// The one that looks at more answers.
    fn max(self, other: Self) -> Self {
        let rank = |a: Self| match a {
            After::Nothing => 0,
            After::Failure => 1,
            After::FailureOrMode(..) | After::FailureOrTrapped => 2,
            After::AlwaysWith(_) => 3,
            After::Always => 4,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// Whether a redirect is asked before the call, and what of its answer is looked at.
fn redirection(nr: usize) -> (bool, After) {
    let named = calls::shape(nr).is_some_and(|s| s.paths[0].is_some());
    match carrier(nr) {
        None => (named, After::Nothing),
        Some(Carrier::Received(address, _)) => (false, After::AlwaysWith(address)),
        Some(Carrier::ReceivedInMessage(_) | Carrier::ReceivedInMessages(_)) => {
            (false, After::Always)
        }
        Some(
            Carrier::Given(..)
            | Carrier::GivenInMessage(_)
            | Carrier::GivenInMessages(..)
            | Carrier::Asked(..),
        ) => (true, After::Nothing),
    }
}

fn mode_of(nr: usize) -> After {
    match calls::shape(nr).map(|s| s.question) {
        Some(Question::Stat(buffer) | Question::StatAt(buffer, _)) => {
            After::FailureOrMode(buffer, STAT_MODE)
        }
        Some(Question::Statx(buffer, _)) => After::FailureOrMode(buffer, STATX_MODE),
        _ => After::Nothing,
    }
}

/// An open of runc's that succeeds although it should not have: a supervisor of
/// the host answered it.
fn trapped(nr: usize) -> After {
    if nr == usize::from(calls::OPENAT2) { After::FailureOrTrapped } else { After::Nothing }
}

fn emulation(nr: usize) -> After {
    let Some(shape) = calls::shape(nr) else {
        return After::Nothing;
    };
    match shape.question {
        Question::Other => After::Nothing,
        Question::Statfs(_) => After::Always,
        Question::Stat(_) | Question::StatAt(..) | Question::Statx(..) => mode_of(nr),
        _ => After::Failure,
    }
}
