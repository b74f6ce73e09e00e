//! lxcfs as the file system over /proc/sys: a FUSE server that knows nothing of
//! sysctls or of us. It shows a cgroup, whose `notify_on_release` takes the place
//! of a sysctl. The failure of stock runc, what profile `sysbox` makes of it, and
//! what attackers can do with the same file system.

use procsys_tests::attacks::{self, Attack};
use procsys_tests::sysbox::SystemContainer;
use procsys_tests::{fixture, patch};

const FAILURE: &str = "open sysctl net.ipv4.notify_on_release file: unsafe procfs detected: \
     openat2 /proc/./sys/net/ipv4/notify_on_release: invalid cross-device link";

#[test]
fn runc_sets_a_sysctl_that_is_a_file_of_lxcfs() {
    let container = SystemContainer::over_lxcfs("safe-procfs-lxcfs");
    let stock = fixture("runc-current");
    let [default, sysbox] = ["default", "sysbox"].map(|name| container.path().join(name));
    patch(&stock, &default, &[]);
    patch(&stock, &sysbox, &["--profile", "sysbox"]);
    for user_namespace in [false, true] {
        for (covered, line) in [
            ("sys", "mount --bind /proc/sys $R/sys"),
            ("sys/net", "mount --bind /proc/sys/net $R/sys/net"),
        ] {
            let what = format!("{covered}, user namespace: {user_namespace}");
            let place = container.container(line, user_namespace);
            for (name, runc) in [("stock", &stock), ("the default profile", &default)] {
                let failed = container.run(runc, &[], &place);
                assert_eq!(failed.code, Some(1), "{name}, {what}\n{failed}");
                assert!(failed.stderr.contains(FAILURE), "{name}, {what}: {FAILURE}\n{failed}");
                assert_eq!(failed.stdout, "", "{name}, {what}: the container must not have run");
            }
            let runs = container.run(&sysbox, &[], &place);
            // The kernel's own answer for the cgroup: a flag, which was 0.
            assert_eq!(runs.stdout, "it runs\n1\n", "{what}\n{runs}");
            assert!(runs.success() && runs.stderr.is_empty(), "{what}\n{runs}");
            println!("{what}: stock and default profile EXDEV, profile sysbox runs");
        }
    }
}

/// `$T` is lxcfs's directory of the cgroup, `$O` that of another lxcfs, `$C` another
/// controller's in the same lxcfs, `$K` and `$L` these cgroups themselves.
const SETUP: &str = "C=${T%/pids/*}/cpu/${T##*/}; O=$W/other/${T#$W/lxcfs/}; \
     K=/sys/fs/cgroup/pids/${T##*/}; L=/sys/fs/cgroup/cpu/${T##*/}; mkdir -p $L/net/ipv4";
const ATTACKS: &[Attack] = &[
    Attack("a tmpfs over sys/", "mount --bind $W/evil $R/sys", true),
    Attack("another lxcfs with the same contents, over sys/", "mount --bind $O $R/sys", true),
    Attack("the same, over net/", "mount --bind $O/net $R/sys/net", true),
    Attack("the same path of another controller", "mount --bind $C $R/sys", true),
    Attack(
        "a directory of lxcfs one level down, over net/",
        "mkdir -p $K/net/ipv4/ipv4; mount --bind $T/net/ipv4 $R/sys/net",
        true,
    ),
    Attack(
        "another file of lxcfs on the trusted one",
        "mount --bind $T $R/sys; \
         mount --bind $T/net/ipv4/cgroup.clone_children $R/sys/net/ipv4/$S",
        true,
    ),
    Attack(
        "a file of lxcfs's that it answers itself, in its place",
        "mount --bind $T $R/sys; mount --bind $W/lxcfs/proc/uptime $R/sys/net/ipv4/$S",
        false,
    ),
    Attack(
        "lxcfs, then a tmpfs in it",
        "mount --bind $T $R/sys; mount --bind $W/evil/net/ipv4 $R/sys/net/ipv4",
        true,
    ),
    Attack(
        "lxcfs, then another one in it",
        "mount --bind $T $R/sys; mount --bind $O/net $R/sys/net",
        true,
    ),
    Attack(
        "a tmpfs, then lxcfs in it",
        "mount --bind $W/evil $R/sys; mount --bind $T/net $R/sys/net",
        true,
    ),
    Attack(
        "a directory of procfs, then lxcfs in it",
        "mount --bind $R/sys $R/sys; mount --bind $T/net $R/sys/net",
        true,
    ),
    Attack(
        "lxcfs twice, in one another",
        "mount --bind $T $R/sys; mount --bind $T/net $R/sys/net",
        true,
    ),
    Attack(
        "the whole of lxcfs, whose sys/ has no such file",
        "mount --bind $W/lxcfs/sys $R/sys",
        false,
    ),
];

const HEAD: &str = "\
# The same attacks with lxcfs

Measured by `cargo test -p procsys-tests --test safe_procfs_lxcfs` as
docs/safe-procfs-matrix.md, but the file system that stands over the system
container's /proc/sys is lxcfs 5 from Debian's package: the containers' sysctl is
net.ipv4.notify_on_release, which there is a file of a cgroup.

";

#[test]
fn every_attack_with_lxcfs_is_refused_as_stock_refuses_it() {
    let mut container = SystemContainer::over_lxcfs("safe-procfs-lxcfs-attacks");
    container.serve_lxcfs("other");
    container.sh("mkdir evil; mount -t tmpfs none evil; mkdir -p evil/net/ipv4
         echo 0 >evil/net/ipv4/notify_on_release");
    let lines = attacks::try_all(&container, SETUP, ATTACKS);
    attacks::compare("docs/safe-procfs-lxcfs.md", &format!("{HEAD}{}{lines}", attacks::TABLE));
}
