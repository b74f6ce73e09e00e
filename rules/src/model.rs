//! Rules as the user writes them, before they are compiled.

use crate::calls::Nr;
use crate::table::{FileKind, Kind, Op, Probe, Write};

/// One rule, with the place where it was written.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name: one in each set; a later rule of the same name replaces the earlier.
    pub name: String,
    /// Where it was written, as `file:line`.
    pub place: String,
    /// The errnos on which it acts; empty for a redirect and a value report.
    pub on: Vec<u8>,
    /// What it does.
    pub action: Action,
}

/// What a rule does (see the words in DESIGN.md).
#[derive(Debug, Clone)]
pub enum Action {
    /// Serve a missing file from memory.
    Emulate(Emulate),
    /// Put another path prefix in the place of one.
    Redirect {
        /// The absolute prefix in the program's paths.
        from: String,
        /// The absolute prefix that the kernel is given.
        to: String,
    },
    /// Make the same call again with some arguments changed.
    Retry {
        /// The call.
        call: Nr,
        /// The conditions that must hold.
        when: Vec<Clause>,
        /// What is changed.
        changes: Vec<Clause>,
    },
    /// Report success.
    Ignore {
        /// The call.
        call: Nr,
        /// The conditions that must hold.
        when: Vec<Clause>,
    },
    /// Report another errno.
    ReportErrno {
        /// The call.
        call: Nr,
        /// The conditions that must hold.
        when: Vec<Clause>,
        /// The errno that the program is given.
        errno: u8,
    },
    /// Report inode number 1 for the root directory of procfs.
    ReportProcfsRoot,
    /// Make a call again in one of the ways that have checks of their own.
    RetryThrough(Way),
    /// Report what that opened as a file of procfs, until it is closed.
    ReportTrustedOvermount,
}

/// A retry with checks of its own (docs/rules.md, `through`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A file of /proc/sys on the mount that stood over it at start.
    TrustedOvermount,
    /// A file of a procfs that is mounted nowhere, opened through /proc.
    MountedProc,
    /// A mount changed by the working directory, if that is this mount.
    WorkingDirectory,
}

impl Way {
    /// All ways.
    pub const ALL: [Self; 3] = [Self::TrustedOvermount, Self::MountedProc, Self::WorkingDirectory];

    /// Its word in the rule files.
    pub fn word(self) -> &'static str {
        match self {
            Self::TrustedOvermount => "trusted-overmount",
            Self::MountedProc => "mounted-proc",
            Self::WorkingDirectory => "working-directory",
        }
    }

    /// The call and the errno that it is about.
    pub fn subject(self) -> (&'static str, &'static str) {
        match self {
            Self::TrustedOvermount => ("openat2", "EXDEV"),
            Self::MountedProc => ("openat", "EACCES"),
            Self::WorkingDirectory => ("mount", "EACCES"),
        }
    }

    /// Its kind in a compiled table.
    pub fn kind(self) -> Kind {
        match self {
            Self::TrustedOvermount => Kind::RetryTrustedOvermount,
            Self::MountedProc => Kind::RetryMountedProc,
            Self::WorkingDirectory => Kind::RetryWorkingDirectory,
        }
    }
}

/// An emulated file.
#[derive(Debug, Clone)]
pub struct Emulate {
    /// Its absolute path; a component `*` stands for any one, `**` for any number.
    pub path: String,
    /// Its contents, the target of its link for a namespace file, or the name of
    /// its sibling.
    pub value: Vec<u8>,
    /// Where the contents come from.
    pub probe: Probe,
    /// Permission bits.
    pub mode: u16,
    /// What becomes of writes.
    pub write: Write,
    /// The directory where they are remembered.
    pub state: String,
    /// What it is.
    pub file: FileKind,
}

/// Where writes are remembered when nothing else is said: a directory that is
/// empty after a start of the machine, as sysctls are what they were then.
pub const STATE: &str = "/run/procsys";

/// A condition or a change.
#[derive(Debug, Clone)]
pub struct Clause {
    /// Position of the argument, 0 to 5.
    pub arg: u8,
    /// What is said of it.
    pub op: Op,
    /// A number.
    pub value: u64,
    /// A text.
    pub text: String,
}

impl Action {
    /// The action's word in the rule files.
    pub fn word(&self) -> &'static str {
        match self {
            Action::Emulate(_) => "emulate",
            Action::Redirect { .. } => "redirect",
            Action::Retry { .. } | Action::RetryThrough(_) => "retry",
            Action::Ignore { .. } => "ignore",
            Action::ReportErrno { .. }
            | Action::ReportProcfsRoot
            | Action::ReportTrustedOvermount => "report",
        }
    }

    /// What the rule is about: two rules of one set may not share it.
    pub fn subject(&self) -> Option<String> {
        match self {
            Action::Emulate(e) => Some(format!("path {}", e.path)),
            Action::Redirect { from, .. } => Some(format!("prefix {from}")),
            Action::ReportProcfsRoot => Some("procfs-root".to_owned()),
            Action::RetryThrough(way) => Some(format!("retries through {}", way.word())),
            Action::ReportTrustedOvermount => Some("files of a trusted overmount".to_owned()),
            _ => None,
        }
    }
}
