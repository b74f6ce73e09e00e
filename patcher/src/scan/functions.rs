//! Which function holds an address?

use std::cell::OnceCell;
use std::fmt;

use crate::elf::{Image, unwind};
use crate::go::Functab;

/// A function's extent and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its first address.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// Its name, where a table gives one.
    pub name: Option<String>,
    /// Whether Go's table describes it.
    pub is_go: bool,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "function at {:#x}", self.start),
        }
    }
}

/// All tables of functions that a file has. Those of C are read only when an
/// address is asked for that Go's does not hold.
pub struct Functions<'a> {
    image: &'a Image<'a>,
    /// Go's table.
    pub go: Option<Functab<'a>>,
    symbols: OnceCell<Vec<(u64, u64, &'a str)>>,
    unwind: OnceCell<Vec<(u64, u64)>>,
}

impl<'a> Functions<'a> {
    /// Finds Go's table; the others are read when needed.
    pub fn new(image: &'a Image<'a>) -> Self {
        let go = Functab::find(image);
        Self { image, go, symbols: OnceCell::new(), unwind: OnceCell::new() }
    }

    fn symbols(&self) -> &[(u64, u64, &'a str)] {
        self.symbols.get_or_init(|| self.image.function_symbols())
    }

    fn unwind(&self) -> &[(u64, u64)] {
        self.unwind.get_or_init(|| unwind::ranges(self.image))
    }

    /// The function that holds an address.
    pub fn lookup(&self, address: u64) -> Option<Function> {
        let go = self.go.as_ref().and_then(|go| go.lookup(address));
        if let Some((start, end, name)) = go {
            // C code in a file that Go's linker wrote is one pseudo-function.
            if start < end && name != "?" {
                return Some(Function { start, end, name: Some(name.to_owned()), is_go: true });
            }
        }
        let symbol = last_before(self.symbols(), address, |s| s.0);
        if let Some(&(start, size, name)) = symbol.filter(|s| address - s.0 < s.1) {
            return Some(Function {
                start,
                end: start.saturating_add(size),
                name: Some(name.to_owned()),
                is_go: false,
            });
        }
        let range = last_before(self.unwind(), address, |r| r.0).filter(|r| address < r.1);
        range.map(|&(start, end)| Function { start, end, name: None, is_go: false })
    }

    /// The stretch around an address that no table describes.
    pub fn gap(&self, address: u64) -> (u64, u64) {
        let symbols = around(self.symbols(), address, |s| (s.0, s.0.saturating_add(s.1)));
        let unwind = around(self.unwind(), address, |&range| range);
        let go = self.go.as_ref().map(|go| around(&[go.range()], address, |&range| range));
        let go = go.unwrap_or((0, u64::MAX));
        (symbols.0.max(unwind.0).max(go.0), symbols.1.min(unwind.1).min(go.1))
    }
}

/// The end of the range before an address that is in none, and the start of the
/// one after it.
fn around<T>(sorted: &[T], address: u64, range: impl Fn(&T) -> (u64, u64)) -> (u64, u64) {
    let next = sorted.partition_point(|item| range(item).0 <= address);
    let before = next.checked_sub(1).map(|i| range(&sorted[i]).1);
    let after = sorted.get(next).map(|item| range(item).0);
    (before.filter(|&end| end <= address).unwrap_or(0), after.unwrap_or(u64::MAX))
}

fn last_before<T>(sorted: &[T], address: u64, start: impl Fn(&T) -> u64) -> Option<&T> {
    let next = sorted.partition_point(|item| start(item) <= address);
    next.checked_sub(1).map(|i| &sorted[i])
}
