//! Which door covers which part of a dynamic executable?
//!
//! Its own `syscall` instructions (Go's, and those of C code that is linked in)
//! are detoured; what C code asks of its libraries passes libprocsys.so, if the
//! loader brings it.

use std::fmt;

use serde_json::{Value, json};

use crate::elf::{Dynamic, Image};
use crate::error::Error;

/// Door 1's file name, up to a version.
const LIBRARY: &str = "libprocsys.so";
/// That of the library with the whole hook.
const WHOLE: &str = "libprocsys-whole.so";

/// A dynamic executable's libraries, and libprocsys.so among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doors {
    /// The libraries that it needed before.
    pub needed: Vec<String>,
    /// The path of libprocsys.so, if it needs it now.
    pub library: Option<String>,
    /// Whether it needs that only since it was patched.
    pub is_added: bool,
}

/// Checks where the library will be when the program runs.
///
/// # Errors
/// In words, for a path that the loader would look for in places of its own.
pub fn library_path(path: &str) -> Result<String, String> {
    let is_plain = path.len() < 4096 && !path.contains(|c: char| c.is_control() || c == '$');
    match path.starts_with('/') && !path.ends_with('/') && is_plain {
        true => Ok(path.to_owned()),
        false => Err(format!(
            "expected the absolute path of {LIBRARY} on the machine that runs the program"
        )),
    }
}

impl Doors {
    /// Of a dynamic executable that is to need the library `asked`; `None` for a
    /// static one, which loads none.
    pub fn of(image: &Image<'_>, asked: Option<&str>) -> Option<Self> {
        if !image.kind.is_dynamic() {
            return None;
        }
        let needed: Vec<_> = Dynamic::read(image).iter().flat_map(Dynamic::needed).collect();
        let is_it = |name: &&String| {
            let file = name.rsplit('/').next().unwrap_or_default();
            [LIBRARY, WHOLE].iter().any(|library| file.starts_with(library))
        };
        let there = needed.iter().find(is_it).cloned();
        let is_added = there.is_none() && asked.is_some();
        Some(Self { library: there.or(asked.map(str::to_owned)), needed, is_added })
    }

    /// The library that patching adds.
    pub fn added(&self) -> Option<String> {
        self.library.clone().filter(|_| self.is_added)
    }

    /// Refuses to patch where that would change nothing.
    ///
    /// # Errors
    /// [`Error::Input`] for a program without a site when no library is added.
    pub fn check(&self, sites: usize) -> Result<(), Error> {
        if sites > 0 || self.is_added {
            return Ok(());
        }
        Err(Error::Input(match &self.library {
            Some(library) => format!(
                "dynamic executable without system calls of its own, and it needs {library} already: nothing to patch"
            ),
            None => "dynamic executable without system calls of its own: use LD_PRELOAD=libprocsys.so, or --with-preload PATH".into(),
        }))
    }

    /// Everything, for machines.
    pub fn json(&self) -> Value {
        json!({
            "needed": self.needed,
            "library": self.library,
            "library_added": self.is_added,
            "executable_covered_by": "procsys-patch",
            "libraries_covered_by": self.library.as_ref().map(|_| LIBRARY),
        })
    }
}

impl fmt::Display for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  door 2    covers the executable's own syscall instructions, Go's among them"
        )?;
        match &self.library {
            Some(library) => write!(
                f,
                "  door 1    covers C code's calls in {}: {library} {}; it leaves setuid programs alone",
                self.needed.join(", "),
                if self.is_added { "is needed first" } else { "was needed already" }
            ),
            None => write!(
                f,
                "  door 1    not covered: C code's calls in {}; --with-preload PATH brings libprocsys.so, or LD_PRELOAD",
                self.needed.join(", ")
            ),
        }
    }
}
