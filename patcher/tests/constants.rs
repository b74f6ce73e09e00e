//! `--mode constants`: paths are rewritten where they are, and nothing is guessed.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::*;

/// The prefix that the programs here name: as long as [`Root`]'s path.
const FROM: &str = "/proc/sys";

/// A directory whose path has as many bytes as [`FROM`], removed at the end.
struct Root(PathBuf);

impl Root {
    fn new() -> Self {
        let root = (0..9999).map(|n| PathBuf::from(format!("/tmp/{n:04}")));
        let root = root.into_iter().find(|path| fs::create_dir(path).is_ok()).expect("a free name");
        Self(root)
    }

    fn write(&self, name: &str, contents: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("it is writable");
        fs::write(path, contents).expect("it is writable");
    }

    /// The option that puts it in the place of [`FROM`].
    fn redirect(&self) -> String {
        format!("{FROM}={}", self.0.display())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("made above");
    }
}

/// Prints the first line of a file, or why not, by a constant, a table, and a
/// text that is put together.
const READER: &str = r#"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static const char *const table[] = {"/proc/sys/kernel/of-table", "/etc/hostname"};
static void show(const char *path) {
  char line[64] = "";
  int fd = open(path, O_RDONLY);
  if (fd < 0) printf("%s: %s\n", path, strerror(errno));
  else printf("%.*s", (int)read(fd, line, sizeof line), line);
}
int main(int count, char **arguments) {
  char made[256];
  show("/proc/sys/kernel/of-constant");
  for (int i = 0; i < count; i++) show(table[i]);
  snprintf(made, sizeof made, "/proc/sys/%s", count > 1 ? arguments[1] : "kernel/of-format");
  show(made);
  puts("see /proc/sys for more");
}
"#;

fn rewrite(input: &Path, output: &Path, more: &[&str]) -> std::process::Output {
    let mut command = Command::new(PATCHER);
    command.arg(input).arg("-o").arg(output).args(["--mode", "constants"]).args(more);
    command.output().expect("the command was built")
}

/// Sees that it was refused, with no file left, and gives the reasons.
fn refused(run: &std::process::Output, output: &Path) -> String {
    assert_eq!(
        run.status.code(),
        Some(2),
        "{}\n{}",
        output.display(),
        String::from_utf8_lossy(&run.stdout)
    );
    assert!(!output.exists(), "an output after an error");
    let error = String::from_utf8(run.stderr.clone()).expect("UTF-8");
    assert!(error.starts_with("procsys-patch: "), "{error}");
    error
}

fn verify(file: &Path) -> std::process::Output {
    let run = patch(["verify".as_ref(), file.as_os_str()]);
    print!("{}", String::from_utf8_lossy(&run.stdout));
    run
}

#[test]
fn programs_read_at_the_new_place() {
    let (place, root) = (Place::new(), Root::new());
    for name in ["of-constant", "of-table", "of-format"] {
        root.write(&format!("kernel/{name}"), &format!("here is {name}\n"));
    }
    let builds: [(&str, &str, &[&str]); 6] = [
        ("glibc", "gcc", &["-O2", "-static"]),
        ("pie", "gcc", &["-O2", "-static-pie", "-fPIE"]),
        ("stripped", "gcc", &["-O2", "-static", "-s"]),
        ("musl", "musl-gcc", &["-O2", "-static"]),
        ("dynamic", "gcc", &["-O2", "-no-pie"]),
        ("dynamic-pie", "gcc", &["-O2", "-pie", "-fPIE"]),
    ];
    for (name, compiler, flags) in builds {
        let source = place.write(&format!("{name}.c"), READER.as_bytes());
        let input = place.path(name);
        let built = Command::new(compiler).args(flags).arg("-o").args([&input, &source]).status();
        assert!(built.expect("make fixtures installs it").success(), "{name}");
        let stock = run(&input);
        for path in ["of-constant", "of-table", "of-format"] {
            let message = format!("/proc/sys/kernel/{path}: No such file or directory");
            assert!(stock.contains(&message), "{name}: {stock}");
        }
        let output = place.path(&format!("{name}.out"));
        let report = success(&rewrite(&input, &output, &["--redirect", &root.redirect()]));
        let expected = "here is of-constant\nhere is of-table\nhere is of-format\nsee /proc/sys for more\nexit status: 0";
        assert_eq!(run(&output), expected, "{name}\n{report}");
        assert!(success(&verify(&output)).contains("constants "), "{name}");
        let back = place.path(&format!("{name}.back"));
        success(&patch(["revert".as_ref(), output.as_os_str(), "-o".as_ref(), back.as_os_str()]));
        assert_eq!(fs::read(&back).expect("written"), fs::read(&input).expect("built"), "{name}");
    }
}

#[test]
fn each_change_is_listed_with_its_referrers() {
    let (place, root) = (Place::new(), Root::new());
    let input = place.compile("p", READER, &["-O2", "-static"]);
    let args = ["--json", "--dry-run", "--redirect", &root.redirect()];
    let text = success(&rewrite(&input, &place.path("out"), &args));
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let docs = include_str!("../../docs/cli.md");
    let changes = report["changes"].as_array().expect("a list");
    for part in [&report, &changes[0], &changes[0]["referrers"][0]] {
        for key in part.as_object().into_iter().flat_map(|o| o.keys()) {
            assert!(docs.contains(&format!("`{key}`")), "docs/cli.md does not explain `{key}`");
        }
    }
    for (old, function) in [
        ("/proc/sys/kernel/of-constant", "main"),
        ("/proc/sys/kernel/of-table", "main"),
        ("/proc/sys/%s", "main"),
        // glibc's own.
        ("/proc/sys/kernel/ngroups_max", "sysconf"),
    ] {
        let change = changes.iter().find(|c| c["old"] == old).unwrap_or_else(|| panic!("{old}"));
        let new = old.replace(FROM, root.0.to_str().expect("ASCII"));
        assert_eq!(change["new"], new);
        let names = change["referrers"].as_array().expect("a list");
        assert!(
            names.iter().any(|r| r["function"].as_str().is_some_and(|f| f.contains(function))),
            "{change}"
        );
    }
    let left = report["left"].as_array().expect("a list");
    assert!(left.iter().all(|l| l["why"] == "part of a longer text"), "{left:?}");
    assert!(!place.path("out").exists(), "--dry-run wrote a file");
}

/// A program in assembly whose texts and users are exactly these.
fn bare(text: &str, data: &str, code: &str) -> String {
    format!(
        ".globl _start\n.type _start,@function\n_start:\n lea path(%rip), %rdi\n call use\n{code}\n\
         mov $231, %eax\n xor %edi, %edi\n syscall\n.size _start, . - _start\n\
         .type use,@function\nuse: ret\n.size use, . - use\n\
         .section .rodata\n .byte 0\n{text}\n.data\n .quad 1\n{data}\n"
    )
}

const PATH: &str = "path: .asciz \"/proc/sys/kernel/x\"";

#[test]
fn what_is_shared_or_unknown_is_refused_all_at_once() {
    let place = Place::new();
    let output = place.path("out");
    let cases = [
        // The linker puts a text into another one's end.
        (
            "path: .ascii \"/proc/\"\ntail: .asciz \"sys/kernel/x\"",
            "",
            "lea tail(%rip), %rsi",
            "shares its bytes with `sys/kernel/x`",
        ),
        (
            "whole: .ascii \"/host\"\npath: .asciz \"/proc/sys/kernel/x\"",
            "",
            "lea whole(%rip), %rsi",
            "shares its bytes with `/host/proc/sys/kernel/x`",
        ),
        // A word in data refers to the middle.
        (
            "path: .ascii \"/pro\"\nmiddle: .asciz \"c/sys/kernel/x\"",
            ".quad middle",
            "",
            "which the word at 0x",
        ),
        // Somebody reads a part of it.
        (
            "path: .ascii \"/pr\"\npart: .asciz \"oc/sys/kernel/x\"",
            "",
            "mov part(%rip), %eax",
            "shares its bytes with `oc/s`",
        ),
        // Nobody is known to use it.
        (
            "other: .asciz \"/proc/sys/kernel/y\"\npath: .asciz \"/proc/sys/kernel/x\"",
            "",
            "",
            "`/proc/sys/kernel/y`: nothing that refers to it was found",
        ),
        // An instruction carries the text: stored, and compared.
        (
            PATH,
            "",
            "movabs $0x79732f636f72702f, %rax\n mov %rax, -64(%rsp)\n movl $0x73, -56(%rsp)",
            "carries this text as a number",
        ),
        (
            PATH,
            "",
            "cmpl $0x6f72702f, (%rdi)\n jne 1f\n cmpl $0x79732f63, 4(%rdi)\n1:",
            "carries this text as a number",
        ),
    ];
    for (text, data, code, why) in cases {
        let input = place.compile("p", &bare(text, data, code), BARE);
        let error =
            refused(&rewrite(&input, &output, &["--redirect", "/proc/sys=/tmp/abcd"]), &output);
        assert!(error.contains(why) && error.contains("0x"), "{code}\n{text}\n{error}");
        assert!(error.contains("in the way"), "{error}");
    }
    // Two of them at once.
    let input = place.compile(
        "p",
        &bare(&format!("{}\n{}", cases[4].0, "n: .byte 0"), "", cases[5].2),
        BARE,
    );
    let error = refused(&rewrite(&input, &output, &["--redirect", "/proc/sys=/tmp/abcd"]), &output);
    assert!(error.contains(cases[4].3) && error.contains(cases[5].3), "{error}");
    assert!(error.contains("2 things stand in the way"), "{error}");
    // A number that is the start of another text is none of them.
    let other = "cmpl $0x6f72702f, (%rdi)\n jne 1f\n cmpb $0x63, 4(%rdi)\n1:";
    let input = place.compile("p", &bare(PATH, "", other), BARE);
    success(&rewrite(&input, &output, &["--redirect", "/proc/sys=/tmp/abcd"]));
}

#[test]
fn a_tail_that_does_not_change_may_be_shared() {
    let (place, output) = (Place::new(), Place::new().path("out"));
    let text = "path: .ascii \"/proc/\"\ntail: .asciz \"sys/kernel/x\"";
    let input = place.compile("p", &bare(text, "", "lea tail(%rip), %rsi"), BARE);
    fs::create_dir_all(output.parent().expect("in /tmp")).expect("/tmp is writable");
    // Both prefixes end in `sys`.
    success(&rewrite(&input, &output, &["--redirect", "/proc/sys=/run/psys"]));
    fs::remove_dir_all(output.parent().expect("in /tmp")).expect("made above");
}

#[test]
fn what_is_named_may_be_left() {
    let place = Place::new();
    let output = place.path("out");
    let code = "movabs $0x79732f636f72702f, %rax\n mov %rax, -64(%rsp)";
    let input = place.compile("p", &bare(PATH, "", code), BARE);
    let redirect = ["--redirect", "/proc/sys=/tmp/abcd"];
    let error = refused(&rewrite(&input, &output, &redirect), &output);
    let address = error.split("--leave ").nth(1).and_then(|t| t.split(' ').next()).expect("a hint");
    success(&rewrite(&input, &output, &[redirect[0], redirect[1], "--leave", address]));
    success(&verify(&output));
}

#[test]
fn shorter_is_right_only_where_no_length_is_in_the_code() {
    let place = Place::new();
    let output = place.path("out");
    let redirect = ["--redirect", "/proc/sys=/tmp"];
    // 18 bytes: a number 18, or 19 with the NUL, may be the length.
    for code in ["cmp $18, %rdx", "mov $19, %edx", "lea 18(%rdi), %rax", "movups path(%rip), %xmm0"]
    {
        let input = place.compile("p", &bare(PATH, "", code), BARE);
        let error = refused(&rewrite(&input, &output, &redirect), &output);
        assert!(error.contains("length"), "{code}: {error}");
        assert!(error.contains("such as //////tmp, needs no such proof"), "{error}");
    }
    let input = place.compile("p", &bare(PATH, ".quad path", ""), BARE);
    let error = refused(&rewrite(&input, &output, &redirect), &output);
    assert!(error.contains("who knows its length can't be said"), "{error}");
    // What is said in the error works.
    success(&rewrite(&input, &output, &["--redirect", "/proc/sys=//////tmp"]));
    fs::remove_file(&output).expect("written");
    let input = place.compile("p", &bare(PATH, "", "cmp $17, %rdx"), BARE);
    success(&rewrite(&input, &output, &redirect));
    let bytes = fs::read(&output).expect("written");
    assert!(memchr::memmem::find(&bytes, b"\0/tmp/kernel/x\0\0\0\0\0\0").is_some());
    assert_eq!(run(&output), "exit status: 0");
    success(&verify(&output));
}

#[test]
fn every_flipped_bit_is_found() {
    let place = Place::new();
    let input = place.compile("p", &bare(PATH, ".quad path", ""), BARE);
    let output = place.path("out");
    success(&rewrite(&input, &output, &["--redirect", "/proc/sys=/tmp/abcd"]));
    let (before, whole) = (fs::read(&input).expect("built"), fs::read(&output).expect("written"));
    let changed: BTreeSet<usize> =
        (0..before.len()).filter(|&at| before[at] != whole[at]).collect();
    let mut places: Vec<usize> = (before.len()..whole.len()).chain(changed).collect();
    // And some of what was not written.
    places.extend((0..before.len()).step_by(97));
    for (n, at) in places.into_iter().enumerate() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (n % 8);
        let file = place.write("damaged", &damaged);
        let run = verify(&file);
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        assert_eq!(run.status.code(), Some(1), "byte {at:#x} bit {}: {said}", n % 8);
    }
    // A change is named by its text.
    let at = memchr::memmem::find(&whole, b"/tmp/abcd").expect("rewritten");
    let mut damaged = whole.clone();
    damaged[at + 1] ^= 2;
    let run = verify(&place.write("damaged", &damaged));
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(said.contains("the constant /tmp/abcd/kernel/x or a length of it changed"), "{said}");
}

#[test]
fn it_is_done_again_from_the_original() {
    let place = Place::new();
    let input = place.compile("p", READER, &["-O2", "-static"]);
    let to = |output: &Path, input: &Path, redirect: &str| {
        success(&rewrite(input, output, &["--redirect", redirect]));
        fs::read(output).expect("written")
    };
    let [a, b, again, other, detoured] =
        ["a", "b", "again", "other", "detoured"].map(|n| place.path(n));
    let first = to(&a, &input, "/proc/sys=/tmp/abcd");
    assert_eq!(first, to(&b, &input, "/proc/sys=/tmp/abcd"), "not deterministic");
    assert_eq!(first, to(&again, &a, "/proc/sys=/tmp/abcd"), "the same rules again");
    let fresh = to(&b, &input, "/proc/sys=/tmp/efgh");
    assert_eq!(fresh, to(&other, &a, "/proc/sys=/tmp/efgh"), "other rules");
    // From one way of patching to the other, and back.
    success(&patch_to(&input, &detoured));
    let by_detours = fs::read(&detoured).expect("written");
    success(&patch_to(&a, &again));
    assert_eq!(by_detours, fs::read(&again).expect("written"), "detours over constants");
    assert_eq!(first, to(&again, &detoured, "/proc/sys=/tmp/abcd"), "constants over detours");
}

#[test]
fn inspect_says_how_it_was_patched() {
    let place = Place::new();
    let input = place.compile("p", READER, &["-O2"]);
    let output = place.path("out");
    success(&rewrite(&input, &output, &["--redirect", "/proc/sys=/tmp/abcd"]));
    let text = success(&patch(["inspect".as_ref(), output.as_os_str(), "--json".as_ref()]));
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["patched"]["mode"], "constants");
    assert_eq!(report["patched"]["rules"][0], "redirect /proc/sys");
    assert_eq!(report["patched"]["by_this_tool"], true);
    assert_eq!(report["patched"]["damage"], Value::Null);
    assert_eq!(report["kind"], "dynamic PIE");
    // It is inspected as its original.
    let paths = report["paths"].as_array().expect("a list");
    assert!(paths.iter().any(|p| p["text"] == "/proc/sys/kernel/of-constant"));
}

#[test]
fn wrong_use_is_one_line() {
    let place = Place::new();
    let input = place.compile("p", &bare(PATH, "", ""), BARE);
    let output = place.path("out");
    let cases: [(&[&str], &str); 10] = [
        (&[], "no redirect is given"),
        (&["--redirect", "/proc/sys=/run/procsys"], "the new prefix has 12 bytes, the old one 9"),
        (&["--redirect", "/proc/sys"], "expected FROM=TO"),
        (&["--redirect", "/proc/sys=/run", "--emulate", "/a=1"], "takes redirects alone"),
        (&["--redirect", "/proc/sys=/run", "--profile", "gvisor"], "takes redirects alone"),
        (&["--redirect", "/proc/sys=/run", "--with-preload", "/a"], "takes redirects alone"),
        (&["--redirect", "/proc/sys=/run", "--state", "/a"], "takes redirects alone"),
        (
            &["--redirect", "/proc/sys=/run", "--redirect", "/proc/sys/kernel=/run"],
            "lies below another",
        ),
        (
            &["--redirect", "/proc/sys/kernel/y=/run"],
            "no constant that something refers to starts with it",
        ),
        (&["--redirect", "/proc/sys=/run", "--leave", "12"], "expected 0x"),
    ];
    for (more, why) in cases {
        let error = {
            let run = rewrite(&input, &output, more);
            assert_eq!(run.status.code(), Some(2), "{more:?}");
            String::from_utf8(run.stderr).expect("UTF-8")
        };
        assert!(error.contains(why), "{more:?}: {error}");
        assert!(!output.exists());
    }
    let run = rewrite(&input, &output, &["--json", "--redirect", "/proc/sys=/run/longer"]);
    let error: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(error["error"]["kind"], "rules");
    let forgotten = ["--redirect", "/proc/sys=/run", "--leave", "0x1", "--dry-run"];
    let forgotten = [&[input.as_os_str()][..], &forgotten.map(str::as_ref)].concat();
    assert_eq!(one_error(&patch(forgotten)), "--leave: expected --mode constants with it");
}
