//! Do kubelet, containerd, its shim and runc do on the machine's own kernel, once
//! they are patched with the profile `k3s`, what the stock ones do: a pod runs,
//! and what kubelet writes to sysctls reaches the kernel?

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use procsys_tests::gvisor::real;
use procsys_tests::native::private_mounts;
use procsys_tests::node::{Record, Share};
use procsys_tests::{fixture, run};

/// What kubelet writes, and what stands there before: its own values, so that a
/// write that is lost is seen.
const WRITTEN: [(&str, &str, &str); 3] = [
    ("kernel/panic", "0", "10"),
    ("kernel/panic_on_oops", "0", "1"),
    ("vm/overcommit_memory", "0", "1"),
];

/// The machine's sysctls, put back at the end, when kubelet's cgroups go, too.
struct Sysctls(Vec<(PathBuf, String)>);

impl Sysctls {
    /// Sets what kubelet writes to other values.
    fn prepare() -> Self {
        let one = |(name, before, _): (&str, &str, &str)| {
            let path = PathBuf::from("/proc/sys").join(name);
            let saved = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
            fs::write(&path, before).unwrap_or_else(|e| panic!("{name} (as root): {e}"));
            (path, saved)
        };
        Self(WRITTEN.into_iter().map(one).collect())
    }
}

impl Drop for Sysctls {
    fn drop(&mut self) {
        for (path, saved) in &self.0 {
            let _ = fs::write(path, saved);
        }
        // kubelet's cgroups, the innermost first: what was in them has ended.
        let mut remove = Command::new("sh");
        remove.args(["-c", "find /sys/fs/cgroup/*/kubepods -depth -type d -exec rmdir {} \\;"]);
        let _ = run(&mut remove, Duration::from_secs(30));
    }
}

#[test]
fn a_patched_node_is_a_stock_one_on_the_native_kernel() {
    private_mounts();
    let share = Share::new("node-native");
    let [stock, patched] = ["", "-patched"].map(|suffix| node(&share, suffix));
    assert_eq!(stock, patched);
}

/// What a node of these programs shows.
fn node(share: &Share, suffix: &str) -> Vec<(String, String)> {
    let _sysctls = Sysctls::prepare();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--pid", "--fork", "--kill-child", "--net"])
        .args([&real(&fixture("busybox-static")), "sh"])
        .arg(share.path().join("native.sh"))
        .arg(share.path())
        .arg(suffix);
    let outcome = run(&mut command, Duration::from_secs(300));
    let seen = Record::read(&outcome.stdout).stages;
    let value = |name: &str| seen.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let shown = || format!("{suffix}: {seen:?}\n{outcome}\n{}", share.logs());
    assert_eq!(value("native"), Some("the pod runs"), "{}", shown());
    for (name, _, written) in WRITTEN {
        assert_eq!(value(name), Some(written), "{}", shown());
    }
    assert_eq!(value("remembered"), Some(""), "a write went elsewhere: {}", shown());
    seen
}
