//! How is a script run inside a real gVisor that sees the machine's files?

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::native::Folder;
use crate::{Outcome, fixture, oci, run};

/// Which gVisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 0.0~20221219, bookworm's: the one that lacks cap_last_cap.
    R20221219,
    /// 0.0~20240729, trixie's.
    R20240729,
}

impl Release {
    /// The fixture that holds it.
    pub fn fixture(self) -> &'static str {
        match self {
            Self::R20221219 => "runsc-20221219",
            Self::R20240729 => "runsc-20240729",
        }
    }

    /// What the release needs to give a writable view of the machine's files
    /// without writing to the machine.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::R20221219 => &["--overlay", "--vfs2=true", "--fuse", "--lisafs"],
            Self::R20240729 => &["--overlay2=all:memory"],
        }
    }
}

/// How gVisor intercepts system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// By ptrace.
    Ptrace,
    /// By seccomp and shared memory; the default since 2023.
    Systrap,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ptrace => "ptrace",
            Self::Systrap => "systrap",
        })
    }
}

/// Runs `script` with busybox's shell in a sandbox of its own. What it writes
/// stays in the sandbox's memory. After `limit` the sandbox is ended.
///
/// The machine's `/run`, `/dev`, `/proc` and `/sys` are not seen in it.
///
/// # Panics
/// When not run by root, or when a fixture is missing.
pub fn run_script(release: Release, platform: Platform, script: &str, limit: Duration) -> Outcome {
    let folder = place();
    let path = folder.path().join("script.sh");
    std::fs::write(&path, script).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let config = oci::sandbox(&[&real(&fixture("busybox-static")), "sh", &real(&path)]);
    run_sandbox(&folder, release, platform, &config, release.flags(), limit)
}

/// Runs a script of the folder `share` with busybox's shell and `arguments` in a
/// sandbox of gVisor 20240729, in which the folder is `/share`: what is written
/// there is seen outside.
///
/// # Panics
/// As [`run_script`].
pub fn run_sharing(
    platform: Platform,
    share: &Path,
    script: &str,
    arguments: &[&str],
    limit: Duration,
) -> Outcome {
    let folder = place();
    let (busybox, script) = (real(&fixture("busybox-static")), format!("/share/{script}"));
    let mut config = oci::sandbox(&[&[&busybox, "sh", &script], arguments].concat());
    let mounts = config["mounts"].as_array_mut().expect("a sandbox has mounts");
    mounts.push(json!({
        "destination": "/share", "type": "bind", "source": real(share), "options": ["rbind", "rw"],
    }));
    // Of the machine's files only the root is overlaid.
    let flags = ["--overlay2=root:memory"];
    run_sandbox(&folder, Release::R20240729, platform, &config, &flags, limit)
}

/// A folder for a sandbox's files.
fn place() -> Folder {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    Folder::new(&format!("gvisor-{}", COUNT.fetch_add(1, Ordering::Relaxed)))
}

fn run_sandbox(
    folder: &Folder,
    release: Release,
    platform: Platform,
    config: &Value,
    flags: &[&str],
    limit: Duration,
) -> Outcome {
    // SAFETY: geteuid(2) takes nothing and always succeeds.
    let root = unsafe { libc::geteuid() } == 0;
    assert!(root, "a gVisor sandbox of the whole machine needs root");
    let bundle = folder.path().join("bundle");
    oci::write_bundle(&bundle, config);

    // The sandbox is a process of its own session that holds the output open:
    // killing the group of `runsc run` alone would leave it behind, so that a
    // shell deletes it before anybody waits for the end of the output.
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(
            r#"state=$1 limit=$2 runsc=$3; shift 3
            timeout -s KILL "$limit" "$runsc" --root="$state" "$@"
            code=$?
            "$runsc" --root="$state" delete --force procsys >/dev/null 2>&1
            exit "$code""#,
        )
        .arg("sandbox")
        .arg(folder.path().join("state"))
        .arg(limit.as_secs().max(1).to_string())
        .arg(real(&fixture(release.fixture())))
        .args(["--network=none", "--ignore-cgroups"])
        .arg(format!("--platform={platform}"))
        .args(flags)
        .args(["run", "--bundle"])
        .arg(&bundle)
        .arg("procsys");
    let mut outcome = run(&mut command, limit + Duration::from_secs(30));
    if outcome.code == Some(128 + libc::SIGKILL) {
        outcome.code = None;
    }
    outcome
}

/// The path without links: what the sandbox and runc want to be given.
///
/// # Panics
/// When it is not there.
pub fn real(path: &Path) -> String {
    path.canonicalize()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        .into_os_string()
        .into_string()
        .expect("the paths of a checkout and of fixtures are text")
}
