//! The programs in an embedded archive, patched, and the archive that holds them then.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use memmap2::Mmap;

use super::archive::{Altered, Archive, Contents, Entry, Kind};
use super::contents::{Lists, go_program};
use super::embed::Embedded;
use super::zst::{self, Unpacked};
use crate::emit::{Stretch, note};
use crate::error::Error;
use crate::files::Copy;
use crate::many;
use crate::verify::Written;

/// A segment in a file starts at a multiple of so many bytes.
const PAGE: usize = 4096;
/// Bytes that are compared at a time.
const BLOCK: u64 = 1 << 20;

/// How far the work is: how much is done, of how much, and what.
pub type Progress<'a> = &'a (dyn Fn(usize, usize, &str) + Sync);

/// An archive with its programs patched.
pub struct Rewritten<'a, R> {
    /// What it is now.
    pub archive: Altered<'a>,
    /// The patched programs: name, and what the patcher said of each.
    pub programs: Vec<(String, R)>,
    /// How many files stay what they are.
    pub left: usize,
}

/// Patches every Go program of an unpacked archive, several at once, and renews the
/// list of digests.
///
/// # Errors
/// [`Error::Input`] when its lists don't fit it; as `patch` says, with the program's name.
pub fn rewrite<'a, R: Send>(
    archive: &'a Archive,
    patch: impl Fn(&[u8]) -> Result<(R, Copy), Error> + Sync,
    progress: Progress<'_>,
) -> Result<Rewritten<'a, R>, Error> {
    let lists = Lists::read(archive)?;
    let files: Vec<_> =
        archive.entries.iter().enumerate().filter(|(_, e)| e.kind == Kind::File).collect();
    let largest = files.iter().map(|(_, e)| e.data.end - e.data.start).max().unwrap_or(0);
    let budget = Budget::new(largest);
    let one = |&(index, entry): &(usize, &Entry)| {
        let _share = budget.take(entry.data.end - entry.data.start);
        let bytes = archive.map(&entry.data)?;
        lists.check(entry, &bytes)?;
        if go_program(&bytes).is_none() {
            return Ok(None);
        }
        let (report, copy) = patch(&bytes).map_err(|e| e.about(&entry.name))?;
        drop(bytes);
        let sum = note::hex(&digest(&copy));
        Ok(Some((index, report, copy.into_contents()?, sum)))
    };
    let results = many::in_parallel(&files, one, |done, (_, entry)| {
        progress(done, files.len(), &entry.name);
    });
    let (mut new, mut sums, mut programs) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for result in results {
        let Some((index, report, contents, sum)) = result? else { continue };
        let name = archive.entries[index].name.clone();
        sums.insert(name.clone(), sum);
        new.insert(index, contents);
        programs.push((name, report));
    }
    let left = files.len() - programs.len();
    new.insert(lists.index, Contents::Held(lists.renewed(&sums).into_bytes()));
    Ok(Rewritten { archive: archive.with(new)?, programs, left })
}

/// A digest of which no more than a piece is in memory.
fn digest(copy: &Copy) -> [u8; 32] {
    let mut digester = note::Digester::default();
    for start in (0..copy.len()).step_by(BLOCK as usize) {
        let range = start..copy.len().min(start + BLOCK as usize);
        digester.add(&copy[range.clone()]);
        copy.done_with(range);
    }
    digester.end()
}

/// How many bytes may be worked on at the same time: as many as the largest file has,
/// so that several threads need no more memory than one.
struct Budget {
    left: Mutex<u64>,
    more: Condvar,
}

/// A part of it, until it is dropped.
struct Share<'a>(&'a Budget, u64);

impl Budget {
    fn new(bytes: u64) -> Self {
        Self { left: Mutex::new(bytes), more: Condvar::new() }
    }

    /// Waits until there is enough left. A thread that panicked gives its part back.
    fn take(&self, bytes: u64) -> Share<'_> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        while *left < bytes {
            left = self.more.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left -= bytes;
        Share(self, bytes)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) += self.1;
        self.0.more.notify_all();
    }
}

/// An archive that takes the place of the embedded one: as it will lie behind the
/// file that it belongs to.
pub struct Attached {
    /// The entry that is to be about it.
    pub embedded: Embedded,
    /// Its sha256.
    pub sum: [u8; 32],
    /// Zeros up to a page, the archive, its name.
    bytes: Held,
    /// Where the archive is in them.
    archive: Range<usize>,
}

enum Held {
    Mapped(Mmap),
    Here(Vec<u8>),
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attached({}, {} bytes)", note::hex(&self.sum), self.archive.len())
    }
}

impl Deref for Attached {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Held::Mapped(bytes) => bytes,
            Held::Here(bytes) => bytes,
        }
    }
}

impl Attached {
    /// Compresses an archive, to be attached to a file of `file_len` bytes.
    ///
    /// # Errors
    /// [`Error::Io`] when there is no room in `directory`.
    pub fn compress(
        archive: &Altered<'_>,
        embedded: &Embedded,
        file_len: usize,
        directory: &Path,
        progress: Progress<'_>,
    ) -> Result<Self, Error> {
        let failed = |e: io::Error| crate::files::failed(directory, &e);
        let file = tempfile::tempfile_in(directory).map_err(failed)?;
        let mut output =
            Summed { file: BufWriter::new(&file), sum: note::Digester::default(), len: 0 };
        let fill = file_len.next_multiple_of(PAGE) - file_len;
        output.file.write_all(&vec![0; fill]).map_err(failed)?;
        let percent = |done: u64| (done * 100 / archive.len().max(1)) as usize;
        let done = |done| progress(percent(done), 100, "% compressed");
        zst::compress(archive.len(), |range| archive.read(range), &mut output, done)
            .map_err(failed)?;
        let Summed { mut file, sum, len } = output;
        let sum = sum.end();
        file.write_all(embedded.renamed(&note::hex(&sum)).as_bytes()).map_err(failed)?;
        let file: &File = file.into_inner().map_err(|e| failed(e.into_error()))?;
        // SAFETY: the file has no name and no other opener, and is written to no more.
        let bytes = unsafe { Mmap::map(file) }.map_err(failed)?;
        let bytes = Held::Mapped(bytes);
        Ok(Self { embedded: embedded.clone(), sum, bytes, archive: fill..fill + len })
    }

    /// One that is in a patched file: the bytes of its section, and its sha256 as noted.
    /// `None` when they are too few for its name.
    pub fn again(
        section: &[u8],
        embedded: &Embedded,
        file_len: usize,
        sum: [u8; 32],
    ) -> Option<Self> {
        let len = section.len().checked_sub(embedded.name.len())?;
        let fill = file_len.next_multiple_of(PAGE) - file_len;
        let mut bytes = vec![0; fill];
        bytes.extend_from_slice(&section[..len]);
        bytes.extend_from_slice(embedded.renamed(&note::hex(&sum)).as_bytes());
        let bytes = Held::Here(bytes);
        Some(Self { embedded: embedded.clone(), sum, bytes, archive: fill..fill + len })
    }

    /// Length of the archive in bytes.
    pub fn archive_len(&self) -> usize {
        self.archive.len()
    }

    /// The archive.
    pub fn archive(&self) -> &[u8] {
        &self[self.archive.clone()]
    }

    /// Where the archive and its name go in a file of `file_len` bytes, behind what
    /// is loaded up to `end`.
    pub(crate) fn place(&self, file_len: usize, end: u64) -> Stretch {
        let (start, len) = (self.archive.start, self.len() - self.archive.start);
        let address = end.next_multiple_of(PAGE as u64);
        Stretch { address, offset: (file_len + start) as u64, len: len as u64 }
    }

    /// The changes of the file's own bytes, when the archive is loaded at an address.
    pub fn edits(&self, address: u64) -> Vec<(u64, Vec<u8>)> {
        let len = self.archive.len() as u64;
        self.embedded.edits(address, len, &self.sum, address + len)
    }
}

/// A file whose bytes are counted and digested on their way.
struct Summed<'a> {
    file: BufWriter<&'a File>,
    sum: note::Digester,
    len: usize,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.sum.add(bytes);
        self.len += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Where a compressed archive holds something else than it should: its offset when
/// unpacked, or why it can't be read.
///
/// # Errors
/// [`Error::Io`] when what it should hold can't be read.
pub fn difference(stream: &[u8], expected: &Altered<'_>) -> Result<Option<String>, Error> {
    let mut actual = Unpacked::new(stream);
    let failed = |e: io::Error| crate::files::failed(Path::new("the archive"), &e);
    let mut at = 0;
    while at < expected.len() {
        let range = at..expected.len().min(at + BLOCK);
        let mut block = vec![0; (range.end - range.start) as usize];
        if let Err(why) = actual.read_exact(&mut block) {
            return Ok(Some(why.to_string()));
        }
        let wanted = expected.read(range).map_err(failed)?;
        if let Some(into) = block.iter().zip(&wanted).position(|(a, b)| a != b) {
            let at = at + into as u64;
            return Ok(Some(format!("unpacked, it differs from what procsys writes at {at:#x}")));
        }
        at += BLOCK;
    }
    match actual.read(&mut [0]) {
        Ok(0) => Ok(None),
        _ => Ok(Some("unpacked, it is longer than what procsys writes".into())),
    }
}
