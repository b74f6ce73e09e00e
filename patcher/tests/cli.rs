//! Bad input and bad wishes: each is one line and exit code 2, with no output
//! file, no temporary file, and an output that was there before untouched.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use support::elf::{self, with};
use support::*;

/// Runs on bytes, and sees that nothing is left behind, with and without an old output.
fn refused(bytes: &[u8]) -> String {
    let place = Place::new();
    let (input, output) = (place.write("input", bytes), place.path("output"));
    let message = one_error(&patch_to(&input, &output));
    assert_eq!(place.names(), ["input"], "{message}");
    place.write("output", b"old");
    assert_eq!(one_error(&patch_to(&input, &output)), message);
    assert_eq!(fs::read(&output).expect("it was there"), b"old");
    assert_eq!(place.names(), ["input", "output"]);
    assert!(message.starts_with(&input.display().to_string()), "{message}");
    message.replace(&input.display().to_string(), "input")
}

fn hello() -> Vec<u8> {
    let place = Place::new();
    fs::read(place.compile("hello", HELLO, BARE)).expect("it was built")
}

#[test]
fn not_what_can_be_patched() {
    let good = hello();
    for (bytes, message) in [
        (b"".to_vec(), "input: not an ELF file"),
        (b"#!/bin/sh\necho hello\n".to_vec(), "input: not an ELF file"),
        (vec![0; 4096], "input: not an ELF file"),
        (with(&good, &[(elf::CLASS, &[1])]), "input: 32-bit ELF file: expected 64-bit x86-64"),
        (with(&good, &[(elf::DATA, &[2])]), "input: big-endian ELF file: expected x86-64"),
        (with(&good, &[(elf::MACHINE, &[183, 0])]), "input: ELF file for arm64: expected x86-64"),
        (with(&good, &[(elf::MACHINE, &[243, 0])]), "input: ELF machine 243: expected x86-64 (62)"),
        (with(&good, &[(elf::TYPE, &[1, 0])]), "input: ELF type 1: expected an executable"),
        (with(&good, &[(elf::TYPE, &[4, 0])]), "input: ELF type 4: expected an executable"),
        (with(&good, &[(elf::TYPE, &[3, 0])]), "input: shared library: expected an executable"),
    ] {
        assert_eq!(refused(&bytes), message);
    }
}

/// A dynamic executable is told which door fits it.
#[test]
fn dynamic_executables_and_libraries() {
    let place = Place::new();
    let dynamic = fs::read(place.compile("dynamic", HELLO_C, &[])).expect("it was built");
    let message = refused(&dynamic);
    assert!(
        message.contains("without system calls of its own: use LD_PRELOAD=libprocsys.so"),
        "{message}"
    );
    let library = "int main(void) { return 0; }";
    let library = place.compile("library.so", library, &["-shared", "-fPIC"]);
    let message = refused(&fs::read(library).expect("it was built"));
    assert_eq!(message, "input: shared library: expected an executable");
}

/// UPX leaves its mark behind the program headers, four bytes on: its files read as
/// libraries, or as code that can't be decoded.
#[test]
fn packed_by_upx() {
    let place = Place::new();
    let good = hello();
    let headers = elf::program_headers(&good);
    let behind = headers.last().expect("there are some") + 56;
    let packed = with(&good, &[(behind + 4, b"UPX!"), (elf::TYPE, &[3, 0])]);
    let why = "packed by UPX: its code is compressed; `upx -d` unpacks it";
    assert_eq!(refused(&packed), format!("input: {why}"));
    let file = place.write("packed", &packed);
    let said = one_error(&patch(["inspect".as_ref(), file.as_os_str()]));
    assert_eq!(said, format!("{}: {why}", file.display()));
}

/// Cut anywhere, a file is refused, with the word for it.
#[test]
fn truncated() {
    let good = hello();
    let mut lengths: Vec<usize> = (1..64).step_by(7).collect();
    lengths.extend((64..good.len()).step_by(good.len() / 40));
    lengths.push(good.len() - 1);
    for len in lengths {
        let message = refused(&good[..len]);
        let words = if len < 4 { "not an ELF file" } else { "truncated ELF file" };
        assert!(message.contains(words), "{len} bytes: {message}");
    }
}

#[test]
fn damaged_headers() {
    let good = hello();
    let loads = elf::loads(&good);
    let [first, second, .., last] = loads[..] else { panic!("{loads:?}") };
    for (what, changes) in [
        ("program headers past the end", vec![(elf::PHOFF, [0xff; 8])]),
        ("an address that wraps", vec![(last + elf::P_VADDR, [0xff; 8])]),
        ("a size that wraps", vec![(last + elf::P_MEMSZ, [0xff; 8])]),
        ("more in the file than in memory", vec![(last + elf::P_MEMSZ, [0; 8])]),
        (
            "an offset past the end",
            vec![(first + elf::P_OFFSET, 1u64.rotate_right(2).to_le_bytes())],
        ),
        ("segments out of order", vec![(second + elf::P_VADDR, [0; 8])]),
        ("section headers past the end", vec![(elf::SHOFF, [0x7f; 8])]),
    ] {
        let changes: Vec<_> = changes.iter().map(|(at, new)| (*at, &new[..])).collect();
        let message = refused(&with(&good, &changes));
        assert!(message.len() > "input: ".len(), "{what}: {message}");
    }
    let none: Vec<_> = loads.iter().map(|&h| (h, &[0u8; 4][..])).collect();
    assert_eq!(refused(&with(&good, &none)), "input: ELF file without a loadable segment");
}

#[test]
fn writable_code() {
    let good = hello();
    for load in elf::loads(&good) {
        let message = refused(&with(&good, &[(load + elf::P_FLAGS, &[7])]));
        assert!(message.ends_with("is writable and executable"), "{message}");
    }
}

#[test]
fn inputs_that_are_no_files() {
    let place = Place::new();
    let output = place.path("output");
    let missing = place.path("missing");
    let message = one_error(&patch_to(&missing, &output));
    assert_eq!(message, format!("{}: no such file or directory", missing.display()));
    let directory = place.path("directory");
    fs::create_dir(&directory).expect("the test's directory is writable");
    let message = one_error(&patch_to(&directory, &output));
    assert!(message.contains("not a regular file"), "{message}");
    let loop_ = place.path("loop");
    symlink(&loop_, &loop_).expect("the test's directory is writable");
    one_error(&patch_to(&loop_, &output));
    assert_eq!(place.names(), ["directory", "loop"]);
}

/// Opening a FIFO to read waits for a writer: an input is looked at first.
#[test]
fn a_fifo_is_refused_at_once() {
    let place = Place::new();
    let fifo = place.path("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("coreutils are installed");
    assert!(made.success());
    let mut run = Command::new("timeout");
    run.args(["-k", "1", "5", PATCHER]).args([&fifo]).arg("-o").arg(place.path("output"));
    let message = one_error(&run.output().expect("coreutils are installed"));
    assert!(message.contains("not a regular file"), "{message}");
}

#[test]
fn output_equals_input() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let before = fs::read(&input).expect("it was built");
    let (hard, soft) = (place.path("hard"), place.path("soft"));
    fs::hard_link(&input, &hard).expect("the test's directory is writable");
    symlink(&input, &soft).expect("the test's directory is writable");
    let dotted = place.path("./hello");
    for (from, to) in [
        (&input, &input),
        (&input, &hard),
        (&hard, &input),
        (&input, &soft),
        (&soft, &input),
        (&input, &dotted),
    ] {
        let message = one_error(&patch_to(from, to));
        assert!(message.contains("output equals input"), "{message}");
    }
    assert_eq!(fs::read(&input).expect("it is there"), before);
    assert_eq!(place.names(), ["hard", "hello", "soft"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let message = one_error(&patch_to(&input, &place.path("no/such/output")));
    assert!(message.ends_with("no such file or directory"), "{message}");
    let directory = place.path("directory");
    fs::create_dir(&directory).expect("the test's directory is writable");
    let message = one_error(&patch_to(&input, &directory));
    assert!(message.ends_with("is a directory"), "{message}");
    assert!(fs::read_dir(&directory).expect("it is there").next().is_none());
    let message = one_error(&patch_to(&input, Path::new("/proc/procsys-output")));
    assert!(message.starts_with("/proc/procsys-output: "), "{message}");
    assert_eq!(place.names(), ["directory", "hello"]);
}

/// A device or a FIFO would be replaced by a file: nobody means that.
#[test]
fn outputs_that_are_no_files_stay() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let fifo = place.path("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("coreutils are installed");
    assert!(made.success());
    one_error(&patch_to(&input, &fifo));
    assert!(!fs::metadata(&fifo).expect("it is there").is_file(), "the FIFO was replaced");
    assert_eq!(place.names(), ["fifo", "hello"]);
}

/// Without rights: as nobody, since root has them all.
#[test]
fn without_rights() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let patcher = place.path("procsys-patch");
    fs::copy(PATCHER, &patcher).expect("the command was built");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is the test's own");
    };
    mode(patcher.parent().expect("in a directory"), 0o755);
    let as_nobody = |input: &Path, output: &Path| -> Output {
        let mut run = Command::new(&patcher);
        run.arg(input).arg("-o").arg(output);
        if fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0) {
            run.uid(65534).gid(65534);
        }
        run.output().expect("it can be run")
    };
    let closed = place.path("closed");
    fs::create_dir(&closed).expect("the test's directory is writable");
    fs::write(closed.join("old"), b"old").expect("root may");
    mode(&closed, 0o555);
    for output in ["new", "old"] {
        let message = one_error(&as_nobody(&input, &closed.join(output)));
        assert!(message.ends_with("permission denied"), "{message}");
    }
    assert_eq!(fs::read(closed.join("old")).expect("it is there"), b"old");
    assert_eq!(fs::read_dir(&closed).expect("it is there").count(), 1);
    mode(&input, 0o000);
    let open = place.path("open");
    fs::create_dir(&open).expect("the test's directory is writable");
    mode(&open, 0o777);
    let message = one_error(&as_nobody(&input, &open.join("output")));
    assert!(message.ends_with("hello: permission denied"), "{message}");
    assert_eq!(fs::read_dir(&open).expect("it is there").count(), 0);
}

/// A full disk: in a mount namespace of its own, where that is allowed.
#[test]
fn no_space_left() {
    let place = Place::new();
    let input = place.compile("hello", HELLO_C, &["-static"]);
    let disk = place.path("disk");
    fs::create_dir(&disk).expect("the test's directory is writable");
    let script = "mount -t tmpfs -o size=256k none \"$2\" || exit 77
        echo old > \"$2/output\"
        \"$1\" \"$3\" -o \"$2/output\"; code=$?
        ls -A \"$2\" >&2; cat \"$2/output\" >&2; exit $code";
    let mut run = Command::new("unshare");
    run.args(["-m", "sh", "-c", script, "sh", PATCHER]).args([&disk, &input]);
    let run = run.output().expect("util-linux is installed");
    let error = String::from_utf8_lossy(&run.stderr);
    assert_ne!(run.status.code(), Some(77), "needs the right to mount: {error}");
    let lines: Vec<_> = error.lines().collect();
    let [message, "output", "old"] = lines[..] else { panic!("{error}") };
    assert!(message.contains("no space left on device"), "{message}");
    assert_eq!(run.status.code(), Some(2));
}

#[test]
fn bad_rules() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let file = place.write("bad.toml", b"\n[[rule]]\nname = \"a\"\naction = \"b\"\n");
    let same = place.write("same.toml", b"[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/a\"\nto = \"/b\"\n[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/c\"\nto = \"/b\"\n");
    let binary = place.write("binary.toml", &[0xff, 0xfe]);
    let shown = |p: &Path| p.display().to_string();
    let big = format!("/a={}", "x".repeat(70_000));
    let names = place.names();
    for (option, value, message) in [
        (
            "--rules",
            shown(&file),
            format!(
                "{}:4: action `b`: expected emulate, redirect, retry, ignore or report",
                shown(&file)
            ),
        ),
        (
            "--rules",
            shown(&same),
            format!("{}:6: rule `a` is already at {0}:1; expected another name", shown(&same)),
        ),
        (
            "--rules",
            shown(&binary),
            format!("{}: stream did not contain valid UTF-8", shown(&binary)),
        ),
        ("--profile", "nonsense".into(), "profile `nonsense`: expected one of gvisor".into()),
        ("--emulate", "/a".into(), "--emulate `/a`: expected PATH=VALUE".into()),
        ("--emulate", "a=b".into(), "--emulate `a=b`: expected an absolute path below /".into()),
        ("--emulate", big, "the rules take".into()),
        (
            "--redirect",
            "/a=b".into(),
            "--redirect `/a=b`: expected an absolute path below /".into(),
        ),
        ("--redirect", "/a=/a".into(), "--redirect `/a=/a`: expected two different paths".into()),
    ] {
        for more in [&["--dry-run"][..], &[]] {
            let mut run = Command::new(PATCHER);
            run.arg(&input).arg("-o").arg(place.path("output")).args([option, &value]).args(more);
            let run = run.output().expect("the command was built");
            let error = one_error(&run);
            assert!(error.starts_with(&message), "{option} {value}:\n{error}\n{message}");
        }
    }
    assert_eq!(place.names(), names);
}

#[test]
fn a_missing_rules_file_is_told_as_other_files_are() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let missing = place.path("missing.toml");
    let options = ["--dry-run".as_ref(), "--rules".as_ref(), missing.as_os_str()];
    let message = one_error(&patch([&[input.as_os_str()][..], &options].concat()));
    assert_eq!(message, format!("{}: no such file or directory", missing.display()));
}

/// Wrong use of the command itself is explained by the parser of arguments.
#[test]
fn wrong_use() {
    for arguments in [&[][..], &["x"], &["x", "-o"], &["x", "-o", "y", "z"], &["x", "--nonsense"]] {
        let run = patch(arguments);
        assert_eq!(run.status.code(), Some(2), "{arguments:?}");
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{arguments:?}");
    }
}

/// With --json an error is JSON, too.
#[test]
fn errors_as_json() {
    let place = Place::new();
    let input = place.write("input", b"no");
    let run = patch([input.as_os_str(), "--dry-run".as_ref(), "--json".as_ref()]);
    assert_eq!(run.status.code(), Some(2));
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).expect("it is JSON");
    assert_eq!(json["error"]["kind"], "input");
    assert!(json["error"]["message"].as_str().is_some_and(|m| m.contains("not an ELF file")));
    assert_eq!(String::from_utf8_lossy(&run.stderr).matches('\n').count(), 1);
}
