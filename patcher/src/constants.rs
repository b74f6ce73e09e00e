//! The way without injected code: path constants are rewritten where they are.
//!
//! [`texts`] finds where a prefix stands in what is loaded; `uses` (of the
//! crate) who uses those bytes; [`judge`] says of each text what changes, or why
//! nothing may; [`inline`] finds text that instructions carry as numbers;
//! [`write()`] makes the file, with all that was changed kept in it.
//!
//! Nothing is guessed: a text is rewritten only if everybody who uses its bytes
//! means it, and a length only if it is known to be that text's. All that stands
//! in the way is said at once.

mod check;
mod inline;
mod judge;
mod lengths;
mod report;
mod rules;
mod texts;
mod write;

use std::collections::BTreeSet;

use procsys_rules::Table;

use crate::emit::note;
use crate::error::Error;
use crate::go;
use crate::inspect::linkage;
use crate::patch::within_reach;
use crate::patched::locator::{self, Sums};
use crate::patched::read;
use crate::rules::Set;
use crate::scan::Functions;

pub use judge::Change;
pub use report::Report;
pub(crate) use rules::rules;

/// One prefix for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
}

/// Bytes that are written over others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edit {
    /// The address of the first.
    pub(crate) address: u64,
    /// What is written.
    pub(crate) bytes: Vec<u8>,
}

/// What a run derives from an original.
pub(crate) struct Derived {
    /// How it is linked.
    pub(crate) kind: &'static str,
    /// The Go version that built it.
    pub(crate) go: Option<String>,
    /// What changes.
    pub(crate) changes: Vec<Change>,
    /// Texts that hold a prefix and stay: where, what, why.
    pub(crate) left: Vec<(u64, String, String)>,
    /// SHA-256 of the original.
    pub(crate) digest: [u8; 32],
    /// The rewritten file.
    pub(crate) output: Vec<u8>,
}

/// Rewrites the constants of a file; one that is patched already, in whatever
/// way, is taken back to its original first. `leave` are addresses of texts, or
/// of instructions that carry one, that stay as they are.
///
/// # Errors
/// [`Error::Constants`] with a line for each thing that stands in the way,
/// [`Error::Rules`] when the rules are not redirects alone.
pub fn transform(
    bytes: &[u8],
    set: &Set,
    leave: &BTreeSet<u64>,
) -> Result<(Report, Vec<u8>), Error> {
    let table = Table::new(&set.table)
        .ok_or_else(|| Error::Rules("the compiled rules can't be read".into()))?;
    let original = if read::is_patched(bytes) { read::restore(bytes)? } else { None };
    let was_patched = original.is_some();
    let bytes = original.as_deref().unwrap_or(bytes);
    let derived = derive(bytes, table, leave)?;
    let report = Report::new(&derived, set, bytes.len(), was_patched);
    Ok((report, derived.output))
}

/// Derives the rewritten file from its original.
///
/// # Errors
/// As [`transform`].
pub(crate) fn derive(
    bytes: &[u8],
    table: Table<'_>,
    leave: &BTreeSet<u64>,
) -> Result<Derived, Error> {
    let pairs = rules::pairs(table)?;
    let (image, linkage) = linkage::read(bytes)?;
    within_reach(&image)?;
    let functions = Functions::new(&image);
    let judged = judge::all(&image, &functions, &pairs, leave);
    let mut obstacles = judged.obstacles;
    obstacles.extend(inline::find(&image, &functions, &pairs, leave));
    for (index, pair) in pairs.iter().enumerate() {
        if obstacles.is_empty() && !judged.changes.iter().any(|c| c.pair == index) {
            let from = String::from_utf8_lossy(&pair.from);
            obstacles
                .push(format!("`{from}`: no constant that something refers to starts with it"));
        }
    }
    if !obstacles.is_empty() {
        return Err(Error::Constants(obstacles));
    }
    let digest = note::digest(bytes);
    let text = note::constants_text(table.bytes(), &digest, bytes.len(), leave);
    let edits: BTreeSet<&Edit> = judged.changes.iter().flat_map(|c| &c.edits).collect();
    let mut pieces = write::write(&image, table.bytes(), &text, &edits)?;
    locator::seal(&mut pieces, Sums::of(bytes));
    let output = pieces.bytes();
    check::check(bytes, &output, &edits)?;
    Ok(Derived {
        kind: linkage.kind,
        go: go::buildinfo::version(&image),
        changes: judged.changes,
        left: judged.left,
        digest,
        output,
    })
}
