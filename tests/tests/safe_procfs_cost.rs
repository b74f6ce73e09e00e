//! What profile `sysbox` costs: where it acts, and where it does not.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use procsys_tests::sysbox::SystemContainer;
use procsys_tests::{patch, run};

/// Nanoseconds a call: what is measured, in the order of `cost.c`.
const NAMES: [&str; 5] = ["openat2 of the sysctl", "of another file", "close", "statx", "fstatfs"];

fn measure(program: &Path) -> [u64; 5] {
    let outcome = run(Command::new(program).arg("20000"), Duration::from_secs(120));
    assert!(outcome.success(), "{outcome}");
    let numbers: Vec<u64> =
        outcome.stdout.split(' ').filter_map(|w| w.trim().parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{outcome}"))
}

#[test]
fn the_rule_costs_where_it_acts() {
    let container = SystemContainer::new("safe-procfs-cost");
    let stock = container.build("cost");
    let patched = container.path().join("cost-patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    container.sh("mkdir evil; mount -t tmpfs none evil; mkdir evil/ipv4");
    println!("{:<34}{}", "ns a call", NAMES.map(|name| format!("{name:>24}")).concat());
    for (place, line) in [
        ("trusted FUSE over /proc/sys", ":"),
        ("and a tmpfs over net/", "mount --bind evil /proc/sys/net"),
        ("a bare host", "umount /proc/sys/net; umount /proc/sys"),
    ] {
        container.sh(line);
        let both = [("stock", measure(&stock)), ("patched", measure(&patched))];
        for (name, numbers) in both {
            let numbers = numbers.map(|ns| format!("{ns:>24}")).concat();
            println!("{:<34}{numbers}", format!("{place}, {name}"));
        }
        let [(_, stock), (_, patched)] = both;
        // Calls that no rule acts on: as long as nothing is accepted. Bounds for a
        // busy machine; the figures are above.
        for call in 2..5 {
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
