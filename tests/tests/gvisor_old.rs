//! How far does a patched program get where `/proc/sys/kernel/cap_last_cap`
//! does not exist? In gVisor 20221219, which lacks the file, and in gVisor
//! 20240729 with the file hidden from the container.
//!
//! gVisor 20221219 runs no container of any runc of today, and no rule is meant
//! to change that: it has no `devices` controller, does not answer fstatfs for
//! a control file, refuses MS_SLAVE and MS_REC, and follows /proc/self/fd links
//! that it is told not to follow. So its part here is the file itself, read by
//! a static program, and the exact place where each runc stops.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use procsys_tests::gvisor::{Platform, Release, real, run_script};
use procsys_tests::native::Folder;
use procsys_tests::{Outcome, fixture, normalise, oci, patch};

const FILE: &str = "/proc/sys/kernel/cap_last_cap";

/// What this gVisor itself says to prctl(PR_CAPBSET_READ): it knows no
/// capability after CAP_AUDIT_READ. Linux of today would say 40; the answer has
/// to be this kernel's.
const LAST: &str = "37";

const LIMIT: Duration = Duration::from_secs(90);

fn old(script: &str) -> Outcome {
    run_script(Release::R20221219, Platform::Ptrace, script, LIMIT)
}

#[test]
fn a_static_program_reads_the_file_that_gvisor_20221219_lacks() {
    let folder = Folder::new("old-file");
    let stock = real(&fixture("busybox-static"));
    let patched = folder.path().join("busybox");
    patch(Path::new(&stock), &patched, &[]);
    let rootfs = real(&fixture("rootfs"));

    let mut script = String::new();
    for busybox in [Path::new(&stock), &patched] {
        let busybox = busybox.display();
        // Once as it is, and once below a root without a procfs, as in `runc
        // init` after pivot_root: the answer is in the program itself.
        let _ = writeln!(
            script,
            "{busybox} cat {FILE} 2>&1; echo exit $?\n\
             cp {busybox} {rootfs}/bin/busybox\n\
             {stock} chroot {rootfs} /bin/cat {FILE} 2>&1; echo exit $?"
        );
    }
    let outcome = old(&script);
    let missing = format!("can't open '{FILE}': No such file or directory");
    let expected = [
        &format!("cat: {missing}"),
        "exit 1",
        &format!("cat: {missing}"),
        "exit 1",
        LAST,
        "exit 0",
        LAST,
        "exit 0",
    ];
    // The name before the message is how the program was called.
    let said: Vec<String> = outcome
        .stdout
        .lines()
        .map(|l| l.find(&missing).map_or(l.to_owned(), |at| format!("cat: {}", &l[at..])))
        .collect();
    assert_eq!(said, expected, "{outcome}");
}

/// What every runc says at last in gVisor 20221219: numbers as N.
const STATFS: &str = "runc create failed: unable to start container process: unable to apply \
                      cgroup configuration: failed to write N: statfs \
                      /sys/fs/cgroup/devices/inner/cgroup.procs: function not implemented";

const INODE: &str =
    "runc create failed: unsafe procfs detected: incorrect procfs root inode number N";

#[test]
fn gvisor_20221219_stops_every_runc_at_the_cgroups() {
    let folder = Folder::new("old-runc");
    let bundle = folder.path().join("bundle");
    let rootfs = real(&fixture("rootfs"));
    let mut config = oci::container("c5", Path::new(&rootfs), "old", "");
    config["linux"]["cgroupsPath"] = "/inner".into();
    oci::write_bundle(&bundle, &config);

    // By hand: the cgroups that this gVisor has, one of them in the place of
    // `devices`, which runc insists on; `--rootless` forgives its lack of files.
    let mut script = String::from(
        "mount -t tmpfs cgroup /sys/fs/cgroup && cd /sys/fs/cgroup && mkdir job devices\n\
         mount -t cgroup -o job cgroup job && mount --bind job devices || exit 9\n",
    );
    let mut expected = Vec::new();
    for (name, stock) in [("runc-1.1.5", STATFS), ("runc-1.1.15", STATFS), ("runc-current", INODE)]
    {
        let patched = folder.path().join(name);
        patch(&fixture(name), &patched, &[]);
        for (runc, message) in [(real(&fixture(name)), stock), (real(&patched), STATFS)] {
            let _ = writeln!(
                script,
                "echo \"@@@ {name}\"; timeout 20 {runc} --root /run/lab --rootless=true create \
                 --no-new-keyring --bundle {} old 2>&1",
                bundle.display()
            );
            expected.push(format!("{name}: {message}"));
        }
    }
    let outcome = old(&script);
    let said: Vec<String> = outcome
        .stdout
        .split("@@@ ")
        .skip(1)
        .map(|part| {
            let (name, output) = part.split_once('\n').unwrap_or((part, ""));
            format!("{name}: {}", last_error(output))
        })
        .collect();
    assert_eq!(said, expected, "{outcome}");
}

/// The last message of level error, with numbers as N.
fn last_error(output: &str) -> String {
    let line = output.lines().rfind(|line| line.contains("level=error")).unwrap_or(output);
    let message = line.split_once("msg=\"").map_or(line, |(_, m)| m.trim_end_matches('"'));
    normalise::numbers(message)
}

/// Replaces the profile's rule of that name by one that never acts.
const WITHOUT: &str = r#"
[[rule]]
name = "cap-last-cap"
action = "emulate"
path = "/no/such/file"
on = ["ENOENT"]
value = "0"
"#;

#[test]
fn a_container_starts_in_gvisor_20240729_with_the_file_hidden() {
    let folder = Folder::new("old-hidden");
    let bundle = folder.path().join("bundle");
    let rootfs = real(&fixture("rootfs"));
    let busybox = real(&fixture("busybox-static"));
    let mut config = oci::container("c5", Path::new(&rootfs), "hidden", "");
    // Before pivot_root: afterwards the file is not there for runc's init.
    config["hooks"]["createContainer"] = serde_json::json!([{
        "path": busybox,
        "args": ["mount", "-t", "tmpfs", "none", format!("{rootfs}/proc/sys/kernel")],
    }]);
    config["process"]["args"] = serde_json::json!(["/bin/sh", "-c", format!("cat {FILE}")]);
    oci::write_bundle(&bundle, &config);
    let stock = fixture("runc-current");
    let patched = folder.path().join("runc");
    patch(&stock, &patched, &[]);

    let run = |runc: &Path| {
        let script =
            format!("{} --root /run/lab run --bundle {} hidden 2>&1", real(runc), bundle.display());
        run_script(Release::R20240729, Platform::Systrap, &script, LIMIT)
    };
    let before = run(&stock);
    assert_eq!(last_error(&before.stdout), INODE.replace("create", "run"), "{before}");
    // With all rules but the one for the file: the message that it began with.
    let without = folder.path().join("runc-without");
    let rules = folder.path().join("without.toml");
    std::fs::write(&rules, WITHOUT).expect("the folder is writable");
    patch(&stock, &without, &["--rules", rules.to_str().expect("a plain path")]);
    let seed = run(&without);
    assert_eq!(
        last_error(&seed.stdout),
        "runc run failed: unable to start container process: error during container init: \
         open /proc/sys/kernel/cap_last_cap: no such file or directory",
        "{seed}"
    );
    // The container's own program is not patched: it sees that the file was
    // missing all the time, and that it ran is the proof that runc did not.
    let after = run(&patched);
    assert_eq!(
        after.stdout.trim(),
        format!("cat: can't open '{FILE}': No such file or directory"),
        "{after}"
    );
    assert_eq!(after.code, Some(1), "{after}");
}
