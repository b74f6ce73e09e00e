//! Programs that are not C: CPython, Rust's std, Go.

use std::fs;
use std::path::Path;
use std::process::Command;

use procsys_tests::Outcome;
use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, source, table_of};

const EMULATED: &str = "/proc/sys/procsys/absent";
const PREFIX: &str = "/procsys-from";

/// The same program with real files, and with served ones under the library:
/// what it prints, with names and modes that are the files' own taken out.
fn served(folder: &Path, program: &[&str]) -> Outcome {
    fs::create_dir_all(folder.join("to")).expect("the temporary directory is writable");
    fs::write(folder.join("to/file"), "redirected\n").expect("as above");
    let to = folder.join("to");
    let redirect = format!("{PREFIX}={}", to.display());
    let rules = folder.join("rules.toml");
    let text = format!(
        "[[rule]]\nname = \"e\"\naction = \"emulate\"\npath = \"{EMULATED}\"\nvalue = \"42\\n\"\n\
         write = \"refuse\"\n"
    );
    fs::write(&rules, text).expect("as above");
    let args = ["--rules", rules.to_str().expect("text"), "--redirect", &redirect];
    let table = table_of(folder, &args);
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).args([EMULATED, &format!("{PREFIX}/file")]);
    command.env("LD_PRELOAD", library()).env("PROCSYS_RULES", table);
    finish(command)
}

#[test]
fn python() {
    let folder = Folder::new("preload-python");
    let outcome =
        served(folder.path(), &["/usr/bin/python3", source("files.py").to_str().expect("text")]);
    assert!(outcome.success(), "{outcome}");
    let expected = "42 b'42\\n'\n0o100444 0 True\nTrue False True\nENOENT True\nredirected True\n\
                    ['file', 'made'] ['file', 'made']\n['copy']\n42\nredirected\n";
    assert_eq!(outcome.stdout, expected);
}

#[test]
fn rust() {
    let folder = Folder::new("preload-rust");
    let program = folder.path().join("files");
    compile("rustc", &["--edition=2021"], &source("files.rs"), &program);
    let outcome = served(folder.path(), &[program.to_str().expect("text")]);
    assert!(outcome.success(), "{outcome}");
    let expected = "Ok(\"42\\n\")\nOk((33060, 0, true))\nOk(33060)\ntrue Err(Some(22))\n\
                    Ok(\"redirected\\n\")\nOk(true)\nOk(())\nOk(1)\nOk(())\nErr(Some(13))\n\
                    Ok([52, 50, 10])\n";
    assert_eq!(outcome.stdout, expected);
}
