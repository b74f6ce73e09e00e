//! A stand-in for a system container such as sysbox makes one: a FUSE file
//! system over /proc/sys, and no new mount API. Inside it, containers whose
//! /proc/sys it covers again.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::native::{Folder, Runc, bundle, config, private_mounts};
use crate::{Outcome, programs, run};

/// The sysctl of the containers, as a path below /proc.
pub const SYSCTL: &str = "sys/net/ipv4/ip_unprivileged_port_start";
/// What the containers want it to be.
pub const WANTED: &str = "77";
/// What stock runc says.
pub const FAILURE: &str = "open sysctl net.ipv4.ip_unprivileged_port_start file: \
     unsafe procfs detected: openat2 /proc/./sys/net/ipv4/ip_unprivileged_port_start: \
     invalid cross-device link";

/// The system container. It ends with the thread that made it.
#[derive(Debug)]
pub struct SystemContainer {
    folder: Folder,
    servers: Vec<Child>,
    trusted: Trusted,
}

/// The file system over the system container's /proc/sys.
#[derive(Debug)]
struct Trusted {
    /// What is mounted there, as a path in the folder.
    root: String,
    /// The sysctl that containers want set, as a path below /proc.
    sysctl: String,
    /// The cgroup that is its contents, if it is lxcfs.
    cgroup: Option<String>,
}

impl SystemContainer {
    /// Makes one, with its FUSE file system over /proc/sys.
    ///
    /// # Panics
    /// When that needs something that the machine lacks, such as /dev/fuse.
    pub fn new(name: &str) -> Self {
        let mut made = Self::bare(name);
        made.serve("fuse");
        made.cover();
        made
    }

    /// One whose file system over /proc/sys is lxcfs, which shows a cgroup there:
    /// the containers' sysctl is a file of that, the only kind in lxcfs that can be
    /// written to.
    ///
    /// # Panics
    /// As [`SystemContainer::new`]; also without version 1 of the pids controller.
    pub fn over_lxcfs(name: &str) -> Self {
        let mut made = Self::bare(name);
        let cgroup = format!("procsys-{name}-{}", std::process::id());
        made.sh(&format!("mkdir /sys/fs/cgroup/pids/{cgroup}"));
        made.trusted = Trusted {
            root: format!("lxcfs/cgroup/pids/{cgroup}"),
            sysctl: "sys/net/ipv4/notify_on_release".into(),
            cgroup: Some(cgroup),
        };
        made.serve_lxcfs("lxcfs");
        made.cover();
        made
    }

    /// Mounts the trusted file system over /proc/sys.
    fn cover(&self) {
        // A user namespace may mount a procfs only where one is visible without
        // anything over it. Sysbox mounts it for the container itself.
        self.sh("mkdir visible && mount -t proc proc visible");
        self.sh(&format!("mount --bind {} /proc/sys", self.trusted.root));
    }

    /// One without a FUSE file system.
    ///
    /// # Panics
    /// When it may not have mounts of its own.
    pub fn bare(name: &str) -> Self {
        private_mounts();
        let trusted = Trusted { root: "fuse/proc/sys".into(), sysctl: SYSCTL.into(), cgroup: None };
        Self { folder: Folder::new(name), servers: Vec::new(), trusted }
    }

    /// Where it keeps its files.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Compiles a program of `tests/programs/safe_procfs`.
    ///
    /// # Panics
    /// When the compiler refuses; its messages are shown.
    pub fn build(&self, name: &str) -> PathBuf {
        let output = self.path().join(format!("{name}.bin"));
        if !output.exists() {
            let source = programs::folder().join("safe_procfs").join(format!("{name}.c"));
            let mut command = Command::new("gcc");
            command.args(["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", "-o"]);
            command.arg(&output).arg(&source);
            let outcome = run(&mut command, Duration::from_secs(60));
            assert!(outcome.success(), "{command:?}\n{outcome}");
        }
        output
    }

    /// Mounts one more of the FUSE file systems, served by a process of its own.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn serve(&mut self, place: &str) {
        let place = self.path().join(place);
        std::fs::create_dir_all(&place).expect("the folder is writable");
        let mut command = Command::new(self.build("fuse"));
        command.arg(&place).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut said = String::new();
        let out = server.stdout.take().expect("piped above");
        BufReader::new(out).read_line(&mut said).expect("a readable pipe");
        self.servers.push(server);
        assert_eq!(said, "ready\n", "no FUSE file system at {} (/dev/fuse?)", place.display());
    }

    /// The process that serves what was mounted last.
    ///
    /// # Panics
    /// When nothing was.
    pub fn server(&self) -> u32 {
        self.servers.last().expect("something is served").id()
    }

    /// Mounts an lxcfs, served by a process of its own.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn serve_lxcfs(&mut self, place: &str) {
        // Of those with the same file for its number, only one runs.
        let number = self.path().join(format!("{place}.pid"));
        let place = self.path().join(place);
        std::fs::create_dir_all(&place).expect("the folder is writable");
        let mut command = Command::new("lxcfs");
        command.args(["-f", "-l", "-p"]).arg(number).arg(&place);
        self.start(&mut command, &place.join("proc"));
    }

    /// Starts a program that goes on until the test ends, and waits for `made`.
    ///
    /// # Panics
    /// When it can't be started, or makes nothing.
    pub fn start(&mut self, command: &mut Command, made: &Path) {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.servers.push(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")));
        let start = Instant::now();
        while !made.exists() {
            let waited = start.elapsed();
            assert!(waited < Duration::from_secs(20), "{command:?}: no {}", made.display());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs a line of shell in the system container's folder.
    ///
    /// # Panics
    /// When it fails.
    pub fn sh(&self, line: &str) {
        let mut command = Command::new("sh");
        command.arg("-ec").arg(line).current_dir(self.path());
        let outcome = run(&mut command, Duration::from_secs(20));
        assert!(outcome.success(), "{line}\n{outcome}");
    }

    /// What a file of the FUSE file system at `place` holds, by its path below
    /// proc/sys, without its newline.
    ///
    /// # Panics
    /// When it can't be read.
    pub fn value(&self, place: &str, file: &str) -> String {
        let path = self.path().join(place).join("proc/sys").join(file);
        let text = std::fs::read_to_string(&path);
        text.unwrap_or_else(|e| panic!("{}: {e}", path.display())).trim_end().to_owned()
    }

    /// A container with the sysctl, in whose root file system `prepare` (shell,
    /// with `$R` its /proc, `$W` the folder, `$T` what is over the system container's
    /// /proc/sys and `$S` the sysctl's name) is run once runc has mounted what the
    /// configuration says, before it moves in.
    pub fn container(&self, prepare: &str, user_namespace: bool) -> PathBuf {
        let place = self.path().join("bundle");
        let Trusted { root, sysctl, cgroup } = &self.trusted;
        let mut config = config(&format!("echo it runs; cat /proc/{sysctl}"));
        let key = sysctl.trim_start_matches("sys/").replace('/', ".");
        config["linux"]["sysctl"] = json!({ key: WANTED });
        let mut namespaces = vec!["pid", "ipc", "uts", "mount", "network"];
        if user_namespace {
            namespaces.push("user");
            let whole = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
            config["linux"]["uidMappings"] = whole.clone();
            config["linux"]["gidMappings"] = whole;
        }
        let kinds: Value = namespaces.iter().map(|kind| json!({ "type": kind })).collect();
        config["linux"]["namespaces"] = kinds;
        let (rootfs, folder) = (place.join("rootfs"), self.path().display());
        let name = sysctl.rsplit('/').next().expect("a path has a last part");
        let mut line = format!("set -e; R={}/proc; W={folder}; S={name}", rootfs.display());
        if let Some(cgroup) = cgroup {
            // lxcfs shows a process its own cgroup and those below.
            config["linux"]["cgroupsPath"] = format!("/{cgroup}/net").into();
            line += &format!("; mkdir -p /sys/fs/cgroup/pids/{cgroup}/net/ipv4");
        }
        line += &format!("; T=$W/{root}; {prepare}");
        config["hooks"]["createContainer"] = json!([{
            "path": "/bin/sh", "args": ["sh", "-c", line],
            "env": ["PATH=/sbin:/bin:/usr/sbin:/usr/bin"],
        }]);
        bundle(&place, &config);
        place
    }

    /// Runs the container as `runc` does inside a system container: without the
    /// new mount API. `before` are programs that run it in their turn.
    pub fn run(&self, runc: &Path, before: &[&Path], place: &Path) -> Outcome {
        let mut words: Vec<PathBuf> = before.iter().map(|p| p.to_path_buf()).collect();
        words.push(self.build("no_mount_api"));
        words.push(runc.to_path_buf());
        self.run_with_mount_api(&words, place)
    }

    /// As [`SystemContainer::run`], with every call there is.
    pub fn run_with_mount_api(&self, words: &[PathBuf], place: &Path) -> Outcome {
        // A script, so that all calls of runc for this container go the same way.
        let script = self.path().join("runc.sh");
        let line: Vec<String> = words.iter().map(|w| w.display().to_string()).collect();
        let text = format!("#!/bin/sh\nexec {} \"$@\"\n", line.join(" "));
        std::fs::write(&script, text).expect("the folder is writable");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).expect("the script is ours");
        let runc = Runc::new(&script, &self.path().join("runs"));
        let id = format!("inner-{}", std::process::id());
        runc.call(place, &["run", &id])
    }
}

impl Drop for SystemContainer {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        // The namespace ends anyway; the folder's mount points must be free first.
        let places = ["visible", "fuse", "foreign", "lxcfs", "other", "evil", "kept", "closed"];
        for place in places.map(|place| self.path().join(place)) {
            let _ = run(Command::new("umount").arg("-l").arg(place), Duration::from_secs(10));
        }
        if let Some(cgroup) = &self.trusted.cgroup {
            let remove = "find /sys/fs/cgroup/*/$0 -depth -type d -exec rmdir {} +";
            let mut command = Command::new("sh");
            let _ = run(command.args(["-c", remove, cgroup]), Duration::from_secs(10));
        }
    }
}
