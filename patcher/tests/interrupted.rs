//! A run that is killed, or that finds no room: the old file or nothing is left.

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use support::random::Random;
use support::*;

/// How many runs are killed, of each command.
const KILLS: usize = 60;

/// A program with some hundred sites.
fn program(place: &Place) -> std::path::PathBuf {
    place.compile("program", HELLO_C, &["-static"])
}

/// Starts the command and kills it after a time: whether it was killed in time.
fn killed_after(arguments: &[&Path], time: Duration) -> bool {
    let mut command = Command::new(PATCHER);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the command was built");
    std::thread::sleep(time);
    child.kill().expect("it was started above");
    child.wait().expect("it was started above").signal() == Some(libc::SIGKILL)
}

/// How long the command takes.
fn duration(arguments: &[&Path]) -> Duration {
    let start = Instant::now();
    success(&Command::new(PATCHER).args(arguments).output().expect("the command was built"));
    start.elapsed()
}

/// Kills runs at random moments, half of them near the end, where that is on
/// this machine just now; after each, `check` says what is wrong.
fn kill_at_random(arguments: &[&Path], mut check: impl FnMut()) {
    let mut whole = duration(arguments);
    check();
    let mut random = Random::new(1);
    let (mut killed, mut ended) = (0, 0);
    while killed < KILLS {
        let from = if random.below(2) == 0 { 0 } else { 900 };
        let part = from + random.below(1100 - from);
        if killed_after(arguments, whole * part as u32 / 1000) {
            killed += 1;
            whole = whole * 103 / 100;
        } else {
            ended += 1;
            whole = whole * 90 / 100;
        }
        check();
    }
    println!("{killed} runs killed, {ended} ended before, of about {whole:?}");
    assert!(ended > 0, "none came near its end");
}

#[test]
fn a_killed_run_leaves_nothing() {
    let place = Place::new();
    let (input, output) = (program(&place), place.path("output"));
    let dash = Path::new("-o");
    success(&patch_to(&input, &output));
    let whole = fs::read(&output).expect("just written");
    kill_at_random(&[&input, dash, &output], || {
        match fs::read(&output) {
            Ok(bytes) => assert!(bytes == whole, "half a file"),
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::NotFound),
        }
        let names = place.names();
        assert!(names.iter().all(|n| n == "program" || n == "output"), "{names:?}");
        let _ = fs::remove_file(&output);
    });
}

#[test]
fn a_killed_run_leaves_the_old_file() {
    let place = Place::new();
    let input = program(&place);
    let (patched, output) = (place.path("patched"), place.path("output"));
    success(&patch_to(&input, &patched));
    let (whole, old) = (fs::read(&input).expect("built above"), b"old".as_slice());
    fs::write(&output, old).expect("the test's directory is writable");
    let arguments = ["revert".as_ref(), patched.as_path(), "-o".as_ref(), &output];
    kill_at_random(&arguments, || {
        let bytes = fs::read(&output).expect("one of the two is always there");
        assert!(bytes == whole || bytes == old, "half a file");
        // A second name is there between two system calls: all of the file has it.
        for name in place.names().iter().filter(|n| n.starts_with(".procsys-")) {
            assert!(fs::read(place.path(name)).expect("just listed") == whole, "half a file");
            fs::remove_file(place.path(name)).expect("just listed");
        }
        fs::write(&output, old).expect("the test's directory is writable");
    });
}

/// Damaged files: the command writes a whole output, or nothing at all.
#[test]
fn a_damaged_file_leaves_nothing() {
    let place = Place::new();
    let whole = fs::read(place.compile("program", HELLO, BARE)).expect("built above");
    let (input, output) = (place.path("program"), place.path("output"));
    let mut random = Random::new(1);
    let mut refused = 0;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random.below(3) {
            // The headers say what the rest is.
            let end = if random.below(4) == 0 { bytes.len() } else { 400 };
            let at = random.below(end);
            bytes[at] = random.next() as u8;
        }
        if random.below(8) == 0 {
            bytes.truncate(random.below(whole.len()));
        }
        fs::write(&input, &bytes).expect("the test's directory is writable");
        let run = patch_to(&input, &output);
        let names = place.names();
        match run.status.code() {
            Some(0) => assert_eq!(names, ["output", "program"]),
            Some(2) => assert_eq!(names, ["program"]),
            other => panic!("{other:?}: {}", String::from_utf8_lossy(&run.stderr)),
        }
        refused += usize::from(!run.status.success());
        let _ = fs::remove_file(&output);
    }
    assert!((30..270).contains(&refused), "{refused} of 300 refused: nothing was tried");
}

/// Runs a script in a mount namespace of its own, with a small tmpfs at `$D`.
fn on_small_disk(place: &Place, script: &str) -> Output {
    let disk = place.path("disk");
    fs::create_dir(&disk).expect("the test's directory is writable");
    let script = format!("mount -t tmpfs -o size=200k none $D && cd $D && {script}");
    // Root may mount; anybody else is root of a user namespace.
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let mut command = Command::new("unshare");
    command.args(if is_root { &["--mount"][..] } else { &["--mount", "--map-root-user"] });
    command.args(["sh", "-c", &script]).env("D", &disk).env("P", PATCHER);
    command.env("I", place.path("program")).env("PATCHED", place.path("patched"));
    command.output().expect("util-linux is installed")
}

/// The command says that there is no room, in one line, and the disk holds what it held.
#[test]
fn a_full_disk_leaves_the_old_file() {
    for (command, old) in [
        ("$P $I -o out", false),
        ("$P $I -o out", true),
        ("$P $I $I.2 -o .", false),
        ("$P revert $PATCHED -o out", true),
    ] {
        let place = Place::new();
        let input = program(&place);
        fs::copy(&input, place.path("program.2")).expect("the test's directory is writable");
        success(&patch_to(&input, &place.path("patched")));
        let prepare = if old { "echo old >out;" } else { "" };
        let listed = "ls -A; test ! -e out || cat out";
        let run = on_small_disk(&place, &format!("{prepare} {command}; echo $?; {listed}"));
        let error = String::from_utf8_lossy(&run.stderr);
        assert!(error.contains("no space left on device"), "{command}: {error}");
        let left = if old { "2\nout\nold\n" } else { "2\n" };
        let said = String::from_utf8_lossy(&run.stdout);
        // With several files a summary comes first.
        assert!(said.ends_with(left), "{command}: {said}{error}");
        assert!(old || !said.contains("procsys-"), "{command}: {said}");
    }
}

#[test]
fn a_read_only_directory_stays_as_it_is() {
    let place = Place::new();
    program(&place);
    let script = "echo old >out; mount -o remount,ro $D; $P $I -o out; echo $?; $P $I -o new; echo $?; ls -A; cat out";
    let run = on_small_disk(&place, script);
    let error = String::from_utf8_lossy(&run.stderr);
    assert_eq!(String::from_utf8_lossy(&run.stdout), "2\n2\nout\nold\n", "{error}");
    assert_eq!(error.matches("read-only file system").count(), 2, "{error}");
    assert_eq!(error.lines().count(), 2, "{error}");
}
