//! The newest packaged runc, dynamic, under `libprocsys-whole.so`: inside a system
//! container whose /proc/sys is FUSE (sysbox), and where AppArmor takes a file of its
//! own procfs for one of /sys (LXC). What it says without, and that what stock refuses
//! stays refused.

use std::path::PathBuf;

use procsys_tests::preload::whole;
use procsys_tests::sysbox::{FAILURE, SYSCTL, SystemContainer, WANTED};
use procsys_tests::{Outcome, fixture};

/// What it says under AppArmor's answers.
const REOPEN: &str =
    "open sysctl net.ipv4.ip_unprivileged_port_start file: reopen fd 8: permission denied";

/// As a user would write it, behind `before`.
fn words(before: &[PathBuf], profile: Option<&str>) -> Vec<PathBuf> {
    let mut words = before.to_vec();
    if let Some(profile) = profile {
        words.push("/usr/bin/env".into());
        words.push(format!("LD_PRELOAD={}", whole().display()).into());
        words.push(format!("PROCSYS_PROFILE={profile}").into());
    }
    words.push(fixture("runc-current-dynamic"));
    words
}

fn refused(outcome: &Outcome, failure: &str, what: &str) {
    assert_eq!(outcome.code, Some(1), "{what}\n{outcome}");
    assert!(outcome.stderr.contains(failure), "{what} must fail with: {failure}\n{outcome}");
    assert_eq!(outcome.stdout, "", "{what}: the container must not have run\n{outcome}");
}

fn runs(outcome: &Outcome, what: &str) {
    assert!(outcome.success(), "{what}\n{outcome}");
    assert_eq!(outcome.stdout.trim_end(), format!("it runs\n{WANTED}"), "{what}\n{outcome}");
    assert_eq!(outcome.stderr, "", "{what}");
}

#[test]
fn it_sets_a_sysctl_on_the_fuse_of_its_system_container() {
    let mut container = SystemContainer::new("preload-whole-sysbox");
    container.serve("foreign");
    let before = [container.build("no_mount_api")];
    let run = |container: &SystemContainer, profile, place: &_| {
        container.run_with_mount_api(&words(&before, profile), place)
    };
    let sysctl = SYSCTL.strip_prefix("sys/").expect("it is below sys");
    for user_namespace in [false, true] {
        for covered in [SYSCTL, "sys/net", "sys"] {
            let what = format!("{covered}, user namespace: {user_namespace}");
            let prepare = format!("mount --bind /proc/{covered} $R/{covered}");
            let place = container.container(&prepare, user_namespace);
            container.sh(&format!("echo 1024 > fuse/proc/sys/{sysctl}"));
            for profile in [None, Some("gvisor")] {
                refused(
                    &run(&container, profile, &place),
                    FAILURE,
                    &format!("{profile:?}, {what}"),
                );
            }
            assert_eq!(container.value("fuse", sysctl), "1024", "{what}: written by none");
            runs(&run(&container, Some("sysbox"), &place), &what);
            assert_eq!(container.value("fuse", sysctl), WANTED, "{what}");
        }
        // The attacker's own FUSE is another file system.
        let attack = "mount --bind $W/foreign/proc/sys $R/sys";
        let place = container.container(attack, user_namespace);
        refused(&run(&container, Some("sysbox"), &place), FAILURE, "the attacker's FUSE");
    }
}

#[test]
fn it_sets_a_sysctl_that_apparmor_takes_for_one_of_sys() {
    let container = SystemContainer::bare("preload-whole-lxc");
    let before = [container.build("apparmor")];
    let run = |profile, place: &_| container.run_with_mount_api(&words(&before, profile), place);
    for user_namespace in [false, true] {
        let what = format!("user namespace: {user_namespace}");
        let place = container.container(":", user_namespace);
        for profile in [None, Some("gvisor")] {
            refused(&run(profile, &place), REOPEN, &format!("{profile:?}, {what}"));
        }
        runs(&run(Some("lxc"), &place), &what);
    }
    container.sh("mkdir -p evil/ipv4; echo 5 >evil/ipv4/ip_unprivileged_port_start");
    let place = container.container("mount --bind $W/evil $R/sys/net", false);
    refused(&run(Some("lxc"), &place), REOPEN, "a tmpfs over net/");
}
