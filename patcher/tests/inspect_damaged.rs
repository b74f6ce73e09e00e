//! `inspect` and `verify` of damaged files: an answer or an error, never a panic
//! or a long wait.

mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use procsys_patcher::inspect::inspect;
use procsys_patcher::patched::verify::verify;
use support::random::Random;
use support::*;

/// Code that is not optimised may take longer.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 2 });
/// How many damaged files each input gives.
const ROUNDS: usize = 1500;

/// Numbers at which sums and products go wrong.
const HARD: [u64; 8] =
    [0, 1, 0xffff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX, u64::MAX - 7];

/// Changes one to four places: mostly the headers and tables, which say where all else is.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let headers = elf::program_headers(bytes).collect::<Vec<_>>();
    let sections = elf::u64_at(bytes, elf::SHOFF) as usize;
    for _ in 0..=random.below(4) {
        let at = match random.below(6) {
            0 => random.below(64),
            1 if !headers.is_empty() => headers[random.below(headers.len())] + random.below(56),
            2 | 3 => sections.saturating_add(random.below(40 * 64)),
            // What procsys appended is at the end, before the section headers.
            4 => bytes.len().saturating_sub(1 + random.below(12_000)),
            _ => random.below(bytes.len().max(1)),
        };
        let value = match random.below(3) {
            0 => HARD[random.below(HARD.len())],
            1 => random.below(1 << 24) as u64,
            _ => bytes.get(at).copied().map_or(0, u64::from) ^ (1 << random.below(8)),
        };
        let width = [1, 2, 4, 8][random.below(4)];
        if let Some(place) = bytes.get_mut(at..at.saturating_add(width)) {
            place.copy_from_slice(&value.to_le_bytes()[..width]);
        }
    }
    if random.below(10) == 0 {
        bytes.truncate(random.below(bytes.len()));
    }
}

#[test]
fn damaged_files_end_in_an_answer_or_an_error() {
    let place = Place::new();
    let mut inputs = Vec::new();
    for (name, source, flags) in [
        ("bare", HELLO, BARE),
        ("bare-pie", HELLO, &["-static-pie", "-nostdlib"][..]),
        ("dynamic", HELLO_C, &[]),
        ("glibc", HELLO_C, &["-static-pie"]),
    ] {
        let input = place.compile(name, source, flags);
        inputs.push(fs::read(&input).expect("it was built"));
        if name != "dynamic" {
            let output = place.path("patched");
            success(&patch_to(&input, &output));
            inputs.push(fs::read(output).expect("it was written"));
        }
    }
    let mut random = Random::new(4);
    for input in &inputs {
        let rounds = if input.len() > 100_000 { ROUNDS / 10 } else { ROUNDS };
        for round in 0..rounds {
            let mut bytes = input.clone();
            damage(&mut bytes, &mut random);
            let start = Instant::now();
            let ended = catch_unwind(AssertUnwindSafe(|| {
                // Whatever they say is an answer.
                _ = inspect(&bytes);
                _ = verify(&bytes, Some(input));
            }));
            let took = start.elapsed();
            if ended.is_err() || took > LIMIT {
                let kept = std::env::temp_dir().join(format!("procsys-damaged-{round}"));
                fs::write(&kept, &bytes).expect("/tmp is writable");
                panic!("{}: {}", kept.display(), if ended.is_err() { "panic" } else { "slow" });
            }
        }
    }
}

/// Once a map of all between two pieces of code took 140 TB.
#[test]
fn code_out_of_reach_is_an_error() {
    let place = Place::new();
    let source = format!("{HELLO}\n.section .far,\"ax\"\nmov $39, %eax\nsyscall\nret\n");
    let flags = [BARE, &["-Wl,--section-start=.far=0x7f0000000000"]].concat();
    let input = place.compile("far", &source, &flags);
    let said = one_error(&patch_to(&input, &place.path("output")));
    assert!(said.contains("out of reach of a jump"), "{said}");
    let said = one_error(&patch(["inspect".as_ref(), input.as_os_str()]));
    assert!(said.contains("out of reach of a jump"), "{said}");
}
