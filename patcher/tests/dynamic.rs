//! Dynamic executables: what the loader reads stays right, and the library that
//! is added is needed first.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use procsys_patcher::patched::verify::verify;
use serde_json::Value;
use support::random::Random;
use support::*;

/// Where the library would be; nothing here loads it.
const LIBRARY: &str = "/usr/lib/procsys/libprocsys.so";

/// A C program with a system call of its own.
const OWN: &str = r#"
#include <stdio.h>
int main(void) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(39L) : "rcx", "r11", "memory");
    printf("hello %d\n", result > 0);
    return 0;
}
"#;

fn tool(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().expect(program);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{program} {arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

/// The libraries in the dynamic section, in order.
fn needed(file: &Path) -> Vec<String> {
    let said = tool("readelf", &["-dW"], file);
    let lines = said.lines().filter(|l| l.contains("(NEEDED)"));
    let name = |l: &str| Some(l.split_once('[')?.1.strip_suffix(']')?.to_owned());
    lines.filter_map(name).collect()
}

fn with_library(input: &Path, output: &Path) -> Value {
    let (input, output) = (input.to_str().expect("text"), output.to_str().expect("text"));
    let run = patch([input, "-o", output, "--with-preload", LIBRARY, "--json"]);
    serde_json::from_str(&success(&run)).expect("JSON")
}

fn fixture(name: &str) -> std::path::PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fixtures").join(name);
    assert!(path.exists(), "fixture {} is missing: run `make fixtures`", path.display());
    path
}

#[test]
fn every_way_of_linking_runs_verifies_and_reverts() {
    let place = Place::new();
    let cases: [(&str, &[&str]); 6] = [
        ("pie", &["-pie", "-fPIE"]),
        ("fixed", &["-no-pie"]),
        ("stripped", &["-s"]),
        ("lazy", &["-Wl,-z,lazy,-z,norelro"]),
        ("full-relro", &["-Wl,-z,relro,-z,now"]),
        ("no-id", &["-Wl,--build-id=none"]),
    ];
    for (name, flags) in cases {
        let input = place.compile(name, OWN, flags);
        let output = place.path("output");
        success(&patch_to(&input, &output));
        assert_eq!(run(&output), run(&input), "{name}");
        assert_eq!(needed(&output), needed(&input), "{name}");
        let report = with_library(&input, &output);
        assert_eq!(needed(&output), [LIBRARY, "libc.so.6"], "{name}");
        assert_eq!(report["dynamic"]["needed"], serde_json::json!(["libc.so.6"]));
        assert_eq!(report["dynamic"]["library"], LIBRARY);
        assert_eq!(report["dynamic"]["library_added"], true);
        // Names of symbols and their versions are found in the table that moved.
        let symbols = |file| tool("readelf", &["--dyn-syms", "-VW"], file);
        assert_eq!(symbols(&output).matches("printf@GLIBC").count(), 1, "{name}");
        let original = fs::read(&input).expect("it was built");
        let file = fs::read(&output).expect("it was written");
        let verdict = verify(&file, Some(&original)).expect("a patched file");
        assert!(verdict.findings.is_empty() && verdict.sites == 1, "{name}");
        let reverted = place.path("reverted");
        success(&patch([
            "revert".as_ref(),
            output.as_os_str(),
            "-o".as_ref(),
            reverted.as_os_str(),
        ]));
        assert!(fs::read(&reverted).expect("it was written") == original, "{name}");
    }
}

/// The interpreter brings what is named, before libc: a stand-in says so.
#[test]
fn the_library_is_loaded_first() {
    let place = Place::new();
    let source = "#include <stdio.h>\n\
                  int puts(const char *s) { return printf(\"first: %s\\n\", s); }\n\
                  int main(void);\n";
    let library = place.compile("libstandin.so", source, &["-shared", "-fPIC", "-fno-builtin"]);
    let input = place.compile("input", HELLO_C, &["-fno-builtin"]);
    let output = place.path("output");
    let arguments = [&input, Path::new("-o"), &output, Path::new("--with-preload"), &library];
    success(&patch(arguments));
    assert_eq!(run(&input), "hello\nexit status: 0");
    assert_eq!(run(&output), "first: hello\nexit status: 0");
}

/// Go's own linker leaves no room in the dynamic section: the library takes the
/// place of libc.so.6, which it needs itself.
#[test]
fn go_without_room_gets_it_in_the_place_of_libc() {
    let place = Place::new();
    let source = "package main\n\nimport \"os/user\"\n\nfunc main() { u, _ := user.Current(); println(u.Uid) }\n";
    place.write("main.go", source.as_bytes());
    for mode in ["exe", "pie"] {
        let input = place.path("input");
        let built = Command::new(fixture("go/bin/go"))
            .args(["build", "-buildmode", mode, "-o"])
            .args([&input, &place.path("main.go")])
            .envs([("CGO_ENABLED", "1"), ("GO111MODULE", "off"), ("GOFLAGS", "")])
            .output()
            .expect("the fixture runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let output = place.path("output");
        let arguments =
            [input.as_os_str(), "-o".as_ref(), output.as_os_str(), "--every-call".as_ref()];
        success(&patch(arguments));
        assert_eq!(run(&output), run(&input), "{mode}");
        let before = needed(&input);
        with_library(&input, &output);
        let others = before.iter().filter(|n| *n != "libc.so.6").map(String::as_str);
        let expected: Vec<&str> = std::iter::once(LIBRARY).chain(others).collect();
        assert_eq!(needed(&output), expected, "{mode}");
    }
}

/// The loader writes into code (text relocations): no detour covers such bytes.
#[test]
fn bytes_that_the_loader_writes_are_not_covered() {
    let place = Place::new();
    let source = r#"
    .globl main
    .type main,@function
main:
    sub $8, %rsp
    mov $1, %eax
    mov $1, %edi
    mov $6, %edx
    movabs $text, %rsi
    syscall
    movabs $zero, %rcx
    mov (%rcx), %eax
    add $8, %rsp
    ret
    .size main, . - main
    .data
text: .ascii "hello\n"
    .balign 8
zero: .quad 0
    .section .note.GNU-stack,"",@progbits
"#;
    let input = place.compile("input", source, &["-pie", "-Wl,-z,notext"]);
    assert!(tool("readelf", &["-dW"], &input).contains("TEXTREL"));
    let output = place.path("output");
    assert_eq!(run(&input), "hello\nexit status: 0");
    // `movabs` on both sides of the `syscall` is the loader's: no room is left.
    let refused = patch_to(&input, &output);
    assert!(refused.status.code() == Some(2) && !output.exists());
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("1 syscall sites can't be detoured"), "{error}");
    // With two instructions of its own behind it, there is.
    let roomy =
        source.replace("    movabs $zero", "    lea 1(%rdi), %rdi\n    nop\n    movabs $zero");
    let input = place.compile("roomy", &roomy, &["-pie", "-Wl,-z,notext"]);
    success(&patch_to(&input, &output));
    assert_eq!(run(&output), "hello\nexit status: 0");
}

#[test]
fn what_can_not_be_is_said() {
    let place = Place::new();
    let plain = place.compile("plain", HELLO_C, &[]);
    let output = place.path("output");
    let error = one_error(&patch_to(&plain, &output));
    assert!(error.ends_with(
        "dynamic executable without system calls of its own: use LD_PRELOAD=libprocsys.so, or --with-preload PATH"
    ), "{error}");
    for path in ["libprocsys.so", "./libprocsys.so", "/usr/lib/", "/a\nb", "/$ORIGIN/x", ""] {
        let arguments = ["x", "-o", "y", "--with-preload", path];
        let run = patch(arguments);
        assert_eq!(run.status.code(), Some(2), "{path}");
        let error = String::from_utf8_lossy(&run.stderr);
        assert!(error.contains("expected the absolute path of libprocsys.so"), "{error}");
    }
    // Needed already: said, and nothing added.
    let library =
        place.compile("libprocsys.so", "int main(void);\nint x;\n", &["-shared", "-fPIC"]);
    let flags = ["-Wl,--no-as-needed", library.to_str().expect("text")];
    let linked = place.compile("linked", OWN, &[]);
    success(&patch_to(&linked, &output));
    let file = place.write("own.c", OWN.as_bytes());
    let mut gcc = Command::new("gcc");
    gcc.args(["-o".as_ref(), linked.as_os_str(), file.as_os_str()]).args(flags);
    assert!(gcc.status().expect("gcc is installed").success());
    let report = with_library(&linked, &output);
    assert_eq!(report["dynamic"]["library"], library.to_str().expect("text"));
    assert_eq!(report["dynamic"]["library_added"], false);
    assert_eq!(needed(&output), needed(&linked));
    // A static one loads no libraries.
    let bare = place.compile("bare", HELLO, BARE);
    assert_eq!(with_library(&bare, &output)["dynamic"], Value::Null);
    assert_eq!(run(&output), run(&bare));
}

/// A patched file patched again gives what the original gives; both say what
/// covers which part.
#[test]
fn runc_is_patched_anew_and_inspected() {
    let place = Place::new();
    let (input, output) = (fixture("runc-dynamic"), place.path("output"));
    let report = success(&patch_to(&input, &output));
    assert!(report.contains("door 1    not covered: C code's calls in libseccomp.so.2, libc.so.6"));
    let without = fs::read(&output).expect("it was written");
    let again = place.path("again");
    with_library(&output, &again);
    with_library(&input, &output);
    let with = fs::read(&output).expect("it was written");
    assert!(fs::read(&again).expect("it was written") == with);
    success(&patch_to(&output, &again));
    assert!(fs::read(&again).expect("it was written") == without);
    let inspect = |file: &Path| -> Value {
        let said = success(&patch(["inspect".as_ref(), file.as_os_str(), "--json".as_ref()]));
        serde_json::from_str(&said).expect("JSON")
    };
    let (before, mut after) = (inspect(&input), inspect(&output));
    assert_eq!(before["can_be_patched"], true);
    assert_eq!(after["patched"].take()["preload"], LIBRARY);
    assert_eq!(before["door"], after["door"]);
    let door = before["door"].as_str().expect("text");
    assert!(door.starts_with("both: procsys-patch for its own 46 syscall"), "{door}");
    // One flipped bit anywhere in what procsys wrote is named.
    let mut random = Random::new(0x6479_6e61);
    let section = tool("readelf", &["-SW"], &output);
    let dynamic = section.lines().find(|l| l.contains(" .dynamic ")).expect("a section");
    let words: Vec<_> = dynamic.split_whitespace().collect();
    let word = |back: usize| usize::from_str_radix(words[words.len() - back], 16).expect("hex");
    let (offset, size) = (word(7), word(6));
    for i in 0..40 {
        let at = match i % 2 {
            0 => offset + random.below(size),
            _ => with.len() - 1 - random.below(50_000),
        };
        let mut file = with.clone();
        file[at] ^= 1 << random.below(8);
        let verdict = verify(&file, None).unwrap_or_else(|e| panic!("{at:#x}: {e}"));
        let [finding] = &verdict.findings[..] else { panic!("{at:#x}: {:?}", verdict.findings) };
        assert_eq!(finding.place, Some(at..at + 1), "{finding}");
    }
}
