//! Reading and writing whole files, with errors in one line.

use std::fs::{Metadata, OpenOptions, Permissions};
use std::io::Write;
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::Error;

/// A file's bytes, and what the file system says about it.
pub struct Input {
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
        Ok(Self { bytes, metadata })
    }

    /// Permission bits, without setuid, setgid and sticky.
    pub fn mode(&self) -> u32 {
        self.metadata.mode() & 0o777
    }

    /// Whether the file is setuid or setgid.
    pub fn is_setuid(&self) -> bool {
        self.metadata.mode() & 0o6000 != 0
    }

    /// Refuses an output that is the input itself.
    ///
    /// # Errors
    /// [`Error::Io`] when both are the same file.
    pub fn refuse_same(&self, input: &Path, output: &Path) -> Result<(), Error> {
        let own = (self.metadata.dev(), self.metadata.ino());
        if std::fs::metadata(output).is_ok_and(|m| (m.dev(), m.ino()) == own) {
            let (output, input) = (output.display(), input.display());
            return Err(Error::Io(format!("{output}: output equals input {input}")));
        }
        Ok(())
    }
}

/// An error of the operating system, with the path and without its number.
pub fn failed(path: &Path, error: &std::io::Error) -> Error {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    let words = format!("{}{rest}", first.to_lowercase());
    Error::Io(format!("{}: {words}", path.display()))
}

/// Writes a file beside `path`, then renames it over: the old file or the whole
/// new one is there at any moment.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn put_in_place(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    replace(path, bytes, mode).map_err(|e| failed(path, &e))
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(std::io::Error::other("is a directory")),
        // Nobody who names a FIFO or a device means it to become a file.
        Ok(there) if !there.is_file() => return Err(std::io::Error::other("not a regular file")),
        _ => {}
    }
    let mut file = tempfile::Builder::new().prefix(".procsys-").tempfile_in(parent)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}
