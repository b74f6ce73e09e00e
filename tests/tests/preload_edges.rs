//! The edges of what libc and the kernel say of paths: as long as they may be, from
//! outside of the root, into a buffer that is too small. Beside redirects as without.

use std::fs;
use std::process::Command;

use procsys_tests::native::Folder;
use procsys_tests::patch;
use procsys_tests::preload::{compile, finish, library, preloaded_by, source, table_of, whole};

/// Longer than what takes its place: a path that is too long does not become one that fits.
const PREFIX: &str = "/procsys-a-prefix-that-is-longer-than-the-folder-that-takes-its-place-wherever-\
                      temporary-files-are-kept-on-this-machine-or-on-any-other-one";

#[test]
fn paths_at_their_longest_and_out_of_reach() {
    let folder = Folder::new("preload-edges");
    let folder = folder.path();
    fs::write(folder.join("file"), "").expect("the temporary directory is writable");
    assert!(folder.as_os_str().len() < PREFIX.len(), "{}", folder.display());
    let redirect = format!("{PREFIX}={}", folder.display());
    let table = table_of(folder, &["--redirect", &redirect]);
    let (dynamic, fixed) = (folder.join("dynamic"), folder.join("static"));
    compile("gcc", &["-O1", "-w"], &source("edges.c"), &dynamic);
    compile("gcc", &["-O1", "-w", "-static"], &source("edges.c"), &fixed);

    let mut stock = Command::new(&dynamic);
    let stock = finish({
        stock.arg(folder);
        stock
    });
    assert!(stock.success() && stock.stdout.contains("4095 bytes: there"), "{stock}");
    assert!(stock.stdout.contains("4096 bytes: File name too long"), "{stock}");
    assert!(stock.stdout.contains("realpath of .: No such file or directory"), "{stock}");
    for library in [library(), whole()] {
        let mut command = preloaded_by(&library, &dynamic, &table);
        command.arg(PREFIX);
        let outcome = finish(command);
        assert_eq!(outcome.stdout, stock.stdout, "{}: {outcome}", library.display());
    }
    let patched = folder.join("patched");
    patch(&fixed, &patched, &["--redirect", &redirect]);
    let mut command = Command::new(patched);
    command.arg(PREFIX);
    let outcome = finish(command);
    assert_eq!(outcome.stdout, stock.stdout, "door 2: {outcome}");

    // glibc's check of -D_FORTIFY_SOURCE ends the program.
    for library in [library(), whole()] {
        let mut command = preloaded_by(&library, &dynamic, &table);
        command.args([PREFIX, "small"]);
        let outcome = finish(command);
        assert!(!outcome.success() && outcome.stderr.contains("buffer overflow"), "{outcome}");
    }
}
