//! Which containers do the tests run? The OCI configurations, from the barest
//! to what a kubelet's containerd writes, and the sandbox around them.

mod seccomp;

use std::path::Path;

use serde_json::{Value, json};

/// One configuration of a container: its name and what it asks for.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The short name that the tables use.
    pub name: &'static str,
    /// What it asks for, in words.
    pub asks: &'static str,
}

/// The configurations, each standing for one thing that a sandbox may lack.
pub const CONFIGS: [Config; 8] = [
    Config { name: "c1", asks: "pid, ipc, uts and mount namespaces" },
    Config { name: "c2", asks: "c1 and a network namespace" },
    Config { name: "c3", asks: "c2 and a user namespace" },
    Config { name: "c4", asks: "c2 and a cgroup namespace" },
    Config { name: "c5", asks: "c2 and capabilities" },
    Config {
        name: "c6",
        asks: "what k3s's containerd writes: c7 and seccomp, rlimits, oomScoreAdj, resources, \
               masked and read-only paths, a read-only root, the sysctls \
               net.ipv4.ip_unprivileged_port_start and net.ipv4.ping_group_range",
    },
    Config { name: "c7", asks: "c5 and a cgroup namespace" },
    Config { name: "c8", asks: "c5 and the sysctl net.ipv4.ip_unprivileged_port_start alone" },
];

/// What containerd gives a container that asks for nothing.
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// What a container runtime needs of the sandbox around it.
const ALL_CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
];

/// A container that prints `hello from <hostname>` and ends, as the
/// configuration called `name` asks for it; `cgroup` is where c6 puts it.
///
/// # Panics
/// When no configuration has that name.
pub fn container(name: &str, rootfs: &Path, hostname: &str, cgroup: &str) -> Value {
    let mut config = plain(rootfs, hostname);
    let namespaces: &[&str] = match name {
        "c1" => &[],
        "c2" | "c5" | "c8" => &["network"],
        "c3" => &["network", "user"],
        "c4" | "c6" | "c7" => &["network", "cgroup"],
        _ => panic!("no configuration is called {name}"),
    };
    config["linux"]["namespaces"] = namespaces_of(&["pid", "ipc", "uts", "mount"], namespaces);
    if matches!(name, "c5" | "c6" | "c7" | "c8") {
        let set = json!(CAPABILITIES);
        config["process"]["capabilities"] =
            json!({"bounding": set, "effective": set, "permitted": set});
    }
    match name {
        "c3" => {
            let whole = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
            config["linux"]["uidMappings"] = whole.clone();
            config["linux"]["gidMappings"] = whole;
        }
        "c6" => like_containerd(&mut config, cgroup),
        "c8" => {
            config["linux"]["sysctl"] = json!({"net.ipv4.ip_unprivileged_port_start": "0"});
        }
        _ => {}
    }
    config
}

/// A sandbox around everything: the machine's own files, root with all
/// capabilities, and the mounts that a container runtime expects.
pub fn sandbox(args: &[&str]) -> Value {
    let set = json!(ALL_CAPABILITIES);
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "/", "readonly": false},
        "hostname": "sandbox",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "cwd": "/",
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
            "capabilities": {
                "bounding": set, "effective": set, "permitted": set, "inheritable": set,
            },
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs"},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"},
            {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": {"namespaces": namespaces_of(&["pid", "ipc", "uts", "mount"], &["network"])},
    })
}

/// Writes `config` as the bundle in `folder`, which is made.
///
/// # Panics
/// When it can't be written.
pub fn write_bundle(folder: &Path, config: &Value) {
    std::fs::create_dir_all(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    crate::native::write_config(folder, config);
}

/// What all configurations share.
fn plain(rootfs: &Path, hostname: &str) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": rootfs, "readonly": false},
        "hostname": hostname,
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sh", "-c", "echo hello from $(hostname)"],
            "cwd": "/",
            "env": ["PATH=/bin"],
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
        ],
        "linux": {},
    })
}

/// Adds what k3s's containerd writes for a pod's container.
fn like_containerd(config: &mut Value, cgroup: &str) {
    config["root"]["readonly"] = json!(true);
    let process = &mut config["process"];
    process["noNewPrivileges"] = json!(true);
    process["oomScoreAdj"] = json!(-997);
    process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]);
    config["mounts"] = json!([
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]);
    let linux = &mut config["linux"];
    linux["cgroupsPath"] = json!(cgroup);
    linux["resources"] = json!({
        "devices": [{"allow": false, "access": "rwm"}],
        "memory": {"limit": 134_217_728},
        "cpu": {"shares": 2, "quota": 100_000, "period": 100_000},
        "pids": {"limit": 100},
    });
    linux["sysctl"] = json!({
        "net.ipv4.ip_unprivileged_port_start": "0",
        "net.ipv4.ping_group_range": "0 2147483647",
    });
    linux["maskedPaths"] = json!([
        "/proc/asound",
        "/proc/acpi",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ]);
    linux["readonlyPaths"] =
        json!(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]);
    linux["seccomp"] = seccomp::profile();
}

/// A mount whose source is called like its type.
fn mount(destination: &str, kind: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": kind, "source": kind, "options": options})
}

/// The `namespaces` member for two lists of types.
fn namespaces_of(base: &[&str], more: &[&str]) -> Value {
    base.iter().chain(more).map(|kind| json!({"type": kind})).collect()
}
