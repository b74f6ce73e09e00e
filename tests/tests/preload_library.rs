//! The library as a file: its size, what it needs, what it exports.

use std::path::Path;
use std::process::Command;

use procsys_tests::preload::{library, whole};
use procsys_tests::root;

/// 64 KiB.
const LARGEST: u64 = 65_536;

fn readelf(library: &Path, option: &str) -> String {
    let output = Command::new("readelf").args([option, "-W"]).arg(library).output();
    let output = output.expect("readelf (binutils) is installed");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn is_small_and_needs_libc_alone() {
    let size = std::fs::metadata(library()).expect("it is there").len();
    println!("libprocsys.so: {size} bytes");
    assert!(size <= LARGEST, "{size} bytes");
    for library in [library(), whole()] {
        let dynamic = readelf(&library, "-d");
        let needed: Vec<&str> = dynamic.lines().filter(|l| l.contains("(NEEDED)")).collect();
        assert!(matches!(needed[..], [one] if one.ends_with("[libc.so.6]")), "{needed:?}");
        assert!(!dynamic.contains("TEXTREL"), "{dynamic}");
        let segments = readelf(&library, "-l");
        let is_both = |line: &str| line.contains("LOAD") && line.contains("RWE");
        assert!(!segments.lines().any(is_both), "{segments}");
    }
}

/// It loads where glibc is 2.31: no symbol of a later version is needed.
#[test]
fn needs_no_recent_glibc() {
    let symbols = readelf(&library(), "--dyn-syms") + &readelf(&whole(), "--dyn-syms");
    for line in symbols.lines().filter(|l| l.contains(" UND ")) {
        let Some((_, version)) = line.split_once("@GLIBC_2.") else { continue };
        let minor = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        assert!(minor.parse::<u32>().is_ok_and(|minor| minor <= 31), "{line}");
    }
}

/// The library counts its own symbols by the table that follows them (`next.rs`).
#[test]
fn the_versions_follow_the_symbols() {
    for library in [library(), whole()] {
        let dynamic = readelf(&library, "-d");
        let address = |tag: &str| {
            let line = dynamic.lines().find(|line| line.contains(tag)).expect(tag);
            let word = line.split_whitespace().last().and_then(|word| word.strip_prefix("0x"));
            u64::from_str_radix(word.expect("an address"), 16).expect("a number")
        };
        let symbols = readelf(&library, "--dyn-syms");
        let count = symbols.lines().filter(|l| l.contains(" DEFAULT ")).count() as u64;
        assert_eq!(address("(VERSYM)") - address("(SYMTAB)"), count * 24, "{}", library.display());
    }
}

/// What is exported is what `preload/exports.txt` lists, and for the whole library
/// `preload/exports-whole.txt`; UPDATE_EXPORTS=1 writes them anew.
#[test]
fn exports_what_is_listed() {
    for (library, list) in [(library(), "exports.txt"), (whole(), "exports-whole.txt")] {
        let symbols = readelf(&library, "--dyn-syms");
        let mut names: Vec<&str> = symbols
            .lines()
            .filter(|l| l.contains(" GLOBAL ") && !l.contains(" UND "))
            .filter_map(|l| l.split_whitespace().nth(7))
            .collect();
        names.sort_unstable();
        let text = names.join("\n") + "\n";
        let path = root().join("preload").join(list);
        if std::env::var_os("UPDATE_EXPORTS").is_some_and(|v| v == "1") {
            std::fs::write(&path, &text).expect("the checkout is writable");
        }
        let listed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, listed, "preload/{list} is not what {} exports", library.display());
    }
}
