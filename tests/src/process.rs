//! Running a program with a limit on its time, keeping all that it printed.

use std::fmt;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How a program ended and what it printed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The exit code, or `128 + signal`; `None` when the time limit ended it.
    pub code: Option<i32>,
    /// Everything on standard output, lossily as text.
    pub stdout: String,
    /// Everything on standard error, lossily as text.
    pub stderr: String,
}

impl Outcome {
    /// Whether it ended by itself with exit code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output, then standard error.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => writeln!(f, "exit {code}")?,
            None => writeln!(f, "killed at the time limit")?,
        }
        write!(f, "--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// Runs `command` in a process group of its own, with no standard input, and
/// kills the whole group when `limit` has passed.
///
/// # Panics
/// When the program can't be started.
pub fn run(command: &mut Command, limit: Duration) -> Outcome {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let group = child.id() as i32;
    let out = collect(child.stdout.take().expect("piped above"));
    let err = collect(child.stderr.take().expect("piped above"));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child is ours to wait for") {
            break Some(status);
        }
        if start.elapsed() > limit {
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    // Whatever the program left behind in its group would keep the pipes open.
    // SAFETY: kill(2) takes plain numbers and touches no memory of ours.
    unsafe { libc::kill(-group, libc::SIGKILL) };
    if status.is_none() {
        let _ = child.wait();
    }
    Outcome {
        code: status.map(|s| s.code().unwrap_or_else(|| 128 + s.signal().unwrap_or(0))),
        stdout: out.join().expect("the reader does not panic"),
        stderr: err.join().expect("the reader does not panic"),
    }
}

/// Reads a pipe to its end in a thread of its own.
fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
