//! runc inside an LXC container, whose AppArmor profile takes a file of runc's own
//! procfs for one of /sys: the failure of stock runc, and what profile `lxc` makes
//! of it. AppArmor is answered by a supervisor (tests/programs/safe_procfs/apparmor.c).

use procsys_tests::sysbox::{SystemContainer, WANTED};
use procsys_tests::{Outcome, fixture, patch};

/// What stock runc says.
const FAILURE: &str =
    "open sysctl net.ipv4.ip_unprivileged_port_start file: reopen fd 8: permission denied";

/// What an attacker puts over the container's /proc (`$R`): the sysctl must not be
/// opened there. Stock runc never looks there, as its procfs is its own.
const ATTACKS: [(&str, &str); 8] = [
    ("a tmpfs file over the sysctl", "mount --bind $W/evil/ipv4/$S $R/sys/net/ipv4/$S"),
    ("a tmpfs over net/", "mount --bind $W/evil $R/sys/net"),
    (
        "another file of procfs over the sysctl",
        "mount --bind $R/sys/net/ipv4/ip_default_ttl $R/sys/net/ipv4/$S",
    ),
    ("a symlink to another sysctl", "mount --bind $W/linked $R/sys/net/ipv4"),
    ("a directory symlink", "mount --bind $W/linked $R/sys/net"),
    ("a whole fake /proc on tmpfs", "mount --bind $W/fake $R"),
    ("a part of procfs over /proc", "mount --bind $R/sys $R"),
    ("the attacker's FUSE over sys/", "mount --bind $W/fuse/proc/sys $R/sys"),
];

fn refused_as_known(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.code, Some(1), "{what}\n{outcome}");
    assert!(outcome.stderr.contains(FAILURE), "{what} must fail with: {FAILURE}\n{outcome}");
    assert_eq!(outcome.stdout, "", "{what}: the container must not have run");
}

#[test]
fn runc_sets_a_sysctl_that_apparmor_takes_for_one_of_sys() {
    let mut container = SystemContainer::bare("safe-procfs-lxc");
    let apparmor = container.build("apparmor");
    let stock = fixture("runc-current");
    let [default, lxc] = ["default", "lxc"].map(|name| container.path().join(name));
    patch(&stock, &default, &[]);
    patch(&stock, &lxc, &["--profile", "lxc"]);
    let run = |container: &SystemContainer, runc, place: &_| {
        container.run_with_mount_api(&[apparmor.clone(), std::path::PathBuf::from(runc)], place)
    };
    for user_namespace in [false, true] {
        let place = container.container(":", user_namespace);
        refused_as_known(&run(&container, &stock, &place), "stock");
        refused_as_known(&run(&container, &default, &place), "the default profile");
        let runs = run(&container, &lxc, &place);
        assert!(runs.success(), "profile lxc, user namespace: {user_namespace}\n{runs}");
        assert_eq!(runs.stdout.trim_end(), format!("it runs\n{WANTED}"), "{runs}");
    }
    container.serve("fuse");
    container
        .sh("mkdir -p evil/ipv4 linked fake; S=ip_unprivileged_port_start; echo 5 >evil/ipv4/$S
         ln -s ../core/somaxconn linked/$S; ln -s ../kernel linked/ipv4; mkdir -p fake/self/fd");
    for (what, prepare) in ATTACKS {
        let place = container.container(prepare, false);
        refused_as_known(&run(&container, &stock, &place), &format!("stock, {what}"));
        refused_as_known(&run(&container, &lxc, &place), &format!("profile lxc, {what}"));
        println!("{what}: stock and profile lxc refuse");
    }
}
