//! The program's memory, as the kernel sees it: real memory of this process,
//! of which some ranges are declared unreadable or read-only.

use std::cell::RefCell;
use std::ops::Range;

use super::EFAULT;

#[derive(Default)]
pub(crate) struct Memory {
    unreadable: RefCell<Vec<Range<usize>>>,
    read_only: RefCell<Vec<Range<usize>>>,
}

const PAGE: usize = 4096;

impl Memory {
    fn touches(ranges: &RefCell<Vec<Range<usize>>>, address: usize, len: usize) -> bool {
        ranges.borrow().iter().any(|r| address < r.end && address + len.max(1) > r.start)
    }

    pub(crate) fn can_read(&self, address: usize, len: usize) -> bool {
        let end = address.checked_add(len);
        let is_user = address >= PAGE && end.is_some_and(|e| e < 1 << 47);
        is_user && !Self::touches(&self.unreadable, address, len)
    }

    pub(crate) fn can_write(&self, address: usize, len: usize) -> bool {
        self.can_read(address, len) && !Self::touches(&self.read_only, address, len)
    }

    pub(crate) fn read(&self, address: usize, into: &mut [u8]) -> Result<(), isize> {
        if !self.can_read(address, into.len()) {
            return Err(EFAULT);
        }
        // SAFETY: every address that tests and hook hand over is either that of
        // a live buffer of this process, or declared unreadable, or out of range.
        unsafe { std::ptr::copy(address as *const u8, into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    pub(crate) fn write(&self, address: usize, from: &[u8]) -> Result<(), isize> {
        if !self.can_write(address, from.len()) {
            return Err(EFAULT);
        }
        // SAFETY: as in `read`; the buffers are handed over to be written to.
        unsafe { std::ptr::copy(from.as_ptr(), address as *mut u8, from.len()) };
        Ok(())
    }

    /// A text up to its NUL, which is left out.
    pub(crate) fn text(&self, address: usize) -> Result<Vec<u8>, isize> {
        let mut text = Vec::new();
        loop {
            let mut byte = [0];
            self.read(address + text.len(), &mut byte)?;
            match byte {
                [0] => return Ok(text),
                [b] if text.len() < 4095 => text.push(b),
                _ => return Err(-36), // ENAMETOOLONG
            }
        }
    }

    /// Two pages of which the second can't be read; gives the address between
    /// them, with `text` right before it. They are never freed.
    pub(crate) fn before_a_hole(&self, text: &[u8]) -> usize {
        let pages = vec![0u8; 4 * PAGE].leak();
        let start = (pages.as_ptr() as usize).next_multiple_of(PAGE);
        let hole = start + PAGE;
        let at = hole - text.len() - pages.as_ptr() as usize;
        pages[at..at + text.len()].copy_from_slice(text);
        self.unreadable.borrow_mut().push(hole..hole + PAGE);
        hole - text.len()
    }

    /// A page that can be read but not written.
    pub(crate) fn read_only_page(&self) -> usize {
        let pages = vec![0u8; 2 * PAGE].leak();
        let start = (pages.as_ptr() as usize).next_multiple_of(PAGE);
        self.read_only.borrow_mut().push(start..start + PAGE);
        start
    }
}
