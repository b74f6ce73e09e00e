//! Memory of the program: some near its code, and the code itself. Nothing is
//! ever writable and executable at once.

use std::collections::BTreeMap;
use std::io::Error as OsError;

use procsys_patcher::Error;
use procsys_patcher::emit::memory::Wanted;

const PAGE: u64 = 4096;
/// How far from the program the nearest memory is that is tried.
const GAP: u64 = 0x1_0000;
/// From one address that is tried to the next.
const STEP: u64 = 16 << 20;
/// Above the program its heap grows: the kernel starts it up to 1 GiB away
/// (Linux, arch/x86/kernel/process.c: arch_randomize_brk).
const HEAP: u64 = 0x5000_0000;
/// The lowest address that a program may map (vm.mmap_min_addr's default).
const LOWEST: u64 = 0x1_0000;
/// What a jump must reach: a little less than 2 GiB.
const REACH: u64 = 0x7fff_0000;

/// The last error of the operating system, and what it was about.
fn refused(what: &str) -> Error {
    let error = OsError::last_os_error().to_string();
    let words = error.split(" (os error").next().unwrap_or_default().to_owned();
    Error::Io(format!("the kernel forbids to {what}: {words}"))
}

/// Zeroed memory that was reserved, to be read and written.
pub(crate) struct Reserved {
    address: u64,
    len: usize,
}

impl Reserved {
    /// Reserves what is wanted, in reach of the program's code.
    ///
    /// # Errors
    /// When the kernel has none there.
    pub(crate) fn near(bias: u64, wanted: Wanted) -> Result<Self, Error> {
        let len = wanted.len.next_multiple_of(PAGE);
        let (first, last) = (wanted.first.wrapping_add(bias), wanted.last.wrapping_add(bias));
        let (start, end) = (wanted.start.wrapping_add(bias), wanted.end.wrapping_add(bias));
        let low = last.saturating_sub(REACH).max(LOWEST);
        let high = first.saturating_add(REACH) - len;
        let below = (start & !(GAP - 1)).checked_sub(GAP + len);
        let below = std::iter::successors(below, |a| a.checked_sub(STEP)).take_while(|a| *a >= low);
        let above =
            std::iter::successors(Some(end.next_multiple_of(GAP) + HEAP), |a| a.checked_add(STEP));
        let above = above.take_while(|a| *a <= high);
        let mut all = below.map(|a| a & !(PAGE - 1)).chain(above);
        let len = len as usize;
        let found = all.find_map(|address| Self::at(address, len));
        found.ok_or_else(|| Error::Io("the kernel gives no memory near the program's code".into()))
    }

    /// Reserves memory at this very address, if it is free.
    fn at(address: u64, len: usize) -> Option<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: without MAP_FIXED the kernel takes nobody's memory away: the
        // address is a wish, which it grants where nothing is.
        let mapped = unsafe { libc::mmap(address as *mut _, len, protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return None;
        }
        if mapped as u64 == address {
            return Some(Self { address, len });
        }
        // SAFETY: it was mapped just now, and is nobody's.
        unsafe { libc::munmap(mapped, len) };
        None
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Writes the image behind the first `skip` bytes, then makes it code; what
    /// is left over is given back.
    ///
    /// # Errors
    /// When the kernel allows no code there.
    pub(crate) fn fill(&self, skip: usize, image: &[u8]) -> Result<(), Error> {
        let start = self.address as usize + skip;
        let len = image.len().next_multiple_of(PAGE as usize);
        let end = self.address as usize + self.len;
        // SAFETY: the memory was reserved with room for that, and is ours alone.
        unsafe { std::ptr::copy_nonoverlapping(image.as_ptr(), start as *mut u8, image.len()) };
        protect(start as u64, len, libc::PROT_READ | libc::PROT_EXEC)?;
        // SAFETY: nothing refers to what lies behind the image.
        unsafe { libc::munmap((start + len) as *mut _, end - start - len) };
        Ok(())
    }
}

fn protect(address: u64, len: usize, protection: i32) -> Result<(), Error> {
    // SAFETY: whole pages of ours, or of the program's code, which nobody runs now.
    match unsafe { libc::mprotect(address as *mut _, len, protection) } {
        0 => Ok(()),
        _ => Err(refused("change the program's code")),
    }
}

/// Pages that are changed at once: the address after them, and the jumps.
struct Pages<'a> {
    end: u64,
    jumps: Vec<(u64, &'a [u8])>,
}

/// Writes jumps over the program's code, a page or two at a time: to be written,
/// or to be executed, never both.
///
/// # Errors
/// When the kernel does not allow it; nothing was written then, or the program
/// must not start.
pub(crate) fn write_code(bias: u64, jumps: &[(u64, Vec<u8>)]) -> Result<(), Error> {
    // A jump may lie across a page's end: pages by their first, with how many.
    let mut pages: BTreeMap<u64, Pages<'_>> = BTreeMap::new();
    for (address, bytes) in jumps {
        let address = address.wrapping_add(bias);
        let page = address & !(PAGE - 1);
        let end = (address + bytes.len() as u64).next_multiple_of(PAGE);
        let entry = pages.entry(page).or_insert(Pages { end, jumps: Vec::new() });
        entry.end = entry.end.max(end);
        entry.jumps.push((address, bytes));
    }
    for (page, Pages { end, jumps }) in pages {
        let len = (end - page) as usize;
        protect(page, len, libc::PROT_READ | libc::PROT_WRITE)?;
        for (address, bytes) in jumps {
            // SAFETY: the page is the program's own copy, writable now; the bytes
            // stay within the function that was derived from the same file.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len());
            }
        }
        protect(page, len, libc::PROT_READ | libc::PROT_EXEC)?;
    }
    Ok(())
}
