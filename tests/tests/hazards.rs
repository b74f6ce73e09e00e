//! Each hazard program of `tests/programs`, in each of its builds: the stock run
//! must say what its header expects, and every patched run the same, whether
//! the rules lie idle or answer its calls, and with every system call sent
//! through the slow path too.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::programs::{self, Build, Program};
use procsys_tests::{Outcome, patch, root, run};

/// A file that no kernel has, served by the patch.
const EMULATED: &str = "/proc/sys/procsys/absent";
/// A prefix that is not there, redirected by the patch.
const PREFIX: &str = "/procsys-from";

/// Where one build of one program is made and run.
struct Bench {
    folder: PathBuf,
    program: Program,
}

impl Bench {
    fn new(file: &str, build: Build) -> Self {
        let name = format!("{}-{}", file.replace('.', "-"), build.name());
        let folder = root().join("target/hazards").join(name);
        std::fs::create_dir_all(folder.join("to")).expect("target/ is ours to write");
        std::fs::write(folder.join("emulated"), "42\n").expect("a new file");
        std::fs::write(folder.join("to/file"), "redirected\n").expect("a new file");
        let fifo = folder.join("to/fifo");
        if !fifo.exists() {
            let path = CString::new(fifo.into_os_string().into_vec()).expect("no NUL in a path");
            // SAFETY: the path is a C string that lives across the call.
            let made = unsafe { libc::mkfifo(path.as_ptr(), 0o600) };
            assert_eq!(made, 0, "mkfifo: {}", std::io::Error::last_os_error());
        }
        Self { folder, program: Program::read(file) }
    }

    fn run(&self, binary: &Path, served: bool) -> Outcome {
        let mut command = Command::new(binary);
        command.current_dir(&self.folder);
        let (emulated, redirected) = self.paths(served);
        command.env("HAZARD_EMULATED", emulated).env("HAZARD_REDIRECTED", redirected);
        run(&mut command, self.program.limit)
    }

    /// The emulated and the redirected path that a program is told of.
    fn paths(&self, served: bool) -> (PathBuf, PathBuf) {
        if served {
            (EMULATED.into(), Path::new(PREFIX).join("file"))
        } else {
            (self.folder.join("emulated"), self.folder.join("to/file"))
        }
    }

    /// Patches `stock` in the way named.
    fn patched(&self, stock: &Path, name: &str, served: bool, every_call: bool) -> PathBuf {
        let output = self.folder.join(name);
        let emulate = format!("{EMULATED}=42");
        let redirect = format!("{PREFIX}={}", self.folder.join("to").display());
        let mut args = Vec::new();
        if served {
            args.extend(["--emulate", &emulate, "--redirect", &redirect]);
        }
        if every_call {
            args.push("--every-call");
        }
        patch(stock, &output, &args);
        output
    }

    /// What is wrong with an outcome, if anything is.
    fn fault(&self, outcome: &Outcome) -> Option<String> {
        let Program { expect, stderr, exit, limit, .. } = &self.program;
        match outcome.code {
            None => Some(format!("hangs: no end within {limit:?}")),
            Some(code) if code != *exit => Some(format!("exit {code}, not {exit}")),
            _ if outcome.stdout.lines().last() != Some(expect) => {
                Some(format!("its last line is not `{expect}`"))
            }
            _ => stderr
                .as_ref()
                .filter(|words| !outcome.stderr.contains(*words))
                .map(|words| format!("its standard error does not hold `{words}`")),
        }
    }
}

/// Runs one program in all its builds and ways; all faults are told at once.
fn hazard(file: &str) {
    let mut faults = Vec::new();
    for build in Program::read(file).builds {
        let bench = Bench::new(file, build);
        let stock = bench.program.build(build, &bench.folder);
        let before = bench.run(&stock, false);
        if let Some(fault) = bench.fault(&before) {
            panic!("{file} ({}) is at fault itself: {fault}\n{before}", build.name());
        }
        // Without the patch the served run has to fail, or it would prove nothing.
        let bare = bench.run(&stock, true);
        assert!(
            !bench.program.served || bench.fault(&bare).is_some() || bare.stdout != before.stdout,
            "{file} ({}) does not need its paths served\n{bare}",
            build.name()
        );
        for (name, served, every_call) in [
            ("default", false, false),
            ("every-call", false, true),
            ("served", true, false),
            ("served-every-call", true, true),
        ] {
            if bench.program.without.iter().any(|way| way == name) {
                continue;
            }
            let binary = bench.patched(&stock, name, served, every_call);
            let after = bench.run(&binary, served);
            let fault = bench.fault(&after).or_else(|| {
                (after.stdout != before.stdout)
                    .then(|| format!("its output differs from stock's:\n{}", before.stdout))
            });
            if let Some(fault) = fault {
                faults.push(format!("{}: {fault}\n{after}", binary.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What gdb says at a breakpoint, in a library function and in a system call,
/// without addresses and process numbers.
fn gdb(bench: &Bench, binary: &Path, served: bool, script: &[&str]) -> String {
    let mut command = Command::new("gdb");
    command.args(["-nx", "-batch", "-ex", "set debuginfod enabled off"]);
    for line in script {
        command.args(["-ex", line]);
    }
    command.arg(binary).current_dir(&bench.folder);
    let (emulated, redirected) = bench.paths(served);
    command.env("HAZARD_EMULATED", emulated).env("HAZARD_REDIRECTED", redirected);
    let outcome = run(&mut command, Duration::from_secs(60));
    assert!(outcome.success(), "{command:?}\n{outcome}");
    outcome.stdout
}

/// The function names of a backtrace, innermost first.
fn frames(said: &str) -> Vec<&str> {
    said.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter_map(|line| {
            line.split_whitespace()
                .rev()
                .find(|word| word.starts_with('('))
                .and_then(|open| line.split(open).next())
        })
        .filter_map(|head| head.split_whitespace().last())
        .collect()
}

macro_rules! hazards {
    ($($name:ident: $file:literal,)*) => {
        $(#[test] fn $name() { hazard($file); })*

        #[test]
        fn every_program_is_run() {
            let mut listed = vec![$($file),*];
            listed.sort_unstable();
            assert_eq!(programs::all(), listed, "tests/programs and the list in hazards.rs differ");
        }
    };
}

hazards! {
    alignment_flag: "alignment_flag.c",
    alternate_stack: "alternate_stack.c",
    arguments: "arguments.c",
    bad_pointers: "bad_pointers.c",
    cancel_open: "cancel_open.c",
    cancel_read: "cancel_read.c",
    cancel_storm: "cancel_storm.c",
    cancel_unwind: "cancel_unwind.c",
    clone_libc: "clone_libc.c",
    clone_new_stack: "clone_new_stack.c",
    clone_stack_zero: "clone_stack_zero.c",
    descriptors: "descriptors.c",
    eintr: "eintr.c",
    exec_bad_environment: "exec_bad_environment.c",
    exec_loop: "exec_loop.c",
    exec_over_threads: "exec_over_threads.c",
    file_limit: "file_limit.c",
    fork_chain: "fork_chain.c",
    fork_storm: "fork_storm.c",
    fs_base: "fs_base.c",
    gdb_frames: "gdb_frames.c",
    go_exec: "go_exec.go",
    go_panic: "go_panic.go",
    go_preempt: "go_preempt.go",
    go_profile: "go_profile.go",
    go_signals: "go_signals.go",
    go_small_stacks: "go_small_stacks.go",
    go_threads: "go_threads.go",
    heap: "heap.c",
    kept_file: "kept_file.c",
    killed_sharer: "killed_sharer.c",
    left_at_each_step: "left_at_each_step.c",
    left_early: "left_early.c",
    mappings: "mappings.c",
    marked_mode: "marked_mode.c",
    neighbours: "neighbours.c",
    no_stack: "no_stack.c",
    odd_numbers: "odd_numbers.c",
    own_root: "own_root.c",
    path_edge: "path_edge.c",
    path_length: "path_length.c",
    red_zone: "red_zone.c",
    redirect_blocking: "redirect_blocking.c",
    redirect_signals: "redirect_signals.c",
    registers: "registers.c",
    restart: "restart.c",
    setxid: "setxid.c",
    siglongjmp: "siglongjmp.c",
    signal_mask: "signal_mask.c",
    signal_rate: "signal_rate.c",
    signal_return: "signal_return.c",
    thread_crowd: "thread_crowd.c",
    vectors: "vectors.c",
    vfork_exec: "vfork_exec.c",
    vfork_libc: "vfork_libc.c",
    vfork_raw: "vfork_raw.c",
}

#[test]
fn gdb_finds_its_way() {
    let bench = Bench::new("gdb_frames.c", Build::Glibc);
    // A folder of its own: the program is also run by itself, at the same time.
    let bench = Bench { folder: bench.folder.join("gdb"), ..bench };
    std::fs::create_dir_all(&bench.folder).expect("target/ is ours to write");
    std::fs::write(bench.folder.join("emulated"), "42\n").expect("a new file");
    let stock = bench.program.build(Build::Glibc, &bench.folder);
    let patched = bench.patched(&stock, "patched", true, false);

    let library = ["break getppid", "run", "bt", "finish", "continue"];
    let before = gdb(&bench, &stock, false, &library);
    let after = gdb(&bench, &patched, true, &library);
    assert_eq!(frames(&before)[..4], ["getppid", "innermost", "outer", "main"], "{before}");
    assert_eq!(frames(&after), frames(&before), "{after}");
    assert!(after.contains("outer saw 42"), "{after}");

    let passed = ["catch syscall getppid", "run", "bt"];
    let after = gdb(&bench, &patched, true, &passed);
    assert!(frames(&after).ends_with(&["innermost", "outer", "main"]), "{after}");

    let served = ["catch syscall openat", "run", "bt"];
    let after = gdb(&bench, &patched, true, &served);
    assert!(frames(&after).ends_with(&["innermost", "outer", "main"]), "{after}");
}
