//! Which `0f 05` byte pairs are `syscall` instructions? Never a guess.
//!
//! A pair inside a function that a table describes (Go's function table, the
//! symbol table, unwind information) is one if decoding the function from its
//! start reaches it as one. Code that no table describes is decoded from many
//! starting points, and all must agree. What is left is an error that names it.

mod branches;
mod budget;
mod computed;
mod functions;
pub mod signal_return;
pub mod targets;
mod window;

pub use budget::Budget;
pub use functions::{Function, Functions};

use iced_x86::{Code, Decoder, DecoderOptions, Instruction};
use memchr::memmem;

use crate::elf::Image;
use crate::error::Error;

/// The bytes of a `syscall` instruction.
pub const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// One `syscall` instruction, in the code around it.
pub struct Site {
    /// Its address.
    pub address: u64,
    /// The function that holds it.
    pub function: Function,
    /// The instructions of the function, in order.
    pub code: std::sync::Arc<[Instruction]>,
    /// Its index in `code`.
    pub index: usize,
}

/// What a scan found.
#[derive(Default)]
pub struct Scan {
    /// The sites, in ascending order of address.
    pub sites: Vec<Site>,
    /// Addresses of byte pairs that are the inside of other instructions.
    pub inside: Vec<u64>,
}

/// Finds every site.
///
/// # Errors
/// [`Error::Sites`] with a line for each pair that can't be decided;
/// [`Error::Input`] when there is more to look at than the [`Budget`].
pub fn scan(image: &Image<'_>, functions: &Functions<'_>) -> Result<Scan, Error> {
    let mut scan = Scan::default();
    let mut doubts = Vec::new();
    let mut current: Option<(Function, std::sync::Arc<[Instruction]>)> = None;
    let mut budget = Budget::new(image.bytes.len());
    for (start, bytes) in image.code() {
        for at in memmem::find_iter(bytes, &SYSCALL) {
            let address = start + at as u64;
            let inside = functions.lookup(address).filter(|f| f.start >= start);
            let Some(function) = inside else {
                if image.is_data(address) {
                    scan.inside.push(address);
                    continue;
                }
                if !budget.window() {
                    return too_much(format!("{address:#x}: no function"));
                }
                match window::decide(start, bytes, address, functions.gap(address)) {
                    Ok(Some(site)) => scan.sites.push(site),
                    Ok(None) => scan.inside.push(address),
                    Err(why) => match signal_return::site(start, bytes, at) {
                        Some(site) => scan.sites.push(site),
                        None => doubts.push(format!("{address:#x}: no function: {why}")),
                    },
                }
                continue;
            };
            let code = match &current {
                Some((f, code)) if f.start == function.start => code.clone(),
                _ => {
                    let (is_inside, looked_at) = is_inside(start, bytes, &function, address);
                    if !budget.instructions(looked_at) {
                        return too_much(format!("{address:#x}: {function}"));
                    }
                    if is_inside {
                        scan.inside.push(address);
                        continue;
                    }
                    let code = decode(start, bytes, function.start, function.end);
                    if !budget.instructions(code.len()) {
                        return too_much(format!("{address:#x}: {function}"));
                    }
                    code
                }
            };
            match place(&code, address) {
                Some(Place::Call(index)) => {
                    let code = code.clone();
                    scan.sites.push(Site { address, function: function.clone(), code, index });
                }
                Some(Place::Inside) => scan.inside.push(address),
                Some(Place::Prefixed) => {
                    doubts.push(format!("{address:#x}: {function}: {PREFIXED}"))
                }
                None => doubts.push(format!(
                    "{address:#x}: {function}: the function can't be decoded up to it"
                )),
            }
            current = Some((function, code));
        }
    }
    if doubts.is_empty() { Ok(scan) } else { Err(Error::Sites(doubts)) }
}

/// Whether the address is the inside of an instruction, by decoding its function
/// from the start, and how many instructions that took. Nothing is kept: most
/// byte pairs are the inside of something, and functions are long.
fn is_inside(segment: u64, bytes: &[u8], function: &Function, address: u64) -> (bool, usize) {
    let low = function.start.saturating_sub(segment) as usize;
    let code = bytes.get(low..).unwrap_or_default();
    let mut decoder = Decoder::with_ip(64, code, function.start, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut count = 0;
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        count += 1;
        if instruction.ip() == address || instruction.code() == Code::INVALID {
            return (false, count);
        }
        if instruction.next_ip() > address {
            return (instruction.code() != Code::Syscall, count);
        }
    }
    (false, count)
}

/// The error when a budget is used up at a place.
fn too_much<T>(place: String) -> Result<T, Error> {
    let why = "there was more code to look at before than a file of this size should need";
    Err(Error::Input(format!("{place}: {why}")))
}

/// Decodes `[from, to)` of a segment, up to the first invalid instruction.
pub(crate) fn decode(
    segment: u64,
    bytes: &[u8],
    from: u64,
    to: u64,
) -> std::sync::Arc<[Instruction]> {
    let low = from.saturating_sub(segment) as usize;
    let high = (to.saturating_sub(segment) as usize).min(bytes.len());
    let code = bytes.get(low..high).unwrap_or_default();
    let mut decoder = Decoder::with_ip(64, code, from, DecoderOptions::NONE);
    decoder.iter().take_while(|i| i.code() != Code::INVALID).collect()
}

/// Why a `syscall` of more than two bytes is refused: nobody's compiler writes one.
const PREFIXED: &str = "a syscall with a prefix";

/// What a pair is in decoded code.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// The `syscall` of that index.
    Call(usize),
    /// A `syscall` that has a prefix before it.
    Prefixed,
    /// The inside of another instruction.
    Inside,
}

/// Where a pair lies in decoded code; `None` past what was decoded.
fn place(code: &[Instruction], address: u64) -> Option<Place> {
    let index = code.partition_point(|i| i.ip() <= address).checked_sub(1)?;
    let instruction = &code[index];
    let is_call = instruction.code() == Code::Syscall;
    if instruction.ip() == address {
        return Some(if is_call { Place::Call(index) } else { Place::Inside });
    }
    let place = if is_call { Place::Prefixed } else { Place::Inside };
    (address < instruction.next_ip()).then_some(place)
}
