//! Reading and writing whole files, with errors in one line.

mod draft;

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::Write;
use std::ops::{Deref, Range};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};

use crate::emit::Pieces;
use crate::error::Error;
use crate::k3s::archive::Contents;
use crate::verify::Written;
use draft::Draft;

/// A file's bytes, and what the file system says about it.
pub struct Input {
    file: File,
    bytes: Option<Mmap>,
    /// As it was when the file was opened.
    pub metadata: Metadata,
}

impl Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

impl Input {
    /// Opens a regular file.
    ///
    /// # Errors
    /// [`Error::Io`] with its path.
    pub fn open(path: &Path) -> Result<Self, Error> {
        // Without waiting: a FIFO would hold its reader until a writer comes.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(path).map_err(|e| failed(path, &e))?;
        let metadata = file.metadata().map_err(|e| failed(path, &e))?;
        if !metadata.is_file() {
            return Err(Error::Io(format!("{}: not a regular file", path.display())));
        }
        // SAFETY: the file is mapped to be read. Another process that truncates it
        // meanwhile makes reads fault, and this process ends without an output file;
        // one that writes to it changes plain bytes, and the second reader's check
        // and the digests are made of the same bytes as the output.
        let bytes = match unsafe { Mmap::map(&file) } {
            Ok(bytes) => Some(bytes),
            // An empty file can't be mapped.
            Err(_) if metadata.len() == 0 => None,
            Err(e) => return Err(failed(path, &e)),
        };
        Ok(Self { file, bytes, metadata })
    }

    /// Permission bits, without setuid, setgid and sticky.
    pub fn mode(&self) -> u32 {
        self.metadata.mode() & 0o777
    }

    /// Whether the file gives rights to who runs it: it is setuid or setgid, or has
    /// capabilities (capabilities(7)). No output does.
    pub fn gives_rights(&self) -> bool {
        self.metadata.mode() & 0o6000 != 0 || has_capabilities(&self.file)
    }

    /// Refuses an output that is the input itself.
    ///
    /// # Errors
    /// [`Error::Io`] when both are the same file.
    pub fn refuse_same(&self, input: &Path, output: &Path) -> Result<(), Error> {
        refuse(&self.metadata, input, output)
    }
}

/// Refuses an output that is a file of rules, as an input is refused.
///
/// # Errors
/// [`Error::Io`] when both are the same file.
pub fn refuse_same(rules: &Path, output: &Path) -> Result<(), Error> {
    let own = std::fs::metadata(rules).map_err(|e| failed(rules, &e))?;
    refuse(&own, rules, output)
}

fn refuse(own: &Metadata, input: &Path, output: &Path) -> Result<(), Error> {
    if std::fs::metadata(output).is_ok_and(|m| (m.dev(), m.ino()) == (own.dev(), own.ino())) {
        let (output, input) = (output.display(), input.display());
        return Err(Error::Io(format!("{output}: output equals input {input}")));
    }
    Ok(())
}

fn has_capabilities(file: &File) -> bool {
    let name = c"security.capability".as_ptr();
    // SAFETY: a descriptor that is open, a string that ends in NUL, and no room for the value.
    unsafe { libc::fgetxattr(file.as_raw_fd(), name, std::ptr::null_mut(), 0) > 0 }
}

/// An error of the operating system, with the path and without its number.
pub fn failed(path: &Path, error: &std::io::Error) -> Error {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    let words = format!("{}{rest}", first.to_lowercase());
    Error::Io(format!("{}: {words}", path.display()))
}

/// Writes a file, then gives it its name: the old file or the whole
/// new one is there at any moment.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn put_in_place(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    Beside::with(bytes, path)?.put(mode)
}

/// A file beside the place where it is to be; gone if it is never put there.
pub struct Beside {
    path: PathBuf,
    file: Draft,
}

impl Beside {
    /// An empty one for `path`.
    fn new(path: &Path) -> Result<Self, Error> {
        let file = beside(path).map_err(|e| failed(path, &e))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// A copy of `input` for `path`, made by the kernel where it can.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn copy_of(input: &Input, path: &Path) -> Result<Self, Error> {
        let copy = Self::new(path)?;
        let (mut from, mut to) = (&input.file, copy.file.file());
        let reserved = reserve(to, input.metadata.len());
        reserved.and_then(|()| std::io::copy(&mut from, &mut to)).map_err(|e| copy.failed(&e))?;
        Ok(copy)
    }

    /// One with these bytes.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn with(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let new = Self::new(path)?;
        new.file.file().write_all(bytes).map_err(|e| new.failed(&e))?;
        Ok(new)
    }

    /// Writes the pieces of an output over a copy of its input.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn write(self, pieces: &Pieces<'_>) -> Result<Copy, Error> {
        let file = self.file.file();
        let (base, attached) = (pieces.base().len(), pieces.attached());
        let behind = [(base, attached), (base + attached.len(), pieces.tail())];
        let all = pieces.changes().chain(behind);
        for (at, bytes) in all {
            file.write_all_at(bytes, at as u64).map_err(|e| self.failed(&e))?;
        }
        // SAFETY: nobody else knows the file, and it is not written to any more.
        let bytes = unsafe { Mmap::map(file) }.map_err(|e| self.failed(&e))?;
        Ok(Copy { beside: self, bytes })
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        failed(&self.path, error)
    }

    /// Gives it its name, in the place of what has it.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn put(self, mode: u32) -> Result<(), Error> {
        let set = self.file.file().set_permissions(Permissions::from_mode(mode));
        set.map_err(|e| self.failed(&e))?;
        self.file.put_in_place(&self.path).map_err(|e| failed(&self.path, &e))
    }
}

/// An output as it lies in its file.
pub struct Copy {
    beside: Beside,
    bytes: Mmap,
}

impl Copy {
    /// The file itself, which will have no name.
    ///
    /// # Errors
    /// [`Error::Io`] when no descriptor is left.
    pub fn into_contents(self) -> Result<Contents, Error> {
        let file = self.beside.file.file().try_clone();
        let file = file.map_err(|e| failed(&self.beside.path, &e))?;
        Ok(Contents::Filed(file, self.bytes.len() as u64))
    }

    /// Gives it its name, in the place of what has it.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn put(self, mode: u32) -> Result<(), Error> {
        self.beside.put(mode)
    }
}

impl Deref for Copy {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Written for Copy {
    fn done_with(&self, range: Range<usize>) {
        // SAFETY: the mapping is of a file and read only: what is given up comes
        // back from the file when it is read again.
        let given_up = unsafe {
            self.bytes.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len())
        };
        // Only memory is at stake.
        _ = given_up;
    }
}

/// Asks for a file's room at once, where the file system can give it so: it then
/// need not look for some at each page.
///
/// # Errors
/// When there is no room.
fn reserve(file: &File, len: u64) -> std::io::Result<()> {
    // SAFETY: a descriptor that is open, and numbers.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len as libc::off_t) };
    let error = std::io::Error::last_os_error();
    let is_full = result != 0 && error.kind() == std::io::ErrorKind::StorageFull;
    if is_full { Err(error) } else { Ok(()) }
}

/// The directory that a path is in.
pub fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// A draft in the directory of `path`, if that can be replaced.
fn beside(path: &Path) -> std::io::Result<Draft> {
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(std::io::Error::other("is a directory")),
        // Nobody who names a FIFO or a device means it to become a file.
        Ok(there) if !there.is_file() => return Err(std::io::Error::other("not a regular file")),
        _ => {}
    }
    Draft::within(directory(path))
}
