//! `libprocsys-whole.so`: the rules of all profiles, and calls for which the small
//! library has no room.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::golang;
use procsys_tests::gosuites::Linked;
use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, source, table, whole};
use procsys_tests::sysbox::{SYSCTL, SystemContainer, WANTED};
use procsys_tests::{Outcome, patch, programs, run};

/// Rules as profile `kubelet` has them, for files that no kernel has.
const RULES: &str = r#"
[[rule]]
name = "log"
action = "emulate"
path = "/dev/procsys-kmsg"
file = "kmsg"
mode = 0o444
write = "refuse"

[[rule]]
name = "beside"
action = "emulate"
path = "FOLDER/**/absent"
sibling = "file"
mode = 0o444
write = "refuse"

[[rule]]
name = "release"
action = "emulate"
path = "/proc/sys/procsys/osrelease"
probe = "osrelease"
mode = 0o444
write = "refuse"

[[rule]]
name = "memory"
action = "ignore"
call = "write"
on = ["EIO"]
when = [{ arg = 0, file = "/proc/self/mem" }]
"#;

struct Bench {
    folder: Folder,
    rules: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).expect("the temporary directory is writable");
        fs::write(deep.join("file"), "beside\n").expect("as above");
        let rules = folder.path().join("rules.toml");
        let text = RULES.replace("FOLDER", folder.path().to_str().expect("text"));
        fs::write(&rules, text).expect("as above");
        Self { folder, rules }
    }

    fn absent(&self) -> String {
        self.folder.path().join("a/b/absent").display().to_string()
    }

    fn run(&self, library: Option<&Path>, program: &[&str]) -> Outcome {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]);
        if let Some(library) = library {
            command.env("LD_PRELOAD", library).env("PROCSYS_RULES", &self.rules);
        }
        finish(command)
    }
}

/// Each rule: the stock failure, the small library's refusal, the whole one's answer.
#[test]
fn rules_of_the_whole_hook_are_taken() {
    let bench = Bench::new("preload-whole");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("procfs is there");
    let absent = bench.absent();
    let cases: [(&[&str], &str, &str); 4] = [
        (&["/bin/cat", &absent], "No such file", "beside\n"),
        (&["/bin/cat", "/proc/sys/procsys/osrelease"], "No such file", &release),
        (
            &["/bin/dd", "if=/dev/procsys-kmsg", "iflag=nonblock", "count=1", "status=none"],
            "No such file",
            "",
        ),
        (
            &["/bin/dd", "if=/etc/hostname", "of=/proc/self/mem", "conv=notrunc", "status=none"],
            "Input/output error",
            "",
        ),
    ];
    for (program, stock, expected) in cases {
        let outcome = bench.run(None, program);
        assert!(!outcome.success() && outcome.stderr.contains(stock), "{program:?}: {outcome}");
        let outcome = bench.run(Some(&library()), program);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome}");
        let refusal = "procsys: rule log: libprocsys-whole.so has it, this library has not\n";
        assert_eq!(outcome.stderr, refusal);
        let outcome = bench.run(Some(&whole()), program);
        assert_eq!(outcome.stdout, expected, "{program:?}: {outcome}");
        // A log in which nothing new comes says so to who does not wait.
        let waits = outcome.stderr.contains("Resource temporarily unavailable");
        assert!(outcome.success() || waits, "{program:?}: {outcome}");
    }
}

#[test]
fn profiles_are_taken_or_refused_by_one_line() {
    for profile in ["kubelet", "k3s", "sysbox", "lxc"] {
        let say = |library: PathBuf| {
            let mut command = Command::new("/bin/echo");
            command.arg("main ran").env("LD_PRELOAD", library).env("PROCSYS_PROFILE", profile);
            finish(command)
        };
        let small = say(library());
        let refusal = format!(
            "procsys: PROCSYS_PROFILE={profile}: not a profile of this library: gvisor; \
             libprocsys-whole.so has all\n"
        );
        assert_eq!((small.code, small.stdout.as_str()), (Some(2), ""), "{small}");
        assert_eq!(small.stderr, refusal);
        let outcome = say(whole());
        assert_eq!(outcome.stdout, "main ran\n", "{profile}: {outcome}");
        assert_eq!(outcome.stderr, "", "{profile}");
    }
}

/// Go's own calls get the whole hook as well, and children the same library.
#[test]
fn go_and_its_children_are_reached() {
    let bench = Bench::new("preload-whole-go");
    let program = bench.folder.path().join("peers");
    golang::build("peers", Linked::Dynamic, &program);
    let mut command = Command::new(&program);
    command.env("PEER_PATH", bench.absent()).env("LD_PRELOAD", whole());
    let outcome = finish({
        command.env("PROCSYS_RULES", &bench.rules);
        command
    });
    assert_eq!(outcome.stdout, "reached os.Open\nreached os.Stat\nreached os/exec\n", "{outcome}");
}

/// Profile `sysbox` in a stand-in for a sysbox container: a program with libpathrs'
/// questions takes the file for one of procfs until it is closed. Its inline
/// instructions stay the kernel's.
#[test]
fn what_stood_over_proc_sys_is_trusted() {
    let container = SystemContainer::new("preload-whole-pathrs");
    let program = container.path().join("pathrs-dynamic");
    let code = programs::folder().join("safe_procfs/pathrs.c");
    compile("gcc", &["-O2", "-pthread"], &code, &program);
    let say = |preload: bool| {
        let mut command = Command::new(&program);
        command.arg(WANTED);
        if preload {
            command.env("LD_PRELOAD", whole()).env("PROCSYS_PROFILE", "sysbox");
        }
        run(&mut command, Duration::from_secs(20)).stdout
    };
    let refused = "openat2: Invalid cross-device link";
    assert_eq!(say(false), format!("inline: {refused}\nsyscall(): {refused}\n"));
    assert_eq!(say(true), format!("inline: {refused}\nsyscall(): as procfs\n"));
    let sysctl = SYSCTL.strip_prefix("sys/").expect("it is below sys");
    assert_eq!(container.value("fuse", sysctl), WANTED);
}

/// What the kernel says where the prefix is there. (Patched programs: docs/limits.md.)
const MESSAGES: &str = "bind 0 0\nsendmmsg 2 errno 77, 1 1 bytes\nsendmmsg -1 errno 2\n\
    recvmmsg 2 errno 77\n  a from /procsys-away/client, 23\n  b from /procsys-away/client, 23\n";

/// A program that asks for what is below a prefix, as both doors have it.
struct Doors {
    folder: Folder,
    table: PathBuf,
}

impl Doors {
    /// The program is `dynamic` and, patched with these redirects, `patched`.
    fn new(name: &str, compiler: &str, code: &str, redirects: &[(&str, &str)]) -> Self {
        let folder = Folder::new(&format!("preload-whole-{name}-{compiler}"));
        let path = |name: &str| folder.path().join(name);
        let rule = |(from, to): &(&str, &str)| {
            let to = path(to);
            fs::create_dir_all(&to).expect("the temporary directory is writable");
            let to = to.display();
            format!(
                "[[rule]]\nname = \"{}\"\naction = \"redirect\"\nfrom = \"{from}\"\nto = \"{to}\"\n",
                from.trim_start_matches('/').replace('/', "-")
            )
        };
        let rules = path("rules.toml");
        fs::write(&rules, redirects.iter().map(rule).collect::<String>()).expect("as above");
        compile(compiler, &["-O1", "-w"], &source(code), &path("dynamic"));
        compile(compiler, &["-O1", "-w", "-static"], &source(code), &path("stock"));
        patch(&path("stock"), &path("patched"), &["--rules", rules.to_str().expect("text")]);
        let table = table(folder.path(), &rules);
        Self { folder, table }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the program prints without the library, or with it.
    fn dynamic(&self, preload: bool) -> String {
        let mut command = Command::new(self.path("dynamic"));
        if preload {
            command.env("LD_PRELOAD", whole()).env("PROCSYS_RULES", &self.table);
        }
        self.print(command)
    }

    /// What the patched one prints.
    fn patched(&self) -> String {
        self.print(Command::new(self.path("patched")))
    }

    fn print(&self, command: Command) -> String {
        let outcome = finish(command);
        assert!(outcome.success(), "{outcome}");
        outcome.stdout
    }
}

/// Files, each empty, with the folders that they are in.
fn files(below: &Path, names: &[&str]) {
    for name in names {
        let file = below.join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("it is writable");
        fs::write(file, "").expect("as above");
    }
}

/// Folders and patterns as in a patched static program; several messages at once as
/// each alone.
#[test]
fn calls_that_libc_makes_of_others_are_the_other_doors() {
    for compiler in ["gcc", "musl-gcc"] {
        let doors = Doors::new("folders", compiler, "folders.c", &[("/procsys-away", "real")]);
        files(&doors.path("real"), &["sub/a", "sub/b", "some/b"]);
        let without = doors.dynamic(false);
        assert!(without.contains("scandir: -1 errno 2"), "{without}");
        let (door1, door2) = (doors.dynamic(true), doors.patched());
        let (lists, messages) = door1.split_once("== messages\n").expect("they come last");
        assert!(door2.starts_with(lists), "{compiler}: door 1\n{door1}door 2\n{door2}");
        assert_eq!(messages, MESSAGES, "{compiler}");
    }
}

/// Trees, templates, shared memory: libc's own function, given the path of the rules,
/// gives back the names that the program knows.
#[test]
fn functions_of_a_path_are_given_the_one_in_its_place() {
    for compiler in ["gcc", "musl-gcc"] {
        let redirects = [("/procsys-away", "real"), ("/dev/shm", "shm")];
        let doors = Doors::new("walks", compiler, "walks.c", &redirects);
        let (real, shm) = (doors.path("real"), doors.path("shm"));
        files(&real, &["sub/a", "sub/b", "some/b"]);
        symlink("sub", real.join("link")).expect("as above");
        symlink("..", real.join("sub/up")).expect("as above");
        let fresh = || {
            let _ = fs::remove_file(real.join("wtmp"));
            let _ = fs::remove_file(shm.join("procsys-shared"));
        };
        let without = doors.dynamic(false);
        fs::remove_file("/dev/shm/procsys-shared").expect("without, it is where libc puts it");
        let failures = without.lines().filter(|l| l.contains("-1") || l.contains("failed")).count();
        assert!(failures > 25 && !without.contains(" level "), "{without}");
        let door1 = doors.dynamic(true);
        assert!(shm.join("procsys-shared").exists(), "{compiler}: shm_open went elsewhere");
        fresh();
        let door2 = doors.patched();
        assert_eq!(door1, door2, "{compiler}: door 1 (left), door 2 (right)");
        assert!(door1.lines().count() > 190, "{door1}");
        println!("{compiler}: {} lines, the same at both doors", door1.lines().count());
    }
}
