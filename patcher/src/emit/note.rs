//! The note in a patched file: who changed it, by which rules, from what.

use sha2::{Digest, Sha256};

/// The owner of the note.
pub const OWNER: &[u8; 8] = b"procsys\0";
/// The note's type: a number that no other owner's tools explain as theirs.
pub const TYPE: u32 = 0x7073_0001;
/// The section that holds it.
pub const SECTION: &str = ".note.procsys";

/// SHA-256 of some bytes.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A digest in hexadecimal.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// The note's text: lines of a word and its value.
pub(super) fn text(rules: &[u8], input: &[u8; 32], input_len: usize, every_call: bool) -> String {
    format!(
        "procsys-patch {}\nrules sha256:{}\ninput sha256:{} {input_len}\n{}",
        env!("CARGO_PKG_VERSION"),
        hex(&digest(rules)),
        hex(input),
        if every_call { "option every-call\n" } else { "" },
    )
}

/// The whole note (System V gABI, note section): owner, type, text.
pub(super) fn note(text: &str) -> Vec<u8> {
    let mut note = Vec::new();
    note.extend((OWNER.len() as u32).to_le_bytes());
    note.extend((text.len() as u32).to_le_bytes());
    note.extend(TYPE.to_le_bytes());
    note.extend(OWNER);
    note.extend(text.as_bytes());
    note.resize(note.len().next_multiple_of(4), 0);
    note
}
