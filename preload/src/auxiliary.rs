//! What the kernel told the program besides its arguments (getauxval(3)).
//!
//! It is asked of libc, which has noted it before any constructor. Behind the
//! environment it can't be looked for: for a program with more rights than its
//! caller glibc takes variables out, and a constructor may have moved the whole.

use crate::libc;
use crate::next::Header;

/// The words that are asked for.
pub(crate) struct Given {
    /// The program runs with more rights than its caller.
    pub(crate) is_secure: bool,
    /// The program's headers.
    pub(crate) headers: &'static [Header],
}

/// Asks for them.
pub(crate) fn read() -> Given {
    const AT_PHDR: usize = 3;
    const AT_PHNUM: usize = 5;
    const AT_SECURE: usize = 23;
    let headers = match libc::auxiliary(AT_PHDR) {
        0 => &[],
        // SAFETY: the program's headers, as the kernel gave them, as long as it runs.
        at => unsafe {
            core::slice::from_raw_parts(at as *const Header, libc::auxiliary(AT_PHNUM))
        },
    };
    // Every kernel since 2.6.0 says AT_SECURE; without headers nothing is known.
    Given { is_secure: headers.is_empty() || libc::auxiliary(AT_SECURE) != 0, headers }
}
