//! Programs that run with more rights than their caller (AT_SECURE) are left alone:
//! a real set-user-ID program, run by another user, sees nothing of the library,
//! also where the loader does load it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, source, table_of};
use procsys_tests::{Outcome, patch};

const EMULATED: &str = "/proc/sys/procsys/absent";
/// Nobody in particular.
const USER: u32 = 65_534;
/// A library that no program needs, in a folder that the loader trusts: in a mount
/// namespace of the test's own it is ours.
const TRUSTED: &str = "/usr/lib/x86_64-linux-gnu/libBrokenLocale.so.1";

/// A program of root's with the set-user-ID bit, rules, and a place for the trace.
struct Bench {
    folder: Folder,
    program: PathBuf,
    table: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let program = folder.path().join("program");
        compile("gcc", &["-O1"], &source("secure.c"), &program);
        let table = table_of(folder.path(), &["--emulate", &format!("{EMULATED}=42")]);
        // The trace is to be writable by the program, whoever it is.
        set_mode(folder.path(), 0o1777);
        set_mode(&program, 0o4755);
        Self { folder, program, table }
    }

    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// Runs the program, as another user or as root, and says what it printed and
    /// whether a trace was written.
    fn run(
        &self,
        mut command: Command,
        preload: Option<&str>,
        user: Option<u32>,
    ) -> (String, bool) {
        let _ = fs::remove_file(self.trace());
        command.env_clear().env("PROCSYS_RULES", &self.table).env("PROCSYS_TRACE", self.trace());
        if let Some(preload) = preload {
            command.env("LD_PRELOAD", preload);
        }
        if let Some(user) = user {
            // More than the library would take in any other program.
            command.envs((0..8).map(|n| (format!("PROCSYS_{n}"), "1")));
            command.uid(user).gid(user);
        }
        let outcome: Outcome = finish(command);
        assert!(outcome.success(), "{outcome}");
        (outcome.stdout, fs::read(self.trace()).is_ok_and(|trace| !trace.is_empty()))
    }

    fn command(&self, program: &Path, loaded: &str) -> Command {
        let mut command = Command::new(program);
        command.args([loaded, EMULATED]);
        command
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// What the program prints and passes on when it is left alone.
fn alone(loaded: u8) -> String {
    format!("secure 1 loaded {loaded} file No such file or directory\nONLY=1\n")
}

/// glibc drops a library that is named by a path.
#[test]
fn a_preloaded_path_is_dropped() {
    let bench = Bench::new("preload-secure");
    let library = library();
    let library = library.to_str().expect("text");
    let command = || bench.command(&bench.program, "libprocsys.so");
    let (text, traced) = bench.run(command(), Some(library), None);
    assert!(text.starts_with("secure 0 loaded 1 file there\nLD_PRELOAD="), "{text}");
    assert!(traced, "root's own run is repaired");
    assert_eq!(bench.run(command(), Some(library), Some(USER)), (alone(0), false));
}

/// A set-user-ID library in a folder that the loader trusts is loaded, and does
/// nothing: rules and trace of the caller's are not looked at.
#[test]
fn a_trusted_library_does_nothing() {
    let bench = Bench::new("preload-secure-trusted");
    let copy = bench.folder.path().join("copy.so");
    fs::copy(library(), &copy).expect("the temporary directory is writable");
    set_mode(&copy, 0o4755);
    let name = TRUSTED.rsplit('/').next().expect("a file");
    let run = |user: Option<u32>| {
        let change = user.map_or_else(String::new, |user| {
            format!("setpriv --reuid={user} --regid={user} --clear-groups ")
        });
        let script = format!(
            "mount --bind \"$1\" {TRUSTED} && shift && export LD_PRELOAD={name} && exec {change}\"$@\""
        );
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--mount", "/bin/sh", "-c", &script, "sh"]).arg(&copy).arg(&bench.program);
        command.args([name, EMULATED]);
        bench.run(command, None, None)
    };
    let (text, traced) = run(None);
    assert!(text.starts_with("secure 0 loaded 1 file there\n"), "{text}");
    assert!(traced, "root's own run is repaired");
    assert_eq!(run(Some(USER)), (alone(1), false));
}

/// A program that needs the library by its own file.
#[test]
fn a_needed_library_does_nothing() {
    let bench = Bench::new("preload-secure-needed");
    let patched = bench.folder.path().join("patched");
    let own = library();
    patch(&bench.program, &patched, &["--with-preload", own.to_str().expect("text")]);
    set_mode(&patched, 0o4755);
    let command = || bench.command(&patched, "libprocsys.so");
    let (text, traced) = bench.run(command(), None, None);
    assert!(text.starts_with("secure 0 loaded 1 file there\n"), "{text}");
    assert!(traced, "root's own run is repaired");
    assert_eq!(bench.run(command(), None, Some(USER)), (alone(1), false));
    // A variable that glibc takes out, which moves what lies behind it.
    assert_eq!(bench.run(command(), Some("/nothing.so"), Some(USER)), (alone(1), false));
}
