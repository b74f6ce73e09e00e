//! Is the archive of a patched k3s release file what procsys writes?
//!
//! It is not compressed again: other versions and other machines may write other
//! bytes. Its sha256 is compared with the note's, and what it unpacks to with what the
//! programs of the original's archive become when they are patched again.

use std::sync::Arc;

use procsys_rules::Table;

use super::place::Finding;
use super::read::{self, ARCHIVE, Patched};
use super::verify::Verdict;
use crate::elf::Image;
use crate::emit::{Pieces, note};
use crate::error::Error;
use crate::files::Beside;
use crate::k3s::archive::Archive;
use crate::k3s::embed;
use crate::k3s::release::{self, Attached};
use crate::patch::{Options, derive};

/// The archive, read and derived again.
pub(super) struct Again {
    /// As it lies in the file.
    pub(super) attached: Arc<Attached>,
    /// What is not as it should be.
    pub(super) wrong: Option<Finding>,
    name: String,
    programs: Vec<String>,
}

impl Again {
    /// Adds what was found to what was found elsewhere.
    pub(super) fn said_in(self, mut verdict: Verdict) -> Verdict {
        // A place in the archive says more than that it is another one.
        let is_placed = verdict.findings.iter().any(|f| f.region == ARCHIVE);
        verdict.findings.extend(self.wrong.filter(|_| !is_placed));
        verdict.archive = Some((self.name, self.programs));
        verdict
    }
}

/// Reads the archive of a patched file, and derives what it should hold from the
/// original's.
///
/// # Errors
/// [`Error::Input`] when the original has none, or none that can be read; as
/// patching its programs says.
pub(super) fn again(
    patched: &Patched<'_>,
    original: &[u8],
    table: Table<'_>,
    options: &Options,
) -> Result<Again, Error> {
    let missing = |what: &str| Error::Input(format!("{ARCHIVE}: {what}"));
    let embedded = embed::find(&Image::parse(original)?)?;
    let embedded = embedded.ok_or_else(|| missing("the original has no archive"))?;
    let section = patched.section(ARCHIVE).ok_or_else(|| missing("it is not there"))?;
    let said = patched.claims.archive.as_deref().and_then(note::from_hex);
    let said = said.ok_or_else(|| missing("the note does not say its sha256"))?;
    let attached = Attached::again(section, &embedded, original.len(), said);
    let attached = attached.ok_or_else(|| missing("it is too short"))?;
    let directory = std::env::temp_dir();
    let old = Archive::unpack(&original[embedded.data.clone()], &directory)?;
    let near = directory.join("program");
    let one = |bytes: &[u8]| {
        let original = read::restore(bytes)?;
        let bytes = original.as_deref().unwrap_or(bytes);
        let write = |pieces: &Pieces<'_>| Beside::with(bytes, &near)?.write(pieces);
        derive(bytes, table, options, write, |_| ())
    };
    let new = release::rewrite(&old, one, &|_, _, _| ())?;
    let sum = note::digest(attached.archive());
    let wrong = match sum == said {
        true => release::difference(attached.archive(), &new.archive)?,
        false => Some(format!("its sha256 is {}, not the noted one", note::hex(&sum))),
    };
    Ok(Again {
        name: embedded.renamed(&note::hex(&said)),
        attached: Arc::new(attached),
        wrong: wrong.map(|why| Finding::whole(ARCHIVE, why)),
        programs: new.programs.into_iter().map(|(name, ())| name).collect(),
    })
}
