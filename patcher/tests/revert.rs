//! `procsys-patch revert`, and patching what is patched already.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use procsys_patcher::emit::note::{digest, hex};
use serde_json::Value;
use support::*;

fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fixtures").join(name);
    assert!(path.exists(), "fixture {} is missing: run `make fixtures`", path.display());
    path
}

fn patch_with(input: &Path, output: &Path, options: &[&str]) -> String {
    let arguments = [input.as_os_str(), "-o".as_ref(), output.as_os_str()];
    success(&patch(arguments.into_iter().chain(options.iter().map(|o| o.as_ref()))))
}

fn revert_to(input: &Path, output: &Path) -> std::process::Output {
    patch(["revert".as_ref(), input.as_os_str(), "-o".as_ref(), output.as_os_str()])
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

const OTHER: &[&str] = &["--redirect", "/proc/sys=/run/sys", "--emulate", "/proc/x=1"];

#[test]
fn the_original_comes_back_and_rules_are_replaced() {
    let place = Place::new();
    let hello = place.compile("hello", HELLO, BARE);
    let pie = place.compile("pie", HELLO_C, &["-static-pie"]);
    let names = ["busybox-static", "bash-static", "runc-1.1.15", "runc-1.3.6", "runsc-20221219"];
    for input in names.map(fixture).into_iter().chain([hello, pie]) {
        let original = bytes(&input);
        let (first, second, again, back) =
            (place.path("a"), place.path("b"), place.path("c"), place.path("d"));
        patch_with(&input, &first, &[]);
        patch_with(&input, &second, OTHER);
        assert_ne!(bytes(&first), bytes(&second));
        for patched in [&first, &second] {
            success(&revert_to(patched, &back));
            assert!(bytes(&back) == original, "{} does not come back", input.display());
        }
        let said = patch_with(&first, &again, OTHER);
        assert!(said.contains("was patched"), "{said}");
        assert!(bytes(&again) == bytes(&second), "{}: other rules", input.display());
        patch_with(&first, &again, &[]);
        assert!(bytes(&again) == bytes(&first), "{}: the same rules", input.display());
    }
}

#[test]
fn mode_is_kept_and_the_report_has_the_digest() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let (patched, back) = (place.path("patched"), place.path("back"));
    patch_with(&input, &patched, &[]);
    fs::set_permissions(&patched, fs::Permissions::from_mode(0o710)).expect("it is ours");
    let back_text = back.to_str().expect("UTF-8");
    let reverted = patch(["revert", patched.to_str().expect("UTF-8"), "-o", back_text, "--json"]);
    let report: Value = serde_json::from_str(&success(&reverted)).expect("JSON");
    assert_eq!(fs::metadata(&back).expect("written").mode() & 0o7777, 0o710);
    assert_eq!(report["output_sha256"], hex(&digest(&bytes(&input))));
    assert_eq!(report["output_bytes"], bytes(&input).len());
    let docs = include_str!("../../docs/cli.md");
    for key in report.as_object().expect("an object").keys() {
        assert!(docs.contains(&format!("`{key}`")), "docs/cli.md does not explain `{key}`");
    }
    assert_eq!(run(&back), run(&input));
}

#[test]
fn what_does_not_come_back_whole_is_refused() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let patched = place.path("patched");
    patch_with(&input, &patched, &[]);
    let out = place.write("out", b"old");
    let refused = |file: &Path, why: &str| {
        let said = one_error(&revert_to(file, &out));
        assert!(said.contains(why), "{said}");
        assert_eq!(bytes(&out), b"old", "an error leaves what was there");
    };
    refused(&input, "not patched by procsys-patch");
    refused(&place.path("missing"), "missing: no such file");

    // A byte that procsys kept for undoing, and one that it never touched.
    let whole = bytes(&patched);
    let hello = memchr::memmem::find(&whole, b"hello\n").expect("its text");
    let undo = section(&whole, ".procsys.undo");
    for at in [hello, undo.start + 13, undo.end - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        let damaged = place.write("damaged", &damaged);
        refused(&damaged, "patched, and damaged since: ");
        let said = one_error(&patch_to(&damaged, &out));
        assert!(said.contains("patched, and damaged since: "), "{said}");
        assert_eq!(bytes(&out), b"old");
    }
    let same = one_error(&revert_to(&patched, &patched));
    assert!(same.contains("output equals input"), "{same}");
    let names = place.names();
    assert!(names.iter().all(|name| !name.starts_with(".procsys-")), "{names:?}");
}

fn section(file: &[u8], name: &str) -> std::ops::Range<usize> {
    procsys_patcher::patched::read::section(file, name).expect("the section is there")
}

/// An installer, say, that holds a patched runc: the note in it is another file's.
#[test]
fn a_file_that_carries_a_patched_one_is_not_patched() {
    let place = Place::new();
    let hello = place.compile("hello", HELLO, BARE);
    let (patched, output) = (place.path("patched"), place.path("output"));
    patch_with(&hello, &patched, &[]);
    let carried = format!("{HELLO}\n    .section .rodata\n    .incbin \"{}\"\n", patched.display());
    let carrier = place.compile("carrier", &carried, BARE);
    for command in ["revert", "verify"] {
        let output = [OsStr::new("-o"), output.as_os_str()];
        let more = output.into_iter().filter(|_| command == "revert");
        let error =
            one_error(&patch([OsStr::new(command), carrier.as_os_str()].into_iter().chain(more)));
        assert!(error.contains("not patched by procsys-patch"), "{command}: {error}");
    }
    let said = success(&patch(["inspect".as_ref(), carrier.as_os_str(), "--json".as_ref()]));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert!(said["patched"].is_null(), "{said:#}");
    // Patched itself, it comes back whole.
    patch_with(&carrier, &output, &[]);
    let back = place.path("back");
    success(&revert_to(&output, &back));
    assert!(bytes(&back) == bytes(&carrier));
}
