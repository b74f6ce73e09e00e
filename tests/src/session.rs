//! A session with runc whose every step is written down, so that the same
//! session with another runc can be laid beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::native::{Folder, Runc, bundle, copy_program, write_config};
use crate::{Outcome, normalise, run};

/// One step: what was done, and all that could be seen of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// The exit code; `None` when there was none.
    pub code: Option<i32>,
    /// What was printed or read, without what may differ from run to run.
    pub seen: String,
}

/// A session: one runc, one folder, the steps so far.
#[derive(Debug)]
pub struct Session {
    /// The bundle, which is also where runc is run.
    pub bundle: PathBuf,
    /// The steps so far.
    pub steps: Vec<Step>,
    runc: Runc,
    /// Process ids seen so far and the names they are shown by.
    pids: Vec<(String, String)>,
    // Last, so that the containers are gone before their files are.
    folder: Folder,
}

impl Session {
    /// Begins a session with `program`. Every session of the same name has the
    /// same paths, also that of its program, so that messages are the same.
    ///
    /// # Panics
    /// When the folder can't be written.
    pub fn new(name: &str, program: &Path, config: &Value) -> Session {
        let folder = Folder::new(name);
        let here = folder.path().join("runc");
        copy_program(program, &here);
        let place = folder.path().join("bundle");
        bundle(&place, config);
        let runc = Runc::new(&here, folder.path());
        Session { bundle: place, steps: Vec::new(), runc, pids: Vec::new(), folder }
    }

    /// Replaces the bundle's config.
    pub fn config(&self, config: &Value) {
        write_config(&self.bundle, config);
    }

    /// A path in the session's folder, beside the bundle.
    pub fn beside(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a temporary path is text").to_owned()
    }

    /// Runs runc and writes down its output and exit code.
    pub fn step(&mut self, args: &[&str]) -> Outcome {
        self.step_as(args, normalise::times)
    }

    /// As [`Session::step`], with what was printed on standard output put
    /// through `view` first.
    pub fn step_as(&mut self, args: &[&str], view: fn(&str) -> String) -> Outcome {
        let outcome = self.runc.call(&self.bundle, args);
        self.keep(args.join(" "), &outcome, view);
        outcome
    }

    /// Runs runc for a container that goes on without it; returns the file with
    /// the container's output, which is no part of the step, as only chance
    /// tells how much of it is there already.
    pub fn step_and_keep(&mut self, args: &[&str]) -> PathBuf {
        let (mut outcome, out) = self.runc.call_and_keep(&self.bundle, args);
        outcome.stdout.clear();
        self.keep(args.join(" "), &outcome, normalise::times);
        out
    }

    /// Runs runc at a terminal (util-linux's `script` makes one).
    pub fn step_at_terminal(&mut self, args: &[&str]) {
        let inner = self.runc.command(&self.bundle, args);
        let words = std::iter::once(inner.get_program()).chain(inner.get_args());
        let line: Vec<_> = words.map(|w| format!("'{}'", w.to_string_lossy())).collect();
        let mut command = Command::new("script");
        command.args(["-qec", &line.join(" "), "/dev/null"]).current_dir(&self.bundle);
        let mut outcome = run(&mut command, Duration::from_secs(30));
        // Where `script` has no input it types an end-of-file, which the
        // terminal echoes at a moment of its own, with controls around it.
        outcome.stdout.retain(|c| c == '\n' || !c.is_control());
        outcome.stdout = outcome.stdout.replace("^@", "").replace("^D", "");
        self.keep(format!("at a terminal: {}", args.join(" ")), &outcome, normalise::times);
    }

    /// Writes down the content of a file, or that it can't be read, and
    /// returns it.
    pub fn file(&mut self, name: &str, path: impl AsRef<Path>) -> String {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("{}\n", error.kind()),
        };
        let seen = self.hide(&normalise::times(&text));
        self.steps.push(Step { name: name.to_owned(), code: None, seen });
        text
    }

    /// Waits until `text` is in a file.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn wait_for_text(&self, file: &Path, text: &str) {
        let start = Instant::now();
        while !fs::read_to_string(file).unwrap_or_default().contains(text) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{} does not get to {text:?}; steps: {:#?}",
                file.display(),
                self.steps
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a container has `status`.
    pub fn wait_for(&self, id: &str, status: &str) {
        self.runc.wait_for(&self.bundle, id, status);
    }

    /// Where the kernel shows the command line of the process whose id a file holds.
    pub fn command_line(&self, file: &str) -> PathBuf {
        let pid = fs::read_to_string(file).unwrap_or_default();
        Path::new("/proc").join(pid.trim()).join("cmdline")
    }

    /// From now on shows the process id that a file holds by `name`.
    pub fn name_pid(&mut self, file: &str, name: &str) {
        let text = fs::read_to_string(file).unwrap_or_default();
        self.pids.push((text.trim().to_owned(), name.to_owned()));
    }

    fn keep(&mut self, name: String, outcome: &Outcome, view: fn(&str) -> String) {
        let errors = normalise::times(&outcome.stderr);
        let seen = format!("{}--- stderr\n{errors}", view(&outcome.stdout));
        let seen = self.hide(&seen);
        self.steps.push(Step { name, code: outcome.code, seen });
    }

    fn hide(&self, text: &str) -> String {
        let folder = self.folder.path().to_str().expect("a temporary path is text");
        let text = normalise::addresses(&text.replace(folder, "FOLDER"));
        self.pids.iter().fold(text, |text, (pid, name)| normalise::number(&text, pid, name))
    }
}

/// The differences between two sessions, a paragraph each.
pub fn differences(stock: &[Step], patched: &[Step]) -> Vec<String> {
    let mut found: Vec<String> = stock
        .iter()
        .zip(patched)
        .filter(|(one, two)| one != two)
        .map(|(one, two)| {
            format!(
                "`{}`: exit {:?} / {:?}\n--- stock\n{}--- patched\n{}",
                one.name, one.code, two.code, one.seen, two.seen
            )
        })
        .collect();
    if stock.len() != patched.len() {
        found.push(format!("{} steps / {} steps", stock.len(), patched.len()));
    }
    found
}
