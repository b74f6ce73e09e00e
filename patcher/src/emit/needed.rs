//! One more library that the loader brings, before all others.
//!
//! The names move to the shim's segment with the new one at their end; the
//! dynamic section stays in its place, which the loader writes to and debuggers
//! know. Linkers leave room in it. Where one did not (Go's), the entry takes the
//! place of the C library's, which libprocsys.so itself needs and so brings.

use object::elf::{DT_NEEDED, DT_NULL, DT_STRSZ, DT_STRTAB};

use crate::elf::{Dynamic, Image, dynamic};
use crate::error::Error;

/// The library that libprocsys.so needs, and nothing else.
const BROUGHT: &str = "libc.so.6";

/// A planned change of the dynamic section.
pub(super) struct Needed<'a> {
    dynamic: Dynamic<'a>,
    /// The table of names, with the library's.
    pub(super) strings: Vec<u8>,
}

impl<'a> Needed<'a> {
    /// Plans for the library `path`.
    ///
    /// # Errors
    /// [`Error::Input`] when the dynamic section can't be read, or has no room.
    pub(super) fn plan(image: &Image<'a>, path: &str) -> Result<Self, Error> {
        let mut dynamic = Dynamic::read(image)
            .filter(|d| !d.strings.is_empty())
            .ok_or_else(|| Error::Input("the dynamic section can't be read".into()))?;
        // The DT_NULL at the end stays.
        if dynamic.entries.len() + 2 > dynamic.room {
            let is_brought =
                |e: &(i64, u64)| e.0 == DT_NEEDED && dynamic.name(e.1) == Some(BROUGHT.as_bytes());
            let index = dynamic.entries.iter().position(is_brought).ok_or_else(|| {
                Error::Input("the dynamic section has no room for one more library".into())
            })?;
            dynamic.entries.remove(index);
        }
        let mut strings = dynamic.strings.to_vec();
        let name = strings.len() as u64;
        strings.extend_from_slice(path.as_bytes());
        strings.push(0);
        let first = dynamic.entries.iter().position(|e| e.0 == DT_NEEDED).unwrap_or(0);
        dynamic.entries.insert(first, (DT_NEEDED, name));
        Ok(Self { dynamic, strings })
    }

    /// Where the names were.
    pub(super) fn old_strings(&self) -> Option<u64> {
        self.dynamic.value(DT_STRTAB)
    }

    /// The dynamic section's offset and new bytes, with the names at `address`.
    pub(super) fn section(&self, address: u64) -> (u64, Vec<u8>) {
        let mut bytes = Vec::with_capacity(self.dynamic.room * dynamic::ENTRY);
        for &(tag, value) in &self.dynamic.entries {
            let value = match tag {
                DT_STRTAB => address,
                DT_STRSZ => self.strings.len() as u64,
                _ => value,
            };
            bytes.extend(tag.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        let nulls = self.dynamic.room - self.dynamic.entries.len();
        bytes.extend([DT_NULL, 0].repeat(nulls).iter().flat_map(|w| w.to_le_bytes()));
        (self.dynamic.offset, bytes)
    }
}
