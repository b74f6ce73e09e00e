//! What is the main program? Written in Go, or patched already? Go's own system
//! calls are detoured in its memory, by a library that stands beside this one.
//!
//! Go's linker leaves a note (source: Go, src/cmd/link/internal/ld/elf.go:
//! ELF_NOTE_GO_NAME, ELF_NOTE_GOBUILDID_TAG). procsys-patch leaves a segment that
//! starts with its name (patcher/shim/layout.rs).

use procsys_hook::Call;
use procsys_rules::Table;

use crate::next::{self, Header};
use crate::second::Second;
use crate::{config, environment};

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

/// Detours the program's own system calls. What can't be done ends the program:
/// it would run half repaired.
pub(crate) fn attach(program: &Program, table: Table<'_>) {
    let second = Second::load(b"libprocsys-go.so\0", b"procsys_go_attach\0");
    let second = second.unwrap_or_else(|why| refuse(why));
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
    // SAFETY: the second library's function takes this structure.
    if unsafe { second.call((&raw mut request).cast()) } != 0 {
        refuse(text.get(..request.text_used).unwrap_or_default());
    }
}

fn refuse(why: &[u8]) -> ! {
    config::fail(
        b"a Go program, and its own system calls can't be reached: ",
        &[why, b"; use procsys-patch on it"],
    )
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
