//! What is in k3s's archive, and is it what its own lists say?

use std::collections::BTreeMap;
use std::ops::Deref;

use super::archive::{Archive, Entry, Kind};
use super::sums::{self, LINKS, SUMS};
use crate::elf::Image;
use crate::emit::note;
use crate::error::Error;
use crate::go;

/// The folder that holds the programs and the lists about them.
const PROGRAMS: &str = "bin/";

/// The lists of an archive.
#[derive(Debug)]
pub struct Lists {
    /// Index of the entry of the digests.
    pub index: usize,
    /// The digests, as they stand there.
    pub text: String,
    /// Digest by name, from `bin/` on.
    sums: BTreeMap<String, String>,
}

impl Lists {
    /// Reads them, and sees that every link is as they say.
    ///
    /// # Errors
    /// [`Error::Input`] when a list is missing, or a link is another one.
    pub fn read(archive: &Archive) -> Result<Self, Error> {
        let list = |name: &str| {
            let name = format!("{PROGRAMS}{name}");
            let entry = archive.entry(&name).filter(|entry| entry.kind == Kind::File);
            let entry = entry.ok_or_else(|| refuse(format!("it has no {name}, as k3s's has")))?;
            // k3s unpacks the last; which of them is renewed would be a guess.
            if archive.entries.iter().filter(|other| other.name == name).count() > 1 {
                return Err(refuse(format!("{name} is in it more than once")));
            }
            let bytes = archive.map(&entry.data)?;
            Ok::<_, Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (text, links) = (list(SUMS)?, list(LINKS)?);
        for (name, target) in sums::pairs(&links) {
            let name = inside(name);
            let kind = archive.entry(&name).map(|entry| &entry.kind);
            if kind != Some(&Kind::Link(target.to_owned())) {
                return Err(refuse(format!("{name} is not the link to {target} of its {LINKS}")));
            }
        }
        let sums: BTreeMap<_, _> =
            sums::pairs(&text).map(|(sum, name)| (inside(name), sum.to_owned())).collect();
        for name in sums.keys() {
            if archive.entry(name).is_none_or(|entry| entry.kind != Kind::File) {
                return Err(refuse(format!("{name} of its {SUMS} is not a file in it")));
            }
        }
        let own = format!("{PROGRAMS}{SUMS}");
        let index = archive.entries.iter().position(|entry| entry.name == own);
        Ok(Self { index: index.unwrap_or(0), text, sums })
    }

    /// Sees that a file has the digest of the list.
    ///
    /// # Errors
    /// [`Error::Input`] with the file's name when it has another.
    pub fn check(&self, entry: &Entry, bytes: &[u8]) -> Result<(), Error> {
        match self.sums.get(&entry.name) {
            Some(sum) if *sum != note::hex(&note::digest(bytes)) => {
                Err(refuse(format!("the sha256 of {} is not that of its {SUMS}", entry.name)))
            }
            _ => Ok(()),
        }
    }

    /// The list with other digests for some entries.
    pub fn renewed(&self, new: &BTreeMap<String, String>) -> String {
        let plain = |name: &String| name.strip_prefix(PROGRAMS).unwrap_or(name).to_owned();
        let new = new.iter().map(|(name, sum)| (plain(name), sum.clone())).collect();
        sums::renewed(&self.text, &new)
    }
}

/// The name of an entry by its name in a list.
fn inside(name: &str) -> String {
    format!("{PROGRAMS}{}", sums::plain(name))
}

fn refuse(why: String) -> Error {
    Error::Input(format!("the embedded archive is not one of k3s, or damaged: {why}"))
}

/// Go's version, of a program that can be patched; `None` of anything else.
pub fn go_program(bytes: &impl Deref<Target = [u8]>) -> Option<String> {
    go::buildinfo::version(&Image::parse(bytes).ok()?)
}
