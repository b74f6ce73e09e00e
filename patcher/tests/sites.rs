//! Small programs in assembly, each about one way in which a syscall may stand
//! among other code (`sites/*.S`). What is expected is said in the file itself:
//!
//! - `//#ExpectSites: N`: this many syscall instructions, all detoured but for
//! - `//#ExpectSignalReturns: N`: this many returns from signal handlers (0);
//! - `//#ExpectInPlace: N`: as many of them stay where they are;
//! - `//#ExpectInside: N`: this many pairs 0f 05 that are not instructions (0);
//! - `//#ExpectCode: TEXT`: an instruction that the patched program's own code has, and
//!   the original's has not (objdump);
//! - `//#ExpectExit: N`: the exit code, of the original and of the patched program;
//! - `//#ExpectOutput: TEXT`: the line that both print;
//! - `//#ExpectRefusal: TEXT`: the patcher refuses, and says this; `{symbol}` is
//!   the symbol's address. May be given more than once;
//! - `//#Link: FLAG`: one more flag for the linker;
//! - `//#Strip`: the symbols are stripped first.
//!
//! Each gets a data segment, which every compiled program has.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::*;

#[derive(Default)]
struct Expected {
    sites: Option<u64>,
    signal_returns: u64,
    in_place: Option<u64>,
    inside: u64,
    code: Option<String>,
    exit: Option<i32>,
    output: String,
    refusals: Vec<String>,
    flags: Vec<String>,
    is_stripped: bool,
}

fn directives(source: &str) -> Expected {
    let mut expected = Expected::default();
    for line in source.lines().filter_map(|l| l.strip_prefix("//#")) {
        let (word, value) = line.split_once(": ").unwrap_or((line, ""));
        let number = || value.parse().unwrap_or_else(|_| panic!("{line}: expected a number"));
        match word {
            "ExpectSites" => expected.sites = Some(number()),
            "ExpectSignalReturns" => expected.signal_returns = number(),
            "ExpectInPlace" => expected.in_place = Some(number()),
            "ExpectInside" => expected.inside = number(),
            "ExpectCode" => expected.code = Some(value.to_owned()),
            "ExpectExit" => expected.exit = Some(number() as i32),
            "ExpectOutput" => expected.output = format!("{value}\n"),
            "ExpectRefusal" => expected.refusals.push(value.to_owned()),
            "Link" => expected.flags.push(value.to_owned()),
            "Strip" => expected.is_stripped = true,
            _ => panic!("{line}: no such directive"),
        }
    }
    assert_ne!(
        expected.sites.is_some(),
        !expected.refusals.is_empty(),
        "expected either sites or a refusal"
    );
    expected
}

/// The addresses of a program's symbols.
fn symbols(program: &Path) -> BTreeMap<String, String> {
    let run = Command::new("nm").arg(program).output().expect("binutils are installed");
    let text = String::from_utf8(run.stdout).expect("nm writes text");
    text.lines()
        .filter_map(|line| {
            let [address, _, name] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
            let address = address.trim_start_matches('0');
            Some((format!("{{{name}}}"), format!("0x{address}")))
        })
        .collect()
}

/// Whether the program's own code has an instruction.
fn has_code(program: &Path, instruction: &str) -> bool {
    let run = Command::new("objdump").args(["-d", "-j", ".text"]).arg(program).output();
    String::from_utf8_lossy(&run.expect("binutils are installed").stdout).contains(instruction)
}

fn check(name: &str, source: &str) {
    let place = Place::new();
    let expected = directives(source);
    let flags: Vec<_> =
        BARE.iter().copied().chain(expected.flags.iter().map(String::as_str)).collect();
    let input = place.compile(name, &format!("{source}    .data\n    .quad 1\n"), &flags);
    let symbols = symbols(&input);
    if expected.is_stripped {
        let run = Command::new("strip").arg(&input).status();
        assert!(run.expect("binutils are installed").success());
    }
    let output = place.path("patched");
    let mut patched = Command::new(PATCHER);
    let patched = patched.arg(&input).arg("-o").arg(&output).arg("--json").output();
    let patched = patched.expect("the command was built");
    let error = String::from_utf8_lossy(&patched.stderr);
    if !expected.refusals.is_empty() {
        assert_eq!(patched.status.code(), Some(2), "not refused: {error}");
        assert!(!output.exists(), "refused, and written");
        for refusal in &expected.refusals {
            let mut refusal = refusal.clone();
            for (name, address) in &symbols {
                refusal = refusal.replace(name, address);
            }
            assert!(error.contains(&refusal), "expected: {refusal}\nsaid:     {error}");
        }
        return;
    }
    assert!(patched.status.success(), "{error}");
    let report: serde_json::Value = serde_json::from_slice(&patched.stdout).expect("it is JSON");
    let count = |key: &str| report[key].as_u64().expect("a number");
    assert_eq!(Some(count("sites")), expected.sites, "sites");
    assert_eq!(count("signal_returns"), expected.signal_returns, "signal returns");
    let detoured = count("sites") - expected.signal_returns;
    assert_eq!(count("detoured"), detoured, "not every site is detoured");
    let in_place = expected.in_place.or_else(|| Some(count("in_place")));
    assert_eq!(Some(count("in_place")), in_place, "in place");
    assert_eq!(count("not_instructions"), expected.inside, "inside");
    if let Some(code) = &expected.code {
        let has = [&input, &output].map(|program| has_code(program, code));
        assert_eq!(has, [false, true], "{code}");
    }
    for program in [&input, &output] {
        let run = Command::new("timeout").arg("10").arg(program).output().expect("it can be run");
        assert_eq!(run.status.code(), expected.exit, "{}: {}", program.display(), run.status);
        assert_eq!(String::from_utf8_lossy(&run.stdout), expected.output, "{}", program.display());
    }
}

#[test]
fn every_program_is_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sites");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("it is in the repository") {
        let path = entry.expect("it can be read").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).expect("it is text");
        count += 1;
        let checked = std::panic::catch_unwind(|| check(&name, &source));
        if checked.is_err() {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{} of {count}: {}", wrong.len(), wrong.join(", "));
    println!("{count} programs");
    assert!(count >= 30);
}
