//! From rules to the table that the hook reads.

use crate::model::{Action, Clause, Rule};
use crate::table::{ANY_CALL, CLAUSE, HEADER, Kind, MAGIC, RECORD, VERSION, Write, field};
use crate::{calls, path};

/// Compiles rules to a table, in their order.
///
/// # Errors
/// When the table would pass 64 KiB, the reach of its offsets.
pub fn compile(rules: &[Rule]) -> Result<Vec<u8>, String> {
    let clauses: usize =
        rules.iter().map(|r| r.clauses().map(<[_]>::len).iter().sum::<usize>()).sum();
    let mut out = Writer {
        next_clause: HEADER + rules.len() * RECORD,
        bytes: vec![0; HEADER + rules.len() * RECORD + clauses * CLAUSE],
    };
    out.bytes[..8].copy_from_slice(MAGIC);
    out.put(8, &VERSION.to_le_bytes());
    for (i, rule) in rules.iter().enumerate() {
        out.rule(HEADER + i * RECORD, rule);
    }
    let length = out.bytes.len();
    if length > usize::from(u16::MAX) {
        return Err(format!("the rules take {length} bytes; a table holds at most 65535"));
    }
    out.put(10, &(rules.len() as u16).to_le_bytes());
    out.put(12, &(length as u32).to_le_bytes());
    Ok(out.bytes)
}

impl Rule {
    fn clauses(&self) -> [&[Clause]; 2] {
        match &self.action {
            Action::Retry { when, changes, .. } => [when, changes],
            Action::Ignore { when, .. } | Action::ReportErrno { when, .. } => [when, &[]],
            _ => [&[], &[]],
        }
    }
}

struct Writer {
    bytes: Vec<u8>,
    next_clause: usize,
}

impl Writer {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Appends text and writes its offset and length at `at`. Lengths past
    /// 64 KiB are caught by the check of the whole table.
    fn text(&mut self, at: usize, text: &[u8]) {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.put(at, &(offset as u16).to_le_bytes());
        self.put(at + 2, &(text.len() as u16).to_le_bytes());
    }

    fn rule(&mut self, at: usize, rule: &Rule) {
        let (kind, call) = match &rule.action {
            Action::Emulate(_) => (Kind::Emulate, ANY_CALL),
            Action::Redirect { .. } => (Kind::Redirect, ANY_CALL),
            Action::Retry { call, .. } => (Kind::Retry, *call),
            Action::Ignore { call, .. } => (Kind::Ignore, *call),
            Action::ReportErrno { call, .. } => (Kind::ReportErrno, *call),
            Action::ReportProcfsRoot => (Kind::ReportProcfsRoot, ANY_CALL),
            Action::RetryThrough(way) => {
                (way.kind(), calls::by_name(way.subject().0).unwrap_or(ANY_CALL))
            }
            Action::ReportTrustedOvermount => (Kind::ReportTrustedOvermount, ANY_CALL),
        };
        self.bytes[at + field::KIND] = kind as u8;
        self.put(at + field::CALL, &call.to_le_bytes());
        let mut on = [0; 4];
        on[..rule.on.len()].copy_from_slice(&rule.on);
        self.put(at + field::ON, &on);
        self.text(at + field::NAME, rule.name.as_bytes());
        match &rule.action {
            Action::Emulate(e) => {
                self.path(at, &e.path);
                self.text(at + field::VALUE, &e.value);
                self.put(at + field::MODE, &e.mode.to_le_bytes());
                self.bytes[at + field::WRITE] = e.write as u8;
                self.bytes[at + field::PROBE] = e.probe as u8;
                self.bytes[at + field::FILE] = e.file as u8;
                if e.write == Write::Remember {
                    self.text(at + field::STATE, e.state.as_bytes());
                }
            }
            Action::Redirect { from, to } => {
                self.path(at, from);
                self.text(at + field::VALUE, to.as_bytes());
            }
            Action::ReportErrno { errno, .. } => {
                self.put(at + field::NUMBER, &u64::from(*errno).to_le_bytes());
            }
            Action::ReportProcfsRoot => self.put(at + field::NUMBER, &1u64.to_le_bytes()),
            Action::Retry { .. }
            | Action::Ignore { .. }
            | Action::RetryThrough(_)
            | Action::ReportTrustedOvermount => {}
        }
        let [when, changes] = rule.clauses();
        self.clauses(at + field::WHEN, when);
        self.clauses(at + field::CHANGE, changes);
    }

    fn path(&mut self, at: usize, text: &str) {
        self.text(at + field::PATH, text.as_bytes());
        let tail = path::last(text.as_bytes()).filter(|t| *t != b"*").map_or(0, path::hash);
        self.put(at + field::TAIL, &tail.to_le_bytes());
    }

    fn clauses(&mut self, at: usize, clauses: &[Clause]) {
        self.put(at, &(self.next_clause as u16).to_le_bytes());
        self.put(at + 2, &(clauses.len() as u16).to_le_bytes());
        for clause in clauses {
            let start = self.next_clause;
            self.next_clause += CLAUSE;
            self.bytes[start] = clause.arg;
            self.bytes[start + 1] = clause.op as u8;
            self.text(start + 2, clause.text.as_bytes());
            self.put(start + 8, &clause.value.to_le_bytes());
        }
    }
}
