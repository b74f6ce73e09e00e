//! Programs that bring their own malloc, and an allocator that is preloaded as
//! well, before libprocsys.so or behind it: the hook never enters either.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, source, table_of};
use procsys_tests::{Outcome, fixture};

const EMULATED: &str = "/proc/sys/procsys/absent";
const PREFIX: &str = "/procsys-from";
const PRINTS: &str = "2000 signals between malloc and free\n";

/// A folder with what the rules of `table` lead to.
struct Bench {
    folder: Folder,
    table: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let to = folder.path().join("to");
        fs::create_dir_all(&to).expect("the temporary directory is writable");
        fs::write(to.join("file"), "redirected\n").expect("as above");
        let redirect = format!("{PREFIX}={}", to.display());
        let emulate = format!("{EMULATED}=42");
        let table = table_of(folder.path(), &["--emulate", &emulate, "--redirect", &redirect]);
        Self { folder, table }
    }

    fn build(&self, compiler: &str, flags: &[&str]) -> PathBuf {
        let program = self.folder.path().join(compiler);
        compile(compiler, &[&["-O1", "-w"], flags].concat(), &source("allocators.c"), &program);
        program
    }

    fn run(&self, program: &Path, preload: &str) -> Outcome {
        let mut command = Command::new(program);
        command.env("HAZARD_EMULATED", EMULATED).env("HAZARD_REDIRECTED", format!("{PREFIX}/file"));
        command.env("PROCSYS_RULES", &self.table).env("LD_PRELOAD", preload);
        finish(command)
    }

    fn holds(&self, program: &Path, preload: &str) {
        let stock = self.run(program, &preload.replace(&own(), ""));
        assert!(stock.stderr.contains("FAILED: the handler's calls"), "{stock}");
        let outcome = self.run(program, preload);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), PRINTS), "{outcome}");
    }
}

fn own() -> String {
    library().display().to_string()
}

/// Both orders in which the loader can be given it beside ours.
fn beside_jemalloc() -> [String; 2] {
    let jemalloc = fixture("peers").join("libjemalloc.so").display().to_string();
    [format!("{jemalloc}:{}", own()), format!("{}:{jemalloc}", own())]
}

#[test]
fn a_programs_own_malloc_is_not_entered() {
    let bench = Bench::new("preload-own-malloc");
    for compiler in ["gcc", "musl-gcc"] {
        bench.holds(&bench.build(compiler, &["-DOWN", "-fno-builtin"]), &own());
    }
}

#[test]
fn jemalloc_is_not_entered() {
    let bench = Bench::new("preload-jemalloc");
    let program = bench.build("gcc", &[]);
    for preload in beside_jemalloc() {
        bench.holds(&program, &preload);
    }
}

/// CPython, with all its threads' memory from jemalloc, which says at the end that
/// it was there.
#[test]
fn python_runs_with_both() {
    let script = "import os, threading\n\
        def work():\n    for i in range(300):\n        \
        assert open('/proc/sys/procsys/absent').read() == '42\\n'\n        \
        assert os.listdir('/procsys-from') == ['file'], os.listdir('/procsys-from')\n        \
        assert os.path.realpath('/procsys-from/file')\n\
        threads = [threading.Thread(target=work) for _ in range(4)]\n\
        [t.start() for t in threads]; [t.join() for t in threads]\n\
        print('4 threads')";
    let bench = Bench::new("preload-jemalloc-python");
    for preload in beside_jemalloc() {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", script]).env("PYTHONMALLOC", "malloc");
        command.env("MALLOC_CONF", "stats_print:true");
        command.env("PROCSYS_RULES", &bench.table).env("LD_PRELOAD", &preload);
        let outcome = finish(command);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "4 threads\n"), "{outcome}");
        assert!(outcome.stderr.contains("Begin jemalloc statistics"), "{preload}: {outcome}");
    }
}
