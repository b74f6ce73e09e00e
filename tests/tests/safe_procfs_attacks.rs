//! An attacker prepares a container's file system. What do stock runc, runc with
//! profile `sysbox`, and a mere "drop RESOLVE_NO_XDEV" make of it?
//!
//! The answer is measured, and kept in `docs/safe-procfs-matrix.md`; with
//! UPDATE_MATRIX=1 this test writes that file, without, it compares. The races
//! take RACE_TRIES tries each (10,000; `make race`: 100,000).

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::sysbox::{SYSCTL, SystemContainer};
use procsys_tests::{Outcome, fixture, patch, root, run};

/// One attack: what is mounted where, in words; the shell that prepares it (`$R`
/// is the container's /proc, `$W` the test's folder, `$S` the sysctl's path); and
/// what a mere "drop RESOLVE_NO_XDEV" does: whether it starts the container.
struct Attack(&'static str, &'static str, bool);

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
];

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
    let lxcfs = container.path().join("lxcfs");
    container.sh("mkdir lxcfs run; touch kept");
    container.start(Command::new("lxcfs").args(["-f", "-l"]).arg(&lxcfs), &lxcfs.join("proc"));
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

/// What runc said, in a word or two.
fn word(outcome: &Outcome) -> &'static str {
    const KNOWN: [(&str, &str); 7] = [
        ("invalid argument", "opened, written to, which fails"),
        ("invalid cross-device link", "refused: EXDEV"),
        ("incorrect procfs root filesystem type", "refused: no procfs"),
        ("incorrect procfs root inode number", "refused: not its root"),
        ("too many levels of symbolic links", "refused: symlink"),
        ("no such file or directory", "refused: no such file"),
        ("permission denied", "refused: not writable"),
    ];
    if outcome.success() {
        return "**starts**";
    }
    assert_eq!(outcome.code, Some(1), "runc itself must say why\n{outcome}");
    assert!(!outcome.stdout.contains("it runs"), "it ran and failed\n{outcome}");
    let known = KNOWN.iter().find(|(text, _)| outcome.stderr.contains(text));
    known.unwrap_or_else(|| panic!("an unknown failure\n{outcome}")).1
}

#[test]
fn every_attack_is_refused_as_stock_refuses_it() {
    let mut container = SystemContainer::new("safe-procfs-attacks");
    prepare(&mut container);
    let stock = fixture("runc-current");
    let patched = container.path().join("patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    let trap = container.build("trap");
    let mut page = String::new();
    let mut through = 0;
    for (number, Attack(name, prepare, naive_starts)) in ATTACKS.iter().enumerate() {
        let prepare = format!("S=ip_unprivileged_port_start; {prepare}");
        let place = container.container(&prepare, false);
        let [stock, patched, naive] =
            [(&stock, &[][..]), (&patched, &[]), (&stock, &[trap.as_path()])]
                .map(|(runc, before)| container.run(runc, before, &place));
        assert!(!stock.success(), "{name}: stock must refuse\n{stock}");
        assert_eq!(word(&patched), word(&stock), "{name}: patched must refuse the same\n{patched}");
        assert_eq!(naive.success(), *naive_starts, "{name}: without NO_XDEV\n{naive}");
        through += usize::from(naive.success());
        let line = [word(&stock), word(&patched), word(&naive)].join(" | ");
        println!("{:>2} {name}: {line}", number + 1);
        writeln!(page, "| {} | {name} | {line} |", number + 1).expect("a string takes all");
    }
    assert!(ATTACKS.len() >= 17 && through >= 10, "{through} of {} show nothing", ATTACKS.len());
    compare(&page);
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

fn race(container: &SystemContainer, program: &Path, mode: &str, race: usize, tries: &str) -> Seen {
    let (_, point, sources) = RACES[race];
    let mut command = Command::new(program);
    command.args([mode, tries, "trusted", point]).current_dir(container.path().join("run"));
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
    let mut container = SystemContainer::new("safe-procfs-races");
    prepare(&mut container);
    let stock: PathBuf = container.build("race");
    let patched = container.path().join("race-patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    for (number, (name, ..)) in RACES.iter().enumerate() {
        let seen = race(&container, &patched, "safe", number, &tries);
        println!("{name}\n  patched    {}", seen.line);
        assert_eq!(seen.wrong, 0, "{name}: another file was accepted\n{}", seen.line);
        assert!(seen.swaps > 20, "{name}: hardly a race\n{}", seen.line);
        assert!(seen.trusted > 0 && seen.refused > 0, "{name}: one-sided\n{}", seen.line);
        let seen = race(&container, &stock, "safe", number, &tries);
        println!("  stock      {}", seen.line);
        assert_eq!((seen.trusted, seen.wrong), (0, 0), "{name}: stock\n{}", seen.line);
        // What would go wrong needs no such number of tries to show.
        let seen = race(&container, &stock, "naive", number, "3000");
        println!("  no NO_XDEV {}", seen.line);
        assert!(seen.wrong > 0, "{name}: the race shows nothing\n{}", seen.line);
    }
}

/// The page around the measured lines.
fn compare(lines: &str) {
    let page = format!(
        "# Attacks on runc's check of procfs, and what becomes of them\n\n\
         Measured by `cargo test -p procsys-tests --test safe_procfs_attacks` with runc 1.3.6 in\n\
         the stand-in of a system container (`tests/src/sysbox.rs`): a FUSE file system over\n\
         /proc/sys, no new mount API, a container with the sysctl\n\
         net.ipv4.ip_unprivileged_port_start whose file system an attacker prepared.\n\
         UPDATE_MATRIX=1 rewrites this page; without, the test compares.\n\n\
         \"no NO_XDEV\" is stock runc under a supervisor that answers its open below sys/ without\n\
         RESOLVE_NO_XDEV (`tests/programs/safe_procfs/trap.c`), all else as it was. A container\n\
         that starts has written the sysctl's value to what the attacker chose.\n\n\
         | | attack | stock | profile `sysbox` | no NO_XDEV |\n|---|---|---|---|---|\n{lines}\n\
         The same with another thread that swaps the mounts in a loop, 100,000 tries each:\n\
         `make race`.\n"
    );
    let path = root().join("docs/safe-procfs-matrix.md");
    if std::env::var_os("UPDATE_MATRIX").is_some_and(|v| v == "1") {
        std::fs::write(&path, page).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, page, "{} is not what was measured", path.display());
}
