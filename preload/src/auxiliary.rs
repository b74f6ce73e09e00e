//! What the kernel told the program besides its arguments (getauxval(3)): read
//! from the vector behind the environment.

use crate::next::Header;

/// The words that are asked for.
pub(crate) struct Given {
    /// The program runs with more rights than its caller.
    pub(crate) is_secure: bool,
    /// The program's headers.
    pub(crate) headers: &'static [Header],
}

/// Reads the vector behind `environment`, where the kernel put it.
pub(crate) fn read(environment: *const *const u8) -> Given {
    const AT_PHDR: usize = 3;
    const AT_PHNUM: usize = 5;
    const AT_SECURE: usize = 23;
    let (mut headers, mut count, mut secure) = (0, 0, 0);
    let mut word = environment.cast::<usize>();
    if word.is_null() {
        return Given { is_secure: false, headers: &[] };
    }
    // SAFETY: before main the environment is still where the kernel put it: its
    // pointers, a null, and pairs of words until one of type 0. The headers are
    // the program's, as long as it runs.
    unsafe {
        while word.read() != 0 {
            word = word.add(1);
        }
        word = word.add(1);
        while word.read() != 0 {
            let value = word.add(1).read();
            match word.read() {
                AT_PHDR => headers = value,
                AT_PHNUM => count = value,
                AT_SECURE => secure = value,
                _ => {}
            }
            word = word.add(2);
        }
        let headers = match headers {
            0 => &[],
            _ => core::slice::from_raw_parts(headers as *const Header, count),
        };
        Given { is_secure: secure != 0, headers }
    }
}
