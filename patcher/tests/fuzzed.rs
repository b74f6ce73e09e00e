//! What fuzzing found (docs/fuzzing.md), one test each; damaged rules are in
//! rules/tests/errors.rs, code that takes too long in tests/sites.

mod support;

use std::fs;

use procsys_patcher::elf::Image;
use procsys_patcher::emit::note;
use procsys_patcher::go::Functab;
use procsys_patcher::patched::{read, verify::verify};
use support::*;

fn patched(place: &Place) -> Vec<u8> {
    let (input, output) = (place.compile("bare", HELLO, BARE), place.path("output"));
    success(&patch_to(&input, &output));
    fs::read(output).expect("it was written")
}

/// Two damaged words of the note's head: it was no note of procsys any more, and
/// a file without one passed.
#[test]
fn a_note_with_another_owner_is_a_finding() {
    let place = Place::new();
    let whole = patched(&place);
    let text = read::note_text(&whole).expect("it is patched");
    let owner = text.start - note::OWNER.len();
    for damaged in [owner..owner + 8, owner - 4..owner + 4] {
        let mut bytes = whole.clone();
        bytes[damaged].fill(0x7f);
        let verdict = verify(&bytes, None).expect("its section is there");
        assert!(!verdict.findings.is_empty(), "a damaged note passed");
        let file = place.write("damaged", &bytes);
        let run = patch(["verify".as_ref(), file.as_os_str()]);
        assert_eq!(run.status.code(), Some(1), "{}", String::from_utf8_lossy(&run.stdout));
    }
}

/// A Go table whose text starts near the end of the address space: the address of
/// a function wrapped around.
#[test]
fn a_go_table_that_wraps_around_is_none() {
    let place = Place::new();
    let words: [u64; 8] = [1, 1, u64::MAX - 4, 72, 72, 72, 72, 72];
    let words = words.map(|word| word.to_string()).join(", ");
    let table = format!(
        "    .section .rodata\n    .balign 16\n    .long 0xfffffff1\n    .byte 0, 0, 1, 8\n    .quad {words}\n    .long 0, 8, 5, 0, 0\n"
    );
    let file = place.compile("go", &format!("{HELLO}{table}"), BARE);
    // With the section .text it would be known where the text starts.
    let bytes = elf::without_sections(&fs::read(file).expect("built above"));
    assert!(Functab::find(&Image::parse(&bytes).expect("it is whole")).is_none());
}
