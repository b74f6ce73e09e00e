//! What every fuzz target checks: no panic, no hang, no flood of memory.
//!
//! A panic, or a limit that is passed, aborts; libFuzzer keeps the input and
//! names it.

pub mod edits;
pub mod memory;

use std::sync::LazyLock;

use procsys_patcher::patch::{Options, transform};
use procsys_patcher::rules::{Choice, Set, gather};
use procsys_patcher::shim;

/// The default profile.
pub static RULES: LazyLock<Set> =
    LazyLock::new(|| gather(&Choice::default()).expect("the default profile is right"));

/// A run on one input may take this much processor time, in seconds.
const SECONDS: f64 = 1.0;
/// Memory that a run may have for each byte of its input.
const TIMES: usize = 4;
/// Memory that a run may have besides, however small its input: the shim, its
/// tables, and instructions as far as scan/budget.rs allows. (What an output has
/// of the slots counts as input.)
const BASE: usize = 12 << 20;

/// Patches the smallest program, so that what is set up once is set up.
pub fn warm_up() {
    let bytes = include_bytes!("../seeds/file/static");
    transform(bytes, &RULES, &Options::default()).expect("the seed can be patched");
}

/// Whether an input is one of 256: for what takes hundreds of times as long as
/// the rest of a target.
pub fn is_one_of_many(input: &[u8]) -> bool {
    input.iter().fold(0u8, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte)) == 0
}

/// Runs one input under the limits. `len` is the input's length.
pub fn within_limits(len: usize, run: impl FnOnce()) {
    memory::start();
    let start = processor_time();
    run();
    let time = processor_time() - start;
    let peak = memory::peak();
    assert!(time < SECONDS, "hang: {time:.2} s of processor time for {len} bytes");
    // Where the program headers lie behind the slots, these are in the file.
    let limit = TIMES * (len + shim::SLOTS_SIZE as usize) + BASE;
    assert!(peak < limit, "flood: {peak} bytes of memory for {len} of input");
}

/// Processor time of all threads of this process, in seconds.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "clock_gettime");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
