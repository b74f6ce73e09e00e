//! The hazard programs of `tests/programs`, dynamic, under `libprocsys.so`: they
//! print what they print without, whether rules lie idle or answer their calls.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, library, source, table_of};
use procsys_tests::programs::{self, Program};
use procsys_tests::{Outcome, run};

/// A file that no kernel has, served by the library.
const EMULATED: &str = "/proc/sys/procsys/absent";
/// A prefix that is not there, redirected by the library.
const PREFIX: &str = "/procsys-from";

/// Programs that make the calls to be served by instructions of their own, not
/// through libc: out of this door's reach, and run with idle rules only.
const OWN_INSTRUCTIONS: &[&str] = &[
    "alignment_flag.c",
    "clone_new_stack.c",
    "clone_stack_zero.c",
    "fs_base.c",
    "no_stack.c",
    "red_zone.c",
    "registers.c",
    "vectors.c",
    "vfork_raw.c",
];

/// Not for this door: gdb's breakpoints are looked at in the static build; single steps
/// through two thousand instructions, each time one more, take a minute, and this door
/// takes its stacks with signals blocked (`preload/src/pool.rs`).
const ELSEWHERE: &[&str] = &["gdb_frames.c", "left_at_each_step.c"];

struct Bench {
    folder: Folder,
    program: Program,
    table: PathBuf,
}

impl Bench {
    fn new(file: &str) -> Self {
        let folder = Folder::new(&format!("preload-{}", file.replace('.', "-")));
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("to")).expect("the temporary directory is writable");
        std::fs::write(path("emulated"), "42\n").expect("as above");
        std::fs::write(path("to/file"), "redirected\n").expect("as above");
        let fifo = CString::new(path("to/fifo").into_os_string().into_vec()).expect("no NUL");
        // SAFETY: the path is a C string that lives across the call.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        let emulate = format!("{EMULATED}=42");
        let redirect = format!("{PREFIX}={}", path("to").display());
        let table = table_of(folder.path(), &["--emulate", &emulate, "--redirect", &redirect]);
        Self { folder, program: Program::read(file), table }
    }

    /// Builds it with a compiler; the C library is dynamic.
    fn build(&self, compiler: &str, own_instructions: bool) -> PathBuf {
        let read = |path: &Path| std::fs::read_to_string(path).expect("part of the checkout");
        let (folder, original) = (self.folder.path(), &self.program.source);
        let program = folder.join(original.file_name().expect("a file"));
        std::fs::copy(original, &program).expect("the temporary directory is writable");
        let header = read(&original.with_file_name("hazard.h"));
        let ours = read(&source("by_libc.h")) + "static inline long by_instruction(";
        let changed = header.replace("static inline long raw(", &ours);
        assert_ne!(header, changed, "hazard.h has no `raw` any more");
        let header = if own_instructions { header } else { changed };
        std::fs::write(folder.join("hazard.h"), header).expect("as above");
        let text = read(&program);
        let flags = text.lines().find_map(|l| l.strip_prefix("// #Flags: ")).unwrap_or_default();
        let mut args = vec!["-O2", "-pthread", "-w"];
        args.extend(flags.split_whitespace());
        let output = folder.join(compiler);
        compile(compiler, &args, &program, &output);
        output
    }

    fn run(&self, binary: &Path, served: bool, preloaded: bool) -> Outcome {
        let folder = self.folder.path();
        let (emulated, redirected) = if served {
            (EMULATED.into(), Path::new(PREFIX).join("file"))
        } else {
            (folder.join("emulated"), folder.join("to/file"))
        };
        let mut command = Command::new(binary);
        command.current_dir(folder);
        command.env("HAZARD_EMULATED", emulated).env("HAZARD_REDIRECTED", redirected);
        if preloaded {
            command.env("LD_PRELOAD", library());
        }
        if served {
            command.env("PROCSYS_RULES", &self.table);
        }
        run(&mut command, self.program.limit)
    }

    /// What is wrong with an outcome, if anything is.
    fn fault(&self, outcome: &Outcome) -> Option<String> {
        let Program { expect, stderr, exit, .. } = &self.program;
        let is_right = outcome.code == Some(*exit)
            && outcome.stdout.lines().last() == Some(expect)
            && stderr.as_ref().is_none_or(|words| outcome.stderr.contains(words));
        (!is_right).then(|| outcome.to_string())
    }
}

/// Every fault of one program.
fn faults(file: &str) -> Vec<String> {
    let bench = Bench::new(file);
    let mut faults = Vec::new();
    for compiler in ["gcc", "musl-gcc"] {
        let is_built = bench.program.builds.iter().any(|b| match compiler {
            "gcc" => b.name() == "glibc",
            _ => b.name() == "musl",
        });
        if !is_built {
            continue;
        }
        let own_instructions = OWN_INSTRUCTIONS.contains(&file);
        let binary = bench.build(compiler, own_instructions);
        let stock = bench.run(&binary, false, false);
        if let Some(fault) = bench.fault(&stock) {
            faults.push(format!("{file} {compiler}: at fault itself: {fault}"));
            continue;
        }
        // Without the library the served run has to fail, or it would prove nothing.
        let bare = bench.run(&binary, true, false);
        let is_idle = bench.fault(&bare).is_none() && bare.stdout == stock.stdout;
        if bench.program.served && !own_instructions && is_idle {
            faults.push(format!("{file} {compiler}: does not need its paths served"));
        }
        let ways: &[bool] = if own_instructions { &[false] } else { &[false, true] };
        for &served in ways {
            let after = bench.run(&binary, served, true);
            if let Some(fault) = bench.fault(&after) {
                faults.push(format!("{file} {compiler} served {served}: {fault}"));
            }
        }
    }
    faults
}

#[test]
fn hazard_programs_run_as_without() {
    let all = programs::all();
    let files: Vec<&String> =
        all.iter().filter(|f| f.ends_with(".c") && !ELSEWHERE.contains(&f.as_str())).collect();
    assert!(files.len() > 30, "{files:?}");
    let faults: Vec<String> = files.into_iter().flat_map(|file| faults(file)).collect();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}
