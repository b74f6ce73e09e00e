//! The libraries beside this one: loaded before main for what takes std and an
//! allocator, and unloaded when it is done.

use core::ffi::c_int;

use crate::libc;
use crate::next::{self, next, own_path};

/// A library that is loaded now.
pub(crate) struct Second {
    library: usize,
    function: usize,
}

impl Second {
    /// Loads the library of that file name and finds its one function; both names
    /// end in NUL. What is wrong otherwise, in words.
    pub(crate) fn load(name: &[u8], function: &[u8]) -> Result<Self, &'static [u8]> {
        const RTLD_NOW: usize = 2;
        let mut path = [0u8; 4096];
        beside(name, &mut path);
        // SAFETY: a path ended by NUL; this is before main, with no lock of the
        // loader's held but its own, which it can take again.
        let library =
            unsafe { next!("dlopen").call([path.as_ptr() as usize, RTLD_NOW, 0, 0, 0, 0]) };
        let library = library.ok_or(b"the C library has no dlopen".as_slice())? as usize;
        if library == 0 {
            return Err(error());
        }
        // SAFETY: a handle of the loader's, and a name ended by NUL.
        match unsafe { next!("dlsym").call([library, function.as_ptr() as usize, 0, 0, 0, 0]) } {
            None | Some(0) => Err(error()),
            Some(function) => Ok(Self { library, function: function as usize }),
        }
    }

    /// Calls the function, and unloads the library. What the function returns.
    ///
    /// # Safety
    /// `request` must be what the function takes.
    pub(crate) unsafe fn call(self, request: *mut u8) -> c_int {
        // SAFETY: as the caller promises; then nothing of the library is used any more.
        unsafe {
            let result = next::call(self.function, [request as usize, 0, 0, 0, 0, 0]);
            next!("dlclose").call([self.library, 0, 0, 0, 0, 0]);
            result as c_int
        }
    }
}

/// What the loader says is wrong.
fn error() -> &'static [u8] {
    // SAFETY: after a failure dlerror gives a text, which stays until the next one.
    match unsafe { next!("dlerror").call([0; 6]) } {
        None | Some(0) => b"no library",
        // SAFETY: as above.
        Some(text) => unsafe { libc::bytes(text as *const u8) },
    }
}

/// Writes the path of a file beside this library.
fn beside(name: &[u8], path: &mut [u8; 4096]) {
    let own = own_path();
    // SAFETY: the loader's own text; null before the objects were noted.
    let own = if own.is_null() { &[] } else { unsafe { libc::bytes(own) } };
    let folder = own.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let mut places = path.iter_mut();
    for part in [own.get(..folder).unwrap_or_default(), name] {
        part.iter().zip(&mut places).for_each(|(from, to)| *to = *from);
    }
}
