//! `PROCSYS_RULES` names rules as people write them: they are compiled before main by a
//! second library, of which nothing stays, and a mistake in them ends the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use procsys_tests::golang;
use procsys_tests::gosuites::Linked;
use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, source, table};
use procsys_tests::{Outcome, root};

const EMULATED: &str = "/proc/sys/procsys/x";
const RULES: &str = "[[rule]]\nname = \"x\"\naction = \"emulate\"\npath = \"/proc/sys/procsys/x\"\n\
                     value = \"42\\n\"\nwrite = \"refuse\"\n";

fn written(folder: &Folder, rules: &str) -> PathBuf {
    let file = folder.path().join("rules.toml");
    fs::write(&file, rules).expect("the temporary directory is writable");
    file
}

fn preloaded(library: &Path, rules: &Path, program: &[&str]) -> Outcome {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).env("LD_PRELOAD", library).env("PROCSYS_RULES", rules);
    finish(command)
}

/// Rules, compiled or not, do the same, the default profile's among them.
#[test]
fn rules_as_they_are_written_are_taken() {
    let folder = Folder::new("preload-rules-file");
    let toml = written(&folder, RULES);
    let stock = finish({
        let mut command = Command::new("/bin/cat");
        command.arg(EMULATED);
        command
    });
    assert!(stock.stderr.contains("No such file or directory"), "{stock}");
    let table = table(folder.path(), &toml);
    for rules in [&table, &toml] {
        let outcome = preloaded(&library(), rules, &["/bin/cat", EMULATED]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "42\n"), "{outcome}");
    }
    let mut command = Command::new("/bin/cat");
    command.arg(EMULATED).env("LD_PRELOAD", library());
    command.env("PROCSYS_RULES", &toml).env("PROCSYS_PROFILE", "gvisor");
    assert_eq!(finish(command).stdout, "42\n");
}

/// The reader is unloaded: the program's memory holds nothing of it, and the
/// library's room for the table.
#[test]
fn nothing_of_the_reader_stays() {
    let folder = Folder::new("preload-rules-gone");
    let toml = written(&folder, RULES);
    let outcome = preloaded(&library(), &toml, &["/bin/cat", "/proc/self/maps"]);
    assert!(outcome.stdout.contains("libprocsys.so"), "{outcome}");
    for name in ["libprocsys-rules", "libgcc_s"] {
        assert!(!outcome.stdout.contains(name), "{name} stays: {outcome}");
    }
}

/// A dynamic Go program takes both libraries, one after the other.
#[test]
fn go_takes_them_too() {
    let folder = Folder::new("preload-rules-go");
    let program = folder.path().join("peers");
    golang::build("peers", Linked::Dynamic, &program);
    let toml = written(&folder, RULES);
    let mut command = Command::new(&program);
    command.env("PEER_PATH", EMULATED).env("LD_PRELOAD", library()).env("PROCSYS_RULES", toml);
    let outcome = finish(command);
    assert_eq!(outcome.stdout, "reached os.Open\nreached os.Stat\nreached os/exec\n", "{outcome}");
}

/// Each mistake is one line that names file, line and what was expected; main never
/// runs.
#[test]
fn a_mistake_ends_the_program_before_main() {
    let folder = Folder::new("preload-rules-bad");
    let shown = folder.path().join("rules.toml").display().to_string();
    let with = |line: &str| RULES.replace("write = \"refuse\"", line);
    let cases = [
        ("[[rule]\n".to_owned(), format!("procsys: PROCSYS_RULES: {shown}:1: ")),
        (with("write = \"never\""), format!("procsys: PROCSYS_RULES: {shown}:6: ")),
        (with("colour = 1"), format!("procsys: PROCSYS_RULES: {shown}:6: ")),
    ];
    for (rules, expected) in cases {
        let toml = written(&folder, &rules);
        let outcome = preloaded(&library(), &toml, &["/bin/echo", "main ran"]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
        assert!(outcome.stderr.starts_with(&expected), "{expected}\n{outcome}");
        assert!(outcome.stderr.contains("expected"), "{outcome}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    }
    let toml = written(&folder, RULES);
    let mut command = Command::new("/bin/echo");
    command.env("LD_PRELOAD", library()).env("PROCSYS_RULES", toml).env("PROCSYS_PROFILE", "none");
    let outcome = finish(command);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
    let expected = "procsys: PROCSYS_RULES: profile `none`: expected one of gvisor, ";
    assert!(outcome.stderr.starts_with(expected), "{outcome}");
}

/// Without the second library, and under musl, which does not find the library that
/// it needs, only compiled rules are taken; that is said.
#[test]
fn without_the_reader_it_says_so() {
    let folder = Folder::new("preload-rules-alone");
    let alone = folder.path().join("libprocsys.so");
    fs::copy(library(), &alone).expect("the temporary directory is writable");
    let toml = written(&folder, RULES);
    let expected = format!(
        "procsys: PROCSYS_RULES={}: no compiled table, and no rules can be read: ",
        toml.display()
    );
    let outcome = preloaded(&alone, &toml, &["/bin/echo", "main ran"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
    assert!(outcome.stderr.starts_with(&expected), "{outcome}");
    assert!(outcome.stderr.contains("libprocsys-rules.so: cannot open"), "{outcome}");
    let musl = folder.path().join("musl");
    compile("musl-gcc", &["-O1", "-w"], &source("peers.c"), &musl);
    let program = [musl.to_str().expect("text"), "itself"];
    let outcome = preloaded(&library(), &toml, &program);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
    assert!(outcome.stderr.starts_with(&expected), "{outcome}");
    let table = table(folder.path(), &toml);
    let mut command = Command::new(&musl);
    command.arg("itself").current_dir(root()).env("PEER_PATH", EMULATED);
    command.env("LD_PRELOAD", library()).env("PROCSYS_RULES", table);
    assert_eq!(finish(command).stdout, "reached itself\n");
}
