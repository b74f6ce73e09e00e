//! The note in a patched file: who changed it, by which rules, from what.

use std::collections::BTreeSet;

use procsys_rules::Table;
use sha2::{Digest, Sha256};

use crate::patch::Options;
use crate::shim::{self, Shim};

/// The owner of the note.
pub const OWNER: &[u8; 8] = b"procsys\0";
/// The note's type: a number that no other owner's tools explain as theirs.
pub const TYPE: u32 = 0x7073_0001;
/// The section that holds it.
pub const SECTION: &str = ".note.procsys";
/// Bytes of the note before its text: three lengths and numbers, and the owner.
pub const HEADER: usize = 12 + OWNER.len();
/// The start of the note's last line (`patched/locator.rs`).
pub const LOCATOR: &str = "locator ";
/// The locator's digits, until they are known.
pub const LOCATOR_EMPTY: &str = "0000000000000000-0000000000000000";

/// The line that says that constants were rewritten and nothing injected.
const CONSTANTS: &str = "mode constants";

/// SHA-256 of some bytes.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A digest that is made piece by piece.
#[derive(Default)]
pub struct Digester(Sha256);

impl Digester {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    pub fn end(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// A digest in hexadecimal.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// A digest from its hexadecimal form.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.iter().map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// The digest of a shim's image.
pub fn shim_digest(shim: &Shim) -> String {
    hex(&digest(shim.image))
}

/// The note's text: lines of a word and its value.
pub(super) fn text(
    table: &Table<'_>,
    input: &[u8; 32],
    input_len: usize,
    options: &Options,
) -> String {
    let (preload, archive) = (options.preload.as_ref(), options.archive.as_ref());
    format!(
        "procsys-patch {}\nrules sha256:{}\ninput sha256:{} {input_len}\nshim sha256:{}\n{}{}{}{LOCATOR}{LOCATOR_EMPTY}\n",
        env!("CARGO_PKG_VERSION"),
        hex(&digest(table.bytes())),
        hex(input),
        shim_digest(Shim::fitting(table, options.every_call)),
        if options.every_call { "option every-call\n" } else { "" },
        preload.map_or(String::new(), |path| format!("option preload {path}\n")),
        archive.map_or(String::new(), |archive| format!("archive sha256:{}\n", hex(&archive.sum))),
    )
}

/// The note's text in a file whose constants are rewritten: nothing is injected,
/// so that there is no shim to name.
pub(crate) fn constants_text(
    rules: &[u8],
    input: &[u8; 32],
    input_len: usize,
    leave: &BTreeSet<u64>,
) -> String {
    let leave: String = leave.iter().map(|at| format!("leave {at:#x}\n")).collect();
    format!(
        "procsys-patch {}\nrules sha256:{}\ninput sha256:{} {input_len}\n{CONSTANTS}\n{leave}{LOCATOR}{LOCATOR_EMPTY}\n",
        env!("CARGO_PKG_VERSION"),
        hex(&digest(rules)),
        hex(input),
    )
}

/// The whole note (System V gABI, note section): owner, type, text.
pub(crate) fn note(text: &str) -> Vec<u8> {
    let mut note = Vec::new();
    note.extend((OWNER.len() as u32).to_le_bytes());
    note.extend((text.len() as u32).to_le_bytes());
    note.extend(TYPE.to_le_bytes());
    note.extend(OWNER);
    note.extend(text.as_bytes());
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// What a note says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The version of the tool that wrote the file.
    pub version: String,
    /// SHA-256 of the compiled rules.
    pub rules: String,
    /// SHA-256 of the original.
    pub input: String,
    /// Length of the original in bytes.
    pub input_len: usize,
    /// SHA-256 of the injected image; versions before it was noted have none.
    pub shim: Option<String>,
    /// Whether every call goes through the hook.
    pub every_call: bool,
    /// The library that was added.
    pub preload: Option<String>,
    /// SHA-256 of the archive that took the place of an embedded one.
    pub archive: Option<String>,
    /// Where constants were rewritten and nothing was injected: the addresses of
    /// those that were to stay.
    pub constants: Option<BTreeSet<u64>>,
}

impl Claims {
    /// Reads a note's text; `None` when a line that every version writes is missing.
    pub fn parse(text: &str) -> Option<Self> {
        let line = |start: &str| text.lines().find_map(|l| l.strip_prefix(start));
        let (input, len) = line("input sha256:")?.split_once(' ')?;
        Some(Self {
            version: line("procsys-patch ")?.to_owned(),
            rules: line("rules sha256:")?.to_owned(),
            input: input.to_owned(),
            input_len: len.parse().ok()?,
            shim: line("shim sha256:").map(str::to_owned),
            every_call: line("option every-call").is_some(),
            preload: line("option preload ").map(str::to_owned),
            archive: line("archive sha256:").map(str::to_owned),
            constants: line(CONSTANTS).map(|_| {
                let all = text.lines().filter_map(|l| l.strip_prefix("leave 0x"));
                all.filter_map(|at| u64::from_str_radix(at, 16).ok()).collect()
            }),
        })
    }

    /// Whether this very tool wrote it: it would write the same file again.
    pub fn are_ours(&self) -> bool {
        let is_shim_ours = self.constants.is_some()
            || shim::ALL.iter().any(|shim| self.shim == Some(shim_digest(shim)));
        self.version == env!("CARGO_PKG_VERSION") && is_shim_ours
    }
}
