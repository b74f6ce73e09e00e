//! Is a patched file what procsys writes? Derived again, from the file alone.
//!
//! The changes are undone in memory, the digest of what comes out is compared
//! with the note's, the whole pipeline runs on it with the rules from the file,
//! and every byte it writes is compared. What the locator points to is tried
//! first: if the file with that one word put right holds in all this, the word
//! is the one finding, whichever part of the file it is in.

use std::ops::Range;

use procsys_rules::Table;

use super::archive;
use super::locator;
use super::place::{self, Finding};
use super::read::{self, Patched};
use crate::constants::{self, Change};
use crate::elf::Image;
use crate::emit::{Pieces, note};
use crate::error::Error;
use crate::inspect::linkage;
use crate::patch::{Derived, Options, derive};
use crate::shim;

/// The most differences that are listed.
const LISTED: usize = 20;
/// Differences this near to each other are one.
const NEAR: usize = 8;

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// SHA-256 of the original, as the note says.
    pub original: String,
    /// SHA-256 of the compiled rules, as the note says.
    pub rules: String,
    /// The names of the rules in the file.
    pub rule_names: Vec<String>,
    /// How many sites were derived again; 0 when that was not possible.
    pub sites: usize,
    /// The name of the archive in a k3s release file, and the patched programs in it.
    pub archive: Option<(String, Vec<String>)>,
    /// How many constants were derived again, where those were rewritten.
    pub constants: Option<usize>,
    /// What is not as it should be; empty when all is.
    pub findings: Vec<Finding>,
    /// Whether more than the listed differences were found.
    pub has_more: bool,
}

/// What the file should be, for descriptions.
pub(super) struct Expected<'a, 'd> {
    /// What was derived.
    pub(super) derived: &'d Written<'a, 'd>,
    /// The file that was written, read.
    pub(super) image: Image<'d>,
    /// What the written file holds.
    pub(super) patched: Patched<'d>,
    /// Where its undo section starts.
    pub(super) undo_at: usize,
}

/// What either way of patching derives.
pub(super) struct Written<'a, 'd> {
    /// The patched file.
    pub(super) bytes: &'d [u8],
    /// Length of the original in bytes.
    pub(super) original_len: usize,
    /// SHA-256 of the original.
    digest: [u8; 32],
    /// Its detours, if it has any.
    pub(super) detours: Option<&'d Derived<'a>>,
    /// Its rewritten constants, if it has any.
    pub(super) constants: &'d [Change],
}

/// Why a comparison could not be made.
enum Stop {
    /// Another version wrote the file.
    Foreign(String),
    /// So much is damaged that nothing can be derived.
    Damaged(Box<Finding>),
    /// What was put right is not what procsys writes either.
    Unconfirmed,
}

/// Verifies a patched file, and compares its original with one that is given.
///
/// # Errors
/// [`Error::Input`] when the file isn't patched, or by another version.
pub fn verify(bytes: &[u8], original: Option<&[u8]>) -> Result<Verdict, Error> {
    if !read::is_patched(bytes) {
        return Err(read::not_patched(bytes));
    }
    let repaired = locator::repaired(bytes);
    let by_repair = repaired.as_deref().and_then(|repaired| compare(repaired, bytes).ok());
    let mut verdict = match by_repair.map_or_else(|| compare(bytes, bytes), Ok) {
        Ok(verdict) => verdict,
        Err(Stop::Foreign(why)) => return Err(Error::Input(why)),
        Err(Stop::Damaged(finding)) => Verdict { findings: vec![*finding], ..Verdict::default() },
        // Not said of the file itself, which is compared with what it gives.
        Err(Stop::Unconfirmed) => return Err(Error::Verify("nothing was compared".into())),
    };
    if let Some(original) = original {
        let whole = repaired
            .as_deref()
            .filter(|_| verdict.sites > 0 || verdict.constants.is_some())
            .unwrap_or(bytes);
        verdict.findings.extend(against_original(whole, original));
    }
    Ok(verdict)
}

/// Derives what the file should be from `base`, which is `actual` or what the
/// locator made of it, and compares `actual` with that.
fn compare(base: &[u8], actual: &[u8]) -> Result<Verdict, Stop> {
    let damaged = |region: &str, why: String| Stop::Damaged(Box::new(Finding::whole(region, why)));
    let patched = Patched::read(base).map_err(|why| damaged("what procsys left", why))?;
    let foreign_note = || damaged(note::SECTION, "its owner is not procsys any more".into());
    let patched = patched.ok_or_else(foreign_note)?;
    let claims = &patched.claims;
    // A damaged note may say anything; a whole one is believed.
    if !claims.are_ours() && locator::holds(base) {
        return Err(Stop::Foreign(foreign(&claims.version, claims.shim.as_deref())));
    }
    let original = patched.undone().map_err(|why| damaged(read::UNDO, why))?;
    let table = Table::new(patched.rules)
        .ok_or_else(|| damaged(read::RULES, "the rules can't be read".into()))?;
    let checked = |written: Written<'_, '_>| {
        if base != actual && written.bytes != base {
            return Err(Stop::Unconfirmed);
        }
        verdict(&patched, &written, actual)
    };
    let nothing = |e: Error| damaged("original", format!("nothing can be derived from it: {e}"));
    let original_len = original.len();
    if let Some(leave) = &claims.constants {
        let derived = constants::derive(&original, table, leave).map_err(nothing)?;
        return checked(Written {
            bytes: &derived.output,
            original_len,
            digest: derived.digest,
            detours: None,
            constants: &derived.changes,
        });
    }
    let mut options = Options {
        every_call: claims.every_call,
        preload: claims.preload.clone(),
        dry_run: true,
        ..Options::default()
    };
    let mut archive = None;
    if claims.archive.is_some() {
        let again = archive::again(&patched, &original, table, &options).map_err(nothing)?;
        if base != actual && again.wrong.is_some() {
            return Err(Stop::Unconfirmed);
        }
        options.archive = Some(again.attached.clone());
        archive = Some(again);
    }
    let write = |pieces: &Pieces<'_>| Ok(pieces.bytes());
    let derived = derive(&original, table, &options, write, |derived| {
        let verdict = checked(Written {
            bytes: derived.written,
            original_len,
            digest: derived.digest,
            detours: Some(derived),
            constants: &[],
        })?;
        Ok(match archive {
            Some(archive) => archive.said_in(verdict),
            None => verdict,
        })
    });
    derived.map_err(nothing)?.0
}

/// Compares what was derived with what is there.
fn verdict(
    patched: &Patched<'_>,
    derived: &Written<'_, '_>,
    actual: &[u8],
) -> Result<Verdict, Stop> {
    let claims = &patched.claims;
    let written = derived.bytes;
    let impossible = |why: &str| Stop::Damaged(Box::new(Finding::whole("original", why)));
    let expected = Expected {
        derived,
        image: linkage::read(written).map_err(|e| impossible(&e.to_string()))?.0,
        patched: Patched::read(written).ok().flatten().ok_or_else(|| impossible("no note"))?,
        undo_at: read::section(written, read::UNDO).map_or(0, |range| range.start),
    };
    let mut findings = Vec::new();
    if !claims.are_ours() {
        let said = foreign(&claims.version, claims.shim.as_deref());
        findings.push(Finding::whole(note::SECTION, format!("damaged, or the file is: {said}")));
    }
    if note::hex(&derived.digest) != claims.input {
        findings.push(Finding::whole(
            "original",
            "its sha256 is not the noted one: more than one place changed, outside of what procsys wrote or in what it kept of the original; --original names it",
        ));
    }
    if note::hex(&note::digest(patched.rules)) != claims.rules {
        findings.push(Finding::whole(read::RULES, "their sha256 is not the noted one"));
    }
    let has_wrong_digest = !findings.is_empty();
    let mut places = differences(written, actual);
    let has_more = places.len() > LISTED;
    places.truncate(LISTED);
    let described = places.into_iter().map(|place| place::describe(&expected, actual, place));
    // The note's digests differ because of what was named already.
    findings.extend(described.filter(|f| !(has_wrong_digest && f.region.contains(note::SECTION))));
    Ok(Verdict {
        original: claims.input.clone(),
        rules: claims.rules.clone(),
        rule_names: rule_names(patched.rules),
        sites: derived.detours.map_or(0, |d| d.scan.sites.len()),
        archive: None,
        constants: claims.constants.is_some().then_some(derived.constants.len()),
        findings,
        has_more,
    })
}

/// The names of the rules in a table.
pub fn rule_names(rules: &[u8]) -> Vec<String> {
    let names = |table: Table<'_>| {
        table.rules().map(|r| String::from_utf8_lossy(r.name()).into_owned()).collect()
    };
    Table::new(rules).map_or_else(Vec::new, names)
}

fn foreign(version: &str, shim: Option<&str>) -> String {
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    let ours: Vec<_> = shim::ALL.iter().map(|s| short(&note::shim_digest(s))).collect();
    format!(
        "patched by procsys-patch {version} with shim {}; this is {} with shims {}: verify with the tool that wrote it",
        shim.map_or("not noted".into(), short),
        env!("CARGO_PKG_VERSION"),
        ours.join(" and "),
    )
}

/// Where two files differ; differences near to each other are one.
fn differences(expected: &[u8], actual: &[u8]) -> Vec<Range<usize>> {
    const BLOCK: usize = 4096;
    let mut all: Vec<Range<usize>> = Vec::new();
    for (index, (a, b)) in expected.chunks(BLOCK).zip(actual.chunks(BLOCK)).enumerate() {
        if a == b {
            continue;
        }
        for (i, _) in a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b) {
            let at = index * BLOCK + i;
            match all.last_mut() {
                Some(last) if at < last.end + NEAR => last.end = at + 1,
                _ => all.push(at..at + 1),
            }
        }
    }
    let (short, long) = (expected.len().min(actual.len()), expected.len().max(actual.len()));
    if short < long {
        all.push(short..long);
    }
    all
}

/// Where the original in the file is not the one that is given.
fn against_original(bytes: &[u8], original: &[u8]) -> Option<Finding> {
    let kept = Patched::read(bytes).ok().flatten().map(|p| p.undone());
    let Some(Ok(kept)) = kept else {
        return Some(Finding::whole("original", "it can't be put together to be compared"));
    };
    let place = differences(original, &kept).into_iter().next()?;
    let region =
        Image::parse(original).map_or("original".into(), |i| place::region(&i, place.start));
    let message = format!(
        "the file given as original differs here: {} bytes, {} in the patched file",
        original.len(),
        kept.len()
    );
    Some(Finding { place: Some(place), region, message, ..Finding::default() })
}
