//! `procsys-patch verify`: what is whole passes, and no changed bit does.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use object::{Object, ObjectSection};
use procsys_patcher::Error;
use procsys_patcher::emit::Pieces;
use procsys_patcher::emit::note::{LOCATOR, LOCATOR_EMPTY};
use procsys_patcher::patched::locator;
use procsys_patcher::patched::place::Finding;
use procsys_patcher::patched::verify::{Verdict, verify};
use serde_json::Value;
use support::random::Random;
use support::*;

/// How long one verification of busybox may take, on a busy machine.
const LONG: Duration = Duration::from_secs(5);

fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fixtures").join(name);
    assert!(path.exists(), "fixture {} is missing: run `make fixtures`", path.display());
    path
}

/// Patches a fixture, and gives the original's bytes and the patched file's.
fn patched(place: &Place, name: &str, options: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let (input, output) = (fixture(name), place.path(name));
    let mut arguments = vec![input.to_str().expect("UTF-8"), "-o", output.to_str().expect("UTF-8")];
    arguments.extend(options);
    success(&patch(arguments));
    (fs::read(input).expect("a fixture"), fs::read(output).expect("it was written"))
}

fn flipped(bytes: &[u8], at: usize, bit: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1 << bit;
    bytes
}

/// The one finding of a file with one changed bit.
fn one(bytes: &[u8], at: usize) -> Finding {
    let start = Instant::now();
    let verdict = verify(bytes, None).unwrap_or_else(|e| panic!("{at:#x}: {e}"));
    assert!(start.elapsed() < LONG, "{at:#x} took {:?}", start.elapsed());
    let [finding] = &verdict.findings[..] else {
        panic!("{at:#x}: {} findings", verdict.findings.len())
    };
    assert_eq!(finding.place, Some(at..at + 1), "{finding}");
    finding.clone()
}

fn assert_clean(verdict: &Verdict) {
    let findings: Vec<_> = verdict.findings.iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(verdict.sites > 0);
}

#[test]
fn every_fixture_and_option_verifies() {
    let place = Place::new();
    let cases: [(&str, &[&str]); 7] = [
        ("busybox-static", &[]),
        ("busybox-static", &["--every-call"]),
        ("busybox-static", &["--redirect", "/proc/sys=/run/sys", "--emulate", "/proc/x=1"]),
        ("bash-static", &[]),
        ("runc-1.1.5", &[]),
        ("runc-1.3.6", &["--every-call"]),
        ("runsc-20240729", &[]),
    ];
    for (name, options) in cases {
        let (original, file) = patched(&place, name, options);
        assert_clean(&verify(&file, Some(&original)).expect("a patched file"));
    }
}

/// Wherever the program headers go, and whether or not the input has sections.
#[test]
fn every_layout_verifies_and_shows_a_flipped_bit() {
    let place = Place::new();
    for (name, source, flags) in [
        ("bare", HELLO, BARE),
        ("bare-pie", HELLO, &["-static-pie", "-nostdlib"]),
        ("glibc", HELLO_C, &["-static"]),
        ("glibc-pie", HELLO_C, &["-static-pie"]),
        ("no-id", HELLO_C, &["-static", "-Wl,--build-id=none"]),
    ] {
        let input = place.compile(name, source, flags);
        let original = fs::read(&input).expect("it was built");
        // Code that only symbols describe can't be told apart without them.
        let headless = elf::without_sections(&original);
        let kinds = if source == HELLO { 2 } else { 1 };
        for (original, kind) in
            [(original, "whole"), (headless, "headless")].into_iter().take(kinds)
        {
            let (input, output) = (place.write("input", &original), place.path("output"));
            success(&patch_to(&input, &output));
            let file = fs::read(output).expect("it was written");
            assert_clean(&verify(&file, Some(&original)).expect("a patched file"));
            let mut random = Random::new(file.len() as u64);
            for _ in 0..40 {
                let at = random.below(file.len());
                let finding = one(&flipped(&file, at, random.below(8) as u32), at);
                assert!(!finding.region.is_empty(), "{name} {kind}");
            }
        }
    }
}

/// Large files with Go's tables, as those that are deployed.
#[test]
fn flipped_bits_of_runc_are_named() {
    let place = Place::new();
    let (_, file) = patched(&place, "runc-1.3.6", &[]);
    let mut random = Random::new(0x7275_6e63);
    for i in 0..60 {
        // Half of them in the last bytes, which procsys wrote.
        let at = if i % 2 == 0 {
            file.len() - 1 - random.below(60_000)
        } else {
            random.below(file.len())
        };
        one(&flipped(&file, at, random.below(8) as u32), at);
    }
}

/// Offsets of every class of bytes, with the region that a finding must name.
fn classes(original: &[u8], file: &[u8]) -> Vec<(usize, String)> {
    let elf = object::File::parse(file).expect("an ELF file");
    let table = |at: usize| elf::u64_at(file, at) as usize;
    let mut all: Vec<(usize, String)> = [0, 5, 16, 24, 32, 40, 60, 62]
        .map(|at| (at, "ELF header".to_owned()))
        .into_iter()
        .chain((0..11).map(|i| (table(elf::PHOFF) + 56 * i + 8, "program headers".into())))
        .chain((0..36).map(|i| (table(elf::SHOFF) + 64 * i + 25, "section headers".into())))
        .collect();
    for section in elf.sections() {
        let name = section.name().expect("named").to_owned();
        let Some((start, size)) = section.file_range().filter(|r| r.1 > 0) else { continue };
        let named = if name == ".note.procsys" { format!("{name}, the note") } else { name };
        let picks = [0, 7, 8, size / 3, size / 2, size - 1].map(|into| into.min(size - 1));
        all.extend(picks.map(|into| ((start + into) as usize, named.clone())));
    }
    assert!(original.len() < file.len());
    all
}

#[test]
fn a_flipped_bit_is_named_in_every_class_of_bytes() {
    let place = Place::new();
    let (original, file) = patched(&place, "busybox-static", &[]);
    for (i, (at, region)) in classes(&original, &file).into_iter().enumerate() {
        let finding = one(&flipped(&file, at, i as u32 % 8), at);
        assert_eq!(finding.region, region, "{at:#x}");
        assert!(finding.bytes.as_ref().is_some_and(|(a, b)| a != b), "{finding}");
    }
}

/// Every bit of the note, the locator in it included.
#[test]
fn every_bit_of_the_note_is_named() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let output = place.path("patched");
    success(&patch_to(&input, &output));
    let file = fs::read(output).expect("it was written");
    let elf = object::File::parse(&*file).expect("an ELF file");
    let note = elf.section_by_name(".note.procsys").expect("the note");
    let (start, size) = note.file_range().expect("it has bytes");
    for at in start as usize..(start + size) as usize {
        for bit in 0..8 {
            let finding = one(&flipped(&file, at, bit), at);
            assert_eq!(finding.region, ".note.procsys, the note", "{at:#x}");
        }
    }
}

#[test]
fn detours_and_trampolines_are_named_by_site() {
    let place = Place::new();
    let (original, file) = patched(&place, "busybox-static", &[]);
    let elf = object::File::parse(&*file).expect("an ELF file");
    let text = elf.section_by_name(".text").and_then(|s| s.file_range()).expect(".text");
    let text = text.0 as usize..(text.0 + text.1) as usize;
    let detour = text.into_iter().find(|&at| original[at] != file[at]).expect("a detour");
    let trampolines = elf.section_by_name(".procsys.trampolines").and_then(|s| s.file_range());
    let trampoline = trampolines.expect("trampolines").0 as usize + 1;
    for (at, word) in [(detour + 1, "detour"), (trampoline, "trampoline")] {
        let finding = one(&flipped(&file, at, 2), at);
        let (site, function) = finding.site.clone().expect("a site");
        assert!(finding.message.contains(word), "{finding}");
        assert!(finding.message.contains(&format!("{site:#x} in {function}")), "{finding}");
        let [original, expected, actual] = finding.code.clone().expect("code");
        assert!(!original.is_empty() && !expected.is_empty(), "{finding}");
        assert_ne!(expected, actual);
    }
    assert!(file[detour] == 0xe9, "a detour starts with a jump");
}

#[test]
fn no_random_bit_flips_unseen() {
    const WROTE: usize = 2400;
    const KEPT: usize = 300;
    let place = Place::new();
    let (original, file) = patched(&place, "busybox-static", &[]);
    // All that procsys wrote or moved, then all that it left alone.
    let is_wrote = |at: &usize| original.get(*at) != file.get(*at);
    let (wrote, kept): (Vec<_>, Vec<_>) = (0..file.len()).partition(is_wrote);
    assert!(wrote.len() > 30_000 && kept.len() > 1_900_000);
    let mut random = Random::new(0x7072_6f63_7379_7301);
    let mut flips = Vec::new();
    for (from, count) in [(&wrote, WROTE), (&kept, KEPT)] {
        flips.extend((0..count).map(|_| (from[random.below(from.len())], random.below(8) as u32)));
    }
    let flips = Mutex::new(flips.into_iter());
    std::thread::scope(|scope| {
        let work = || {
            let mut file = file.clone();
            loop {
                let next = flips.lock().expect("no other test panics here").next();
                let Some((at, bit)) = next else { return };
                file[at] ^= 1 << bit;
                one(&file, at);
                file[at] ^= 1 << bit;
            }
        };
        scope.spawn(work);
        scope.spawn(work);
    });
}

#[test]
fn more_than_one_change_is_found_too() {
    let place = Place::new();
    let (_, file) = patched(&place, "busybox-static", &[]);
    let mut random = Random::new(0x0bad_cafe);
    for _ in 0..200 {
        let mut damaged = file.clone();
        for _ in 0..2 + random.below(20) {
            let at = random.below(file.len());
            damaged[at] ^= 1 << random.below(8);
        }
        if damaged != file {
            let verdict = verify(&damaged, None).unwrap_or_else(|e| panic!("{e}"));
            assert!(!verdict.findings.is_empty());
        }
    }
    for length in [file.len() - 1, file.len() - 4000, file.len() - 12_000] {
        let verdict = verify(&file[..length], None).expect("the note is still there");
        assert!(!verdict.findings.is_empty(), "cut to {length}");
    }
    let longer = [&file[..], b"more"].concat();
    let verdict = verify(&longer, None).expect("a patched file");
    assert_eq!(verdict.findings[0].place, Some(file.len()..file.len() + 4));
}

#[test]
fn what_this_tool_did_not_write_is_an_error() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let output = place.path("patched");
    success(&patch_to(&input, &output));
    let said = one_error(&patch(["verify".as_ref(), input.as_os_str()]));
    assert!(said.ends_with(": not patched by procsys-patch"), "{said}");

    let mut other = fs::read(output).expect("it was written");
    // What procsys wrote stands at the end, which a copy that was cut short lacks.
    let short = place.write("short", &other[..fs::metadata(&input).expect("built").len() as usize]);
    let out = place.path("out");
    let revert = ["revert".as_ref(), short.as_os_str(), "-o".as_ref(), out.as_os_str()];
    for command in [&["verify".as_ref(), short.as_os_str()][..], &revert] {
        let said = one_error(&patch(command));
        assert!(said.contains(": truncated ELF file: "), "{said}");
    }
    let version = format!("procsys-patch {}\n", env!("CARGO_PKG_VERSION"));
    let at = memchr::memmem::rfind(&other, version.as_bytes()).expect("the note") + 14;
    other[at] = b'7';
    let digits = memchr::memmem::rfind(&other, LOCATOR.as_bytes()).expect("it is there");
    let digits = digits + LOCATOR.len();
    other[digits..digits + LOCATOR_EMPTY.len()].copy_from_slice(LOCATOR_EMPTY.as_bytes());
    let mut pieces = Pieces::new(&[]);
    pieces.append(&other);
    locator::seal(&mut pieces, locator::Sums::default());
    let other = pieces.bytes();
    assert!(matches!(verify(&other, None), Err(Error::Input(_))));
    let other = place.write("other", &other);
    let said = one_error(&patch(["verify".as_ref(), other.as_os_str()]));
    assert!(said.contains(": patched by procsys-patch 7.1.0 with shim "), "{said}");
    assert!(said.contains("verify with the tool that wrote it"), "{said}");
}

#[test]
fn the_command_says_it_in_words_and_as_json() {
    let place = Place::new();
    let (original, file) = patched(&place, "busybox-static", &[]);
    let whole = place.path("busybox-static");
    let input = fixture("busybox-static");
    let run = |file: &Path, more: &[&str]| {
        let arguments = ["verify".as_ref(), file.as_os_str()];
        patch(arguments.into_iter().chain(more.iter().map(|m| m.as_ref())))
    };
    let said = success(&run(&whole, &["--original", input.to_str().expect("UTF-8")]));
    assert!(said.contains(": verified\n") && said.contains("sites     284"), "{said}");

    let damaged = place.write("damaged", &flipped(&file, file.len() - 7000, 0));
    let result = run(&damaged, &["--json"]);
    assert_eq!(result.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&result.stdout).expect("JSON");
    assert_eq!(report["verified"], false);
    let finding = &report["findings"][0];
    assert_eq!(finding["offset"], file.len() - 7000);
    assert_eq!(finding["length"], 1);
    let docs = include_str!("../../docs/cli.md");
    for object in [&report, finding] {
        for key in object.as_object().expect("an object").keys() {
            assert!(docs.contains(&format!("`{key}`")), "docs/cli.md does not explain `{key}`");
        }
    }

    let other = place.write("other", &flipped(&original, 0x1c_0000, 0));
    let result = run(&whole, &["--original", other.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&result.stdout);
    assert_eq!(result.status.code(), Some(1));
    assert!(said.contains("0x1c0000 (.rodata): the file given as original differs here"), "{said}");
}
