//! What a patched file is: it runs as before, tools read it, and the same
//! input gives the same bytes.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use support::elf;
use support::*;

/// Programs of every kind that the patcher takes, by name.
fn inputs(place: &Place) -> Vec<PathBuf> {
    let mut all = vec![
        place.compile("bare", HELLO, BARE),
        place.compile("bare-pie", HELLO, &["-static-pie", "-nostdlib"]),
        place.compile("glibc", HELLO_C, &["-static"]),
        place.compile("glibc-pie", HELLO_C, &["-static-pie"]),
    ];
    for input in all.clone() {
        let stripped = place.path(&format!("{}-stripped", name(&input)));
        let run = Command::new("strip").arg(&input).arg("-o").arg(&stripped).status();
        assert!(run.expect("binutils are installed").success());
        let headless = place.path(&format!("{}-headless", name(&input)));
        let bytes = fs::read(&stripped).expect("it was written");
        fs::write(&headless, elf::without_sections(&bytes)).expect("it can be written");
        fs::set_permissions(&headless, fs::Permissions::from_mode(0o755)).expect("it is ours");
        all.extend([stripped, headless]);
    }
    all
}

fn name(file: &Path) -> String {
    file.file_name().expect("a file has one").to_string_lossy().into_owned()
}

/// Known: a static-PIE without section headers gets none for its dynamic
/// segment, which readelf misses.
const KNOWN: &str = "readelf: Error: no .dynamic section in the dynamic segment\n";

fn tool(program: &str, arguments: &[&str], file: &Path) -> String {
    let run =
        Command::new(program).args(arguments).arg(file).output().expect("binutils are installed");
    let error = String::from_utf8_lossy(&run.stderr);
    let is_known = name(file).contains("pie-headless") && error == KNOWN;
    assert!(
        is_known || run.status.success() && error.is_empty(),
        "{program} {}: {error}",
        file.display()
    );
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(!text.to_lowercase().contains("warning"), "{program} {}", file.display());
    text
}

#[test]
fn every_kind_runs_as_before_and_is_read_by_tools() {
    let place = Place::new();
    for input in inputs(&place) {
        let output = place.path(&format!("{}-patched", name(&input)));
        let report = success(&patch_to(&input, &output));
        assert_eq!(run(&output), run(&input), "{}", input.display());
        let bytes = fs::read(&output).expect("it was written");
        let sections = tool("readelf", &["-aW"], &output);
        for name in [".note.procsys", ".procsys.text", ".procsys.rules", ".procsys.trampolines"] {
            assert!(sections.contains(name), "{}: no {name}", input.display());
        }
        assert!(sections.contains("procsys_slow"), "{}: no symbols", input.display());
        let listing = tool("objdump", &["-d"], &output);
        assert!(listing.contains("<procsys_slow>:"), "{}", input.display());
        for load in elf::loads(&bytes) {
            assert_ne!(elf::u32_at(&bytes, load + elf::P_FLAGS) & 3, 3, "writable and executable");
        }
        let sites = report.lines().find(|l| l.trim_start().starts_with("sites"));
        let sites = sites.unwrap_or_else(|| panic!("no line on sites:\n{report}"));
        let words: Vec<_> = sites.split_whitespace().collect();
        let count = |word: &str| word.parse::<u32>().expect("a number");
        let returns = report.lines().find(|l| l.contains("returns from signal handlers"));
        let returns = returns.and_then(|l| l.split_whitespace().next()).map_or(0, count);
        assert_eq!(count(words[1]) + returns, count(words[3]), "not all: {report}");
        assert!(returns <= 1, "{report}");
    }
}

#[test]
fn mode_is_kept_and_setuid_dropped_with_a_warning() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    for (mode, kept, warns) in [
        (0o755, 0o755, false),
        (0o700, 0o700, false),
        (0o644, 0o644, false),
        (0o4755, 0o755, true),
        (0o2750, 0o750, true),
        (0o6711, 0o711, true),
    ] {
        fs::set_permissions(&input, fs::Permissions::from_mode(mode)).expect("it is ours");
        let output = place.path("output");
        let run = patch_to(&input, &output);
        success(&run);
        let got = fs::metadata(&output).expect("it was written").mode() & 0o7777;
        assert_eq!(got, kept, "{mode:o} became {got:o}");
        let warning = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(warning.contains("setuid"), warns, "{mode:o}: {warning}");
        assert_eq!(warning.lines().count(), usize::from(warns));
    }
}

/// They are not carried over, and not silently.
#[test]
fn file_capabilities_are_dropped_with_a_warning() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let text = input.to_str().expect("UTF-8");
    let set = Command::new("setcap").args(["cap_net_raw=ep", text]).status();
    if !set.is_ok_and(|status| status.success()) {
        return eprintln!("not tested: capabilities can't be set here");
    }
    let run = patch_to(&input, &place.path("output"));
    success(&run);
    let warning = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(warning.contains("capabilities") && warning.lines().count() == 1, "{warning}");
}

/// What is patched already is taken back first: the same bytes as from the
/// original, whatever rules it had before.
#[test]
fn patched_again_is_patched_from_the_original() {
    let place = Place::new();
    for input in inputs(&place) {
        let (once, again) = (place.path("once"), place.path("again"));
        let mut run = Command::new(PATCHER);
        run.arg(&input).arg("-o").arg(&once).args(["--emulate", "/proc/a=1"]);
        success(&run.output().expect("it was built"));
        success(&patch_to(&once, &again));
        success(&patch_to(&input, &once));
        let same = fs::read(&once).expect("written") == fs::read(&again).expect("written");
        assert!(same, "{}: patched twice, the bytes differ", input.display());
    }
}

/// The original comes back byte by byte, and what is patched is found in order.
#[test]
fn reverted() {
    let place = Place::new();
    for input in inputs(&place) {
        let (patched, back) = (place.path("patched"), place.path("back"));
        success(&patch_to(&input, &patched));
        success(&patch(["verify".as_ref(), patched.as_os_str()]));
        success(&patch(["revert".as_ref(), patched.as_os_str(), "-o".as_ref(), back.as_os_str()]));
        let same = fs::read(&input).expect("built") == fs::read(&back).expect("written");
        assert!(same, "{}: not what it was", input.display());
    }
}

/// The old file is replaced, not written to: a program that runs it goes on.
#[test]
fn replaced_atomically() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let output = place.write("output", b"old");
    let (link, target) = (place.path("link"), place.path("target"));
    fs::hard_link(&output, &link).expect("the test's directory is writable");
    let before = fs::metadata(&output).expect("it was written").ino();
    success(&patch_to(&input, &output));
    assert_ne!(fs::metadata(&output).expect("it is there").ino(), before);
    assert_eq!(fs::read(&link).expect("it is there"), b"old");
    // A symlink in the output's place is replaced itself.
    fs::write(&target, b"old").expect("it can be written");
    fs::remove_file(&output).expect("it is there");
    std::os::unix::fs::symlink(&target, &output).expect("it can be written");
    success(&patch_to(&input, &output));
    assert_eq!(fs::read(&target).expect("it is there"), b"old");
    assert!(fs::symlink_metadata(&output).expect("it is there").is_file());
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let output = place.path("output");
    for more in [&["-o", output.to_str().expect("UTF-8")][..], &[]] {
        let mut run = Command::new(PATCHER);
        run.arg(&input).arg("--dry-run").args(more);
        let report = success(&run.output().expect("it was built"));
        assert!(report.contains("dry run"), "{report}");
        assert_eq!(place.names(), ["hello"]);
    }
    // Its report is that of a real run.
    let json = |more: &[&str]| {
        let mut run = Command::new(PATCHER);
        run.arg(&input).arg("--json").args(more);
        let text = success(&run.output().expect("it was built"));
        let mut value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        value["milliseconds"].take();
        value
    };
    let dry = json(&["--dry-run"]);
    assert_eq!(dry, json(&["-o", output.to_str().expect("UTF-8")]));
}

#[test]
fn the_report_as_json() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    let output = place.path("output");
    let mut run = Command::new(PATCHER);
    run.arg(&input).arg("-o").arg(&output).args(["--json", "--emulate", "/proc/a=1"]);
    let text = success(&run.output().expect("it was built"));
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(json["kind"], "static");
    assert_eq!((&json["sites"], &json["detoured"]), (&2.into(), &2.into()));
    assert_eq!(json["not_instructions"], 0);
    assert_eq!(json["profiles"], serde_json::json!(["gvisor"]));
    assert_eq!(json["input_bytes"], fs::metadata(&input).expect("it is there").len());
    assert_eq!(json["output_bytes"], fs::metadata(&output).expect("it is there").len());
    assert!(json["milliseconds"].as_f64().is_some_and(|m| m > 0.0));
    assert_eq!(json["dropped_setuid"], false);
    assert!(json["go"].is_null());
    let last = json["rules"].as_array().and_then(|r| r.last()).expect("there are rules");
    assert_eq!(last["action"], "emulate");
    let sum = tool("sha256sum", &[], &input);
    assert_eq!(json["input_sha256"].as_str(), sum.split(' ').next());
    assert_eq!(json["rules_sha256"].as_str().map(str::len), Some(64));
    // The note says the same.
    let note = String::from_utf8_lossy(&fs::read(&output).expect("it was written")).into_owned();
    for key in ["input_sha256", "rules_sha256"] {
        assert!(note.contains(json[key].as_str().expect("a text")), "{key} is not in the note");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let place = Place::new();
    for (name, source, flags) in [("bare", HELLO, BARE), ("glibc", HELLO_C, &["-static-pie"][..])] {
        let input = place.compile(name, source, flags);
        let mut all = Vec::new();
        for (i, (directory, locale, zone)) in [
            ("/", "C", "UTC"),
            ("/tmp", "de_DE.UTF-8", "Asia/Tokyo"),
            ("/usr", "tr_TR", "Etc/GMT+12"),
        ]
        .into_iter()
        .enumerate()
        {
            let output = place.path(&format!("{name}-{i}"));
            let mut run = Command::new(PATCHER);
            run.arg(&input).arg("-o").arg(&output).current_dir(directory);
            run.env("LC_ALL", locale).env("TZ", zone).env("SOURCE_DATE_EPOCH", i.to_string());
            success(&run.output().expect("it was built"));
            all.push(fs::read(&output).expect("it was written"));
        }
        assert!(all.windows(2).all(|w| w[0] == w[1]), "{name}: the bytes differ");
    }
}

#[test]
fn help_shows_an_example_and_fits_the_screen() {
    for option in ["--help", "-h"] {
        let help = success(&patch([option]));
        assert!(help.contains("procsys-patch runc -o runc-gvisor"), "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
        }
        for option in ["--profile", "--rules", "--redirect", "--emulate", "--dry-run", "--json"] {
            assert!(help.contains(option), "{option}");
        }
    }
    assert!(success(&patch(["--version"])).starts_with("procsys-patch "));
}

/// Killed at any moment: the old file or the whole new one, and nothing that
/// looks like an output beside it.
#[test]
fn killed() {
    let place = Place::new();
    let input = place.compile("glibc", HELLO_C, &["-static"]);
    let whole = place.path("whole");
    let start = Instant::now();
    success(&patch_to(&input, &whole));
    // Three times as long as it takes, also on a busy machine.
    let step = start.elapsed() / 20;
    let new = fs::read(&whole).expect("it was written");
    let (mut old, mut done) = (0, 0);
    for round in 0..60u32 {
        let output = place.write("output", b"old");
        let mut child = Command::new(PATCHER);
        child.arg(&input).arg("-o").arg(&output).stdout(std::process::Stdio::null());
        let mut child = child.spawn().expect("it was built");
        std::thread::sleep(step * round);
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        let now = fs::read(&output).expect("an output is there at any moment");
        assert!(now == b"old" || now == new, "{} bytes after {round}", now.len());
        if now == new {
            done += 1
        } else {
            old += 1
        }
        for name in place.names() {
            let is_known = ["glibc", "whole", "output"].contains(&name.as_str());
            assert!(is_known || name.starts_with(".procsys-"), "{name} is left");
        }
    }
    assert!(old > 0 && done > 0, "{old} old, {done} new: not killed on the way");
}

/// Go's linker puts the table of sections before the code, into its segment. What
/// reads as a syscall there, a section's size say, is none.
#[test]
fn what_reads_as_a_syscall_in_the_files_own_tables_is_none() {
    const ROOM: usize = 0x200;
    const HEADER: usize = 64;
    const ADDRESS: usize = 16;
    let place = Place::new();
    let layout = ["-static", "-nostdlib", "-Wl,-z,noseparate-code,-Ttext=0x401000"];
    let input = place.compile("tables", HELLO, &layout);
    let bytes = fs::read(&input).expect("it was written");
    let (at, count) =
        (elf::u64_at(&bytes, elf::SHOFF) as usize, usize::from(elf::u16_at(&bytes, elf::SHNUM)));
    let len = count * HEADER;
    assert!(bytes[ROOM..ROOM + len].iter().all(|&b| b == 0), "there is room before the code");
    let table = bytes[at..at + len].to_vec();
    let mut moved =
        elf::with(&bytes, &[(ROOM, &table), (elf::SHOFF, &(ROOM as u64).to_le_bytes())]);
    // The names' section is not loaded: its address means nothing. 06 begins no
    // instruction, so that no decoding leads up to the pair.
    let names = usize::from(elf::u16_at(&bytes, elf::SHSTRNDX)) * HEADER;
    moved[ROOM + names + ADDRESS..][..8].copy_from_slice(&[6, 6, 6, 6, 6, 6, 0x0f, 0x05]);
    fs::write(&input, moved).expect("it can be written");
    let output = place.path("patched");
    let report = success(&patch_to(&input, &output));
    assert!(report.contains(" 1 byte pairs 0f 05"), "{report}");
    assert_eq!(run(&output), run(&input));
}
