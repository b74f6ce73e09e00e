//! What known preload libraries get wrong: each defect as a test that libprocsys.so
//! passes, and the same tests run with fakechroot and libfaketime.
//!
//! docs/peers.md is what came out: with UPDATE_PEERS=1 this test writes that file,
//! without, it compares.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use procsys_tests::golang;
use procsys_tests::gosuites::Linked;
use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, source, table_of};
use procsys_tests::{Outcome, fixture, root};

/// What is redirected: there is no such directory.
const PREFIX: &str = "/procsys-peer";

/// How a program of the tests is built.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Build {
    Plain,
    Large,
    Fortified,
    OwnMalloc,
    Musl,
    Go,
}

/// A row of the table: what is asked of the library, and whom it is known to have bitten.
struct Row {
    what: &'static str,
    build: Build,
    row: &'static str,
    /// Symbols that the program must import, or the row would ask nothing.
    imports: &'static [&'static str],
    /// Whether a library that shifts times is asked as well.
    times: bool,
}

const fn row(
    what: &'static str,
    build: Build,
    row: &'static str,
    imports: &'static [&'static str],
    times: bool,
) -> Row {
    Row { what, build, row, imports, times }
}

const ROWS: &[Row] = &[
    row(
        "files are opened",
        Build::Plain,
        "open",
        &["open", "openat", "creat", "fopen", "freopen"],
        false,
    ),
    row(
        "the same, built with `_FILE_OFFSET_BITS=64`",
        Build::Large,
        "open",
        &["open64", "openat64", "creat64", "fopen64", "freopen64"],
        false,
    ),
    row(
        "the same, built with `_FORTIFY_SOURCE=2`",
        Build::Fortified,
        "fortified",
        &["__open_2", "__openat_2", "__readlink_chk", "__readlinkat_chk", "__realpath_chk"],
        false,
    ),
    row(
        "stat as glibc has it since 2.33",
        Build::Plain,
        "stat",
        &["stat", "lstat", "fstatat"],
        true,
    ),
    row(
        "the same, built with `_FILE_OFFSET_BITS=64`",
        Build::Large,
        "stat",
        &["stat64", "lstat64", "fstatat64"],
        true,
    ),
    row(
        "stat of programs built before",
        Build::Plain,
        "old",
        &["__xstat", "__lxstat", "__fxstatat", "__xstat64", "__lxstat64"],
        true,
    ),
    row(
        "later calls",
        Build::Plain,
        "newer",
        &["statx", "faccessat", "euidaccess", "renameat2"],
        true,
    ),
    row("`syscall()`", Build::Plain, "syscall", &["syscall"], false),
    row(
        "a handler on an alternate stack of the least size and 1 KiB",
        Build::Plain,
        "alternate",
        &["sigaltstack"],
        true,
    ),
    row("a vfork child", Build::Plain, "vfork", &["vfork"], true),
    row("errno after a success", Build::Plain, "errno", &["open"], true),
    row("a program that brings its own malloc", Build::OwnMalloc, "malloc", &["open"], true),
    row("a call before any constructor", Build::Plain, "early", &["stat"], true),
    row(
        "a program that is run with an empty environment",
        Build::Plain,
        "environment",
        &["execve"],
        true,
    ),
    row("musl's loader: opens", Build::Musl, "open", &["open"], false),
    row("musl's loader: stat", Build::Musl, "stat", &["stat"], true),
    row("dynamic Go: os, os/exec", Build::Go, "go", &[], true),
];

/// A library, and how it is asked for the answer.
struct Tool {
    name: &'static str,
    library: Option<PathBuf>,
    settings: Vec<(&'static str, String)>,
    is_time: bool,
}

fn tools(folder: &Path) -> [Tool; 4] {
    let to = folder.join("base/procsys-peer");
    let table = table_of(folder, &["--redirect", &format!("{PREFIX}={}", to.display())]);
    let peers = fixture("peers");
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let tool = |name, library, settings: &[(&'static str, String)], is_time| Tool {
        name,
        library,
        settings: settings.to_vec(),
        is_time,
    };
    let base = text(&folder.join("base"));
    let chroot = [("FAKECHROOT", "true".into()), ("FAKECHROOT_BASE", base)];
    [
        tool("none", None, &[], false),
        tool("libprocsys.so", Some(library()), &[("PROCSYS_RULES", text(&table))], false),
        tool("fakechroot", Some(peers.join("libfakechroot.so")), &chroot, false),
        tool(
            "libfaketime",
            Some(peers.join("libfaketime.so")),
            &[("FAKETIME", "-20y".into())],
            true,
        ),
    ]
}

/// The files that are there behind the prefix, as each row finds them.
fn fresh(folder: &Path, program: &Path) {
    let to = folder.join("base/procsys-peer");
    let _ = fs::remove_dir_all(&to);
    fs::create_dir_all(&to).expect("the temporary directory is writable");
    fs::write(to.join("file"), "redirected\n").expect("as above");
    symlink("file", to.join("file-link")).expect("as above");
    fs::copy(program, to.join("peers")).expect("as above");
}

fn build(folder: &Path, build: Build) -> PathBuf {
    let (name, compiler, flags): (_, _, &[&str]) = match build {
        // Bound before main, so that a small stack has not to bear the loader's binder.
        Build::Plain => ("plain", "gcc", &["-O1", "-Wl,-z,now"]),
        Build::Large => ("large", "gcc", &["-O1", "-D_FILE_OFFSET_BITS=64", "-DLARGE"]),
        Build::Fortified => ("fortified", "gcc", &["-O2", "-D_FORTIFY_SOURCE=2"]),
        Build::OwnMalloc => ("own-malloc", "gcc", &["-O1", "-DOWN_MALLOC", "-fno-builtin"]),
        Build::Musl => ("musl", "musl-gcc", &["-O1"]),
        Build::Go => ("go", "", &[]),
    };
    let program = folder.join(name);
    if program.exists() {
        return program;
    }
    match build {
        Build::Go => golang::build("peers", Linked::Dynamic, &program),
        _ => compile(compiler, &[flags, &["-w"]].concat(), &source("peers.c"), &program),
    }
    program
}

/// The names that a program imports, without their versions.
fn imports(program: &Path) -> Vec<String> {
    let output = Command::new("nm").args(["-D", "--undefined-only"]).arg(program).output();
    let output = output.expect("nm (binutils) is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let name = |line: &str| Some(line.split_whitespace().nth(1)?.split('@').next()?.to_owned());
    text.lines().filter_map(name).collect()
}

fn ask(folder: &Path, row: &Row, tool: &Tool) -> Outcome {
    let program = build(folder, row.build);
    fresh(folder, &program);
    let names = imports(&program);
    for import in row.imports {
        assert!(names.iter().any(|n| n == import), "{}: does not import {import}", row.what);
    }
    let mut command = Command::new(&program);
    command.arg(row.row).current_dir(folder);
    if tool.is_time {
        command.env("PEER_PATH", folder.join("base/procsys-peer/file")).env("PEER_TIME", "1");
    } else {
        command.env("PEER_PATH", format!("{PREFIX}/file"));
    }
    command.envs(tool.settings.iter().map(|(name, value)| (name, value)));
    if let Some(library) = &tool.library {
        command.env("LD_PRELOAD", library);
    }
    finish(command)
}

/// What became of it, in the table's words.
fn cell(outcome: &Outcome) -> String {
    match outcome.code {
        Some(0) => {}
        Some(139) => return "**crashes**".into(),
        Some(127) => return "**does not load**".into(),
        None => return "**hangs**".into(),
        Some(other) => return format!("**ends with {other}**"),
    }
    let with = |head: &str| -> Vec<&str> {
        outcome.stdout.lines().filter_map(|line| line.strip_prefix(head)).collect()
    };
    let (reached, missed) = (with("reached "), with("missed "));
    match (&reached[..], &missed[..]) {
        ([], []) => format!("**{}**", outcome.stdout.trim()),
        (_, []) => "reached".into(),
        ([], _) => "**missed**".into(),
        _ => format!("**misses {}**", missed.join(", ")),
    }
}

#[test]
fn what_the_peers_get_wrong_holds_here() {
    let folder = Folder::new("preload-peers");
    let tools = tools(folder.path());
    let mut page = String::from(HEAD);
    let mut faults = Vec::new();
    for row in ROWS {
        let _ = write!(page, "| {} |", row.what);
        for tool in &tools {
            if tool.is_time && !row.times {
                page.push_str(" not its job |");
                continue;
            }
            let outcome = ask(folder.path(), row, tool);
            let cell = cell(&outcome);
            let is_right = match tool.name {
                // Without a library nothing is reached, or the row would prove nothing.
                "none" => cell == "**missed**",
                "libprocsys.so" => cell == "reached",
                _ => true,
            };
            if !is_right {
                faults.push(format!("{}: {}: {cell}\n{outcome}", row.what, tool.name));
            }
            if tool.library.is_some() {
                let _ = write!(page, " {cell} |");
            }
        }
        page.push('\n');
    }
    page.push_str(TAIL);
    println!("{page}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    compare(&page);
}

const HEAD: &str = "# What preload libraries get wrong

Measured, not written: `tests/tests/preload_peers.rs` puts the same programs under each library,
and fails when this page says something else, or when libprocsys.so does not reach a row.
`UPDATE_PEERS=1 cargo test -p procsys-tests --test preload_peers` writes it anew. The peers are
Debian 12's libfakechroot and libfaketime (fixture `peers`). Each does its own job: libprocsys.so
and fakechroot answer for a file under a prefix that is not there, libfaketime makes times twenty
years older. Without a library every row is missed.

| | libprocsys.so | fakechroot | libfaketime |
|---|---|---|---|
";

const TAIL: &str = "
The names behind a row are those that the programs import, which the test checks. A function that
is missed runs as if the library were not there, and nothing says so. What tools that rewrite code
get wrong (red zone, vector registers, r10 and the carry flag, rsi after a redirect, vfork, clone
with stack 0) is asked by the programs of `tests/programs`, which `--test hazards` runs patched and
`--test preload_hazards` under libprocsys.so.
";

fn compare(page: &str) {
    let path = root().join("docs/peers.md");
    if std::env::var_os("UPDATE_PEERS").is_some_and(|v| v == "1") {
        fs::write(&path, page).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, page, "docs/peers.md is not what was measured; UPDATE_PEERS=1 rewrites it");
}
