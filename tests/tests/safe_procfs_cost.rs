//! What profile `sysbox` costs: where it acts, and where it does not.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use procsys_tests::sysbox::SystemContainer;
use procsys_tests::{patch, run};

/// Nanoseconds a call: what is measured, in the order of `cost.c`.
const NAMES: [&str; 5] = ["openat2 of the sysctl", "of another file", "close", "statx", "fstatfs"];

fn measure(program: &Path, procfs: &Path) -> [u64; 5] {
    let mut command = Command::new(program);
    let outcome = run(command.arg("7000").arg(procfs), Duration::from_secs(120));
    assert!(outcome.success(), "{outcome}");
    let numbers: Vec<u64> =
        outcome.stdout.split(' ').filter_map(|w| w.trim().parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{outcome}"))
}

/// The best of some rounds in turn, so that both see the same load.
fn compare(stock: &Path, patched: &Path, procfs: &Path) -> [[u64; 5]; 2] {
    let mut best = [[u64::MAX; 5]; 2];
    for _ in 0..5 {
        for (best, program) in best.iter_mut().zip([stock, patched]) {
            let measured = measure(program, procfs);
            *best = std::array::from_fn(|call| best[call].min(measured[call]));
        }
    }
    best
}

#[test]
fn the_rule_costs_where_it_acts() {
    let container = SystemContainer::new("safe-procfs-cost");
    let stock = container.build("cost");
    let patched = container.path().join("cost-patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    container.sh("mkdir evil; mount -t tmpfs none evil; mkdir evil/ipv4");
    println!("{:<38}{}", "ns a call", NAMES.map(|name| format!("{name:>24}")).concat());
    // The last one: which of the calls no rule acts on. What is opened below sys/
    // where the host's mount is not is looked at, as a trap may have answered.
    for (place, line, procfs, free) in [
        ("trusted FUSE over /proc/sys", ":", "/proc", 1..5),
        ("a procfs without it", ":", "visible", 1..5),
        ("and a tmpfs over net/", "mount --bind evil /proc/sys/net", "/proc", 1..5),
        ("a bare host", "umount /proc/sys/net; umount /proc/sys", "/proc", 0..5),
    ] {
        container.sh(line);
        let both = compare(&stock, &patched, &container.path().join(procfs));
        for (name, numbers) in ["stock", "patched"].iter().zip(both) {
            let numbers = numbers.map(|ns| format!("{ns:>24}")).concat();
            println!("{:<38}{numbers}", format!("{place}, {name}"));
        }
        let [stock, patched] = both;
        // Bounds for a busy machine; the figures are above.
        for call in free {
            assert!(
                patched[call] < stock[call] * 3 / 2 + 100,
                "{place}: {} costs {} in place of {} ns",
                NAMES[call],
                patched[call],
                stock[call]
            );
        }
    }
}
