//! Where does a program keep the archive that it was built with?
//!
//! go:embed makes a slice of entries: name (address, length), data (address,
//! length), 16 bytes of a digest (Go, `cmd/compile/internal/staticdata/embed.go`).
//! k3s embeds one archive, named after its own sha256 (k3s, `scripts/package-cli`).

use std::ops::Range;

use memchr::memmem;
use object::LittleEndian as LE;
use object::read::elf::ProgramHeader;

use crate::elf::{Dynamic, Image, relocations};
use crate::emit::note;
use crate::error::Error;
use crate::go;

/// What k3s's archive is called after its digest.
const SUFFIX: &[u8] = b".tar.zst";
/// What it was called before.
const OLD_SUFFIXES: [&[u8]; 2] = [b".tgz", b".tar.gz"];
/// The function that go-bindata puts into every program.
const BINDATA: &[u8] = b"bindataRead";
/// Hexadecimal digits of a sha256.
const DIGITS: usize = 64;
/// The longest folder before the digits.
const FOLDER: usize = 64;
/// Offsets in an entry: data, and the digest.
const DATA: u64 = 16;
const DIGEST: u64 = 32;
/// The magic number of a zstd frame (RFC 8878, 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// An embedded archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// Its whole name, such as `embed/HASH.tar.zst`.
    pub name: String,
    /// The digits in its name: its sha256.
    pub hash: String,
    /// Where it is in the file.
    pub data: Range<usize>,
    /// Offsets of the words that hold the address of the name.
    name_words: Vec<u64>,
    /// Offsets of the words that hold the address of the data.
    data_words: Vec<u64>,
    /// Offset of the length of the data.
    length: u64,
    /// Offset of the entry's digest, and how Go made it, where that is known.
    digest: Option<(u64, Digest)>,
}

/// How a version of Go makes the digest of an entry, which nothing reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digest {
    /// The start of the sha256.
    Plain,
    /// Its complement: Go 1.17 to 1.23, `cmd/internal/notsha256`.
    Complement,
}

impl Digest {
    fn of(self, sum: &[u8; 32]) -> Vec<u8> {
        let turn = if self == Digest::Plain { 0 } else { 0xff };
        sum[..16].iter().map(|byte| byte ^ turn).collect()
    }
}

impl Embedded {
    /// The changes, offset and bytes, after which the entry is about another archive:
    /// its address, length in bytes and sha256, and the address of its name, which is
    /// as long as the old one.
    pub fn edits(&self, data: u64, len: u64, sum: &[u8; 32], name: u64) -> Vec<(u64, Vec<u8>)> {
        let words = |at: &[u64], value: u64| {
            at.iter().map(move |&at| (at, value.to_le_bytes().to_vec())).collect::<Vec<_>>()
        };
        let mut edits = words(&self.name_words, name);
        edits.extend(words(&self.data_words, data));
        edits.extend(words(&[self.length], len));
        edits.extend(self.digest.map(|(at, digest)| (at, digest.of(sum))));
        edits
    }

    /// The name of another archive in its place.
    pub fn renamed(&self, hash: &str) -> String {
        self.name.replace(&self.hash, hash)
    }
}

/// Finds the archive; `None` where the file is not such a program.
///
/// # Errors
/// [`Error::Input`] when there is one that can't be used: made by an older k3s,
/// damaged, or more than one.
pub fn find(image: &Image<'_>) -> Result<Option<Embedded>, Error> {
    if go::buildinfo::version(image).is_none() {
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut unclaimed = None;
    for (digits, suffix) in names(image) {
        let entries = entries(image, digits..digits + DIGITS + suffix.len());
        if entries.is_empty() {
            unclaimed = Some(&image.bytes[digits..digits + DIGITS + suffix.len()]);
        }
        found.extend(entries);
    }
    match (&found[..], unclaimed) {
        ([], None) => Ok(None),
        ([], Some(name)) => match memmem::find(image.bytes, BINDATA) {
            Some(_) => refuse(format!(
                "the archive {} was put into it by go-bindata, as k3s did until August 2025: expected go:embed; let it unpack, and patch DATA-DIR/data/HASH",
                String::from_utf8_lossy(name)
            )),
            None => Ok(None),
        },
        ([_], _) => found.remove(0).checked(image).map(Some),
        ([first, second, ..], _) => refuse(format!(
            "two embedded archives, {} and {}: expected one",
            first.name, second.name
        )),
    }
}

fn refuse<T>(why: String) -> Result<T, Error> {
    Err(Error::Input(why))
}

impl Embedded {
    /// Sees that the archive is what its name says, and notes how Go made its digest.
    fn checked(mut self, image: &Image<'_>) -> Result<Self, Error> {
        let name = &self.name;
        if OLD_SUFFIXES.iter().any(|old| name.as_bytes().ends_with(old)) {
            return refuse(format!("the archive {name} is gzip, as k3s's was once: expected zstd"));
        }
        let bytes = &image.bytes[self.data.clone()];
        if !bytes.starts_with(&ZSTD) {
            return refuse(format!("the archive {name} at {:#x} is not zstd", self.data.start));
        }
        let sum = note::digest(bytes);
        if note::hex(&sum) != self.hash {
            return refuse(format!(
                "the archive {name} at {:#x} is damaged: its sha256 is {}",
                self.data.start,
                note::hex(&sum)
            ));
        }
        self.digest = self.digest.and_then(|(at, _)| {
            let there = image.bytes.get(at as usize..at as usize + 16)?;
            let known = [Digest::Plain, Digest::Complement];
            Some((at, known.into_iter().find(|digest| digest.of(&sum) == there)?))
        });
        Ok(self)
    }
}

/// Where the digits of each such name start, and what follows them.
fn names<'a>(image: &Image<'a>) -> impl Iterator<Item = (usize, &'static [u8])> + use<'a> {
    let (offset, bytes) = strings(image);
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    // All three start so: one search, not three.
    memmem::find_iter(bytes, b".t").filter_map(move |at| {
        let mut suffixes = [SUFFIX].into_iter().chain(OLD_SUFFIXES);
        let suffix = suffixes.find(|suffix| bytes[at..].starts_with(suffix))?;
        let start = at.checked_sub(DIGITS)?;
        bytes[start..at].iter().all(is_digit).then_some((offset + start, suffix))
    })
}

/// Where Go's linker puts the texts of a program, with its offset: one in ten of its
/// bytes. The whole file where sections don't say, or a patched one has a new name.
fn strings<'a>(image: &Image<'a>) -> (usize, &'a [u8]) {
    match image.section(".rodata") {
        Some((section, bytes)) if image.section(note::SECTION).is_none() => {
            (section.sh_offset.get(LE) as usize, bytes)
        }
        _ => (0, image.bytes),
    }
}

/// The entries whose name ends where this one does.
fn entries(image: &Image<'_>, name: Range<usize>) -> Vec<Embedded> {
    let Some(digits) = address(image, name.start) else { return Vec::new() };
    let end = digits + name.len() as u64;
    let first = digits.saturating_sub(FOLDER as u64);
    let mut entries = Vec::new();
    for (entry, words, start) in pointers(image, first..digits + 1) {
        let entry = read(image, entry).filter(|read| read.name_len == end - start);
        let Some(Entry { offset, data, len, .. }) = entry else { continue };
        let text = name.start - (digits - start) as usize..name.end;
        let Some(text) = image.bytes.get(text).and_then(|t| std::str::from_utf8(t).ok()) else {
            continue;
        };
        let Some(at) = image.offset(data.target).map(|at| at as usize) else { continue };
        let Some(range) = at.checked_add(len).map(|end| at..end) else { continue };
        if range.end > image.bytes.len() {
            continue;
        }
        entries.push(Embedded {
            name: text.to_owned(),
            hash: String::from_utf8_lossy(&image.bytes[name.start..name.start + DIGITS]).into(),
            data: range,
            name_words: words,
            data_words: data.words,
            length: offset + DATA + 8,
            digest: Some((offset + DIGEST, Digest::Plain)),
        });
    }
    entries
}

/// What an entry says.
struct Entry {
    /// Its offset in the file.
    offset: u64,
    name_len: u64,
    data: Pointer,
    len: usize,
}

/// A word that holds an address: what it is, and the offsets where the file says so.
struct Pointer {
    target: u64,
    words: Vec<u64>,
}

fn read(image: &Image<'_>, entry: u64) -> Option<Entry> {
    let word = |into: u64| Some(u64::from_le_bytes(*image.at(entry + into)?.first_chunk()?));
    let data = match is_fixed(image) {
        true => Pointer { target: word(DATA)?, words: vec![image.offset(entry + DATA)?] },
        false => {
            let place = entry + DATA;
            let mut data = None;
            relocations::each(image, |relocation| {
                if relocation.address == place {
                    data = moved(image, relocation);
                }
            });
            data?
        }
    };
    let len = usize::try_from(word(DATA + 8)?).ok()?;
    Some(Entry { offset: image.offset(entry)?, name_len: word(8)?, data, len })
}

/// The address of each word that holds an address in a range, the offsets where the
/// file says so, and the address in it.
fn pointers(image: &Image<'_>, range: Range<u64>) -> Vec<(u64, Vec<u64>, u64)> {
    let mut all = Vec::new();
    if is_fixed(image) {
        for segment in image.loads() {
            let (start, bytes) = (segment.p_vaddr.get(LE), segment.data(LE, image.bytes));
            let words = bytes.unwrap_or_default().as_chunks::<8>().0.iter();
            for (at, word) in (start..).step_by(8).zip(words) {
                let word = u64::from_le_bytes(*word);
                if range.contains(&word) {
                    all.extend(image.offset(at).map(|offset| (at, vec![offset], word)));
                }
            }
        }
        return all;
    }
    relocations::each(image, |relocation| {
        if relocation.target.is_some_and(|target| range.contains(&target)) {
            let pointer = moved(image, relocation);
            all.extend(pointer.map(|p| (relocation.address, p.words, p.target)));
        }
    });
    all
}

/// A pointer that the loader writes: where the file says its value, and the word
/// itself where that says it, too.
fn moved(image: &Image<'_>, relocation: relocations::Relocation) -> Option<Pointer> {
    let target = relocation.target?;
    let mut words = vec![image.offset(relocation.said_at)?];
    let own = image.at(relocation.address).and_then(|bytes| bytes.first_chunk());
    if relocation.said_at != relocation.address && own == Some(&target.to_le_bytes()) {
        words.push(image.offset(relocation.address)?);
    }
    Some(Pointer { target, words })
}

/// Whether addresses in the file are those in memory.
fn is_fixed(image: &Image<'_>) -> bool {
    Dynamic::read(image).is_none()
}

fn address(image: &Image<'_>, at: usize) -> Option<u64> {
    image.loads().find_map(|s| {
        let (start, len) = s.file_range(LE);
        let into = (at as u64).checked_sub(start).filter(|into| *into < len)?;
        Some(s.p_vaddr.get(LE) + into)
    })
}
