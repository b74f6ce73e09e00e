//! What the tests of the command share: programs to patch, and runs of the command.
#![allow(dead_code)] // Every test file uses a part.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) mod elf;
pub(crate) mod random;
pub(crate) mod release;

/// The command under test.
pub(crate) const PATCHER: &str = env!("CARGO_BIN_EXE_procsys-patch");

/// A directory of one test's own, removed at its end.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("patch-test-").tempdir().expect("/tmp is writable"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("the test's directory is writable");
        path
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("it is a directory");
        let mut names: Vec<_> = entries
            .map(|e| e.expect("it can be read").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Builds C or assembly; the flags say how it is linked.
    pub(crate) fn compile(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let kind = if source.contains("main(") { "c" } else { "S" };
        let file = self.write(&format!("{name}.{kind}"), source.as_bytes());
        let output = self.path(name);
        let result = Command::new("gcc").args(flags).arg("-o").args([&output, &file]).output();
        let result = result.expect("gcc is installed");
        assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
        fs::remove_file(file).expect("it was written above");
        output
    }
}

/// A program of a few calls, without libc: builds in no time, prints one line.
pub(crate) const HELLO: &str = r#"
    .globl _start
    .type _start,@function
_start:
    mov $1, %eax
    mov $1, %edi
    lea text(%rip), %rsi
    mov $end - text, %edx
    syscall
    mov $231, %eax
    xor %edi, %edi
    syscall
    .size _start, . - _start
    .section .rodata
text: .ascii "hello\n"
end:
    .data
data: .quad 1
"#;

/// A C program on libc that prints one line.
pub(crate) const HELLO_C: &str =
    "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

/// How to link [`HELLO`].
pub(crate) const BARE: &[&str] = &["-static", "-nostdlib"];

/// Runs the command.
pub(crate) fn patch<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    Command::new(PATCHER).args(arguments).output().expect("the command was built")
}

/// Runs it on an input, to an output.
pub(crate) fn patch_to(input: &Path, output: &Path) -> Output {
    patch([input.as_os_str(), "-o".as_ref(), output.as_os_str()])
}

/// Sees that a run failed as every failure should: one line, exit code 2.
pub(crate) fn one_error(run: &Output) -> String {
    let error = String::from_utf8(run.stderr.clone()).expect("messages are UTF-8");
    assert_eq!(run.status.code(), Some(2), "{error}");
    assert!(run.stdout.is_empty(), "{}", String::from_utf8_lossy(&run.stdout));
    assert!(error.starts_with("procsys-patch: "), "{error}");
    assert_eq!(error.matches('\n').count(), 1, "not one line:\n{error}");
    assert!(!error.contains("os error"), "{error}");
    error.trim_end().trim_start_matches("procsys-patch: ").to_owned()
}

/// Sees that a run succeeded, and gives what it printed.
pub(crate) fn success(run: &Output) -> String {
    let error = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{error}");
    String::from_utf8(run.stdout.clone()).expect("reports are UTF-8")
}

/// Runs a program and gives what it printed, with its exit code or signal.
pub(crate) fn run(program: &Path) -> String {
    let result = Command::new(program).output().unwrap_or_else(|e| panic!("{program:?}: {e}"));
    format!("{}{}", String::from_utf8_lossy(&result.stdout), result.status)
}
