//! What libprocsys.so asks for (preload/src/go.rs has the same structure).

/// The request: where the program is, and what it is to be given.
#[repr(C)]
pub struct Request {
    /// The compiled rules.
    rules: *const u8,
    rules_len: usize,
    /// The function that completes the environment of an execve, or 0.
    exec: usize,
    /// How far from its file's addresses the program is loaded.
    pub(crate) bias: u64,
    /// Where an error is said: a buffer, its length, and how much is used.
    text: *mut u8,
    text_len: usize,
    text_used: usize,
}

impl Request {
    /// The compiled rules.
    pub(crate) fn rules(&self) -> &[u8] {
        // SAFETY: libprocsys.so hands over its table, which stays.
        unsafe { std::slice::from_raw_parts(self.rules, self.rules_len) }
    }

    /// The function for execve.
    pub(crate) fn exec(&self) -> Option<u64> {
        (self.exec != 0).then_some(self.exec as u64)
    }

    /// Says an error, in one line.
    pub(crate) fn say(&mut self, error: &str) {
        // SAFETY: libprocsys.so hands over a buffer of that length.
        let text = unsafe { std::slice::from_raw_parts_mut(self.text, self.text_len) };
        let line = error.bytes().map(|b| if b == b'\n' { b' ' } else { b });
        self.text_used = text.iter_mut().zip(line).map(|(to, from)| *to = from).count();
    }
}
