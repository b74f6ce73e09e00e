//! The file that `PROCSYS_RULES` names.
//!
//! A compiled table is used in place. Rules as people write them (TOML) are compiled
//! by a library that stands beside this one (preload-rules/), with those of the
//! profile: a reader of TOML takes an allocator, and more room than there is here.

use procsys_hook::Kernel;
use procsys_rules::Table;
use procsys_rules::table::MAGIC;

use crate::config::fail;
use crate::kernel::{Raw, nr};
use crate::second::Second;

/// The most bytes of a table: its offsets have 16 bits.
const LARGEST: usize = 0x1_0000;
/// mmap(2).
const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const MAP_PRIVATE: usize = 2;
const MAP_ANONYMOUS: usize = 0x20;

/// What is asked of the second library (preload-rules/src/lib.rs has the same).
#[repr(C)]
struct Request {
    /// The file and the profile, or null: texts ended by NUL.
    file: *const u8,
    profile: *const u8,
    /// Where the table goes, how much room there is, and how much was used.
    table: *mut u8,
    table_len: usize,
    used: usize,
}

/// The rules of a file; both texts are followed by NUL.
pub(crate) fn read(file: &[u8], profile: Option<&[u8]>) -> Table<'static> {
    let bytes = map(file);
    if !bytes.starts_with(MAGIC) {
        return compiled(file, profile);
    }
    if profile.is_some() {
        fail(b"PROCSYS_RULES and PROCSYS_PROFILE: expected one, the table holds all rules", &[]);
    }
    Table::new(bytes)
        .unwrap_or_else(|| refuse(file, b": a table of another version; compile it anew"))
}

fn refuse(file: &[u8], why: &[u8]) -> ! {
    fail(b"PROCSYS_RULES=", &[file, why])
}

/// The bytes of a file, as far as a table can be long.
fn map(file: &[u8]) -> &'static [u8] {
    const AT_FDCWD: usize = -100isize as usize;
    const O_CLOEXEC: usize = 0o2_000_000;
    let fd = Raw.call(nr::OPENAT, [AT_FDCWD, file.as_ptr() as usize, O_CLOEXEC, 0, 0, 0]);
    let Ok(fd) = usize::try_from(fd) else { refuse(file, b": can't be opened") };
    let mut stat = [0u64; 18];
    Raw.call(nr::FSTAT, [fd, stat.as_mut_ptr() as usize, 0, 0, 0, 0]);
    let len = (stat[6] as usize).min(LARGEST);
    let address = Raw.call(nr::MMAP, [0, len, PROT_READ, MAP_PRIVATE, fd, 0]);
    Raw.call(nr::CLOSE, [fd, 0, 0, 0, 0, 0]);
    let Ok(address) = usize::try_from(address) else { refuse(file, b": can't be read") };
    // SAFETY: the mapping has that length and is never undone; a table that is
    // cut short meanwhile ends the program, as a damaged library would.
    unsafe { core::slice::from_raw_parts(address as *const u8, len) }
}

/// The table that the second library makes of a file of rules.
fn compiled(file: &[u8], profile: Option<&[u8]>) -> Table<'static> {
    let second =
        Second::load(b"libprocsys-rules.so\0", b"procsys_rules_compile\0").unwrap_or_else(|why| {
            fail(
                b"PROCSYS_RULES=",
                &[file, b": no compiled table, and no rules can be read: ", why],
            )
        });
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    let room = Raw.call(nr::MMAP, [0, LARGEST, PROT_READ | PROT_WRITE, flags, usize::MAX, 0]);
    let Ok(room) = usize::try_from(room) else { refuse(file, b": no memory for its rules") };
    let mut request = Request {
        file: file.as_ptr(),
        profile: profile.map_or(core::ptr::null(), <[u8]>::as_ptr),
        table: room as *mut u8,
        table_len: LARGEST,
        used: 0,
    };
    // SAFETY: the second library's function takes this structure; what it has
    // written lies in memory that is never unmapped, and is not changed any more.
    let (result, bytes) = unsafe {
        let result = second.call((&raw mut request).cast());
        (result, core::slice::from_raw_parts(room as *const u8, request.used.min(LARGEST)))
    };
    match Table::new(bytes) {
        Some(table) if result == 0 => table,
        _ => fail(b"PROCSYS_RULES: ", &[bytes]),
    }
}
