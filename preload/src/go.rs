//! What is the main program? Written in Go, or patched already? Go's own system
//! calls are detoured in its memory, by a library that stands beside this one.
//!
//! Go's linker leaves a note (source: Go, src/cmd/link/internal/ld/elf.go:
//! ELF_NOTE_GO_NAME, ELF_NOTE_GOBUILDID_TAG). procsys-patch leaves a segment that
//! starts with its name (patcher/shim/layout.rs).

use core::ffi::c_int;

use procsys_hook::Call;
use procsys_rules::Table;

use crate::next::{self, Header, next, own_path};
use crate::{config, environment, libc};

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// `PF_R | PF_X`.
const READ_EXECUTE: u32 = 5;

/// The main program, by its headers.
pub(crate) struct Program {
    headers: &'static [Header],
    base: usize,
}

impl Program {
    pub(crate) fn new(headers: &'static [Header]) -> Self {
        Self { headers, base: next::base(headers) }
    }

    pub(crate) fn is_go(&self) -> bool {
        self.headers.iter().filter(|h| h.kind == PT_NOTE).any(|note| has_go(self.bytes(note)))
    }

    /// The compiled rules in a program that procsys-patch has patched.
    pub(crate) fn rules(&self) -> Option<&'static [u8]> {
        /// Offsets of the header's fields: where the rules are, and their length.
        const FIELDS: [usize; 2] = [16, 20];
        let code = self.headers.iter().filter(|h| h.kind == PT_LOAD && h.flags == READ_EXECUTE);
        let image = code.map(|h| self.bytes(h)).find(|bytes| bytes.starts_with(b"procsysX"))?;
        let [at, len] = FIELDS.map(|field| {
            let word = image.get(field..).and_then(|rest| rest.first_chunk());
            word.map_or(0, |word| u32::from_le_bytes(*word) as usize)
        });
        image.get(at..at.checked_add(len)?)
    }

    /// A segment's bytes.
    fn bytes(&self, segment: &Header) -> &'static [u8] {
        let start = self.base.wrapping_add(segment.address) as *const u8;
        // SAFETY: notes and code of the program are mapped to be read, with that
        // size, as long as it runs.
        unsafe { core::slice::from_raw_parts(start, segment.memory) }
    }
}

/// What is asked of the second library (preload-go/src/request.rs has the same).
#[repr(C)]
struct Request {
    rules: *const u8,
    rules_len: usize,
    exec: usize,
    bias: usize,
    text: *mut u8,
    text_len: usize,
    text_used: usize,
}

/// Its file name, beside this library's.
const SECOND: &[u8] = b"libprocsys-go.so\0";
const ATTACH: &[u8] = b"procsys_go_attach\0";
const RTLD_NOW: c_int = 2;

/// The loader's functions, which a libc of its own has; in glibc since 2.34.
struct Loader {
    open: unsafe extern "C" fn(*const u8, c_int) -> *mut u8,
    find: unsafe extern "C" fn(*mut u8, *const u8) -> *mut u8,
    close: unsafe extern "C" fn(*mut u8) -> c_int,
    error: unsafe extern "C" fn() -> *const u8,
}

impl Loader {
    fn new() -> Option<Self> {
        let (open, find) = (next!("dlopen").address()?, next!("dlsym").address()?);
        let (close, error) = (next!("dlclose").address()?, next!("dlerror").address()?);
        // SAFETY: the loader's tables have these functions there (dlopen(3)).
        unsafe {
            Some(Self {
                open: core::mem::transmute::<
                    usize,
                    unsafe extern "C" fn(*const u8, c_int) -> *mut u8,
                >(open),
                find: core::mem::transmute::<
                    usize,
                    unsafe extern "C" fn(*mut u8, *const u8) -> *mut u8,
                >(find),
                close: core::mem::transmute::<usize, unsafe extern "C" fn(*mut u8) -> c_int>(close),
                error: core::mem::transmute::<usize, unsafe extern "C" fn() -> *const u8>(error),
            })
        }
    }
}

/// Detours the program's own system calls. What can't be done ends the program:
/// it would run half repaired.
pub(crate) fn attach(program: &Program, table: Table<'_>) {
    let Some(loader) = Loader::new() else { refuse(b"the C library has no dlopen", &[]) };
    let mut path = [0u8; 4096];
    beside(&mut path);
    // SAFETY: a path ended by NUL; this is before main, with no lock of the
    // loader's held but its own, which it can take again.
    let library = unsafe { (loader.open)(path.as_ptr(), RTLD_NOW) };
    if library.is_null() {
        // SAFETY: after a failure it is a text.
        refuse(b"", &[unsafe { libc::bytes((loader.error)()) }]);
    }
    // SAFETY: the handle is the loader's, the name ended by NUL.
    let function = unsafe { (loader.find)(library, ATTACH.as_ptr()) };
    if function.is_null() {
        refuse(b"libprocsys-go.so is of another version", &[]);
    }
    let mut text = [0u8; 400];
    let rules = table.bytes();
    let mut request = Request {
        rules: rules.as_ptr(),
        rules_len: rules.len(),
        exec: if environment::is_kept() { complete as *const () as usize } else { 0 },
        bias: program.base,
        text: text.as_mut_ptr(),
        text_len: text.len(),
        text_used: 0,
    };
    // SAFETY: the second library's function, of that type; only this thread is here.
    let result = unsafe {
        let attach: unsafe extern "C" fn(*mut Request) -> c_int = core::mem::transmute(function);
        attach(&raw mut request)
    };
    if result != 0 {
        refuse(b"", &[text.get(..request.text_used).unwrap_or_default()]);
    }
    // SAFETY: nothing of it is used any more.
    unsafe { (loader.close)(library) };
}

fn refuse(why: &[u8], more: &[&[u8]]) -> ! {
    let more = more.first().copied().unwrap_or_default();
    config::fail(
        b"a Go program, and its own system calls can't be reached: ",
        &[why, more, b"; use procsys-patch on it"],
    )
}

/// Writes the second library's path.
fn beside(path: &mut [u8; 4096]) {
    let own = own_path();
    // SAFETY: the loader's own text; null before the objects were noted.
    let own = if own.is_null() { &[] } else { unsafe { libc::bytes(own) } };
    let folder = own.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let whole = own.iter().take(folder).chain(SECOND);
    path.iter_mut().zip(whole).for_each(|(to, from)| *to = *from);
}

/// Called by the shim at an execve or execveat: puts the completed environment
/// into `room`, if anything is missing.
extern "C" fn complete(call: *mut Call, room: *mut u8, len: usize) -> bool {
    const EXECVE: usize = 59;
    // SAFETY: the shim hands over its own call.
    let call = unsafe { &mut *call };
    let Some(list) = call.args.get_mut(if call.nr == EXECVE { 2 } else { 3 }) else { return false };
    match environment::completed_in(*list as *const *const u8, room, len) {
        Some(completed) => {
            *list = completed as usize;
            true
        }
        None => false,
    }
}

/// Looks through a segment of notes: sizes of name and contents, type, name.
fn has_go(mut bytes: &[u8]) -> bool {
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*word)).ok()
    };
    while let (Some(name), Some(contents), Some(kind)) =
        (word(bytes, 0), word(bytes, 4), word(bytes, 8))
    {
        if kind == 4 && bytes.get(12..16) == Some(b"Go\0\0") {
            return true;
        }
        let next = 12 + name.next_multiple_of(4) + contents.next_multiple_of(4);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    false
}
