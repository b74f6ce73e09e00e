//! Several inputs at once, and directories.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::*;

fn many(inputs: &[&Path], output: &Path, more: &[&str]) -> Output {
    let mut arguments: Vec<_> = inputs.iter().map(|i| i.as_os_str()).collect();
    arguments.extend(["-o".as_ref(), output.as_os_str()]);
    arguments.extend(more.iter().map(|m| std::ffi::OsStr::new(*m)));
    patch(arguments)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// A directory with programs of several kinds, and what is none.
fn tree(place: &Place) -> PathBuf {
    let tree = place.path("tree");
    fs::create_dir_all(tree.join("sub/deep")).expect("the test's directory is writable");
    for (name, source, flags) in [
        ("tree/bare", HELLO, BARE),
        ("tree/sub/glibc", HELLO_C, &["-static"]),
        ("tree/sub/deep/pie", HELLO_C, &["-static-pie"]),
    ] {
        place.compile(name, source, flags);
    }
    place.write("tree/script", b"#!/bin/sh\n");
    place.write("tree/sub/empty", b"");
    symlink("bare", tree.join("link")).expect("the test's directory is writable");
    tree
}

/// All files below a directory, by their names in it.
fn files(top: &Path) -> Vec<String> {
    let found = Command::new("find").arg(".").args(["-type", "f"]).current_dir(top).output();
    let mut names: Vec<String> =
        text(&found.expect("findutils").stdout).lines().map(|l| l[2..].to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_directory_is_patched_as_each_of_its_files_is() {
    let place = Place::new();
    let tree = tree(&place);
    let output = place.path("new/output");
    let said = success(&many(&[&tree], &output, &[]));
    assert!(said.contains("\n3 patched, 0 failed, 3 left out; "), "{said}");
    let names = ["bare", "sub/deep/pie", "sub/glibc"];
    assert_eq!(files(&output), names);
    for name in names {
        let single = place.path("single");
        success(&patch_to(&tree.join(name), &single));
        assert_eq!(fs::read(output.join(name)).ok(), fs::read(single).ok(), "{name}");
        assert_eq!(run(&output.join(name)), run(&tree.join(name)), "{name}");
    }
}

#[test]
fn one_that_fails_is_named_and_the_others_are_written() {
    let place = Place::new();
    let tree = tree(&place);
    let dynamic = place.compile("tree/sub/dynamic", HELLO_C, &[]);
    let output = place.path("output");
    let result = many(&[&tree], &output, &[]);
    assert_eq!(result.status.code(), Some(2));
    assert!(text(&result.stdout).contains("\n3 patched, 1 failed, 3 left out; "));
    let error = text(&result.stderr);
    assert!(error.starts_with(&format!("procsys-patch: {}: dynamic ", dynamic.display())));
    assert_eq!(error.matches('\n').count(), 1, "{error}");
    assert_eq!(files(&output), ["bare", "sub/deep/pie", "sub/glibc"]);

    let result = many(&[&tree], &output, &["--json"]);
    let report: Value = serde_json::from_slice(&result.stdout).expect("JSON");
    assert_eq!((&report["patched"], &report["failed"]), (&3.into(), &1.into()));
    let listed = report["files"].as_array().expect("a list");
    let failed: Vec<_> = listed.iter().filter(|f| f["report"].is_null()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["error"]["kind"], "input");
    assert_eq!(failed[0]["input"], dynamic.to_str().expect("UTF-8"));
    assert_eq!(report["skipped"].as_array().map(Vec::len), Some(3));
    let docs = include_str!("../../docs/cli.md");
    for object in [&report, failed[0], &report["skipped"][0]] {
        for key in object.as_object().expect("an object").keys() {
            assert!(docs.contains(&format!("`{key}`")), "docs/cli.md does not explain `{key}`");
        }
    }
}

#[test]
fn nothing_is_left_where_nothing_could_be_patched() {
    let place = Place::new();
    fs::create_dir_all(place.path("tree/sub")).expect("the test's directory is writable");
    place.compile("tree/sub/dynamic", HELLO_C, &[]);
    let result = many(&[&place.path("tree")], &place.path("output"), &[]);
    assert_eq!(result.status.code(), Some(2));
    assert_eq!(place.names(), ["tree"]);
    place.compile("tree/good", HELLO, BARE);
    let tree = place.path("tree");
    let run = patch([tree.as_os_str(), "--dry-run".as_ref()]);
    assert!(text(&run.stdout).contains("dry run, nothing written"), "{}", text(&run.stdout));
    assert_eq!(place.names(), ["tree"]);
}

#[test]
fn what_has_no_one_meaning_is_refused_before_anything_is_written() {
    let place = Place::new();
    let tree = tree(&place);
    let (bare, copy) = (tree.join("bare"), tree.join("sub/bare"));
    fs::copy(&bare, &copy).expect("the test's directory is writable");
    let before = files(&tree);
    let output = place.path("output");
    let cases: [(&[&Path], PathBuf, &str); 6] = [
        (&[&bare, &copy], output.clone(), "output of both"),
        (&[&tree], tree.clone(), "output lies in input"),
        (&[&tree], tree.join("new/deep"), "output lies in input"),
        (&[&tree], tree.join("sub/../new"), "output lies in input"),
        (&[&bare, &place.path("missing")], output.clone(), "missing: no such file"),
        (&[&tree, &bare], bare.clone(), "not a directory"),
    ];
    for (inputs, output, why) in &cases {
        let said = one_error(&many(inputs, output, &[]));
        assert!(said.contains(why), "{said}");
    }
    fs::create_dir(place.path("empty")).expect("the test's directory is writable");
    let said = one_error(&many(&[&place.path("empty")], &output, &[]));
    assert!(said.contains("a directory without ELF files"), "{said}");
    assert_eq!(files(&tree), before);
    assert_eq!(place.names(), ["empty", "tree"]);
}

/// The progress goes to a terminal, and to nothing else.
#[test]
fn progress_is_shown_on_a_terminal_only() {
    let place = Place::new();
    let tree = tree(&place);
    let output = place.path("output");
    let result = many(&[&tree], &output, &[]);
    assert!(result.stderr.is_empty(), "{}", text(&result.stderr));
    let line = format!("{PATCHER} {} -o {}", tree.display(), output.display());
    let script = Command::new("script").args(["-qec", &line, "/dev/null"]).output();
    let script = script.expect("script is installed (bsdutils)");
    let shown = String::from_utf8_lossy(&script.stdout);
    assert!(shown.contains("1/3 ") && shown.contains("3/3 "), "{shown}");
    assert!(shown.contains("3 patched, 0 failed"), "{shown}");
}
