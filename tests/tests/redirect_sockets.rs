//! A server that hard-codes its socket, twice side by side by redirect: in C under
//! both doors, in Go under door 2. Every call says what it says without a redirect,
//! also each that takes a path.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, source, table_of, whole};
use procsys_tests::{Outcome, fixture, patch, patcher, run};

/// Where sysbox's servers have their sockets.
const PREFIX: &str = "/run/sysbox";

/// A redirect of the whole prefix to `folder/NAME/run`, which the server makes.
fn redirect(folder: &Path, name: &str) -> String {
    let to = folder.join(name);
    fs::create_dir_all(&to).expect("the temporary directory is writable");
    format!("{PREFIX}={}/run", to.display())
}

/// The program as it is, where /run is empty and its own.
fn stock(line: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("mount -t tmpfs none /run; {line}")]);
    command
}

/// Runs two at the same time; both outputs.
fn together(mut first: Command, mut second: Command) -> [Outcome; 2] {
    let limit = Duration::from_secs(60);
    let second = std::thread::spawn(move || run(second.stdin(Stdio::null()), limit));
    let first = run(first.stdin(Stdio::null()), limit);
    [first, second.join().expect("no panic")]
}

/// What the program prints is what it printed without a redirect.
fn check(what: &str, expected: &Outcome, outcomes: [Outcome; 2]) {
    assert!(expected.success(), "{what}: {expected}");
    for outcome in outcomes {
        assert!(outcome.success(), "{what}: {outcome}");
        let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        assert_eq!(lines(&outcome.stdout), lines(&expected.stdout), "{what}\n{outcome}");
    }
}

fn program(folder: &Path, compiler: &str, flags: &[&str], file: &str, name: &str) -> PathBuf {
    let output = folder.join(name);
    compile(compiler, flags, &source(file), &output);
    output
}

/// Two at the same time of the program in `file`, at both doors, the first of them by
/// this library; what it prints.
fn both_doors(compiler: &str, file: &str, library: &Path) -> String {
    let folder = Folder::new(&format!("redirect-{file}-{compiler}"));
    let folder = folder.path();
    let flags = ["-O1", "-w", "-pthread"];
    let dynamic = program(folder, compiler, &flags, file, "dynamic");
    let fixed = program(folder, compiler, &[&flags[..], &["-static"]].concat(), file, "static");

    let expected = finish(stock(&format!("exec {} stock", dynamic.display())));
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
        command.env("LD_PRELOAD", library).env("PROCSYS_RULES", table).arg(name);
        command
    });
    let [a, b] = door1;
    check(&format!("{compiler}, door 1"), &expected, together(a, b));
    expected.stdout
}

#[test]
fn sockets_with_glibc_and_musl() {
    for compiler in ["gcc", "musl-gcc"] {
        let printed = both_doors(compiler, "sockets.c", &library());
        assert!(printed.contains("path /run/sysbox/fs.sock"), "{compiler}\n{printed}");
    }
}

/// Every kind of call that takes a path.
#[test]
fn paths_with_glibc_and_musl() {
    for compiler in ["gcc", "musl-gcc"] {
        let printed = both_doors(compiler, "paths.c", &library());
        let calls: Vec<&str> = printed.lines().filter(|l| l.contains(" errno ")).collect();
        let failed = calls.iter().filter(|l| l.contains(": -1 ")).count();
        assert!(calls.len() >= 40 && failed <= 5, "{compiler}\n{printed}");
        assert!(printed.contains("\nexecuted\n"), "{compiler}\n{printed}");
    }
}

/// sendmmsg and recvmmsg: failures in the middle, bad pointers, rows at the edge of
/// memory, interrupted ones.
#[test]
fn messages_with_glibc_and_musl() {
    for compiler in ["gcc", "musl-gcc"] {
        let printed = both_doors(compiler, "messages.c", &whole());
        let sent = printed.lines().filter(|line| line.contains(" from /run/sysbox/client.sock "));
        let failed = printed.lines().filter(|line| line.contains(": -1 errno "));
        assert!(sent.count() >= 80 && failed.count() >= 10, "{compiler}\n{printed}");
        assert!(printed.contains("\nby number: 7 errno 77 lengths 2 3 4 2 3 4 2\n"), "{printed}");
        assert!(printed.contains("\nread only: -1 errno 14 "), "{compiler}\n{printed}");
        assert!(printed.contains("\ninterrupted: -1 errno 4\n"), "{compiler}\n{printed}");
    }
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
    // As it is: the second one finds the first one's socket.
    let line = format!("{0} a </dev/zero & sleep 1; {0} b </dev/null", program.display());
    let line = format!("{line}; code=$?; kill $!; exit $code");
    let collides = finish(stock(&line));
    let known = "listen listen unix /run/sysbox/sysmgr.sock: bind: address already in use";
    assert!(!collides.success() && collides.stdout.contains(known), "{known}\n{collides}");
    let [mut a, mut b] = ["a", "b"].map(|name| {
        let patched = folder.join(format!("patched-{name}"));
        patch(&program, &patched, &["--redirect", &redirect(folder, name)]);
        let mut command = Command::new(patched);
        command.arg(name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let out = BufReader::new(server.stdout.take().expect("piped above")).lines();
        let mut out = out.map(|line| line.expect("it prints text"));
        // Both serve before either's client comes.
        let start: Vec<String> = out.by_ref().take_while(|line| line != "ready").collect();
        assert_eq!(start.len(), 4, "{name}: {start:?}");
        (server, start, out)
    });
    let socket = |name: &str| folder.join(name).join("run/sysmgr.sock").exists();
    assert!(socket("a") && socket("b"), "each has its socket where the redirect leads");
    for (name, (server, start, out)) in [("a", &mut a), ("b", &mut b)] {
        drop(server.stdin.take());
        let lines: Vec<String> = start.drain(..).chain(out).collect();
        assert!(server.wait().expect("it is ours").success(), "{name}: {lines:?}");
        for line in [
            "chmod <nil>",
            "address /run/sysbox/sysmgr.sock",
            "remote /run/sysbox/sysmgr.sock",
            "local /run/sysbox/sysmgr.sock",
            "its own",
            "gone true",
            "rmdir <nil>",
        ] {
            assert!(lines.iter().any(|l| l == line), "{name}: {line}\n{lines:?}");
        }
        assert!(!folder.join(name).join("run").exists(), "{name}: it cleaned up");
    }
}

/// A target that leaves no room for a name. Of an address that stands in the file it
/// is known before; else the call fails, and says which limit.
#[test]
fn a_path_that_is_too_long_fails() {
    let folder = Folder::new("redirect-sockets-long");
    let folder = folder.path();
    let flags = ["-O1", "-w", "-pthread"];
    let dynamic = program(folder, "gcc", &flags, "sockets.c", "dynamic");
    let fixed = program(folder, "gcc", &[&flags[..], &["-static"]].concat(), "sockets.c", "static");
    let redirect = redirect(folder, "long/".repeat(20).trim_end_matches('/'));
    let patched = folder.join("patched");
    let mut patch = Command::new(patcher());
    patch.arg(&fixed).arg("-o").arg(&patched).args(["--redirect", &redirect]);
    let refused = finish(patch);
    let known = "the socket address `/run/sysbox/";
    assert!(refused.code == Some(2) && refused.stderr.contains(known), "{known}\n{refused}");
    assert!(!patched.exists(), "no output after an error");

    let table = table_of(folder, &["--redirect", &redirect]);
    let mut command = Command::new(dynamic);
    command.env("LD_PRELOAD", library()).env("PROCSYS_RULES", table).arg("a");
    let outcome = finish(command);
    // ENAMETOOLONG.
    assert!(outcome.stdout.contains("\nbind: -1 errno 36\n"), "{outcome}");
}
