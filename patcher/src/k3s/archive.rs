//! An archive, unpacked into a file without a name: what is in it, and another of the
//! same layout with other contents of some files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::ops::{Deref, Range};
use std::os::unix::fs::FileExt;
use std::path::Path;

use memmap2::{Mmap, MmapOptions};
use tar::{EntryType, Header};

use super::zst::Unpacked;
use crate::error::Error;

/// Bytes of a header; contents are filled up to a multiple of it.
const BLOCK: u64 = 512;
/// Bytes that are unpacked at a time.
const BUFFER: usize = 256 << 10;
/// The most that an archive may hold, in bytes: twenty times what k3s's does.
const LARGEST: u64 = 4 << 30;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A symbolic link, and to where.
    Link(String),
    /// A directory, or what k3s's archives do not hold.
    Other,
}

/// One entry of an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name, without the `./` before it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where the header starts that says its size.
    header: u64,
    /// Whether a record before the header says its size, too, and counts (POSIX, pax).
    has_record: bool,
    /// Where its contents are.
    pub data: Range<u64>,
}

/// An unpacked archive.
pub struct Archive {
    file: File,
    len: u64,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
}

impl Archive {
    /// Unpacks a stream beside other files of `directory`.
    ///
    /// # Errors
    /// [`Error::Input`] when it is damaged, [`Error::Io`] when there is no room.
    pub fn unpack(stream: &[u8], directory: &Path) -> Result<Self, Error> {
        let no_room = |e: &io::Error| crate::files::failed(directory, e);
        let file = tempfile::tempfile_in(directory).map_err(|e| no_room(&e))?;
        let mut source = Unpacked::new(stream).take(LARGEST + 1);
        // io::copy unpacks into its buffer.
        let mut output = BufWriter::with_capacity(BUFFER, &file);
        let copied = io::copy(&mut source, &mut output);
        let len =
            copied.and_then(|len| output.flush().map(|()| len)).map_err(|e| match e.kind() {
                io::ErrorKind::InvalidData => damaged(&e.to_string()),
                _ => no_room(&e),
            })?;
        drop(output);
        if len > LARGEST {
            return Err(damaged("it holds more than 4 GiB"));
        }
        let entries = entries(&file, len).map_err(|e| damaged(&e.to_string()))?;
        Ok(Self { file, len, entries })
    }

    /// Length in bytes, unpacked.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of a name, without `./` before it.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// A range of it, mapped.
    ///
    /// # Errors
    /// [`Error::Io`] when that is not possible.
    pub fn map(&self, range: &Range<u64>) -> Result<Mapped, Error> {
        let len = (range.end - range.start) as usize;
        if len == 0 {
            return Ok(Mapped(None));
        }
        // SAFETY: the file has no name and no other opener, and is written to no more.
        let map = unsafe { MmapOptions::new().offset(range.start).len(len).map(&self.file) };
        Ok(Mapped(Some(map.map_err(|e| crate::files::failed(Path::new("the archive"), &e))?)))
    }

    /// The same archive with other contents of some entries, by index.
    ///
    /// # Errors
    /// [`Error::Input`] when a header can't say the new size.
    pub fn with(&self, new: BTreeMap<usize, Contents>) -> Result<Altered<'_>, Error> {
        let mut altered = Altered { archive: self, parts: Vec::new(), len: 0 };
        let mut from = 0;
        for (index, contents) in new {
            let Entry { name, header, data, has_record, .. } = &self.entries[index];
            altered.add(Part::Old(from..*header));
            let mut block = [0; BLOCK as usize];
            let read = self.file.read_exact_at(&mut block, *header);
            read.map_err(|e| crate::files::failed(Path::new("the archive"), &e))?;
            let mut block = Header::from_byte_slice(&block).clone();
            if *has_record || block.entry_size().ok() != Some(data.end - data.start) {
                return Err(damaged(&format!("the header of {name} alone does not say its size")));
            }
            block.set_size(contents.len() as u64);
            block.set_cksum();
            altered.add(Part::New(Contents::Held(block.as_bytes().to_vec())));
            let fill = (contents.len() as u64).next_multiple_of(BLOCK) - contents.len() as u64;
            altered.add(Part::New(contents));
            altered.add(Part::New(Contents::Held(vec![0; fill as usize])));
            from = data.end.next_multiple_of(BLOCK);
        }
        altered.add(Part::Old(from..self.len));
        Ok(altered)
    }
}

/// Part of an archive, mapped.
pub struct Mapped(Option<Mmap>);

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// A file's new contents.
pub enum Contents {
    /// In memory.
    Held(Vec<u8>),
    /// In a file of its own.
    Filed(File, u64),
}

impl Contents {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Contents::Held(bytes) => bytes.len(),
            Contents::Filed(_, len) => *len as usize,
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        match self {
            Contents::Held(bytes) => {
                into.copy_from_slice(&bytes[at as usize..at as usize + into.len()]);
                Ok(())
            }
            Contents::Filed(file, _) => file.read_exact_at(into, at),
        }
    }
}

enum Part {
    Old(Range<u64>),
    New(Contents),
}

/// An archive that is another one with some contents changed, never held whole.
pub struct Altered<'a> {
    archive: &'a Archive,
    /// Each with where it starts.
    parts: Vec<(u64, Part)>,
    len: u64,
}

impl Altered<'_> {
    fn add(&mut self, part: Part) {
        let len = match &part {
            Part::Old(range) => range.end.saturating_sub(range.start),
            Part::New(contents) => contents.len() as u64,
        };
        self.parts.push((self.len, part));
        self.len += len;
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of a range that lies in it.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let ends = self.parts.iter().skip(1).map(|part| part.0).chain([self.len]);
        for ((start, part), end) in self.parts.iter().zip(ends) {
            let (from, to) = (range.start.max(*start), range.end.min(end));
            if from >= to {
                continue;
            }
            let into = &mut bytes[(from - range.start) as usize..(to - range.start) as usize];
            match part {
                Part::Old(old) => self.archive.file.read_exact_at(into, old.start + from - start),
                Part::New(contents) => contents.read(from - start, into),
            }?;
        }
        Ok(bytes)
    }
}

fn damaged(why: &str) -> Error {
    Error::Input(format!("the embedded archive is damaged: {why}"))
}

fn entries(file: &File, len: u64) -> io::Result<Vec<Entry>> {
    let mut archive = tar::Archive::new(file);
    io::Seek::rewind(&mut &*file)?;
    let mut all = Vec::new();
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        let records = entry.pax_extensions()?.into_iter().flatten();
        let has_record = records.flatten().any(|record| record.key_bytes() == b"size");
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let link = entry.link_name_bytes().map(|to| String::from_utf8_lossy(&to).into_owned());
        let kind = match (entry.header().entry_type(), link) {
            (EntryType::Regular | EntryType::Continuous, _) => Kind::File,
            (EntryType::Symlink, Some(to)) => Kind::Link(to),
            _ => Kind::Other,
        };
        let start = entry.raw_file_position();
        let end = start.checked_add(entry.size()).filter(|end| *end <= len);
        let Some(end) = end else {
            return Err(io::Error::other(format!("{name} ends past its end")));
        };
        let name = super::sums::plain(&name).to_owned();
        let header = entry.raw_header_position();
        all.push(Entry { name, kind, header, has_record, data: start..end });
    }
    Ok(all)
}
