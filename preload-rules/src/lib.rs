//! Door 1's reader of rules: compiles the TOML file that `PROCSYS_RULES` names, as
//! `procsys-patch compile --rules FILE` does.
//!
//! libprocsys.so loads it before main and unloads it when it is done: nothing of it
//! is left but the bytes of the table.

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use procsys_patcher::Error;
use procsys_patcher::rules::{Choice, gather};

/// What libprocsys.so asks for (preload/src/rules_file.rs has the same structure).
#[repr(C)]
pub struct Request {
    /// The file of rules, and the profile, or null.
    file: *const c_char,
    profile: *const c_char,
    /// Where the table goes, or an error in one line: the room, and what is used.
    table: *mut u8,
    table_len: usize,
    used: usize,
}

/// Compiles what `request` names. 0: the table is there; 1: an error is, in words.
///
/// # Safety
/// `request` must be as [`Request`] says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procsys_rules_compile(request: *mut Request) -> c_int {
    // SAFETY: as the caller promises.
    let request = unsafe { &mut *request };
    // Nothing may unwind into the program, which has no frames for it.
    let result = catch_unwind(AssertUnwindSafe(|| compile(request)));
    match result.unwrap_or_else(|_| Err(Error::Io("internal error".into()))) {
        Ok(table) => {
            request.answer(&table);
            0
        }
        Err(error) => {
            let line = error.to_string().replace('\n', " ");
            // A line of libprocsys.so's is no longer.
            request.answer(line.as_bytes().get(..400).unwrap_or(line.as_bytes()));
            1
        }
    }
}

fn compile(request: &Request) -> Result<Vec<u8>, Error> {
    // SAFETY: both are texts that end in NUL, or null.
    let text = |at: *const c_char| (!at.is_null()).then(|| unsafe { CStr::from_ptr(at) });
    let file = text(request.file).map(|file| OsStr::from_bytes(file.to_bytes()).into());
    let profile = text(request.profile).map(|name| name.to_string_lossy().into_owned());
    let choice = Choice {
        profiles: profile.into_iter().collect(),
        files: file.into_iter().collect(),
        ..Choice::default()
    };
    let set = gather(&choice)?;
    match set.table.len() <= request.table_len {
        true => Ok(set.table),
        false => Err(Error::Rules("the rules take more than 64 KiB".into())),
    }
}

impl Request {
    fn answer(&mut self, bytes: &[u8]) {
        // SAFETY: libprocsys.so hands over a buffer of that length.
        let room = unsafe { std::slice::from_raw_parts_mut(self.table, self.table_len) };
        self.used = room.iter_mut().zip(bytes).map(|(to, from)| *to = *from).count();
    }
}
