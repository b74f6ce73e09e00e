//! Dynamic Go under `libprocsys.so`: its own system calls are detoured in its
//! memory, and it passes the library on to what it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::cells::{Cell, Job, is_known, measure};
use procsys_tests::golang::build;
use procsys_tests::gosuites::{Linked, goroot, run_suite, test_program};
use procsys_tests::gvisor::{Platform, real};
use procsys_tests::native::{Folder, copy_program};
use procsys_tests::oci::CONFIGS;
use procsys_tests::preload::{finish, library, table_of};
use procsys_tests::{Outcome, fixture};

const ENV: &str = "/usr/bin/env";

fn preloaded(program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LD_PRELOAD", library()).args(args);
    command
}

/// The printed environment, sorted.
fn lines(outcome: &Outcome) -> Vec<&str> {
    assert!(outcome.success() && outcome.stderr.is_empty(), "{outcome}");
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn debians_programs_say_what_they_said() {
    for (program, args) in [
        (fixture("runc-dynamic"), &["--version"][..]),
        (fixture("runc-dynamic"), &["features"]),
        (fixture("runc-current-dynamic"), &["features"]),
        (fixture("containerd").join("containerd"), &["config", "default"]),
        (fixture("containerd").join("containerd-shim-runc-v2"), &["-v"]),
    ] {
        let mut stock = Command::new(&program);
        stock.env_clear().args(args);
        let (stock, with) = (finish(stock), finish(preloaded(&program, args)));
        assert_eq!(with.code, Some(0), "{with}");
        assert_eq!((with.stdout, with.stderr), (stock.stdout, stock.stderr), "{program:?}");
    }
}

#[test]
fn a_cleared_environment_is_completed() {
    let folder = Folder::new("preload-go");
    let preload = format!("LD_PRELOAD={}", library().display());
    for linked in [Linked::Dynamic, Linked::DynamicPie] {
        let program = folder.path().join(format!("{linked:?}"));
        build("runs", linked, &program);
        let complete = [preload.as_str(), "ONLY=1", "PROCSYS_PROFILE=gvisor"];
        for how in [&[ENV][..], &["exec", ENV]] {
            let mut command = preloaded(&program, how);
            command.env("PROCSYS_PROFILE", "gvisor");
            assert_eq!(lines(&finish(command)), complete, "{linked:?} {how:?}");
            let mut command = preloaded(&program, how);
            command.env("PROCSYS_PROPAGATE", "0");
            assert_eq!(lines(&finish(command)), ["ONLY=1"], "{linked:?} {how:?}");
        }
        // It travels through one that runs another that runs a third.
        let own = program.to_str().expect("text");
        let outcome = finish(preloaded(&program, &[own, "exec", own, ENV]));
        assert_eq!(lines(&outcome), [preload.as_str(), "ONLY=1"], "{linked:?}");
        // What the program put there itself stays, behind ours.
        let outcome = finish(preloaded(&program, &["with", "LD_PRELOAD=libc.so.6", ENV]));
        let joined = format!("{preload}:libc.so.6");
        assert_eq!(lines(&outcome), [joined.as_str(), "ONLY=1"], "{linked:?}");
        let outcome = finish(preloaded(&program, &["with", "PROCSYS_DISABLE=1", ENV]));
        assert_eq!(lines(&outcome), ["ONLY=1", "PROCSYS_DISABLE=1"], "{linked:?}");
        // Many variables, and more than the hook has room for: which is said.
        let outcome = finish(preloaded(&program, &["many", "400", ENV]));
        assert_eq!(lines(&outcome).len(), 401, "{linked:?}");
        let outcome = finish(preloaded(&program, &["many", "2000", ENV]));
        let said = "procsys: an environment of too many variables is not completed";
        assert!(outcome.all().contains(said), "{outcome}");
        // A failure is the kernel's own.
        let failed =
            "no such file or directory\nfork/exec /no/such/program: no such file or directory\n";
        assert_eq!(finish(preloaded(&program, &["fail"])).stdout, failed, "{linked:?}");
    }
}

/// Where a kernel or a machine forbids it, that is an error in one line.
#[test]
fn what_can_not_be_reached_is_said() {
    let folder = Folder::new("preload-go-refused");
    let alone = folder.path().join("libprocsys.so");
    copy_program(&library(), &alone);
    let mut command = Command::new(fixture("runc-dynamic"));
    command.arg("--version").env("LD_PRELOAD", &alone);
    let outcome = finish(command);
    assert_eq!(outcome.code, Some(2), "{outcome}");
    let start = "procsys: a Go program, and its own system calls can't be reached: ";
    let end = "; use procsys-patch on it\n";
    assert!(outcome.stderr.starts_with(start) && outcome.stderr.ends_with(end), "{outcome}");
    assert!(outcome.stderr.contains("libprocsys-go.so: cannot open shared object file"));
    // prctl(PR_SET_MDWE): no memory becomes executable (Linux 6.3).
    let source = folder.path().join("mdwe.c");
    let text = "#include <sys/prctl.h>\n#include <unistd.h>\n\
                int main(int argc, char **argv) {\n\
                if (prctl(65, 1, 0, 0, 0)) return 3;\nexecv(argv[1], argv + 1);\nreturn 4;\n}\n";
    fs::write(&source, text).expect("the temporary directory is writable");
    let mdwe = folder.path().join("mdwe");
    procsys_tests::preload::compile("gcc", &[], &source, &mdwe);
    let mut command = Command::new(&mdwe);
    command.arg(fixture("runc-dynamic")).arg("--version").env("LD_PRELOAD", library());
    let outcome = finish(command);
    let why = "the kernel forbids to change the program's code: Permission denied";
    assert_eq!((outcome.code, outcome.stderr), (Some(2), format!("{start}{why}{end}")));
    // Turned off, nothing is touched.
    let mut command = Command::new(&mdwe);
    command.arg(fixture("runc-dynamic")).arg("--version");
    command.env("LD_PRELOAD", library()).env("PROCSYS_DISABLE", "1");
    assert!(finish(command).success());
}

/// No memory is ever writable and executable, also while it is changed.
#[test]
fn no_memory_is_writable_and_executable() {
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=mmap,mprotect,mremap,pkey_mprotect"]);
    command.arg("-E").arg(format!("LD_PRELOAD={}", library().display()));
    command.arg(fixture("runc-dynamic")).arg("--version");
    let outcome = finish(command);
    assert!(outcome.success(), "{outcome}");
    let both: Vec<_> = outcome
        .stderr
        .lines()
        .filter(|l| l.contains("PROT_WRITE") && l.contains("PROT_EXEC"))
        .collect();
    assert!(both.is_empty(), "{both:?}");
    let made_code = |l: &&str| l.contains("mprotect(0x") && l.contains("PROT_READ|PROT_EXEC");
    assert!(outcome.stderr.lines().filter(made_code).count() > 2, "{outcome}");
}

/// Go's own suites, in memory: lists as without the library.
#[test]
fn go_suites_end_as_they_do_without() {
    const LIMIT: Duration = Duration::from_secs(120);
    let goroot = goroot();
    let folder = Folder::new("preload-go-suites");
    for (package, linked) in [("syscall", Linked::DynamicPie), ("os/exec", Linked::Dynamic)] {
        let stock = test_program(&goroot, package, linked);
        // The suites look at the environment that they pass on: it stays theirs.
        let script = folder.path().join("suite.sh");
        let text = format!(
            "#!/bin/sh\nexec env LD_PRELOAD={} PROCSYS_PROPAGATE=0 {} \"$@\"\n",
            library().display(),
            stock.display()
        );
        write_script(&script, &text);
        let mut found = Vec::new();
        for _ in 0..3 {
            let before = run_suite(&goroot, package, &stock, &[], LIMIT);
            let after = run_suite(&goroot, package, &script, &[], LIMIT);
            found = before.differences(&after);
            println!("{package} {linked:?}: {} tests, {found:?}", after.total());
            if found.is_empty() {
                break;
            }
        }
        assert!(found.is_empty(), "{package}: {}", found.join("\n"));
    }
}

fn write_script(path: &Path, text: &str) {
    // By a process of its own: see `copy_program`.
    let mut command = Command::new("sh");
    command.args(["-c", "printf %s \"$1\" >\"$2\" && chmod 755 \"$2\"", "write", text]).arg(path);
    let outcome = finish(command);
    assert!(outcome.success(), "{outcome}");
}

/// Debian's own dynamic runc (1.1.5), and the newest packaged one built in the same
/// way, not patched: `runc init`, which it starts with an environment of its own, is
/// covered too, or c8 would fail.
#[test]
fn dynamic_runcs_run_every_container_in_gvisor() {
    for runc in ["runc-dynamic", "runc-current-dynamic"] {
        runs_every_container_in_gvisor(runc);
    }
}

fn runs_every_container_in_gvisor(name: &str) {
    let folder = Folder::new(&format!("preload-go-gvisor-{name}"));
    let runc = real(&fixture(name));
    let script = folder.path().join("door1.sh");
    write_script(
        &script,
        &format!("#!/bin/sh\nexec env LD_PRELOAD={} {runc} \"$@\"\n", real(&library())),
    );
    let ways = [("stock", PathBuf::from(&runc)), ("door1", script)];
    let mut jobs = Vec::new();
    for (way, program) in &ways {
        for config in CONFIGS {
            let name = format!("go-{}-{way}", config.name);
            jobs.push(Job { name, runc: program.clone(), config: config.name });
        }
    }
    for platform in [Platform::Ptrace, Platform::Systrap] {
        let cells = measure(platform, &jobs, folder.path());
        let mut failed = 0;
        for config in CONFIGS {
            let cell = |way: &str| &cells[&format!("go-{}-{way}", config.name)];
            println!("{name}, {platform} {}: stock {:?}", config.name, cell("stock"));
            match cell("stock") {
                Cell::Runs => {}
                Cell::Says(said) if is_known(said) => failed += 1,
                other => panic!("{name}, {platform} {}: stock: {other:?}", config.name),
            }
            assert_eq!(*cell("door1"), Cell::Runs, "{name}, {platform} {}", config.name);
        }
        assert!(failed > 0, "{name}, {platform}: stock runc ran everything: is this gVisor?");
    }
}

/// Rules of the user's reach Go, too.
#[test]
fn rules_from_a_file_reach_go() {
    let folder = Folder::new("preload-go-rules");
    let table = table_of(folder.path(), &["--emulate", "/proc/sys/procsys/x=42"]);
    let program = folder.path().join("runs");
    build("runs", Linked::Dynamic, &program);
    let own = program.to_str().expect("text");
    let mut command = preloaded(&program, &[own, "/bin/cat", "/proc/sys/procsys/x"]);
    command.env("PROCSYS_RULES", &table);
    assert_eq!(finish(command).stdout, "42\n");
}
