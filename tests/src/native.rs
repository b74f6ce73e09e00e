//! Containers on this machine's own kernel: a place of their own for the test's
//! mounts, a bundle, and runc called so that what a container leaves running
//! does not hold up the test.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Outcome, fixture};

/// No call of runc takes longer than this.
const LIMIT: Duration = Duration::from_secs(30);

/// Gives the calling thread, and all that it starts, a private view of the
/// mounts, with cgroups in it when the machine has mounted none. It ends with
/// the thread: nothing is left to unmount.
///
/// # Panics
/// When we may not do that: these tests run containers and need root.
pub fn private_mounts() {
    // SAFETY: unshare(2) takes a flag and touches no memory. CLONE_NEWNS takes
    // CLONE_FS with it, so that only this thread moves.
    let unshared = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    assert_eq!(
        unshared,
        0,
        "a private mount namespace: {} (these tests run containers, as root)",
        std::io::Error::last_os_error()
    );
    sh("mount --make-rprivate /");
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
        && !Path::new("/sys/fs/cgroup/memory").exists()
    {
        // Version 1, one controller a folder: each kernel offers those that
        // version 2 has not taken, and the ones it has taken refuse.
        sh("mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
            for c in cpu cpuacct cpuset memory devices freezer blkio pids; do
                mkdir /sys/fs/cgroup/$c
                mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c 2>/dev/null || rmdir /sys/fs/cgroup/$c
            done
            test -d /sys/fs/cgroup/memory || { echo 'no cgroup controller can be mounted'; exit 1; }");
    }
}

/// Runs a line of shell that has to succeed.
fn sh(line: &str) {
    let mut command = Command::new("sh");
    command.arg("-c").arg(line);
    let outcome = crate::run(&mut command, LIMIT);
    assert!(outcome.success(), "{line}\n{outcome}");
}

/// A folder for one test, removed when the test ends.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes an empty folder under the temporary directory.
    ///
    /// # Panics
    /// When that can't be written.
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("procsys-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Folder(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Copies a program. By another process: while we had it open for writing, a
/// child of another test's thread could inherit that, and to run it would fail
/// with "Text file busy".
///
/// # Panics
/// When it can't be copied.
pub fn copy_program(from: &Path, to: &Path) {
    let mut copy = Command::new("cp");
    copy.arg("-L").arg(from).arg(to);
    let outcome = crate::run(&mut copy, LIMIT);
    assert!(outcome.success(), "{copy:?}\n{outcome}");
}

/// An OCI bundle at `path`: a copy of the root file system, as runc makes
/// mount points in it, and `config` as its `config.json`.
///
/// # Panics
/// When it can't be written.
pub fn bundle(path: &Path, config: &Value) {
    fs::create_dir_all(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let rootfs = path.join("rootfs");
    if !rootfs.exists() {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(fixture("rootfs").join(".")).arg(&rootfs);
        let outcome = crate::run(&mut copy, LIMIT);
        assert!(outcome.success(), "{copy:?}\n{outcome}");
    }
    write_config(path, config);
}

/// Writes the `config.json` of the bundle at `path`.
///
/// # Panics
/// When it can't be written.
pub fn write_config(path: &Path, config: &Value) {
    let text = serde_json::to_string_pretty(config).expect("a JSON value has a text");
    fs::write(path.join("config.json"), text).expect("the bundle is writable");
}

/// A small config: a shell line, its own pid, ipc, uts and mount namespaces,
/// and the file systems that every container has.
pub fn config(line: &str) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/sh", "-c", line],
            "env": ["PATH=/bin:/sbin", "LANG=C"],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs" },
        "hostname": "inside",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs",
              "options": ["nosuid", "noexec", "nodev", "ro"] },
        ],
        "linux": {
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
            ],
        },
    })
}

/// A runc with its state in a folder of its own.
#[derive(Debug)]
pub struct Runc {
    /// The program.
    pub program: PathBuf,
    /// Its `--root`.
    pub root: PathBuf,
    /// Where the output of each call goes.
    outputs: PathBuf,
    calls: std::cell::Cell<usize>,
}

impl Runc {
    /// A runc that keeps its state and outputs under `folder`.
    ///
    /// # Panics
    /// When that can't be written.
    pub fn new(program: &Path, folder: &Path) -> Runc {
        let outputs = folder.join("outputs");
        fs::create_dir_all(&outputs).unwrap_or_else(|e| panic!("{}: {e}", outputs.display()));
        Runc {
            program: program.to_path_buf(),
            root: folder.join("state"),
            outputs,
            calls: 0.into(),
        }
    }

    /// `runc --root … ARGS`, to be run in `cwd`.
    pub fn command(&self, cwd: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).args(args).current_dir(cwd);
        // runc reads these; the machine that the test runs on must not matter.
        command.env_remove("XDG_RUNTIME_DIR").env_remove("NOTIFY_SOCKET");
        command
    }

    /// Runs `runc --root … ARGS` in `cwd` and waits for runc, not for what the
    /// container does after it: its output goes to files, as a pipe would stay
    /// open as long as the container runs.
    ///
    /// # Panics
    /// When runc can't be started.
    pub fn call(&self, cwd: &Path, args: &[&str]) -> Outcome {
        self.call_and_keep(cwd, args).0
    }

    /// As [`Runc::call`], and tells where the standard output is kept, in which
    /// a container that was only created writes once it has been started.
    ///
    /// # Panics
    /// When runc can't be started.
    pub fn call_and_keep(&self, cwd: &Path, args: &[&str]) -> (Outcome, PathBuf) {
        let number = self.calls.replace(self.calls.get() + 1);
        let out = self.outputs.join(format!("{number}.out"));
        let err = self.outputs.join(format!("{number}.err"));
        let create =
            |path: &Path| File::create(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut command = self.command(cwd, args);
        command.stdin(Stdio::null()).stdout(create(&out)).stderr(create(&err)).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let start = Instant::now();
        let code = loop {
            if let Some(status) = child.try_wait().expect("the child is ours to wait for") {
                break Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
            }
            if start.elapsed() > LIMIT {
                // SAFETY: kill(2) takes plain numbers; the group is our child's.
                unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
                let _ = child.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let read =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        (Outcome { code, stdout: read(&out), stderr: read(&err) }, out)
    }

    /// Waits until `runc state ID` shows `status`.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn wait_for(&self, cwd: &Path, id: &str, status: &str) {
        let start = Instant::now();
        loop {
            let state = self.call(cwd, &["state", id]);
            let now: Value = serde_json::from_str(&state.stdout).unwrap_or_default();
            if now["status"] == status {
                return;
            }
            assert!(start.elapsed() < LIMIT, "{id} is not {status}:\n{state}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Runc {
    /// Removes the containers that a failed test left, with their cgroups.
    fn drop(&mut self) {
        let Ok(left) = fs::read_dir(&self.root) else { return };
        for id in left.flatten() {
            let mut command = self.command(Path::new("/"), &["delete", "--force"]);
            command.arg(id.file_name()).stdin(Stdio::null());
            let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}
