//! An attacker prepares a container's file system. What do stock runc, runc with
//! profile `sysbox`, and a mere "drop RESOLVE_NO_XDEV" make of it?
//!
//! The answer is measured, and kept in `docs/safe-procfs-matrix.md`; with
//! UPDATE_MATRIX=1 this test writes that file, without, it compares. The races
//! take RACE_TRIES tries each (10,000; `make race`: 100,000).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::attacks::{self, Attack};
use procsys_tests::sysbox::{FAILURE, SYSCTL, SystemContainer};
use procsys_tests::{fixture, patch, run};

const ATTACKS: &[Attack] = &[
    Attack(
        "a tmpfs file over the sysctl",
        "mount --bind $W/evil/net/ipv4/$S $R/sys/net/ipv4/$S",
        true,
    ),
    Attack("a tmpfs over net/", "mount --bind $W/evil/net $R/sys/net", true),
    Attack("a tmpfs over sys/", "mount --bind $W/evil $R/sys", true),
    Attack(
        "another file of procfs over the sysctl",
        "mount --bind $R/sys/net/ipv4/ip_default_ttl $R/sys/net/ipv4/$S",
        true,
    ),
    Attack(
        "a directory of procfs over another",
        "mount --bind $R/sys/net/core $R/sys/net/ipv4",
        false,
    ),
    Attack(
        "a relative symlink to another sysctl",
        "mount --bind $W/evil/relative $R/sys/net/ipv4",
        false,
    ),
    Attack(
        "an absolute symlink to another sysctl",
        "mount --bind $W/evil/absolute $R/sys/net/ipv4",
        false,
    ),
    Attack(
        "a directory symlink into the trusted FUSE",
        "mount --bind $W/evil/linked $R/sys; mount --bind $W/fuse/proc/sys $R/sys/fuse",
        true,
    ),
    Attack(
        "a directory of the trusted FUSE two levels up",
        "mount --bind $W/fuse/proc $R/sys/net",
        false,
    ),
    Attack("a whole fake /proc on tmpfs", "mount --bind $W/evil/proc $R", false),
    Attack("a part of procfs over /proc", "mount --bind $R/1 $R", false),
    Attack(
        "the attacker's FUSE, the file",
        "mount --bind $W/foreign/proc/sys/net/ipv4/$S $R/sys/net/ipv4/$S",
        true,
    ),
    Attack(
        "the attacker's FUSE over net/",
        "mount --bind $W/foreign/proc/sys/net $R/sys/net",
        true,
    ),
    Attack("the attacker's FUSE over sys/", "mount --bind $W/foreign/proc/sys $R/sys", true),
    Attack(
        "a file of lxcfs over the sysctl",
        "mount --bind $W/lxcfs/proc/uptime $R/sys/net/ipv4/$S",
        false,
    ),
    Attack(
        "another file of the trusted FUSE over the sysctl",
        "mount --bind $W/fuse/proc/sys/net/ipv4/ping_group_range $R/sys/net/ipv4/$S",
        true,
    ),
    Attack(
        "a file of the same name of the trusted FUSE",
        "mount --bind $W/fuse/proc/sys/ipv4/$S $R/sys/net/ipv4/$S",
        true,
    ),
    Attack(
        "a directory of the trusted FUSE one level up",
        "mount --bind $W/fuse/proc/sys $R/sys/net",
        true,
    ),
    Attack(
        "the trusted FUSE, then a tmpfs in it",
        "mount --bind $W/fuse/proc/sys/net $R/sys/net; mount --bind $W/evil/net/ipv4 $R/sys/net/ipv4",
        true,
    ),
    Attack(
        "the trusted FUSE, then a file of procfs on it",
        "mount --bind $R/sys/net/ipv4/ip_default_ttl $W/kept; \
         mount --bind $W/fuse/proc/sys/net $R/sys/net; mount --bind $W/kept $R/sys/net/ipv4/$S",
        true,
    ),
    Attack(
        "the trusted FUSE, then the attacker's on it",
        "mount --bind $W/fuse/proc/sys/net $R/sys/net; \
         mount --bind $W/foreign/proc/sys/net $R/sys/net",
        true,
    ),
    Attack(
        "a tmpfs, then the trusted FUSE in it",
        "mount --bind $W/evil/net $R/sys/net; mount --bind $W/fuse/proc/sys/net/ipv4 $R/sys/net/ipv4",
        true,
    ),
    Attack(
        "a tmpfs, then the trusted FUSE on it",
        "mount --bind $W/evil/net $R/sys/net; mount --bind $W/fuse/proc/sys/net $R/sys/net",
        true,
    ),
    Attack(
        "the trusted FUSE twice, on one another",
        "mount --bind $W/fuse/proc/sys/net $R/sys/net; mount --bind $W/fuse/proc/sys/net $R/sys/net",
        true,
    ),
    Attack(
        "a tmpfs over the processes' fd directories",
        "mount --bind $W/fuse/proc/sys/net $R/sys/net; mount -t tmpfs none $R/1/task",
        false,
    ),
    Attack(
        "the attacker's FUSE, and a table of mounts that says it is the trusted one",
        "mount --bind $W/foreign/proc/sys/net $R/sys/net; \
         sed s/$(mountpoint -d $W/foreign)/$(mountpoint -d $W/fuse)/ $R/1/mountinfo >$W/evil/table; \
         for t in $R/1/task/*; do mount --bind $W/evil/table $t/mountinfo; done",
        true,
    ),
    Attack(
        "a tmpfs whose source reads as lines of the table of mounts",
        "mount -t tmpfs --source=\"$(printf '%s\\n%s' '- fuse.sysboxfs' '1 2 0:99 / / rw - fuse.a')\" \
         --target=$R/sys/net; mkdir $R/sys/net/ipv4; echo evil >$R/sys/net/ipv4/$S",
        true,
    ),
    Attack(
        "a tmpfs whose source is a dash, as the field before the type",
        "mount -t tmpfs --source=- --target=$R/sys/net; mkdir $R/sys/net/ipv4; echo evil >$R/sys/net/ipv4/$S",
        true,
    ),
    Attack(
        "an overlay whose lower directory is the trusted FUSE",
        "mkdir -p $W/evil/upper $W/evil/work; mount -t overlay none $R/sys/net \
         -o lowerdir=$T/net,upperdir=$W/evil/upper,workdir=$W/evil/work",
        true,
    ),
    Attack(
        "a directory of procfs on itself, then the trusted FUSE in it",
        "mount --bind $R/sys $R/sys; mount --bind $T/net $R/sys/net",
        true,
    ),
    Attack(
        "the trusted FUSE, and once more in itself",
        "mount --bind $T $R/sys; mount --bind $T/net $R/sys/net",
        true,
    ),
    Attack(
        "a procfs of another pid namespace, then the trusted FUSE in it",
        "unshare -p -f mount -t proc proc $R; mount --bind $T/net $R/sys/net",
        false,
    ),
    Attack(
        "a procfs whose files are hidden (hidepid), then another trusted directory in it",
        "mount -t proc -o hidepid=2 proc $R; mount --bind $T $R/sys/net",
        true,
    ),
];

/// The page around the measured lines.
const HEAD: &str = "\
# Attacks on runc's check of procfs, and what becomes of them

Measured by `cargo test -p procsys-tests --test safe_procfs_attacks` with runc 1.3.6 in
the stand-in of a system container (`tests/src/sysbox.rs`): a FUSE file system over
/proc/sys, no new mount API, a container with the sysctl
net.ipv4.ip_unprivileged_port_start whose file system an attacker prepared.
UPDATE_MATRIX=1 rewrites this page; without, the test compares. The same with lxcfs as
the system container's file system: docs/safe-procfs-lxcfs.md.

\"no NO_XDEV\" is stock runc under a supervisor that answers its open below sys/ without
RESOLVE_NO_XDEV (`tests/programs/safe_procfs/trap.c`), all else as it was. A container
that starts has written the sysctl's value to what the attacker chose.

";
const FOOT: &str = "
The same with another thread that swaps the mounts in a loop, 100,000 tries each:
`make race`.
";

/// What an attacker's races swap: where, and what in turn.
const RACES: &[(&str, &str, &[&str])] = &[
    ("the trusted FUSE and a tmpfs, over net/", "sys/net", &["fuse/proc/sys/net", "evil/net"]),
    (
        "the trusted FUSE and a directory of it one level up, over net/",
        "sys/net",
        &["fuse/proc/sys/net", "fuse/proc/sys"],
    ),
    (
        "the trusted FUSE and the attacker's, over sys/",
        "sys",
        &["fuse/proc/sys", "foreign/proc/sys"],
    ),
    (
        "two files of the trusted FUSE and one of the attacker's, over the sysctl",
        SYSCTL,
        &[
            "fuse/proc/sys/net/ipv4/ip_unprivileged_port_start",
            "fuse/proc/sys/net/ipv4/ping_group_range",
            "foreign/proc/sys/net/ipv4/ip_unprivileged_port_start",
        ],
    ),
];

/// The text of each file that may be written to, so that a look tells them apart.
fn prepare(container: &mut SystemContainer) {
    container.serve("foreign");
    container.serve_lxcfs("lxcfs");
    container.sh("mkdir run; touch kept");
    container.sh(
        "mkdir evil; mount -t tmpfs none evil; cd evil
         mkdir -p net/ipv4 relative absolute linked/fuse proc/sys/net/ipv4 proc/self/fd
         S=ip_unprivileged_port_start
         echo evil | tee net/ipv4/$S proc/sys/net/ipv4/$S >/dev/null
         ln -s ../core/somaxconn relative/$S
         ln -s /proc/sys/net/core/somaxconn absolute/$S
         ln -s fuse linked/net
         echo trusted >../fuse/proc/sys/net/ipv4/$S; echo foreign >../foreign/proc/sys/net/ipv4/$S",
    );
}

#[test]
fn every_attack_is_refused_as_stock_refuses_it() {
    let mut container = SystemContainer::new("safe-procfs-attacks");
    prepare(&mut container);
    let lines = attacks::try_all(&container, ":", ATTACKS);
    let page = format!("{HEAD}{}{lines}{FOOT}", attacks::TABLE);
    attacks::compare("docs/safe-procfs-matrix.md", &page);
}

/// An attacker's FUSE server that never answers holds nobody up: until the mount is
/// known to be the trusted one, nothing is asked of its file system.
#[test]
fn nothing_is_asked_of_another_file_system() {
    let mut container = SystemContainer::new("safe-procfs-silent");
    container.serve("foreign");
    let server = container.server().to_string();
    let stock = fixture("runc-current");
    let patched = container.path().join("patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    let trap = container.build("trap");
    let limit = container.path().join("limit");
    container.sh("printf '#!/bin/sh\nexec timeout -k 1 10 \"$@\"\n' >limit; chmod 755 limit");
    // The hook is in another pid namespace than the server.
    let silence = "mount --bind $W/foreign/proc/sys/net $R/sys/net; touch $W/mounted; \
         while ! test -e $W/silent; do sleep 0.02; done";
    let place = container.container(silence, false);
    for (runc, before) in [(&stock, &[][..]), (&patched, &[]), (&stock, &[&*limit, &*trap])] {
        container.sh("rm -f mounted silent");
        let silence = "while ! test -e mounted; do sleep 0.02; done; kill -STOP $0; touch silent";
        let mut silencer = Command::new("timeout");
        silencer.args(["60", "sh", "-c", silence, &server]).current_dir(container.path());
        let mut silencer = silencer.spawn().expect("coreutils are installed");
        let outcome = container.run(runc, before, &place);
        assert!(container.path().join("silent").exists(), "the server was asked before\n{outcome}");
        container.sh(&format!("kill -CONT {server}"));
        assert!(silencer.wait().expect("it is ours").success());
        if before.is_empty() {
            assert!(outcome.stderr.contains(FAILURE), "{outcome}");
        } else {
            assert!([Some(124), Some(137)].contains(&outcome.code), "it waits for ever\n{outcome}");
        }
    }
}

/// How often each text was seen.
#[derive(Debug)]
struct Seen {
    trusted: u64,
    refused: u64,
    wrong: u64,
    swaps: u64,
    line: String,
}

/// Tries so often, and on up to the most until both sides were seen.
fn race(
    container: &SystemContainer,
    program: &Path,
    mode: &str,
    race: usize,
    (tries, most): (u64, u64),
) -> Seen {
    let (_, point, sources) = RACES[race];
    let mut command = Command::new(program);
    command
        .args([mode, &tries.to_string(), &most.to_string(), "trusted", point])
        .current_dir(container.path().join("run"));
    command.args(sources.iter().map(|s| container.path().join(s)));
    let outcome = run(&mut command, Duration::from_secs(900));
    assert!(outcome.success(), "{command:?}\n{outcome}");
    let line = outcome.stdout.trim().to_owned();
    let number = |name: &str| {
        let after = line.split(name).nth(1).and_then(|rest| rest.trim().split([',', ' ']).next());
        after.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    Seen {
        trusted: number("trusted"),
        refused: number("refused"),
        wrong: number("wrong"),
        swaps: number("swaps"),
        line,
    }
}

#[test]
fn no_race_gets_another_file_accepted() {
    let tries = std::env::var("RACE_TRIES").unwrap_or_else(|_| "10000".into());
    let tries = tries.parse().expect("RACE_TRIES is a number");
    let mut container = SystemContainer::new("safe-procfs-races");
    prepare(&mut container);
    let stock: PathBuf = container.build("race");
    let patched = container.path().join("race-patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    for (number, (name, ..)) in RACES.iter().enumerate() {
        let seen = race(&container, &patched, "safe", number, (tries, 50 * tries));
        println!("{name}\n  patched    {}", seen.line);
        assert_eq!(seen.wrong, 0, "{name}: another file was accepted\n{}", seen.line);
        assert!(seen.swaps > 20, "{name}: hardly a race\n{}", seen.line);
        assert!(seen.trusted > 0 && seen.refused > 0, "{name}: one-sided\n{}", seen.line);
        let seen = race(&container, &stock, "safe", number, (tries, tries));
        println!("  stock      {}", seen.line);
        assert_eq!((seen.trusted, seen.wrong), (0, 0), "{name}: stock\n{}", seen.line);
        // What would go wrong needs no such number of tries to show.
        let seen = race(&container, &stock, "naive", number, (3000, 150_000));
        println!("  no NO_XDEV {}", seen.line);
        assert!(seen.wrong > 0, "{name}: the race shows nothing\n{}", seen.line);
    }
}
