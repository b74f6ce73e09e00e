//! With what is a program run? `tests/corpus/smoke.txt` says how it is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{fixture, root, run};

/// No command takes longer than this.
const LIMIT: Duration = Duration::from_secs(60);

/// All commands, by the names they are for.
pub struct Smoke {
    commands: Vec<(String, String)>,
    /// A static x86-64 program.
    program: PathBuf,
    /// The folder of programs for other machines; empty when it was not made.
    guests: PathBuf,
}

impl Smoke {
    /// Reads the commands. `guests` is the folder of programs for other machines.
    ///
    /// # Panics
    /// When a line is not understood.
    pub fn read(guests: PathBuf) -> Self {
        let path = root().join("tests/corpus/smoke.txt");
        let text = fs::read_to_string(&path).expect("it is in the repository");
        let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        let split = |line: &str| {
            let (name, command) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), command.to_owned())
        };
        let program = fs::canonicalize(fixture("busybox-static")).expect("checked just now");
        Self { commands: lines.map(split).collect(), program, guests }
    }

    /// What each command for a program gives, in an empty folder.
    ///
    /// # Panics
    /// When no commands are for it, or the folder can't be made.
    pub fn run(&self, program: &Path, folder: &Path) -> Vec<String> {
        let name = program.file_name().expect("a program has a name").to_string_lossy();
        let fits = |pattern: &str| matches(pattern.as_bytes(), name.as_bytes());
        let first = self.commands.iter().find(|(pattern, _)| fits(pattern));
        let first = &first.unwrap_or_else(|| panic!("nothing to run {name} with")).0;
        let commands = self.commands.iter().filter(|(pattern, _)| pattern == first);
        commands.map(|(_, command)| self.one(command, program, folder)).collect()
    }

    fn one(&self, text: &str, program: &Path, folder: &Path) -> String {
        let work = folder.join("work");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(&work).expect("the temporary directory is writable");
        // In namespaces of its own: programs that are run as root may mount and kill.
        let mut command = Command::new("unshare");
        let apart = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
        command.args(apart).args(["/bin/sh", "-c", text]).current_dir(&work).env_clear();
        command.env("X", program).env("T", &self.program).env("G", &self.guests);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &work);
        command.env("LC_ALL", "C").env("TZ", "UTC").env("TERM", "dumb");
        format!("`{text}` {}", run(&mut command, LIMIT))
    }
}

/// Whether a name fits a pattern: `*` stands for anything, `[ab]` for either.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|i| matches(rest, &name[i..])),
        (Some((b'[', rest)), Some((c, tail))) => {
            let end = rest.iter().position(|&b| b == b']').unwrap_or(0);
            rest[..end].contains(c) && matches(&rest[end + 1..], tail)
        }
        (Some((a, rest)), Some((b, tail))) => a == b && matches(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        let fits = |pattern: &str, name: &str| matches(pattern.as_bytes(), name.as_bytes());
        assert!(fits("qemu-*", "qemu-arm-static") && fits("*", "x") && fits("login[12]", "login2"));
        assert!(!fits("qemu", "qemu-arm") && !fits("login[12]", "login3") && !fits("a*b", "ac"));
    }
}
