//! Static programs of every make, natively, unpatched and patched: shells and
//! their applets, C with musl and with glibc, threads, Rust. The same output,
//! the same errors, the same exit code.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::native::{Folder, copy_program};
use procsys_tests::{Outcome, fixture, patch, root, run};

/// The ways of patching: name and arguments.
const WAYS: [(&str, &[&str]); 2] = [("every-call", &["--every-call"]), ("default", &[])];

/// How often a patched program has to give the same answer.
const TIMES: usize = 3;

/// No program takes longer than this.
const LIMIT: Duration = Duration::from_secs(60);

/// A source file of this test.
fn source(name: &str) -> PathBuf {
    let path = root().join("tests/programs/static").join(name);
    assert!(path.exists(), "{} is missing", path.display());
    path
}

/// Builds `output` with a compiler that `package` brings.
fn build(compiler: &str, package: &str, args: &[&str], source: &Path, output: &Path) {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|p| p.join(compiler).exists()));
    assert!(found, "{compiler} is missing: install {package}");
    let mut command = Command::new(compiler);
    command.args(args).arg(source).arg("-o").arg(output);
    let outcome = run(&mut command, Duration::from_secs(120));
    assert!(outcome.success(), "{command:?}\n{outcome}");
}

/// Runs `command` unpatched and patched in each way, in folders that differ in
/// name only, and compares all that can be seen from outside.
///
/// `prepare` makes the command, given the program and an empty folder to run in.
fn compare(name: &str, program: &Path, prepare: impl Fn(&Path, &Path) -> Command) -> Outcome {
    let folder = Folder::new(&format!("static-{name}"));
    let one = |label: &str, args: Option<&[&str]>| {
        let place = folder.path().join(label);
        // The same name on both sides, as some programs show their own.
        let copy = place.join("bin").join(program.file_name().expect("a program has a name"));
        std::fs::create_dir_all(place.join("bin")).expect("the temporary directory is writable");
        match args {
            Some(args) => patch(program, &copy, args),
            None => copy_program(program, &copy),
        }
        let outcome = |time: usize| {
            let work = place.join(format!("work{time}"));
            std::fs::create_dir_all(&work).expect("the temporary directory is writable");
            let mut outcome = run(&mut prepare(&copy, &work), LIMIT);
            let hide = |text: &str| {
                let text = text.replace(work.to_str().expect("text"), "WORK");
                text.replace(place.to_str().expect("text"), "PLACE")
            };
            outcome.stdout = hide(&outcome.stdout);
            outcome.stderr = hide(&outcome.stderr);
            outcome
        };
        (0..if args.is_some() { TIMES } else { 2 }).map(outcome).collect::<Vec<_>>()
    };
    let seen = |o: &Outcome| (o.code, o.stdout.clone(), o.stderr.clone());
    let stock = one("stock", None);
    assert_eq!(
        seen(&stock[0]),
        seen(&stock[1]),
        "{name}: the unpatched program itself is not the same from run to run"
    );
    let stock = stock[0].clone();
    for (label, args) in WAYS {
        for (time, patched) in one(label, Some(args)).iter().enumerate() {
            if seen(patched) == seen(&stock) {
                continue;
            }
            let differs = |a: &str, b: &str| {
                let longest = a.lines().count().max(b.lines().count());
                let line = |t: &str, n: usize| t.lines().nth(n).unwrap_or("(no line)").to_owned();
                (0..longest).map(|n| (line(a, n), line(b, n))).find(|(a, b)| a != b)
            };
            panic!(
                "{name}, patched ({label}), run {time}: not as unpatched.\n\
                 first different line of stdout: {:?}\nof stderr: {:?}\n\
                 --- unpatched: {stock}\n--- patched: {patched}",
                differs(&stock.stdout, &patched.stdout),
                differs(&stock.stderr, &patched.stderr),
            );
        }
        println!(
            "{name:<22} {label:<11} exit {}, {} lines of output: the same {TIMES} times of {TIMES}",
            stock.code.unwrap_or(-1),
            stock.all().lines().count(),
        );
    }
    stock
}

/// The command for a compiled program: just that, in its folder.
fn plain(program: &Path, work: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(work);
    command
}

/// Compiles a C source and compares.
fn compiled(name: &str, compiler: &str, package: &str, file: &str, args: &[&str]) -> Outcome {
    let folder = Folder::new(&format!("build-{name}"));
    let program = folder.path().join("program");
    build(compiler, package, args, &source(file), &program);
    compare(name, &program, plain)
}

const C: &[&str] = &["-static", "-O2", "-w", "-pthread"];
const C_PIE: &[&str] = &["-static-pie", "-fPIE", "-O2", "-w", "-pthread"];

#[test]
fn busybox_runs_its_applets() {
    let outcome = compare("busybox sh", &fixture("busybox-static"), |program, work| {
        let bin = program.parent().expect("it lies in bin");
        let busybox = bin.join("busybox");
        if !busybox.exists() {
            std::fs::rename(program, &busybox).expect("bin is writable");
            let mut links = Command::new(&busybox);
            links.args(["--install", "-s"]).arg(bin);
            let outcome = run(&mut links, LIMIT);
            assert!(outcome.success(), "{links:?}\n{outcome}");
        }
        let mut command = Command::new(bin.join("sh"));
        command.arg(source("applets.sh")).current_dir(work).env_clear().env("PATH", bin);
        command
    });
    assert!(outcome.stdout.contains("# done\n"), "the script must come to its end\n{outcome}");
    assert_eq!(outcome.code, Some(17), "{outcome}");
}

#[test]
fn bash_keeps_its_jobs() {
    let outcome = compare("bash", &fixture("bash-static"), |program, work| {
        let mut command = Command::new(program);
        command.args(["--norc", "--noprofile"]).arg(source("jobs.bash"));
        command.current_dir(work).env_clear().env("PATH", "/usr/bin:/bin");
        command
    });
    assert!(outcome.stdout.contains("# done\n"), "the script must come to its end\n{outcome}");
    assert_eq!(outcome.code, Some(19), "{outcome}");
}

#[test]
fn c_with_musl() {
    let outcome = compiled("C, musl", "musl-gcc", "musl-tools", "everyday.c", C);
    assert_eq!(outcome.code, Some(23), "{outcome}");
}

#[test]
fn c_with_glibc() {
    let outcome = compiled("C, glibc", "gcc", "gcc and libc6-dev", "everyday.c", C);
    assert_eq!(outcome.code, Some(23), "{outcome}");
}

#[test]
fn c_with_glibc_as_static_pie() {
    let outcome = compiled("C, glibc, static-PIE", "gcc", "gcc and libc6-dev", "everyday.c", C_PIE);
    assert_eq!(outcome.code, Some(23), "{outcome}");
}

#[test]
fn threads_with_musl() {
    let outcome = compiled("threads, musl", "musl-gcc", "musl-tools", "threads.c", C);
    assert!(outcome.success(), "{outcome}");
}

#[test]
fn threads_with_glibc() {
    let outcome = compiled("threads, glibc", "gcc", "gcc and libc6-dev", "threads.c", C);
    assert!(outcome.success(), "{outcome}");
}

#[test]
fn rust() {
    let folder = Folder::new("build-rust");
    let program = folder.path().join("program");
    let args = ["--edition=2024", "-O", "--target=x86_64-unknown-linux-gnu"];
    let args = [&args[..], &["-C", "target-feature=+crt-static"]].concat();
    build("rustc", "the Rust toolchain", &args, &source("everyday.rs"), &program);
    let outcome = compare("Rust", &program, plain);
    assert_eq!(outcome.code, Some(29), "{outcome}");
}
