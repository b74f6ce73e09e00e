//! What became of the constants, for people and for machines.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Change, Derived};
use crate::emit::note;
use crate::rules::Set;

/// The report of a run.
#[derive(Debug)]
pub struct Report {
    /// How the input is linked.
    pub kind: &'static str,
    /// The Go version that built it.
    pub go: Option<String>,
    /// What was rewritten.
    pub changes: Vec<Change>,
    /// Texts that hold a prefix and stay: where, what, why.
    pub left: Vec<(u64, String, String)>,
    /// The names of the redirects.
    pub rules: Vec<String>,
    /// SHA-256 of the compiled rules.
    pub rules_digest: String,
    /// SHA-256 of the input.
    pub input_digest: String,
    /// Length of the input in bytes.
    pub input_len: usize,
    /// Length of the output in bytes.
    pub output_len: usize,
    /// Whether the input was patched already, and taken back to its original first.
    pub was_patched: bool,
    /// Whether the input was setuid or setgid or had capabilities, and the output is not.
    pub dropped_setuid: bool,
    /// How long it took.
    pub time: Duration,
}

impl Report {
    pub(super) fn new(derived: &Derived, set: &Set, input_len: usize, was_patched: bool) -> Self {
        Self {
            kind: derived.kind,
            go: derived.go.clone(),
            changes: derived.changes.clone(),
            left: derived.left.clone(),
            rules: set.rules.iter().map(|r| r.name.clone()).collect(),
            rules_digest: note::hex(&note::digest(&set.table)),
            input_digest: note::hex(&derived.digest),
            input_len,
            output_len: derived.output.len(),
            was_patched,
            dropped_setuid: false,
            time: Duration::ZERO,
        }
    }

    /// Everything, for machines.
    pub fn json(&self) -> Value {
        json!({
            "mode": "constants",
            "kind": self.kind,
            "go": self.go,
            "rules": self.rules,
            "changes": self.changes.iter().map(change_json).collect::<Vec<_>>(),
            "left": self.left.iter().map(|(address, text, why)| json!({
                "address": address, "text": text, "why": why,
            })).collect::<Vec<_>>(),
            "rules_sha256": self.rules_digest,
            "input_sha256": self.input_digest,
            "input_bytes": self.input_len,
            "output_bytes": self.output_len,
            "was_patched": self.was_patched,
            "dropped_setuid": self.dropped_setuid,
            "milliseconds": self.time.as_secs_f64() * 1000.0,
        })
    }
}

fn change_json(change: &Change) -> Value {
    json!({
        "address": change.address,
        "old": change.old,
        "new": change.new,
        "referrers": change.referrers.iter().map(|r| json!({
            "address": r.address, "function": r.function,
        })).collect::<Vec<_>>(),
        "lengths": change.lengths.iter().map(|(address, old, new)| json!({
            "address": address, "old": old, "new": new,
        })).collect::<Vec<_>>(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.was_patched {
            writeln!(f, "  input     was patched; its original is rewritten")?;
        }
        let built = self.go.as_ref().map_or(String::new(), |version| format!(", {version}"));
        writeln!(f, "  found     {} x86-64{built}", self.kind)?;
        writeln!(f, "  rules     {}: {}", self.rules.len(), self.rules.join(", "))?;
        writeln!(f, "  constants {} rewritten", self.changes.len())?;
        for change in &self.changes {
            writeln!(f, "    {:#x} {} → {}", change.address, change.old, change.new)?;
            for (at, old, new) in &change.lengths {
                writeln!(f, "      length at {at:#x}: {old} → {new}")?;
            }
            for referrer in &change.referrers {
                writeln!(f, "      {:#x} {}", referrer.address, referrer.function)?;
            }
        }
        for (address, text, why) in &self.left {
            writeln!(f, "    {address:#x} {text} stays: {why}")?;
        }
        write!(
            f,
            "  size      {} → {} bytes (+{}), nothing injected; {:.0} ms",
            self.input_len,
            self.output_len,
            self.output_len - self.input_len,
            self.time.as_secs_f64() * 1000.0
        )
    }
}
