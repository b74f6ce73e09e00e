//! Does a real kubelet keep a real pod up inside gVisor, once kubelet, containerd,
//! its shim and runc are patched and nothing else is changed; and what stops the
//! stock ones, one thing after the other?
//!
//! `PROCSYS_NODE_SECONDS=1800` watches the pod for half an hour (`make node-long`);
//! fewer than 140 leave no time between what is done to it.

use std::time::Duration;

use procsys_tests::gvisor::{Platform, run_sharing};
use procsys_tests::node::{Record, Share};

/// Stage, how its message begins, and what it holds. The fourth blocker is not
/// seen in this gVisor, whose prctl(2) answers as Linux does: a filter makes it
/// answer as it was seen to elsewhere (`prctl_einval.c`), to a stock containerd,
/// then to a patched one.
const STAGES: [(&str, &str, &[&str]); 6] = [
    ("b1", "failed to run Kubelet: ", &["open /dev/kmsg: no such file or directory"]),
    ("b2", "failed to get rootfs info: unable to find data in memory cache", &[]),
    (
        "b3",
        "Failed to start ContainerManager ",
        &[
            "open /proc/sys/kernel/keys/root_maxkeys: no such file or directory",
            "open /proc/sys/kernel/keys/root_maxbytes: no such file or directory",
            "open /proc/sys/kernel/panic: no such file or directory",
            "open /proc/sys/kernel/panic_on_oops: no such file or directory",
            "open /proc/sys/vm/panic_on_oom: no such file or directory",
            "write /proc/sys/vm/overcommit_memory: input/output error",
        ],
    ),
    ("b5", "unsafe procfs detected: incorrect procfs root inode number ", &[]),
    ("b4", "failed to generate seccomp spec opts: seccomp is not supported", &[]),
    ("b4-patched", "the pod runs", &[]),
];

/// How long kubelet and containerd may take to bring a pod up again, in seconds.
const AGAIN: u64 = 20;

#[test]
fn a_patched_node_stays_up_where_a_stock_one_fails() {
    let seconds = std::env::var("PROCSYS_NODE_SECONDS").map_or(180, |text| {
        text.parse::<u64>().unwrap_or_else(|e| panic!("PROCSYS_NODE_SECONDS={text}: {e}"))
    });
    let share = Share::new("node-gvisor");
    let limit = Duration::from_secs(seconds + 600);
    let arguments = ["/share", &seconds.to_string()];
    let outcome = run_sharing(Platform::Systrap, share.path(), "stages.sh", &arguments, limit);
    let record = Record::read(&outcome.stdout);
    let shown = || format!("{outcome}\n{}", share.logs());
    stages(&record, &shown());
    assert!(record.events.iter().any(|(_, e)| e == "done"), "no pod came up\n{}", shown());
    events(&record);
    flat(&record);
    let down: Vec<_> = record.samples.iter().filter(|s| !s.is_running).map(|s| s.second).collect();
    println!(
        "{} samples, not running at second {down:?}; {:?}",
        record.samples.len(),
        record.events
    );
}

/// Every stock failure, in order, each with its message.
fn stages(record: &Record, shown: &str) {
    let names: Vec<_> = record.stages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, STAGES.map(|(name, ..)| name), "{shown}");
    for ((name, message), (_, start, parts)) in record.stages.iter().zip(STAGES) {
        println!("{name}: {message}");
        assert!(message.starts_with(start), "{name}: {message}");
        for part in parts {
            assert!(message.contains(part), "{name}: {message}\nlacks {part}");
        }
    }
}

/// The pod runs in every sample but those right after something was done to it.
fn events(record: &Record) {
    let [running, killed, taken, returned, done] =
        ["running", "killed", "taken", "returned", "done"].map(|e| record.second(e));
    let calm = [(running, killed), (killed + AGAIN, taken), (returned + AGAIN, done)];
    for (from, to) in calm {
        let samples: Vec<_> = record.between(from, to).collect();
        assert!(!samples.is_empty(), "no samples from {from} to {to}");
        let down: Vec<_> = samples.iter().filter(|s| !s.is_running || s.pods != 1).collect();
        assert!(down.is_empty(), "not running from {from} to {to}: {down:?}");
    }
    let at = |from, to| record.between(from, to).last().expect("shown above").clone();
    let (first, second) = (at(running, killed), at(killed + AGAIN, taken));
    let third = at(returned + AGAIN, done);
    assert_eq!(second.restarts, first.restarts + 1, "killed and not started again");
    assert_ne!(second.container, first.container);
    assert!(record.between(taken, returned).any(|s| s.pods == 0), "the pod was not deleted");
    assert_ne!(third.container, second.container, "not a new container");
}

/// Memory and descriptors of kubelet and containerd at the end are what they were
/// when the pod had come up: Go's heap breathes, so medians are compared.
fn flat(record: &Record) {
    let (running, taken) = (record.second("running"), record.second("taken"));
    let (back, done) = (record.second("returned") + AGAIN, record.second("done"));
    for name in ["kubelet", "containerd"] {
        let (memory, descriptors) = record.medians(name, running, taken);
        let (memory_now, descriptors_now) = record.medians(name, back, done);
        println!(
            "{name}: {memory} kB, then {memory_now} kB; {descriptors} descriptors, then {descriptors_now}"
        );
        assert!(memory_now <= memory * 5 / 4, "{name}: {memory} kB have become {memory_now} kB");
        assert!(
            descriptors_now <= descriptors + 2,
            "{name}: {descriptors} descriptors have become {descriptors_now}"
        );
    }
}
