//! How much may be looked at for one file?
//!
//! Tables of a damaged or hostile file may say that functions lie in each other,
//! or that nothing is known of megabytes of code, so that what is decoded, kept
//! and read grows with the square of the file. Each kind of work has a limit far
//! above what real files need; beyond it the file is refused.

/// What is left to be done for one file.
pub struct Budget {
    /// Instructions of functions, 40 bytes each.
    instructions: usize,
    /// Byte pairs that are decided without a table.
    windows: usize,
    /// Entries of jump tables.
    entries: usize,
}

impl Budget {
    /// For a file of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self {
            instructions: (256 << 10) + bytes / 16,
            windows: 512 + bytes / (16 << 10),
            entries: (1 << 20) + bytes / 4,
        }
    }

    /// Takes decoded instructions off; whether they were there.
    pub(super) fn instructions(&mut self, count: usize) -> bool {
        take(&mut self.instructions, count)
    }

    /// Takes one decision without a table off.
    pub(super) fn window(&mut self) -> bool {
        take(&mut self.windows, 1)
    }

    /// Takes entries of a jump table off.
    pub(super) fn entries(&mut self, count: usize) -> bool {
        take(&mut self.entries, count)
    }
}

fn take(left: &mut usize, count: usize) -> bool {
    let rest = left.checked_sub(count);
    *left = rest.unwrap_or(0);
    rest.is_some()
}
