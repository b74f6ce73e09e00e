//! The compiled table: rules as one read-only run of bytes, read in place.
//!
//! ```text
//! header   16 bytes   magic "procsysR", version u16, rule count u16, length u32
//! records  48 bytes   one a rule, see the offsets in [`Rule`]
//! clauses  16 bytes   argument, operator, text (offset, length), value
//! text                paths, contents, names
//! ```
//! Little-endian; offsets count from the start of the table, so that it may
//! lie anywhere. A damaged table yields fewer rules, never a fault.

use crate::calls::Nr;

/// The first bytes of every table.
pub const MAGIC: &[u8; 8] = b"procsysR";
/// The version of the format that this crate writes and reads.
pub const VERSION: u16 = 2;
/// Length of the header in bytes.
pub const HEADER: usize = 16;
/// Length of a record in bytes.
pub const RECORD: usize = 48;
/// Length of a clause in bytes.
pub const CLAUSE: usize = 16;
/// The call number of a rule that is matched by its path instead.
pub const ANY_CALL: Nr = Nr::MAX;

/// What a rule does. The discriminants are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A missing file is answered from memory.
    Emulate = 1,
    /// A path prefix is replaced by another before the call.
    Redirect = 2,
    /// The same call is made again with other arguments.
    Retry = 3,
    /// The failure is reported as success.
    Ignore = 4,
    /// The failure is reported as another errno.
    ReportErrno = 5,
    /// The root directory of procfs is reported with inode number 1.
    ReportProcfsRoot = 6,
    /// A file of /proc/sys that lies on the mount that stood over it at start is
    /// opened all the same.
    RetryTrustedOvermount = 7,
    /// What the rule above opened is reported as a file of procfs.
    ReportTrustedOvermount = 8,
    /// A file of a procfs that is mounted nowhere is opened through /proc.
    RetryMountedProc = 9,
    /// A mount is made private by the working directory, if that is this mount.
    RetryWorkingDirectory = 10,
}

/// What kind of file an emulated path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file of procfs.
    Proc = 0,
    /// A namespace file (`/proc/…/ns/…`): a magic link to nsfs.
    Namespace = 1,
    /// The kernel's log (`/dev/kmsg`), in which nothing new ever comes.
    Kmsg = 2,
}

/// What becomes of writes to an emulated file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// It can't be opened for writing.
    Refuse = 0,
    /// They succeed and have no effect.
    Accept = 1,
    /// They succeed, and the next who opens the file reads what was written.
    Remember = 2,
}

/// A value that the hook asks the kernel for, instead of fixed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The value is the rule's bytes.
    None = 0,
    /// The last capability that the kernel knows, by `prctl(PR_CAPBSET_READ)`.
    CapLastCap = 1,
    /// The file of the same directory that the rule's value names is meant.
    Sibling = 2,
    /// The kernel's release, by `uname`.
    Osrelease = 3,
}

/// What a clause says about its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Condition: the argument equals the value.
    Equal = 1,
    /// Condition: the argument, unsigned, is greater than the value.
    Greater = 2,
    /// Condition: all bits of the value are set.
    HasBits = 3,
    /// Condition: no bit of the value is set.
    LacksBits = 4,
    /// Condition: the argument points to exactly this text.
    Text = 5,
    /// Condition: the argument points to a comma-separated list that has one of
    /// the names in the text (themselves separated by commas).
    HasOption = 6,
    /// Condition: the argument is a descriptor of an emulated namespace file.
    EmulatedNamespace = 7,
    /// Condition: the argument is a descriptor of the file that the text names.
    File = 8,
    /// Change: the argument becomes the value.
    Set = 16,
    /// Change: the bits of the value are cleared.
    ClearBits = 17,
    /// Change: the options named in the text are left out of the list that the
    /// argument points to; a list left empty becomes a null pointer.
    DropOptions = 18,
}

/// A condition on, or a change of, one argument.
#[derive(Debug, Clone, Copy)]
pub struct Clause<'t> {
    /// Position of the argument, 0 to 5.
    pub arg: usize,
    /// What is said of it.
    pub op: Op,
    /// The number compared with or set.
    pub value: u64,
    /// The text compared with or dropped.
    pub text: &'t [u8],
}

/// A table of rules, borrowed from the bytes that hold it.
#[derive(Debug, Clone, Copy)]
pub struct Table<'t> {
    bytes: &'t [u8],
    count: usize,
}

#[inline]
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'t> Table<'t> {
    /// Reads a table's header. `None` when the bytes are not a table of this
    /// version. Bytes after the table are left alone.
    pub fn new(bytes: &'t [u8]) -> Option<Self> {
        if bytes.get(..8)? != MAGIC || u16_at(bytes, 8)? != VERSION {
            return None;
        }
        let count = usize::from(u16_at(bytes, 10)?);
        let length = usize::try_from(u32_at(bytes, 12)?).ok()?;
        let bytes = bytes.get(..length)?;
        (length >= HEADER + count * RECORD).then_some(Self { bytes, count })
    }

    /// The bytes of the table, header included.
    pub fn bytes(&self) -> &'t [u8] {
        self.bytes
    }

    /// The rules, in the order in which they are tried.
    pub fn rules(&self) -> impl Iterator<Item = Rule<'t>> + use<'t> {
        let table = *self;
        (0..self.count).filter_map(move |i| {
            let start = HEADER + i * RECORD;
            let record = table.bytes.get(start..)?.first_chunk::<RECORD>()?;
            Some(Rule { table, record, index: i })
        })
    }

    /// Whether a rule of this kind is in it.
    pub fn has(&self, kind: Kind) -> bool {
        self.rules().any(|r| r.kind() == Some(kind))
    }

    /// Whether something is noted before the program's first instruction.
    pub fn starts(&self) -> bool {
        self.has(Kind::RetryTrustedOvermount)
    }

    fn slice(&self, offset: u16, len: u16) -> &'t [u8] {
        let start = usize::from(offset);
        self.bytes.get(start..start + usize::from(len)).unwrap_or_default()
    }
}

/// One rule of a table.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'t> {
    table: Table<'t>,
    record: &'t [u8; RECORD],
    /// Its place in the table.
    pub index: usize,
}

/// Offsets of a record's fields.
pub mod field {
    /// [`super::Kind`], u8.
    pub const KIND: usize = 0;
    /// [`super::FileKind`], u8.
    pub const FILE: usize = 1;
    /// The call's number, u16.
    pub const CALL: usize = 2;
    /// Up to four errnos, u8 each, 0 for none.
    pub const ON: usize = 4;
    /// Hash of the path's last component, u32; 0 when that is a pattern.
    pub const TAIL: usize = 8;
    /// The path or pattern: offset u16, length u16.
    pub const PATH: usize = 12;
    /// The contents or the replacement: offset u16, length u16.
    pub const VALUE: usize = 16;
    /// Permission bits, u16.
    pub const MODE: usize = 20;
    /// [`super::Write`], u8.
    pub const WRITE: usize = 22;
    /// [`super::Probe`], u8.
    pub const PROBE: usize = 23;
    /// Conditions: offset u16, count u16.
    pub const WHEN: usize = 24;
    /// Changes: offset u16, count u16.
    pub const CHANGE: usize = 28;
    /// The number reported, u64.
    pub const NUMBER: usize = 32;
    /// The rule's name: offset u16, length u16.
    pub const NAME: usize = 40;
    /// The directory where writes are remembered: offset u16, length u16.
    pub const STATE: usize = 44;
}

impl<'t> Rule<'t> {
    fn byte(&self, at: usize) -> u8 {
        self.record.get(at).copied().unwrap_or(0)
    }

    fn text(&self, at: usize) -> &'t [u8] {
        match (u16_at(self.record, at), u16_at(self.record, at + 2)) {
            (Some(offset), Some(len)) => self.table.slice(offset, len),
            _ => &[],
        }
    }

    /// What the rule does; `None` for a number this version does not know.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self.byte(field::KIND) {
            1 => Kind::Emulate,
            2 => Kind::Redirect,
            3 => Kind::Retry,
            4 => Kind::Ignore,
            5 => Kind::ReportErrno,
            6 => Kind::ReportProcfsRoot,
            7 => Kind::RetryTrustedOvermount,
            8 => Kind::ReportTrustedOvermount,
            9 => Kind::RetryMountedProc,
            10 => Kind::RetryWorkingDirectory,
            _ => return None,
        })
    }

    /// The call it is about, or [`ANY_CALL`].
    #[inline]
    pub fn call(&self) -> Nr {
        u16_at(self.record, field::CALL).unwrap_or(ANY_CALL)
    }

    /// Whether it acts on this errno (a positive number).
    #[inline]
    pub fn acts_on(&self, errno: u8) -> bool {
        errno != 0
            && self.record.get(field::ON..field::ON + 4).is_some_and(|on| on.contains(&errno))
    }

    /// Whether its path may end in a component with this [hash](crate::path::hash).
    #[inline]
    pub fn may_end_in(&self, hash: u32) -> bool {
        matches!(u32_at(self.record, field::TAIL), Some(tail) if tail == 0 || tail == hash)
    }

    /// The path or pattern that it names.
    pub fn path(&self) -> &'t [u8] {
        self.text(field::PATH)
    }

    /// The contents of the emulated file, or what a redirect puts in place.
    pub fn value(&self) -> &'t [u8] {
        self.text(field::VALUE)
    }

    /// The rule's name.
    pub fn name(&self) -> &'t [u8] {
        self.text(field::NAME)
    }

    /// Permission bits of the emulated file.
    pub fn mode(&self) -> u16 {
        u16_at(self.record, field::MODE).unwrap_or(0)
    }

    /// What becomes of writes to the emulated file.
    pub fn write(&self) -> Write {
        match self.byte(field::WRITE) {
            0 => Write::Refuse,
            2 => Write::Remember,
            _ => Write::Accept,
        }
    }

    /// Whether writes to the emulated file are accepted.
    pub fn accepts_writes(&self) -> bool {
        self.write() != Write::Refuse
    }

    /// The directory where writes are remembered.
    pub fn state(&self) -> &'t [u8] {
        self.text(field::STATE)
    }

    /// What the emulated file is.
    pub fn file(&self) -> FileKind {
        match self.byte(field::FILE) {
            1 => FileKind::Namespace,
            2 => FileKind::Kmsg,
            _ => FileKind::Proc,
        }
    }

    /// Where the contents come from.
    pub fn probe(&self) -> Probe {
        match self.byte(field::PROBE) {
            1 => Probe::CapLastCap,
            2 => Probe::Sibling,
            3 => Probe::Osrelease,
            _ => Probe::None,
        }
    }

    /// The number reported in place of the wrong one.
    pub fn number(&self) -> u64 {
        u64_at(self.record, field::NUMBER).unwrap_or(0)
    }

    /// The conditions that must all hold.
    pub fn when(&self) -> impl Iterator<Item = Clause<'t>> + use<'t> {
        self.clauses(field::WHEN)
    }

    /// Whether a condition is about the file of a descriptor.
    pub fn asks_for_file(&self) -> bool {
        let start = usize::from(u16_at(self.record, field::WHEN).unwrap_or(0));
        let count = usize::from(u16_at(self.record, field::WHEN + 2).unwrap_or(0));
        let op = |i: usize| self.table.bytes.get(start + i * CLAUSE + 1);
        (0..count).any(|i| op(i) == Some(&(Op::File as u8)))
    }

    /// The changes made before the call is made again.
    pub fn changes(&self) -> impl Iterator<Item = Clause<'t>> + use<'t> {
        self.clauses(field::CHANGE)
    }

    fn clauses(&self, at: usize) -> impl Iterator<Item = Clause<'t>> + use<'t> {
        let table = self.table;
        let start = usize::from(u16_at(self.record, at).unwrap_or(0));
        let count = usize::from(u16_at(self.record, at + 2).unwrap_or(0));
        let (clauses, _) = table.bytes.get(start..).unwrap_or_default().as_chunks::<CLAUSE>();
        clauses.iter().take(count).filter_map(move |bytes| clause(table, bytes))
    }
}

fn clause<'t>(table: Table<'t>, bytes: &'t [u8; CLAUSE]) -> Option<Clause<'t>> {
    let op = match bytes[1] {
        1 => Op::Equal,
        2 => Op::Greater,
        3 => Op::HasBits,
        4 => Op::LacksBits,
        5 => Op::Text,
        6 => Op::HasOption,
        7 => Op::EmulatedNamespace,
        8 => Op::File,
        16 => Op::Set,
        17 => Op::ClearBits,
        18 => Op::DropOptions,
        _ => return None,
    };
    Some(Clause {
        arg: usize::from(bytes[0]),
        op,
        value: u64_at(bytes, 8)?,
        text: table.slice(u16_at(bytes, 2)?, u16_at(bytes, 4)?),
    })
}
