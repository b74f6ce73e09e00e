//! Does Debian's containerd, a dynamic Go program, run containers by `ctr` and a
//! shim inside gVisor once it, the shim and runc are patched; and does the script
//! of examples/k3s do what its README says?

use std::process::Command;
use std::time::Duration;

use procsys_tests::gvisor::{Platform, real, run_sharing};
use procsys_tests::node::{Record, Share};
use procsys_tests::{patcher, root, run};

const LIMIT: Duration = Duration::from_secs(240);

fn value<'r>(record: &'r Record, name: &str) -> &'r str {
    let found = record.stages.iter().find(|(n, _)| n == name);
    found.map_or("nothing", |(_, value)| value.as_str())
}

#[test]
fn ctr_runs_containers() {
    let share = Share::without_kubelet("ctr-gvisor");
    let outcome = run_sharing(Platform::Systrap, share.path(), "ctr.sh", &["/share"], LIMIT);
    let record = Record::read(&outcome.stdout);
    let shown = || format!("{:?}\n{outcome}\n{}", record.stages, share.logs());
    let stock = value(&record, "run");
    assert!(stock.contains("unsafe procfs detected: incorrect procfs root inode"), "{}", shown());
    assert_eq!(value(&record, "ls"), "", "{}", shown());
    assert!(value(&record, "run-patched").starts_with("hello from "), "{}", shown());
    assert_eq!(value(&record, "ls-patched"), "two-patched RUNNING", "{}", shown());
    assert_eq!(value(&record, "left-patched"), "", "{}", shown());
}

#[test]
fn the_example_is_followed() {
    let share = Share::new("example-gvisor");
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(root().join("examples/k3s")).arg(share.path());
    assert!(run(&mut copy, LIMIT).success(), "{copy:?}");
    let arguments = ["/share", &real(&patcher())];
    let outcome = run_sharing(Platform::Systrap, share.path(), "example.sh", &arguments, LIMIT);
    let record = Record::read(&outcome.stdout);
    let shown = || format!("{:?}\n{outcome}\n{}", record.stages, share.logs());
    // The second is after kubelet was killed; the container outlives it.
    for stage in ["status", "again"] {
        let status = value(&record, stage);
        let is_up = status.starts_with("web-") && status.ends_with("Running, restarted 0 times");
        assert!(is_up, "{}", shown());
    }
    println!("{}", value(&record, "ended"));
    assert_eq!(value(&record, "containers"), "2", "{}", shown());
    assert_eq!(value(&record, "left"), "0", "{}", shown());
    assert!(value(&record, "stopped").contains("containerd is not up"), "{}", shown());
    assert_eq!(value(&record, "undone"), "the same", "{}", shown());
}
