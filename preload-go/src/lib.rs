//! Door 1's second library: detours the system calls of a Go program in its
//! memory, by the patcher's own code, before the program starts.
//!
//! libprocsys.so has no std and must stay small; the patcher needs both. So this
//! library is loaded by the other's constructor, only into programs that Go's
//! linker made, and unloaded when it is done. What stays is the shim's image.

mod memory;
mod request;

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use procsys_patcher::emit::memory::changes;
use procsys_patcher::files::Input;
use procsys_patcher::patch::Options;
use procsys_patcher::{Error, shim};
use procsys_rules::Table;

use memory::Reserved;
use request::Request;

/// Detours the program that `request` describes. 0: done; 1: an error, in words
/// in the request's buffer, and the program is as it was or must not be started.
///
/// # Safety
/// `request` must be as [`Request`] says, and no other thread may run the
/// program's code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn procsys_go_attach(request: *mut Request) -> c_int {
    // SAFETY: as the caller promises.
    let request = unsafe { &mut *request };
    // Nothing may unwind into the program, which has no frames for it.
    let result = catch_unwind(AssertUnwindSafe(|| attach(request)));
    match result.unwrap_or_else(|_| Err(Error::Io("internal error".into()))) {
        Ok(()) => 0,
        Err(error) => {
            request.say(&error.to_string());
            1
        }
    }
}

fn attach(request: &Request) -> Result<(), Error> {
    let table = Table::new(request.rules())
        .ok_or_else(|| Error::Rules("the compiled rules can't be read".into()))?;
    let options = Options { exec: request.exec(), ..Options::default() };
    let file = Input::open(Path::new("/proc/self/exe"))?;
    let mut reserved = None;
    let loaded = |address: u64, len: u64| {
        let start = address.wrapping_add(request.bias) as *const u8;
        // SAFETY: the program's code is mapped to be read and executed as long as
        // it runs; it is written only when nothing refers to this any more.
        Some((address, unsafe { std::slice::from_raw_parts(start, len as usize) }))
    };
    let changes = changes(&file, table, &options, loaded, |wanted| {
        let reserved = reserved.insert(Reserved::near(request.bias, wanted)?);
        Ok(reserved.address().wrapping_sub(request.bias))
    })?;
    let (Some(changes), Some(reserved)) = (changes, reserved) else { return Ok(()) };
    reserved.fill(shim::SLOTS_SIZE as usize, &changes.segment)?;
    if let Some(start) = changes.start {
        let address = reserved.address() + shim::SLOTS_SIZE + start;
        // SAFETY: the shim's function of that type, in code that was just written.
        unsafe { std::mem::transmute::<u64, extern "C" fn()>(address)() };
    }
    memory::write_code(request.bias, &changes.jumps)
}
