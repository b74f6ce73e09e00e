//! The recipes of examples/image: same digest everywhere, and no other one passes.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::*;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/image").join(name)
}

fn busybox() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fixtures/busybox-static");
    assert!(path.exists(), "fixture {} is missing: run `make fixtures`", path.display());
    path
}

/// Runs patch.sh under `wrapper`, and gives the digest that it printed.
fn digest(wrapper: &[&str], environment: &[(&str, &str)], input: &Path, output: &Path) -> String {
    let (first, rest) = wrapper.split_first().expect("a command");
    let run = Command::new(first)
        .args(rest)
        .arg(example("patch.sh"))
        .args([input, output])
        .env("PROCSYS_PATCH", PATCHER)
        .envs(environment.iter().copied())
        .output()
        .expect("it can be run");
    let said = success(&run);
    let line = said.lines().last().and_then(|l| l.strip_prefix("sha256 ")).expect("a digest");
    line.split(' ').next().expect("a word").to_owned()
}

#[test]
fn the_shell_step_gives_the_same_bytes_twice() {
    let place = Place::new();
    let input = busybox();
    let first = digest(&["sh"], &[], &input, &place.path("first"));
    // Another time zone, locale, name, directory, umask, time and number of threads.
    let other = place.path("other directory");
    fs::create_dir(&other).expect("the test's directory is writable");
    let copy = other.join("ein Ding");
    fs::copy(&input, &copy).expect("the test's directory is writable");
    let touched = Command::new("touch").args(["-d", "1999-12-31"]).arg(&copy).status();
    assert!(touched.expect("coreutils").success());
    let environment = [("TZ", "Asia/Tokyo"), ("LC_ALL", "tr_TR.UTF-8"), ("TMPDIR", "/dev/shm")];
    let one_core = ["taskset", "-c", "0", "sh"];
    let second = digest(&one_core, &environment, &copy, &other.join("second"));
    assert_eq!(first, second);
    let (a, b) = (fs::read(place.path("first")), fs::read(other.join("second")));
    assert!(a.expect("written") == b.expect("written"));
    let names = fs::read_dir(&other).expect("it is there").count();
    assert_eq!(names, 2, "something is left behind");
}

fn step(place: &Place, sha256: &str) -> Output {
    let run = Command::new("sh")
        .arg(example("patch.sh"))
        .arg(busybox())
        .arg(place.path("output"))
        .arg(sha256)
        .args(["--profile", "gvisor"])
        .env("PROCSYS_PATCH", PATCHER)
        .output();
    run.expect("sh is there")
}

#[test]
fn only_the_digest_that_was_agreed_on_passes() {
    let place = Place::new();
    let right = digest(&["sh"], &[], &busybox(), &place.path("right"));
    assert!(
        success(&step(&place, &right))
            .ends_with(&format!("sha256 {right}  {}\n", place.path("output").display()))
    );
    fs::write(place.path("output"), "old").expect("the test's directory is writable");
    let wrong = right.replace(|c: char| c.is_ascii_digit(), "0");
    let result = step(&place, &wrong);
    assert_eq!(result.status.code(), Some(1));
    let said = String::from_utf8_lossy(&result.stderr).into_owned();
    assert!(said.contains(&format!("expected sha256 {wrong}, got {right}")), "{said}");
    assert_eq!(fs::read_to_string(place.path("output")).ok().as_deref(), Some("old"));
    assert_eq!(place.names(), ["output", "right"]);
    // What the patcher refuses comes through as its error.
    let with = |tool: &str, input: &Path| {
        let mut run = Command::new("sh");
        run.arg(example("patch.sh")).arg(input).arg(place.path("ls")).env("PROCSYS_PATCH", tool);
        run.output().expect("sh is there")
    };
    let said = one_error(&with(PATCHER, Path::new("/bin/ls")));
    assert!(said.contains("dynamic executable"), "{said}");
    // So does what verify finds: a patched input is no original.
    let patched = with(PATCHER, &place.path("right"));
    let said = String::from_utf8_lossy(&patched.stderr);
    assert!(said.contains("the file given as original differs"), "{said}");
    let no_tool = with("/nowhere/procsys-patch", &busybox());
    assert_eq!([patched, no_tool].map(|run| run.status.code()), [Some(2); 2]);
    assert_eq!(place.names(), ["output", "right"]);
}

/// The build step of the Dockerfile, run as it stands in a directory like its own.
#[test]
fn the_docker_step_is_the_same_step() {
    let place = Place::new();
    let text = fs::read_to_string(example("Dockerfile")).expect("it is there");
    let copied = text.lines().find_map(|l| l.strip_prefix("COPY ")).expect("a COPY step");
    for name in copied.split(' ').filter(|name| *name != "./") {
        let source = match name {
            "procsys-patch" => PATCHER.into(),
            "patch.sh" => example("patch.sh"),
            _ => busybox(),
        };
        symlink(source, place.path(name)).expect("the test's directory is writable");
    }
    let step = text.lines().find_map(|l| l.strip_prefix("RUN ")).expect("a RUN step");
    let right = digest(&["sh"], &[], &busybox(), &place.path("right"));
    for (sha256, code) in [("", 0), (&*right, 0), ("0000", 1)] {
        let run = Command::new("sh")
            .args(["-c", step])
            .current_dir(place.path("."))
            .env("SHA256", sha256)
            .output();
        let run = run.expect("sh is there");
        assert_eq!(run.status.code(), Some(code), "{}", String::from_utf8_lossy(&run.stderr));
    }
    let made = text.lines().filter_map(|l| l.strip_prefix("COPY --from=patched /work/")).next();
    let made = made.and_then(|l| l.split(' ').next()).expect("the result is copied");
    assert_eq!(fs::read(place.path(made)).ok(), fs::read(place.path("right")).ok());
}
