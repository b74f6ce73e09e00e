//! Hostile input: no panic, no hang, no flood, whatever the file or rules hold.
//!
//! A mutator that knows the format damages real static binaries (file header,
//! program and section headers, function tables, unwind information, symbols,
//! code, and what an earlier patch left) and hands them to the pipeline, in
//! memory. Damaged rule texts go the same way. Bounded by PROCSYS_FUZZ_SECONDS
//! (20); the seed is PROCSYS_FUZZ_SEED (1), so that a run can be made again.
//! `make fuzz` runs it; a finding is written to a file and named at the end.

mod support;

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs};

use procsys_patcher::patch::{Options, transform};
use procsys_patcher::rules::{Choice, Set, gather};
use procsys_rules::{Table, compile, profiles, text};

use support::elf;
use support::random::Random;
use support::*;

/// A run on one input may take this much processor time; code that is not optimised, more.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 1 });
/// What every output may have more than four times its input: the shim, its
/// tables and, where the program headers lie behind them, the slots.
const BASE: usize = procsys_patcher::shim::SLOTS_SIZE as usize + (256 << 10);

/// Where a panic happened, as the hook saw it last.
static PANIC: Mutex<String> = Mutex::new(String::new());

fn setting(name: &str, default: u64) -> u64 {
    let value = env::var(name).unwrap_or_default();
    if value.is_empty() {
        default
    } else {
        value.parse().unwrap_or_else(|_| panic!("{name}={value}"))
    }
}

/// Real binaries: bare and glibc, PIE and not, stripped, without section
/// headers, patched, and Go where there is a compiler for it.
fn corpus(place: &Place, set: &Set) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        place.compile("bare", HELLO, BARE),
        place.compile("bare-pie", HELLO, &["-static-pie", "-nostdlib"]),
        place.compile("glibc", HELLO_C, &["-static"]),
        place.compile("glibc-pie", HELLO_C, &["-static-pie"]),
    ];
    files.extend(go(place));
    let mut all = Vec::new();
    for file in files {
        let name = file.file_name().expect("built").to_string_lossy().into_owned();
        let bytes = fs::read(&file).expect("built above");
        let stripped = place.path("stripped");
        let run = Command::new("strip").arg(&file).arg("-o").arg(&stripped).status();
        assert!(run.expect("binutils are installed").success());
        let stripped = fs::read(stripped).expect("written above");
        let patched = transform(&bytes, set, &Options::default()).expect("it can be patched").1;
        all.push((format!("{name}-headless"), elf::without_sections(&stripped)));
        all.push((format!("{name}-stripped"), stripped));
        all.push((format!("{name}-patched"), patched));
        all.push((name, bytes));
    }
    all
}

fn go(place: &Place) -> Option<PathBuf> {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fixtures/go/bin/go");
    let go = if fixture.exists() { fixture } else { "go".into() };
    let source = place.write("small.go", b"package main\nfunc main() { println(\"hello\") }\n");
    let output = place.path("go");
    let mut build = Command::new(go);
    build.args(["build", "-o"]).arg(&output).arg(source);
    build.env("CGO_ENABLED", "0").env("GOFLAGS", "-trimpath").env("GOTOOLCHAIN", "local");
    let built = build.output().ok()?.status.success();
    built.then_some(output)
}

/// A number that code tends to get wrong.
fn number(random: &mut Random, len: usize) -> u64 {
    let len = len as u64;
    let edges =
        [0, 1, 7, 8, 63, 64, 4095, 4096, 1 << 31, 1 << 32, 1 << 47, i64::MAX as u64, u64::MAX];
    match random.below(8) {
        0..4 => edges[random.below(edges.len())],
        4 => len.wrapping_add(random.below(17) as u64).wrapping_sub(8),
        5 => u64::MAX - random.below(70_000) as u64,
        6 => random.below(len as usize) as u64,
        _ => random.next(),
    }
}

fn put(bytes: &mut [u8], at: usize, width: usize, value: u64) {
    if let Some(place) = bytes.get_mut(at..at + width) {
        place.copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

/// Offsets and widths of the fields of each header (System V gABI).
const FILE_FIELDS: &[(usize, usize)] = &[
    (4, 1),
    (5, 1),
    (16, 2),
    (18, 2),
    (24, 8),
    (32, 8),
    (40, 8),
    (52, 2),
    (54, 2),
    (56, 2),
    (58, 2),
    (60, 2),
    (62, 2),
];
const PROGRAM_FIELDS: &[(usize, usize)] =
    &[(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8)];
const SECTION_FIELDS: &[(usize, usize)] =
    &[(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8)];

/// The stretch of the file that a random section or segment has.
fn stretch(bytes: &[u8], random: &mut Random) -> (usize, usize) {
    let sections = elf::u64_at(bytes, elf::SHOFF) as usize;
    let count = usize::from(elf::u16_at(bytes, elf::SHNUM));
    let header = sections.saturating_add(random.below(count) * 64);
    let (offset, size) = match bytes.get(header..header.saturating_add(64)) {
        Some(h) if count > 0 => (elf::u64_at(h, 24), elf::u64_at(h, 32)),
        _ => (random.below(bytes.len()) as u64, 256),
    };
    let start = (offset as usize).min(bytes.len() - 1);
    (start, (size as usize).clamp(1, bytes.len() - start))
}

/// Damages one thing.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.len() < 64 {
        return bytes.resize(64, 0);
    }
    let value = number(random, bytes.len());
    match random.below(12) {
        0 => {
            let (at, width) = FILE_FIELDS[random.below(FILE_FIELDS.len())];
            put(bytes, at, width, value);
        }
        1..4 => {
            let start = elf::u64_at(bytes, elf::PHOFF) as usize;
            let index = random.below(usize::from(elf::u16_at(bytes, elf::PHNUM)));
            let (at, width) = PROGRAM_FIELDS[random.below(PROGRAM_FIELDS.len())];
            put(bytes, start.min(1 << 40) + index * 56 + at, width, value);
        }
        4..6 => {
            let start = elf::u64_at(bytes, elf::SHOFF) as usize;
            let index = random.below(usize::from(elf::u16_at(bytes, elf::SHNUM)));
            let (at, width) = SECTION_FIELDS[random.below(SECTION_FIELDS.len())];
            put(bytes, start.min(1 << 40) + index * 64 + at, width, value);
        }
        6..9 => {
            // The beginning of a table says how it is read.
            let (start, len) = stretch(bytes, random);
            let into = if random.below(2) == 0 { random.below(64) } else { random.below(len) };
            put(bytes, start + into.min(len), [1, 2, 4, 8][random.below(4)], value);
        }
        9 => {
            let (start, len) = stretch(bytes, random);
            let at = start + random.below(len);
            put(bytes, at, 2, 0x050f);
        }
        10 => {
            let (start, len) = stretch(bytes, random);
            for _ in 0..random.below(64) {
                let at = start + random.below(len);
                bytes[at] = random.next() as u8;
            }
        }
        _ if random.below(2) == 0 => bytes.truncate(random.below(bytes.len())),
        _ => bytes.extend(random.bytes(300)),
    }
}

/// Processor time of all threads of this process.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "clock_gettime");
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// What went wrong, if anything.
fn judge(input: usize, run: impl FnOnce() -> usize) -> Option<String> {
    let start = processor_time();
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    let time = processor_time() - start;
    match result {
        Err(_) => Some(format!("panic: {}", PANIC.lock().expect("not poisoned"))),
        Ok(_) if time > LIMIT => Some("slow: more than a second".into()),
        Ok(output) if output > 4 * input + BASE => {
            Some("flood: an output of more than four times the input".into())
        }
        Ok(_) => None,
    }
}

fn a_file(bytes: &[u8], set: &Set) -> (Option<String>, bool) {
    let mut is_patched = false;
    let wrong = judge(bytes.len(), || {
        let result = transform(bytes, set, &Options::default());
        is_patched = result.is_ok();
        match result {
            Ok((_, output)) => output.len(),
            Err(error) => error.to_string().len(),
        }
    });
    (wrong, is_patched)
}

fn a_text(text: &str) -> Option<String> {
    judge(text.len(), || match text::parse("x", text) {
        Err(error) => error.to_string().len(),
        Ok((_, rules)) => compile::compile(&rules).map_or(0, |table| {
            let table = Table::new(&table).expect("what was compiled can be read");
            table.reached().count()
        }),
    })
}

#[test]
fn no_panic_no_hang_no_flood() {
    let seconds = setting("PROCSYS_FUZZ_SECONDS", 20);
    let first = setting("PROCSYS_FUZZ_SEED", 1);
    let place = Place::new();
    let set = gather(&Choice::default()).expect("the default profile is right");
    let corpus = corpus(&place, &set);
    let rules = profiles::by_name(profiles::DEFAULT).expect("it is built in").text;
    let quiet = panic::take_hook();
    panic::set_hook(Box::new(|info| {
        // One finding a place, whatever numbers the message has.
        let place = info.location().map_or_else(String::new, ToString::to_string);
        *PANIC.lock().expect("not poisoned") = place;
    }));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut findings: BTreeMap<String, String> = BTreeMap::new();
    let (mut files, mut patched, mut texts) = (0u64, 0u64, 0u64);
    for seed in (first << 32).. {
        if Instant::now() > end {
            break;
        }
        let mut random = Random::new(seed);
        if seed % 16 == 0 {
            let mut text = rules.as_bytes().to_vec();
            for _ in 0..1 + random.below(5) {
                let at = random.below(text.len());
                text[at] = if random.below(2) == 0 {
                    random.next() as u8
                } else {
                    b"[]{}\"=,\n"[random.below(8)]
                };
            }
            texts += 1;
            if let Some(wrong) = a_text(&String::from_utf8_lossy(&text)) {
                findings.entry(wrong).or_insert(format!("rule text, seed {seed:#x}"));
            }
            continue;
        }
        let (name, original) = &corpus[random.below(corpus.len())];
        let mut bytes = original.clone();
        for _ in 0..1 + random.below(3) {
            mutate(&mut bytes, &mut random);
        }
        files += 1;
        let (wrong, is_patched) = a_file(&bytes, &set);
        patched += u64::from(is_patched);
        if let Some(wrong) = wrong {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{seed:x}"));
            findings.entry(wrong).or_insert_with(|| {
                fs::write(&kept, &bytes).expect("the target directory is writable");
                format!("{name}, seed {seed:#x}, kept as {}", kept.display())
            });
        }
    }
    panic::set_hook(quiet);
    println!(
        "{files} files ({patched} of them patched), {texts} rule texts, in {seconds} s; from {} binaries, seed {first}",
        corpus.len()
    );
    assert!(files > 100 && patched > 10 && texts > 5, "too few to say anything");
    let list: Vec<_> =
        findings.iter().map(|(what, where_)| format!("{what}\n    {where_}")).collect();
    assert!(list.is_empty(), "{} findings:\n  {}", list.len(), list.join("\n  "));
}

/// A bss of half a GiB in a file whose headers can't grow where they are: the
/// file is refused, or does not grow by as much.
#[test]
fn a_large_bss_is_not_written_out() {
    let place = Place::new();
    let bytes = fs::read(place.compile("bare", HELLO, BARE)).expect("built above");
    let mut bytes = elf::without_sections(&bytes);
    let loads = elf::loads(&bytes);
    let [first, .., last] = loads[..] else { panic!("{loads:?}") };
    put(&mut bytes, first + elf::P_TYPE, 4, 0);
    put(&mut bytes, last + elf::P_MEMSZ, 8, 1 << 29);
    let set = gather(&Choice::default()).expect("the default profile is right");
    let (wrong, _) = a_file(&bytes, &set);
    assert_eq!(wrong, None);
}

/// A symbol table whose names are in a section that is not there.
#[test]
fn the_link_of_the_symbol_table() {
    const SYMTAB: u32 = 2;
    let place = Place::new();
    let mut bytes = fs::read(place.compile("bare", HELLO, BARE)).expect("built above");
    let start = elf::u64_at(&bytes, elf::SHOFF) as usize;
    let mut headers = (0..usize::from(elf::u16_at(&bytes, elf::SHNUM))).map(|i| start + i * 64);
    let symbols = headers.find(|&h| elf::u32_at(&bytes, h + 4) == SYMTAB).expect("not stripped");
    put(&mut bytes, symbols + 40, 4, 0xffff);
    let set = gather(&Choice::default()).expect("the default profile is right");
    assert_eq!(a_file(&bytes, &set).0, None);
}
