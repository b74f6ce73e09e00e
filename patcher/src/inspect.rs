//! What is a file, and what can be done with it? Nothing is written.

pub mod calls;
mod libc;
pub mod linkage;
pub mod paths;
mod referrers;
mod report;
mod settings;
pub mod sites;

use procsys_rules::Table;

use crate::elf::Image;
use crate::emit::Pieces;
use crate::emit::note::Claims;
use crate::error::Error;
use crate::go;
use crate::k3s::archive::{Archive, Kind};
use crate::k3s::contents::{Lists, go_program};
use crate::k3s::embed;
use crate::patch::{Options, derive, within_reach};
use crate::patched::{Patched, read, verify::rule_names};
use crate::rules::{Choice, gather};
use crate::scan::Functions;
use linkage::Linkage;
use paths::Constant;
use sites::Sites;

/// What is known of Go in a file.
#[derive(Debug)]
pub struct Go {
    /// The version, such as `go1.21.5`.
    pub version: String,
    /// How many functions its table has.
    pub functions: Option<usize>,
    /// The main package.
    pub path: Option<String>,
    /// The build settings: key and value.
    pub settings: Vec<(String, String)>,
}

/// What a patched file says of itself.
#[derive(Debug)]
pub struct WasPatched {
    /// The note; `None` when so much is damaged that it can't be read.
    pub claims: Option<Claims>,
    /// The names of its rules.
    pub rules: Vec<String>,
    /// Why the original can't be put together, if it can't. Otherwise all else
    /// here is said of the original.
    pub damage: Option<String>,
}

/// The archive in a k3s release file.
#[derive(Debug)]
pub struct Carries {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub packed: usize,
    /// Its length in bytes when unpacked.
    pub unpacked: u64,
    /// The Go programs in it: name, length in bytes, version.
    pub programs: Vec<(String, u64, String)>,
    /// How many other files are in it.
    pub others: usize,
}

/// What a file is.
#[derive(Debug)]
pub struct Inspection {
    /// How it is linked.
    pub linkage: Linkage,
    /// Go's part, if Go built it.
    pub go: Option<Go>,
    /// The C library in it, or that it needs.
    pub libc: Option<String>,
    /// Its system calls.
    pub sites: Sites,
    /// The paths in it.
    pub paths: Vec<Constant>,
    /// The archive in it, if it is a k3s release file.
    pub archive: Option<Carries>,
    /// Whether procsys patched it, and how.
    pub patched: Option<WasPatched>,
    /// Why it can't be patched, if it can't.
    pub obstacle: Option<String>,
    /// Which door fits, in words.
    pub door: String,
}

/// Inspects a file; a patched one as its original.
///
/// # Errors
/// [`Error::Input`] when it is no ELF file for x86-64, or damaged.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, Error> {
    let (patched, original) = undone(bytes);
    let bytes = original.as_deref().unwrap_or(bytes);
    let (image, linkage) = linkage::read(bytes)?;
    within_reach(&image)?;
    let functions = Functions::new(&image);
    let set = gather(&Choice::default())?;
    let table = Table::new(&set.table)
        .ok_or_else(|| Error::Rules("the compiled rules can't be read".into()))?;
    let sites = sites::find(&image, &functions, table)?;
    let write = |pieces: &Pieces<'_>| Ok(pieces.bytes());
    let archive = carries(&image);
    let tried = derive(bytes, table, &Options::default(), write, |_| ()).err();
    let obstacle = tried.as_ref().or(archive.as_ref().err()).map(ToString::to_string);
    let go = go(&image, &functions);
    Ok(Inspection {
        obstacle,
        archive: archive.ok().flatten(),
        door: door(&linkage, &sites),
        libc: libc::find(bytes, &linkage),
        paths: paths::find(&image, &functions),
        linkage,
        go,
        sites,
        patched,
    })
}

/// What procsys left in a file, and the original.
fn undone(bytes: &[u8]) -> (Option<WasPatched>, Option<Vec<u8>>) {
    let patched = match Patched::read(bytes) {
        Ok(Some(patched)) => patched,
        Ok(None) => return (None, None),
        Err(damage) => {
            let damaged = WasPatched { claims: None, rules: Vec::new(), damage: Some(damage) };
            return (Some(damaged), None);
        }
    };
    let (original, damage) = match read::restore(bytes) {
        Ok(original) => (original, None),
        Err(damage) => (None, Some(damage.to_string())),
    };
    let rules = rule_names(patched.rules);
    (Some(WasPatched { claims: Some(patched.claims), rules, damage }), original)
}

/// The archive that an original carries.
fn carries(image: &Image<'_>) -> Result<Option<Carries>, Error> {
    let Some(embedded) = embed::find(image)? else { return Ok(None) };
    let archive = Archive::unpack(&image.bytes[embedded.data.clone()], &std::env::temp_dir())?;
    let lists = Lists::read(&archive)?;
    let (mut programs, mut others) = (Vec::new(), 0);
    for entry in archive.entries.iter().filter(|entry| entry.kind == Kind::File) {
        let bytes = archive.map(&entry.data)?;
        lists.check(entry, &bytes)?;
        match go_program(&bytes) {
            Some(version) => programs.push((entry.name.clone(), bytes.len() as u64, version)),
            None => others += 1,
        }
    }
    let (packed, unpacked) = (embedded.data.len(), archive.len());
    Ok(Some(Carries { name: embedded.name, packed, unpacked, programs, others }))
}

fn go(image: &Image<'_>, functions: &Functions<'_>) -> Option<Go> {
    let version = go::buildinfo::version(image)?;
    let (path, settings) = settings::read(image);
    let functions = functions.go.as_ref().map(go::Functab::len);
    Some(Go { version, functions, path, settings })
}

fn door(linkage: &Linkage, sites: &Sites) -> String {
    if !linkage.is_dynamic() {
        return "door 2: procsys-patch FILE -o OUTPUT".into();
    }
    if linkage.kind == "shared library" {
        return "none of its own: what loads it has one".into();
    }
    match sites.all.len() {
        0 => "door 1: LD_PRELOAD=libprocsys.so".into(),
        n => format!(
            "both: procsys-patch for its own {n} syscall instructions, libprocsys.so (--with-preload or LD_PRELOAD) for C code's calls in its libraries"
        ),
    }
}
