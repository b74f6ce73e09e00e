//! A server that hard-codes its socket, twice side by side by redirect: in C under
//! both doors, in Go under door 2. Every call says what it says without a redirect.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, source, table_of};
use procsys_tests::{Outcome, fixture, patch, run};

const PREFIX: &str = "/procsys-run";

/// A redirect of the whole prefix to `folder/NAME`, which is made.
fn redirect(folder: &Path, name: &str) -> String {
    let to = folder.join(name);
    fs::create_dir_all(&to).expect("the temporary directory is writable");
    format!("{PREFIX}={}", to.display())
}

/// Where the server's folder really is: that is what a plain run uses.
fn stock(program: &Path, folder: &Path) -> Outcome {
    let to = folder.join("plain");
    fs::create_dir_all(&to).expect("the temporary directory is writable");
    // The prefix itself, in a root of its own mounts: the kernel's own answers.
    let script = format!(
        "mkdir {PREFIX} && mount --bind {} {PREFIX} && {} stock; code=$?; \
         umount {PREFIX}; rmdir {PREFIX}; exit $code",
        to.display(),
        program.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    finish(command)
}

/// Runs two at the same time; both outputs.
fn together(mut first: Command, mut second: Command) -> [Outcome; 2] {
    let limit = Duration::from_secs(60);
    let second = std::thread::spawn(move || run(second.stdin(Stdio::null()), limit));
    let first = run(first.stdin(Stdio::null()), limit);
    [first, second.join().expect("no panic")]
}

/// What `sockets.c` prints, where the redirect is no longer than `stock` was.
fn check(what: &str, expected: &Outcome, outcomes: [Outcome; 2]) {
    assert!(expected.success(), "{what}: {expected}");
    assert!(expected.stdout.contains("path /procsys-run/sysbox/fs.sock"), "{expected}");
    for outcome in outcomes {
        assert!(outcome.success(), "{what}: {outcome}");
        let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        assert_eq!(lines(&outcome.stdout), lines(&expected.stdout), "{what}\n{outcome}");
    }
}

fn program(folder: &Path, compiler: &str, flags: &[&str], name: &str) -> PathBuf {
    let output = folder.join(name);
    compile(compiler, flags, &source("sockets.c"), &output);
    output
}

fn both_doors(compiler: &str) {
    let folder = Folder::new(&format!("redirect-sockets-{compiler}"));
    let folder = folder.path();
    let flags = ["-O1", "-w", "-pthread"];
    let dynamic = program(folder, compiler, &flags, "dynamic");
    let fixed = program(folder, compiler, &[&flags[..], &["-static"]].concat(), "static");

    // Without a redirect there is no such folder.
    let mut bare = Command::new(&dynamic);
    bare.arg("a");
    let bare = finish(bare);
    assert!(bare.stdout.starts_with("mkdir: -1 errno 2\nbind: -1 errno 2\n"), "{bare}");

    let expected = stock(&dynamic, folder);
    let door2 = ["a", "b"].map(|name| {
        let patched = folder.join(format!("patched-{name}"));
        patch(&fixed, &patched, &["--redirect", &redirect(folder, name)]);
        let mut command = Command::new(patched);
        command.arg(name);
        command
    });
    let [a, b] = door2;
    check(&format!("{compiler}, door 2"), &expected, together(a, b));
    let door1 = ["a", "b"].map(|name| {
        let to = folder.join(format!("rules-{name}"));
        fs::create_dir_all(&to).expect("the temporary directory is writable");
        let table = table_of(&to, &["--redirect", &redirect(folder, name)]);
        let mut command = Command::new(&dynamic);
        command.env("LD_PRELOAD", library()).env("PROCSYS_RULES", table).arg(name);
        command
    });
    let [a, b] = door1;
    check(&format!("{compiler}, door 1"), &expected, together(a, b));
}

#[test]
fn c_glibc() {
    both_doors("gcc");
}

#[test]
fn c_musl() {
    both_doors("musl-gcc");
}

#[test]
fn go() {
    let folder = Folder::new("redirect-sockets-go");
    let folder = folder.path();
    let program = folder.join("server");
    let mut command = Command::new(fixture("go").join("bin/go"));
    command.arg("build").arg("-o").arg(&program).arg(source("sockets.go"));
    command.envs([("GO111MODULE", "off"), ("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")]);
    command
        .env_remove("GOROOT")
        .env("GOCACHE", procsys_tests::root().join("target/hazards/gocache"));
    let built = run(&mut command, Duration::from_secs(300));
    assert!(built.success(), "{built}");
    let mut bare = Command::new(&program);
    bare.arg("a");
    let bare = finish(bare);
    assert!(!bare.success() && bare.stdout.contains("no such file"), "{bare}");
    let [a, b] = ["a", "b"].map(|name| {
        let patched = folder.join(format!("patched-{name}"));
        patch(&program, &patched, &["--redirect", &redirect(folder, name)]);
        let mut command = Command::new(patched);
        command.arg(name);
        command
    });
    for outcome in together(a, b) {
        assert!(outcome.success(), "{outcome}");
        for line in [
            "address /procsys-run/sysbox/fs.sock",
            "remote /procsys-run/sysbox/fs.sock",
            "local /procsys-run/sysbox/fs.sock",
            "its own",
            "gone true",
            "rmdir <nil>",
        ] {
            assert!(outcome.stdout.lines().any(|l| l == line), "{line}\n{outcome}");
        }
    }
}

/// A target that leaves no room for a name: the call fails, and says which limit.
#[test]
fn a_path_that_is_too_long_fails() {
    let folder = Folder::new("redirect-sockets-long");
    let folder = folder.path();
    let dynamic = program(folder, "gcc", &["-O1", "-w", "-pthread"], "dynamic");
    let fixed = program(folder, "gcc", &["-O1", "-w", "-pthread", "-static"], "static");
    let redirect = redirect(folder, "long/".repeat(20).trim_end_matches('/'));
    let patched = folder.join("patched");
    patch(&fixed, &patched, &["--redirect", &redirect]);
    let table = table_of(folder, &["--redirect", &redirect]);
    let mut door2 = Command::new(patched);
    door2.arg("a");
    let mut door1 = Command::new(dynamic);
    door1.env("LD_PRELOAD", library()).env("PROCSYS_RULES", table).arg("a");
    for command in [door1, door2] {
        let outcome = finish(command);
        // ENAMETOOLONG.
        assert!(outcome.stdout.contains("\nbind: -1 errno 36\n"), "{outcome}");
    }
}
