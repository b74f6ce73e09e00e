//! Is a sandbox that hangs ended at its time limit, with nothing left of it?

use std::time::{Duration, Instant};

use procsys_tests::gvisor::{Platform, Release, run_script};

#[test]
fn a_sandbox_that_hangs_is_ended_and_leaves_nothing() {
    let script = "echo started; sleep 1000";
    for (release, platform) in
        [(Release::R20221219, Platform::Ptrace), (Release::R20240729, Platform::Systrap)]
    {
        let start = Instant::now();
        let outcome = run_script(release, platform, script, Duration::from_secs(3));
        assert_eq!(outcome.code, None, "{outcome}");
        assert_eq!(outcome.stdout.trim(), "started", "{outcome}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        let left = sandboxes();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// The processes that have a folder of this test's sandboxes in their arguments.
fn sandboxes() -> Vec<String> {
    let pid = format!("-{}/", std::process::id());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc is there").flatten() {
        let path = entry.path().join("cmdline");
        let Ok(line) = std::fs::read(path) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("/procsys-gvisor-") && line.contains(&pid) {
            found.push(line);
        }
    }
    found
}
