//! `procsys-patch inspect`: what it says of files is what they are.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::*;

fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fixtures").join(name);
    assert!(path.exists(), "fixture {} is missing: run `make fixtures`", path.display());
    path
}

/// The report of a file; every key of it is in the docs.
fn inspect(file: &Path) -> Value {
    let run = patch(["inspect".as_ref(), file.as_os_str(), "--json".as_ref()]);
    let report: Value = serde_json::from_str(&success(&run)).expect("JSON");
    let docs = include_str!("../../docs/cli.md");
    let first = |list: &Value| list.as_array().and_then(|l| l.first()).cloned();
    let parts = [first(&report["sites"]), first(&report["paths"]), Some(report.clone())];
    let nested = [report["go"].clone(), report["patched"].clone()];
    for part in parts.into_iter().flatten().chain(nested) {
        for key in part.as_object().into_iter().flat_map(|o| o.keys()) {
            assert!(docs.contains(&format!("`{key}`")), "docs/cli.md does not explain `{key}`");
        }
    }
    report
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|v| v.as_str().expect("a text")).collect()
}

/// The functions that refer to a path, by its text.
fn referrers<'r>(report: &'r Value, text: &str) -> Vec<&'r str> {
    let paths = report["paths"].as_array().expect("a list");
    let own = paths.iter().filter(|p| p["text"] == text && p["is_whole"] == true);
    let found: Vec<_> = own.flat_map(|p| texts(&p["functions"])).collect();
    assert!(paths.iter().any(|p| p["text"] == text), "{text} is not found");
    found
}

#[test]
fn sites_are_those_that_patching_detours() {
    for name in ["busybox-static", "bash-static", "runc-1.1.5", "runc-1.3.6", "runsc-20240729"] {
        let input = fixture(name);
        let run = patch([input.as_os_str(), "--dry-run".as_ref(), "--json".as_ref()]);
        let patched: Value = serde_json::from_str(&success(&run)).expect("JSON");
        let report = inspect(&input);
        let sites = report["sites"].as_array().expect("a list");
        assert_eq!(patched["sites"], sites.len(), "{name}");
        assert_eq!(patched["kind"], report["kind"], "{name}");
        assert_eq!(patched["not_instructions"], report["not_instructions"], "{name}");
        assert_eq!(patched["go"], report["go"]["version"], "{name}");
        assert!(sites.iter().all(|s| s["can_be_detoured"] == true), "{name}");
        assert_eq!(report["can_be_patched"], true, "{name}");
        assert!(report["door"].as_str().is_some_and(|d| d.starts_with("door 2")), "{name}");
    }
}

/// Go's own tool reads the build settings too.
#[test]
fn build_settings_are_what_go_says() {
    for name in ["runc-1.1.5", "runc-1.3.6", "runsc-20240729"] {
        let input = fixture(name);
        let report = inspect(&input);
        let go = Command::new(fixture("go/bin/go")).args(["version", "-m"]).arg(&input).output();
        let said = String::from_utf8(go.expect("it runs").stdout).expect("UTF-8");
        let version = said.lines().next().and_then(|l| l.rsplit(' ').next()).expect("a version");
        assert_eq!(report["go"]["version"], version);
        let lines = said.lines().filter_map(|l| l.strip_prefix("\tbuild\t")?.split_once('='));
        let expected: BTreeMap<_, _> = lines.collect();
        let settings = report["go"]["settings"].as_object().expect("an object");
        assert!(expected.len() > 4, "{said}");
        assert_eq!(settings.len(), expected.len(), "{name}");
        for (key, value) in expected {
            assert_eq!(settings[key], value.trim_matches('"'), "{name}: {key}");
        }
        let path = said.lines().find_map(|l| l.strip_prefix("\tpath\t")).expect("a path");
        assert_eq!(report["go"]["path"], path);
    }
}

#[test]
fn paths_of_go_programs_are_found_with_their_referrers() {
    let report = inspect(&fixture("runc-1.1.5"));
    for (text, function) in [
        ("/proc/sys/kernel/cap_last_cap", "github.com/syndtr/gocapability/capability.initLastCap"),
        ("/proc/self/exe", "os.executable"),
        ("/proc/sys/net/core/somaxconn", "net.maxListenerBacklog"),
        ("/dev/console", "github.com/opencontainers/runc/libcontainer.mountConsole"),
        ("/dev/stdin", "os.init"),
    ] {
        let functions = referrers(&report, text);
        assert!(functions.contains(&function), "{text}: {functions:?}");
    }
    assert_eq!(report["libc"], "glibc");
    assert_eq!(inspect(&fixture("bash-static"))["libc"], "glibc 2.36");
    assert_eq!(inspect(&fixture("runsc-20240729"))["libc"], Value::Null);
}

const NAMED: &str = r#"
#include <fcntl.h>
#include <stdio.h>
const char *table[] = { "/dev/procsys-a", "/dev/procsys-b" };
__attribute__((noinline)) int reads_sysctl(void) { return open("/proc/sys/procsys", O_RDONLY); }
__attribute__((noinline)) int connects(void) { return open("/run/procsys/x.sock", O_RDONLY); }
__attribute__((noinline)) const char *named(int i) { return table[i & 1]; }
int main(int argc, char **argv) {
    printf("%d %d %s\n", reads_sysctl(), connects(), named(argc));
    return open("/system/procsys", 0) == 0;
}
"#;

#[test]
fn paths_and_calls_of_c_programs_are_named() {
    let place = Place::new();
    for flags in [&["-static", "-O2"][..], &["-static-pie", "-O2"], &["-static", "-O0"]] {
        let report = inspect(&place.compile("named", NAMED, flags));
        assert_eq!(referrers(&report, "/proc/sys/procsys"), ["reads_sysctl"], "{flags:?}");
        assert_eq!(referrers(&report, "/run/procsys/x.sock"), ["connects"], "{flags:?}");
        // Named by a table in data, whose start an instruction refers to.
        assert_eq!(referrers(&report, "/dev/procsys-a"), ["named"], "{flags:?}");
        assert!(referrers(&report, "/dev/procsys-b").is_empty(), "{flags:?}");
        let paths = report["paths"].as_array().expect("a list");
        assert!(paths.iter().all(|p| p["text"] != "/system/procsys"), "{flags:?}");
        let topic = |text: &str| &paths.iter().find(|p| p["text"] == text).expect("found")["topic"];
        assert_eq!(topic("/run/procsys/x.sock"), "socket");
        assert_eq!(topic("/proc/sys/procsys"), "proc");
    }
    let report = inspect(&place.compile("hello", HELLO, BARE));
    let sites = report["sites"].as_array().expect("a list");
    let calls: Vec<_> = sites.iter().map(|s| texts(&s["calls"])).collect();
    assert_eq!(calls, [["write"], ["exit_group"]]);
    assert!(sites.iter().all(|s| s["function"] == "_start"));
}

#[test]
fn a_site_that_cannot_be_detoured_is_told_apart() {
    let place = Place::new();
    // Jumped to from both sides: no five bytes around it can be covered.
    let source = "
        .globl _start
        .type _start,@function
    _start: mov $39, %eax
        syscall
        mov $60, %eax
    1:  syscall
    2:  jmp 1b
        jmp 2b
        .size _start, . - _start
        .data
        .quad 1
    ";
    let input = place.compile("tight", source, BARE);
    let report = inspect(&input);
    let sites = report["sites"].as_array().expect("a list");
    assert_eq!(sites.len(), 2);
    assert_eq!(sites[1]["can_be_detoured"], false, "{sites:?}");
    assert!(sites[1]["obstacle"].as_str().is_some_and(|o| o.contains("no five bytes")));
    assert_eq!(sites[0]["can_be_detoured"], true, "{sites:?}");
    assert_eq!(report["can_be_patched"], false);
}

/// A number is known only if it is so on every way to the site: also on that of a table
/// which leads where a jump of the function leads, too.
#[test]
fn a_call_is_not_named_by_some_of_the_ways_to_it() {
    let place = Place::new();
    let source = "
        .globl _start
        .type _start,@function
    _start: mov $39, %eax
        lea table(%rip), %rdx
        movslq (%rdx,%rdi,4), %rcx
        add %rdx, %rcx
        jmp *%rcx
    1:  mov $2, %eax
        jmp 2f
        mov $2, %eax
    2:  syscall
        mov $7, %edi
        mov $60, %eax
        syscall
        .size _start, . - _start
        .section .rodata
    table: .long 1b - table, 2b - table
        .data
        .quad 1
    ";
    let report = inspect(&place.compile("table", source, BARE));
    let sites = report["sites"].as_array().expect("a list");
    let calls: Vec<_> = sites.iter().map(|s| texts(&s["calls"])).collect();
    assert_eq!(calls, [vec![], vec!["exit"]]);
}

#[test]
fn dynamic_files_are_told_their_door() {
    let place = Place::new();
    let dynamic = inspect(&place.compile("dynamic", HELLO_C, &[]));
    assert_eq!(dynamic["kind"], "dynamic PIE");
    assert_eq!(dynamic["interpreter"], "/lib64/ld-linux-x86-64.so.2");
    assert_eq!(texts(&dynamic["needed"]), ["libc.so.6"]);
    assert!(dynamic["libc"].as_str().is_some_and(|l| l.starts_with("glibc, 2.")));
    assert_eq!(dynamic["can_be_patched"], false);
    assert_eq!(dynamic["door"], "door 1: LD_PRELOAD=libprocsys.so");
    let fixed = inspect(&place.compile("fixed", HELLO_C, &["-no-pie"]));
    assert_eq!(fixed["kind"], "dynamic");
    let library = inspect(&place.compile("library", HELLO_C, &["-shared", "-fPIC"]));
    assert_eq!(library["kind"], "shared library");
}

/// Go's part of a dynamic executable makes its own calls, which need door 2.
#[test]
fn dynamic_go_is_told_apart() {
    let place = Place::new();
    let source = "package main\n\n// int one(void) { return 1; }\nimport \"C\"\n\nfunc main() { println(C.one()) }\n";
    place.write("main.go", source.as_bytes());
    let output = place.path("dynamic-go");
    let built = Command::new(fixture("go/bin/go"))
        .args(["build", "-o"])
        .arg(&output)
        .arg(place.path("main.go"))
        .envs([("CGO_ENABLED", "1"), ("GO111MODULE", "off"), ("GOFLAGS", "")])
        .output()
        .expect("the fixture runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let report = inspect(&output);
    assert_eq!(report["kind"], "dynamic");
    let sites = report["sites"].as_array().expect("a list");
    let own = sites.iter().filter(|s| s["is_go"] == true).count();
    assert!(own > 10, "{own} sites");
    let door = format!("both: procsys-patch for its own {} syscall", sites.len());
    assert!(report["door"].as_str().is_some_and(|d| d.starts_with(&door)), "{}", report["door"]);
    assert_eq!(report["can_be_patched"], true);
}

#[test]
fn a_patched_file_is_told_with_its_rules() {
    let place = Place::new();
    let input = fixture("busybox-static");
    let output = place.path("patched");
    success(&patch_to(&input, &output));
    let (before, mut after) = (inspect(&input), inspect(&output));
    assert_eq!(before["patched"], Value::Null);
    let patched = after["patched"].take();
    assert_eq!(patched["by_this_tool"], true);
    assert_eq!(patched["damage"], Value::Null);
    assert!(texts(&patched["rules"]).contains(&"cap-last-cap"));
    // All else is said of the original.
    assert_eq!(after, before);

    let whole = fs::read(&output).expect("it was written");
    let undo = procsys_patcher::patched::read::section(&whole, ".procsys.undo").expect("there");
    // An old byte, and the length of the first change.
    for (at, why, is_read) in [(undo.start + 14, "sha256", true), (undo.start + 11, "undo", false)]
    {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let patched = inspect(&place.write("damaged", &bytes))["patched"].take();
        assert!(patched["damage"].as_str().is_some_and(|d| d.contains(why)), "{patched}");
        assert_eq!(patched["version"].is_string(), is_read);
    }
}

#[test]
fn what_is_no_such_file_is_an_error() {
    let place = Place::new();
    for (name, bytes, why) in [
        ("text", &b"#!/bin/sh\n"[..], "not an ELF file"),
        ("empty", b"", "not an ELF file"),
        ("short", b"\x7fELF\x02\x01", "truncated ELF file: no whole file header"),
        ("elf32", b"\x7fELF\x01\x01", "32-bit ELF file: expected 64-bit x86-64"),
    ] {
        let file = place.write(name, bytes);
        let said = one_error(&patch(["inspect".as_ref(), file.as_os_str()]));
        assert_eq!(said, format!("{}: {why}", file.display()));
    }
    let said = one_error(&patch(["inspect", "/nowhere"]));
    assert_eq!(said, "/nowhere: no such file or directory");
}

/// A reader that has seen enough is no error; a report that can't be written is.
#[test]
fn reports_end_where_nobody_reads_them() {
    let input = fixture("busybox-static");
    let line = format!("set -o pipefail; {PATCHER} inspect {} | head -n 1", input.display());
    let result = Command::new("bash").args(["-c", &line]).output().expect("bash is there");
    assert!(result.status.success() && result.stderr.is_empty(), "{result:?}");
    assert_eq!(result.stdout, format!("{}\n", input.display()).into_bytes());
    let full = fs::File::options().write(true).open("/dev/full").expect("it is there");
    let result = Command::new(PATCHER).arg("inspect").arg(&input).stdout(full).output();
    let said = one_error(&result.expect("the command was built"));
    assert_eq!(said, "standard output: no space left on device");
}
