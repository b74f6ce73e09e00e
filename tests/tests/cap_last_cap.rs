//! The failure that procsys grew from, on this machine's own kernel: a
//! container whose /proc lacks sys/kernel/cap_last_cap, which runc 1.3 and
//! later read in `runc init`, after pivot_root, where nothing but runc's own
//! program file is left and no environment variable reaches.

use procsys_tests::native::{Folder, Runc, bundle, config, private_mounts, write_config};
use procsys_tests::{Outcome, fixture, patch};
use serde_json::{Value, json};

/// What stock runc says where the file is missing.
const FAILURE: &str = "error during container init: \
     open /proc/sys/kernel/cap_last_cap: no such file or directory";

/// The container's line, then its capability sets, and the file itself.
const LINE: &str = "echo the container runs; grep ^Cap /proc/self/status";

/// A container with capabilities: they are why runc asks for the last one.
/// None that this machine may itself lack (CAP_SYS_RESOURCE does occur).
fn with_capabilities() -> Value {
    let capabilities = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"];
    let sets = ["bounding", "effective", "inheritable", "permitted", "ambient"];
    let mut config = config(LINE);
    for set in sets {
        config["process"]["capabilities"][set] = json!(capabilities);
    }
    config
}

/// The same container, on whose /proc/sys/kernel a hook mounts an empty folder
/// after runc has mounted /proc and before it moves into the root.
fn without_the_file(rootfs: &str) -> Value {
    let mut config = with_capabilities();
    let mount = format!("exec mount -t tmpfs none {rootfs}/proc/sys/kernel");
    config["hooks"]["createContainer"] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", mount], "env": ["PATH=/sbin:/bin:/usr/sbin:/usr/bin"] }]);
    config
}

/// The lines that begin with `Cap`.
fn capability_sets(outcome: &Outcome) -> Vec<&str> {
    outcome.stdout.lines().filter(|l| l.starts_with("Cap")).collect()
}

#[test]
fn a_container_without_the_file_runs_with_the_same_capabilities() {
    private_mounts();
    let folder = Folder::new("cap-last-cap");
    let place = folder.path().join("bundle");
    let rootfs = place.join("rootfs");
    let rootfs = rootfs.to_str().expect("a temporary path is text");
    let stock = fixture("runc-current");
    let patched = folder.path().join("runc-patched");
    patch(&stock, &patched, &[]);
    let stock = Runc::new(&stock, &folder.path().join("stock"));
    let patched = Runc::new(&patched, &folder.path().join("patched"));

    bundle(&place, &with_capabilities());
    let healthy = stock.call(&place, &["run", "healthy"]);
    assert!(healthy.success(), "stock, with the file\n{healthy}");
    assert_eq!(capability_sets(&healthy).len(), 5, "the sets that the kernel has\n{healthy}");

    write_config(&place, &without_the_file(rootfs));
    let failed = stock.call(&place, &["run", "missing"]);
    assert_eq!(failed.code, Some(1), "stock, without the file\n{failed}");
    assert!(
        failed.stderr.lines().any(|l| l.ends_with(&format!("{FAILURE}\""))),
        "stock must fail with: {FAILURE}\n{failed}"
    );
    assert_eq!(failed.stdout, "", "the container must not have run\n{failed}");

    let runs = patched.call(&place, &["run", "missing"]);
    assert!(runs.success(), "patched, without the file\n{runs}");
    assert_eq!(runs.stdout.lines().next(), Some("the container runs"), "{runs}");
    assert_eq!(runs.stderr, "", "patched says nothing of its own\n{runs}");
    assert_eq!(capability_sets(&runs), capability_sets(&healthy), "the same capabilities");

    // Where the file is there, patching changes nothing.
    write_config(&place, &with_capabilities());
    let same = patched.call(&place, &["run", "healthy"]);
    assert_eq!((same.code, &same.stdout), (healthy.code, &healthy.stdout), "{same}");

    println!("stock, file there:     exit 0, {}", capability_sets(&healthy).join(" "));
    println!("stock, file missing:   exit 1, {FAILURE}");
    println!("patched, file missing: exit 0, {}", capability_sets(&runs).join(" "));
    println!("patched, file there:   exit 0, the same output as stock");
}

/// The same failure, repaired without injected code: the constant names another
/// place, where the image has the file.
#[test]
fn a_rewritten_constant_finds_the_file_in_another_place() {
    private_mounts();
    let folder = Folder::new("cap-last-cap-constants");
    let place = folder.path().join("bundle");
    let rootfs = place.join("rootfs");
    let stock = fixture("runc-current");
    let rewritten = folder.path().join("runc-rewritten");
    patch(&stock, &rewritten, &["--mode", "constants", "--redirect", "/proc/sys=/etc/psys"]);
    let stock = Runc::new(&stock, &folder.path().join("stock"));
    let rewritten = Runc::new(&rewritten, &folder.path().join("rewritten"));

    bundle(&place, &with_capabilities());
    let healthy = stock.call(&place, &["run", "healthy"]);
    write_config(&place, &without_the_file(rootfs.to_str().expect("a temporary path is text")));
    let failed = stock.call(&place, &["run", "missing"]);
    assert!(failed.stderr.contains(FAILURE), "stock must fail with: {FAILURE}\n{failed}");

    let moved = FAILURE.replace("/proc/sys", "/etc/psys");
    let failed = rewritten.call(&place, &["run", "missing"]);
    assert!(failed.stderr.contains(&moved), "it must look at the other place\n{failed}");

    let kernel = rootfs.join("etc/psys/kernel");
    std::fs::create_dir_all(&kernel).expect("the bundle is writable");
    std::fs::copy("/proc/sys/kernel/cap_last_cap", kernel.join("cap_last_cap")).expect("readable");
    let runs = rewritten.call(&place, &["run", "missing"]);
    assert!(runs.success(), "rewritten, with the file there\n{runs}");
    assert_eq!(capability_sets(&runs), capability_sets(&healthy), "the same capabilities");
    println!("rewritten, file elsewhere: exit 0, {}", capability_sets(&runs).join(" "));
}
