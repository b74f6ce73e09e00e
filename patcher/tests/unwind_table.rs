//! The table by which a program's unwinder finds trampolines: what is in it, and
//! whether the check before the output is put in place looks at it.

mod support;

use std::fs;
use std::path::Path;

use object::LittleEndian as LE;
use object::elf::PT_GNU_EH_FRAME;
use procsys_patcher::Error;
use procsys_patcher::elf::Image;
use procsys_patcher::elf::unwind::Search;
use procsys_patcher::patch::{Options, derive, transform};
use procsys_patcher::rules::{Choice, Set, gather};
use procsys_rules::Table;
use support::*;

fn set() -> Set {
    gather(&Choice::default()).expect("the default profile")
}

fn entries(bytes: &[u8]) -> Option<Vec<(u64, u64)>> {
    let image = Image::parse(bytes).expect("an executable");
    Search::read(&image).map(|search| search.entries().collect())
}

/// The table's place in the file.
fn place(bytes: &[u8]) -> Option<(usize, usize)> {
    let image = Image::parse(bytes).expect("an executable");
    let named = image.segments.iter().find(|s| s.p_type.get(LE) == PT_GNU_EH_FRAME)?;
    Some((named.p_offset.get(LE) as usize, named.p_filesz.get(LE) as usize))
}

#[test]
fn the_table_holds_the_originals_entries_and_the_trampolines() {
    let directory = Place::new();
    for (name, flags) in [
        ("pie", &["-static-pie"][..]),
        ("table", &["-static", "-Wl,--eh-frame-hdr"]),
        ("registered", &["-static"]),
    ] {
        let original = fs::read(directory.compile(name, HELLO_C, flags)).expect("built above");
        let patched = transform(&original, &set(), &Options::default()).expect("it can be").1;
        let old = entries(&original).unwrap_or_default();
        assert_eq!(old.is_empty(), name == "registered", "{name}");
        let new = entries(&patched).unwrap_or_else(|| panic!("{name}: no table"));
        let (kept, own) = new.split_at(old.len());
        assert_eq!(kept, old, "{name}");
        assert!(!own.is_empty() && own.is_sorted(), "{name}: {own:x?}");
        // What is added is small beside eight bytes for each of the original's.
        let (_, len) = place(&patched).expect("it was read above");
        assert!(len < 12 + 8 * (old.len() + 100), "{name}: {len} bytes");
    }
}

#[test]
fn a_program_without_unwind_information_gets_none() {
    let directory = Place::new();
    let bare = fs::read(directory.compile("bare", HELLO, BARE)).expect("built above");
    let runc = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fixtures/runc-current");
    let runc = fs::read(runc).expect("make fixtures");
    for (original, has_table) in [(bare, false), (runc, true)] {
        let patched = transform(&original, &set(), &Options::default()).expect("it can be").1;
        assert_eq!(place(&original).is_some(), has_table);
        // Go's stays where it is.
        assert_eq!(place(&patched), place(&original));
    }
}

/// Each kind of damage between what was meant and what is in the file is an error.
#[test]
fn a_wrong_table_does_not_pass_the_check() {
    let directory = Place::new();
    let original = fs::read(directory.compile("pie", HELLO_C, &["-static-pie"])).expect("built");
    let set = set();
    let table = Table::new(&set.table).expect("compiled rules");
    let meant = transform(&original, &set, &Options::default()).expect("it can be patched").1;
    let (at, len) = place(&meant).expect("a table");
    let old = entries(&original).expect("a table").len();
    let own = at + 12 + 8 * old;
    // The FDE of the first own entry: its distance from the table.
    let distance = i32::from_le_bytes(meant[own + 4..own + 8].try_into().expect("four bytes"));
    let frame = at.checked_add_signed(distance as isize).expect("it is in the file");
    for (name, at, said) in [
        ("nothing", None, ""),
        ("how it is written", Some(at + 3), "lost an entry"),
        ("the count", Some(at + 8), ""),
        ("an old function", Some(at + 12), "lost an entry"),
        ("what describes an old one", Some(at + 12 + 4), "lost an entry"),
        ("the last old one", Some(own - 8), "lost an entry"),
        ("an own function", Some(own), "is not that of"),
        ("what describes an own one", Some(own + 4), ""),
        ("the last byte", Some(at + len - 1), ""),
        ("an own function's start, there", Some(frame + 8), "is not that of"),
    ] {
        let written = derive(
            &original,
            table,
            &Options::default(),
            |pieces| {
                let mut bytes = pieces.bytes();
                if let Some(at) = at {
                    bytes[at] ^= 0x10;
                }
                Ok(bytes)
            },
            |_| (),
        );
        match (at, written) {
            (None, result) => assert!(result.is_ok(), "{name}"),
            (Some(_), Err(Error::Verify(why))) => {
                println!("{name}: {why}");
                assert!(why.contains(said), "{name}: {why}");
            }
            (Some(_), other) => panic!("{name}: {:?}", other.map(|_| ())),
        }
    }
}
