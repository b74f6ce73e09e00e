//! The program's own unwinder, libgcc's, when a signal comes in a trampoline: callers,
//! destructors of a cancelled thread, and what a handler throws, as in the original;
//! and only because of the table that the patcher writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::native::Folder;
use procsys_tests::{fixture, patch, root, run};

const LIMIT: Duration = Duration::from_secs(60);
/// What the program does, and what it says when its unwinder finds all.
const MODES: [(&str, &str); 3] = [
    ("cancel", "cancelled, 1 destructors\n"),
    ("backtrace", "outer 1, main 1\n"),
    ("throw", "caught, 1 destructors\n"),
];
/// gcc's `-static` has no table, but registers `.eh_frame`. Each is linked with this
/// machine's libraries, and with those of the Debian after it.
const LINKAGES: [&[&str]; 3] = [&["-static"], &["-static", "-Wl,--eh-frame-hdr"], &["-static-pie"]];

/// What the program of unwound.cc says of a call that waits for a FIFO's other end;
/// `None` if it was ended by what it threw.
fn says(program: &Path, mode: &str, fifo: &Path) -> Option<String> {
    let outcome = run(Command::new(program).arg(mode).arg(fifo), LIMIT);
    let is_terminated = outcome.stderr.contains("terminate called after throwing");
    assert!(outcome.success() || is_terminated, "{program:?} {mode}\n{outcome}");
    outcome.success().then_some(outcome.stdout)
}

const PT_NULL: u32 = 0;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;

fn word(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize
}

/// Where in the file the header of the unwinder's table is.
fn table_header(bytes: &[u8]) -> Option<usize> {
    let count = u16::from_le_bytes(bytes[56..58].try_into().expect("two bytes"));
    let mut headers = (0..usize::from(count)).map(|i| word(bytes, 32) + 56 * i);
    headers.find(|&at| bytes[at..].starts_with(&PT_GNU_EH_FRAME.to_le_bytes()))
}

/// The patched file with the original's table, or none if it had none.
fn without(stock: &Path, patched: &Path) -> PathBuf {
    let (original, mut bytes) = (fs::read(stock).expect("built"), fs::read(patched).expect("made"));
    let at = table_header(&bytes).expect("the patcher writes a table");
    match table_header(&original) {
        Some(old) => bytes[at..at + 56].copy_from_slice(&original[old..old + 56]),
        None => bytes[at..at + 4].copy_from_slice(&PT_NULL.to_le_bytes()),
    }
    let path = patched.with_extension("without");
    fs::copy(patched, &path).expect("the folder is writable");
    fs::write(&path, bytes).expect("the folder is writable");
    path
}

/// Puts a later Debian's libgcc, libstdc++ and glibc before this machine's.
fn later(compiler: &mut Command) {
    let glibc = fixture("glibc-trixie").canonicalize().expect("the fixture exists");
    let folders = [fixture("libgcc-trixie"), glibc.join("usr/lib/x86_64-linux-gnu")];
    for folder in folders {
        compiler.arg("-B").arg(&folder).arg("-L").arg(&folder);
    }
    // libm.a names the libraries that it stands for by absolute paths.
    compiler.arg(format!("-Wl,--sysroot={}", glibc.display()));
}

#[test]
fn the_programs_own_unwinder_finds_what_it_did() {
    let folder = Folder::new("unwinding");
    let fifo = folder.path().join("fifo");
    assert!(run(Command::new("mkfifo").arg(&fifo), LIMIT).success());
    let source = root().join("tests/programs/debugger/unwound.cc");
    for (linkage, is_later) in LINKAGES.iter().flat_map(|l| [(l, false), (l, true)]) {
        let [stock, patched] = ["stock", "patched"].map(|n| folder.path().join(n));
        let mut compiler = Command::new("g++");
        compiler.arg("-O2").args(*linkage).arg("-o").arg(&stock).arg(&source);
        if is_later {
            later(&mut compiler);
        }
        let outcome = run(&mut compiler, LIMIT);
        assert!(outcome.success(), "{outcome}");
        let bytes = fs::read(&stock).expect("it was built");
        let holds = |what: &[u8]| bytes.windows(what.len()).any(|w| w == what);
        assert_eq!(holds(b"GCC: (Debian 14."), is_later, "{linkage:?}");
        let linkage = &format!("{linkage:?}, of the later Debian: {is_later}");
        let redirect = format!("/gone={}", folder.path().display());
        patch(&stock, &patched, &["--redirect", &redirect]);
        let without = without(&stock, &patched);
        for (mode, all) in MODES {
            assert_eq!(says(&stock, mode, &fifo).as_deref(), Some(all), "{linkage} {mode}");
            assert_eq!(says(&patched, mode, &fifo).as_deref(), Some(all), "{linkage} {mode}");
            // A redirected call waits in the shim, and goes on at the site.
            let redirected = says(&patched, mode, Path::new("/gone/fifo"));
            assert_eq!(redirected.as_deref(), Some(all), "{linkage} {mode}, redirected");
            let blind = says(&without, mode, &fifo);
            assert_ne!(blind.as_deref(), Some(all), "{linkage} {mode}: it is found anyhow");
            println!("{linkage} {mode}: as stock; without the table {blind:?}");
        }
    }
}

/// Builds a program of tests/programs/debugger: stock and patched.
fn both(folder: &Path, compiler: &str, flags: &[&str], name: &str) -> [PathBuf; 2] {
    let [stock, patched] = ["stock", "patched"].map(|n| folder.join(n));
    let source = root().join("tests/programs/debugger").join(name);
    let outcome = run(Command::new(compiler).args(flags).arg("-o").args([&stock, &source]), LIMIT);
    assert!(outcome.success(), "{outcome}");
    patch(&stock, &patched, &[]);
    [stock, patched]
}

/// A signal may come between any two instructions, also those that a detour moved, of
/// which each may push or pop.
#[test]
fn every_moved_instruction_has_its_callers() {
    let folder = Folder::new("unwinding-steps");
    for linkage in LINKAGES {
        let flags = [&["-O1", "-mno-red-zone"], linkage].concat();
        for program in both(folder.path(), "gcc", &flags, "steps.c") {
            let outcome = run(&mut Command::new(&program), LIMIT);
            assert_eq!(outcome.stdout, "stepped, 0 lost\n", "{linkage:?} {program:?}\n{outcome}");
        }
    }
}

/// libgcc knows the return from a handler by its bytes where there are no rows of it.
#[test]
fn a_handler_on_musl_finds_who_was_interrupted() {
    let folder = Folder::new("unwinding-musl");
    let flags = ["-O1", "-static", "-funwind-tables", "-Wl,--eh-frame-hdr"];
    for program in both(folder.path(), "musl-gcc", &flags, "handler.c") {
        let outcome = run(&mut Command::new(&program), LIMIT);
        assert_eq!(outcome.stdout, "main\n", "{program:?}\n{outcome}");
    }
}
