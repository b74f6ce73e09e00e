//! What a run did, for people and for machines.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::doors::Doors;
use crate::elf::Kind;

/// The report of a run.
#[derive(Debug)]
pub struct Report {
    /// How the input is linked.
    pub kind: Kind,
    /// How a dynamic executable's parts are covered.
    pub doors: Option<Doors>,
    /// The Go version that built it.
    pub go: Option<String>,
    /// How many functions Go's table has.
    pub go_functions: Option<usize>,
    /// How many `syscall` instructions there are.
    pub sites: usize,
    /// How many of them are detoured.
    pub detoured: usize,
    /// Of these, how many keep the `syscall` in its place.
    pub in_place: usize,
    /// Byte pairs `0f 05` that are the inside of other instructions.
    pub inside: usize,
    /// The profiles that went in.
    pub profiles: Vec<String>,
    /// Name and action of each rule.
    pub rules: Vec<(String, &'static str)>,
    /// SHA-256 of the compiled rules.
    pub rules_digest: String,
    /// SHA-256 of the input.
    pub input_digest: String,
    /// Length of the input in bytes.
    pub input_len: u64,
    /// Length of the output in bytes.
    pub output_len: u64,
    /// Length of the shim's segment in bytes.
    pub injected: u64,
    /// The name of the shim's build.
    pub shim: &'static str,
    /// Whether the input was patched already, and taken back to its original first.
    pub was_patched: bool,
    /// Whether the input was setuid or setgid or had capabilities, and the output is not.
    pub dropped_setuid: bool,
    /// What became of the archive in a k3s release file.
    pub archive: Option<Carried>,
    /// How long it took.
    pub time: Duration,
}

/// What became of an embedded archive.
#[derive(Debug)]
pub struct Carried {
    /// The name that it had.
    pub old: String,
    /// The name that it has.
    pub new: String,
    /// The patched programs in it, by name.
    pub programs: Vec<(String, Report)>,
    /// How many other files are in it, as they were.
    pub left: usize,
    /// Its length in bytes when unpacked, before and now.
    pub unpacked: (u64, u64),
    /// Its length in bytes, before and now.
    pub packed: (usize, usize),
}

impl Carried {
    fn json(&self) -> Value {
        json!({
            "input_name": self.old,
            "output_name": self.new,
            "programs": self.programs.iter().map(|(name, report)| json!({"name": name, "report": report.json()})).collect::<Vec<_>>(),
            "other_files": self.left,
            "input_bytes": self.packed.0,
            "output_bytes": self.packed.1,
            "input_unpacked_bytes": self.unpacked.0,
            "output_unpacked_bytes": self.unpacked.1,
        })
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  archive   {}", self.old)?;
        for (name, report) in &self.programs {
            let (kind, go) = (report.kind.name(), report.go.as_deref().unwrap_or("Go"));
            let (sites, detoured) = (report.sites, report.detoured);
            writeln!(f, "    {name}: {kind}, {go}, {detoured} of {sites} sites")?;
        }
        let (old, new) = self.packed;
        writeln!(f, "            {} other files left as they are; {old} → {new} bytes", self.left)?;
        write!(f, "         →  {}", self.new)
    }
}

impl Report {
    /// Sites that have no detour: [returns from signal handlers](crate::scan::signal_return).
    pub fn signal_returns(&self) -> usize {
        self.sites - self.detoured
    }

    /// Everything, for machines.
    pub fn json(&self) -> Value {
        json!({
            "kind": self.kind.name(),
            "dynamic": self.doors.as_ref().map(Doors::json),
            "go": self.go,
            "go_functions": self.go_functions,
            "sites": self.sites,
            "detoured": self.detoured,
            "in_place": self.in_place,
            "signal_returns": self.signal_returns(),
            "not_instructions": self.inside,
            "profiles": self.profiles,
            "rules": self.rules.iter().map(|(name, action)| json!({"name": name, "action": action})).collect::<Vec<_>>(),
            "rules_sha256": self.rules_digest,
            "input_sha256": self.input_digest,
            "input_bytes": self.input_len,
            "output_bytes": self.output_len,
            "injected_bytes": self.injected,
            "shim": self.shim,
            "was_patched": self.was_patched,
            "archive": self.archive.as_ref().map(Carried::json),
            "dropped_setuid": self.dropped_setuid,
            "milliseconds": self.time.as_secs_f64() * 1000.0,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.was_patched {
            writeln!(f, "  input     was patched; its original is patched anew")?;
        }
        let built = match (&self.go, self.go_functions) {
            (Some(version), Some(n)) => format!(", {version} ({n} functions)"),
            (Some(version), None) => format!(", {version}"),
            _ => String::new(),
        };
        writeln!(f, "  found     {} x86-64{built}", self.kind.name())?;
        writeln!(
            f,
            "  sites     {} of {} syscall instructions detoured, {} left in place; {} byte pairs 0f 05 are not instructions",
            self.detoured, self.sites, self.in_place, self.inside
        )?;
        if let Some(doors) = &self.doors {
            writeln!(f, "{doors}")?;
        }
        if self.signal_returns() > 0 {
            let count = self.signal_returns();
            writeln!(f, "            {count} returns from signal handlers keep their bytes")?;
        }
        if let Some(archive) = &self.archive {
            writeln!(f, "{archive}")?;
        }
        let names: Vec<_> = self.rules.iter().map(|(name, _)| name.as_str()).collect();
        writeln!(
            f,
            "  rules     {} (profile {}): {}",
            names.len(),
            self.profiles.join(", "),
            names.join(", ")
        )?;
        write!(
            f,
            "  size      {} → {} bytes (+{}), {} injected; {:.0} ms",
            self.input_len,
            self.output_len,
            self.output_len - self.input_len,
            self.injected,
            self.time.as_secs_f64() * 1000.0
        )
    }
}
