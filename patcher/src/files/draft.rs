//! A file that has no name until it is whole.
//!
//! Whatever ends the process meanwhile, SIGKILL and a full disk included, leaves
//! nothing behind: the kernel drops a file without a name (open(2), O_TMPFILE).
//! Only a name that is taken needs a second one for an instant, because linkat(2)
//! replaces nothing and rename(2) needs a name. File systems that know no such
//! files get a named one.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// A file to be written, in the directory where it will be.
pub(super) struct Draft {
    parent: PathBuf,
    state: State,
}

enum State {
    Nameless(File),
    Named(NamedTempFile),
}

fn builder<'a>() -> Builder<'a, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".procsys-");
    builder
}

impl Draft {
    /// A draft of a file in a directory.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub(super) fn within(parent: PathBuf) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
        let state = match options.open(&parent) {
            Ok(file) if link_source(&file).exists() => State::Nameless(file),
            // What a file system or kernel without them says (open(2)).
            Ok(_) => State::Named(builder().tempfile_in(&parent)?),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
                State::Named(builder().tempfile_in(&parent)?)
            }
            Err(e) => return Err(e),
        };
        Ok(Self { parent, state })
    }

    /// The file to write to.
    pub(super) fn file(&self) -> &File {
        match &self.state {
            State::Nameless(file) => file,
            State::Named(file) => file.as_file(),
        }
    }

    /// Gives it its name; what had the name before is replaced at once.
    ///
    /// # Errors
    /// When the name can't be given; then nothing is left.
    pub(super) fn put_in_place(self, path: &Path) -> Result<()> {
        let draft = match self.state {
            State::Named(draft) => draft,
            State::Nameless(file) => match link(&file, path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                    let named = builder().make_in(&self.parent, |name| link(&file, name));
                    return named?.persist(path).map(drop).map_err(|e| e.error);
                }
                done => return done,
            },
        };
        draft.persist(path).map(drop).map_err(|e| e.error)
    }
}

/// The path by which a file without a name is linked (open(2), O_TMPFILE).
fn link_source(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn link(file: &File, name: &Path) -> Result<()> {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(Error::from);
    let (from, to) = (text(&link_source(file))?, text(name)?);
    let follow = libc::AT_SYMLINK_FOLLOW;
    // SAFETY: both are strings that end in NUL and live through the call.
    let result =
        unsafe { libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), follow) };
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}
