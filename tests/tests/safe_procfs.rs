//! runc inside a system container whose /proc/sys is FUSE (sysbox): the failure
//! of stock runc, and what profile `sysbox` makes of it.

use std::process::Command;
use std::time::Duration;

use procsys_tests::sysbox::{FAILURE, SYSCTL, SystemContainer, WANTED};
use procsys_tests::{Outcome, fixture, patch, run};

/// What is mounted over a container's procfs, from that of the system container.
const COVERED: [&str; 3] = [SYSCTL, "sys/net", "sys"];

fn must_fail_as_known(outcome: &Outcome, what: &str) {
    assert_eq!(outcome.code, Some(1), "{what}\n{outcome}");
    assert!(outcome.stderr.contains(FAILURE), "{what} must fail with: {FAILURE}\n{outcome}");
    assert_eq!(outcome.stdout, "", "{what}: the container must not have run\n{outcome}");
}

#[test]
fn runc_sets_a_sysctl_on_the_fuse_of_its_system_container() {
    let container = SystemContainer::new("safe-procfs");
    let stock = fixture("runc-current");
    let [default, sysbox, both] = ["default", "sysbox", "both"].map(|n| container.path().join(n));
    patch(&stock, &default, &[]);
    patch(&stock, &sysbox, &["--profile", "sysbox"]);
    patch(&stock, &both, &["--profile", "gvisor", "--profile", "sysbox"]);
    for user_namespace in [false, true] {
        for covered in COVERED {
            let prepare = format!("mount --bind /proc/{covered} $R/{covered}");
            let place = container.container(&prepare, user_namespace);
            let what = format!("{covered}, user namespace: {user_namespace}");
            let sysctl = SYSCTL.strip_prefix("sys/").expect("it is below sys");
            container.sh(&format!("echo 1024 > fuse/proc/sys/{sysctl}"));

            let failed = container.run(&stock, &[], &place);
            must_fail_as_known(&failed, &format!("stock, {what}"));
            let failed = container.run(&default, &[], &place);
            must_fail_as_known(&failed, &format!("patched with the default profile, {what}"));
            assert_eq!(container.value("fuse", sysctl), "1024", "{what}: written by none");

            for (name, patched) in [("sysbox", &sysbox), ("gvisor and sysbox", &both)] {
                container.sh(&format!("echo 1024 > fuse/proc/sys/{sysctl}"));
                let runs = container.run(patched, &[], &place);
                assert!(runs.success(), "profile {name}, {what}\n{runs}");
                let said = format!("it runs\n{WANTED}");
                assert_eq!(runs.stdout.trim_end(), said, "profile {name}, {what}\n{runs}");
                assert_eq!(runs.stderr, "", "profile {name}, {what}");
                assert_eq!(container.value("fuse", sysctl), WANTED, "profile {name}, {what}");
            }
            println!("{what}: stock and default profile EXDEV, profile sysbox runs");
        }
    }
}

/// Without FUSE over it, everything is as it was: also where runc has no
/// procfs of its own.
#[test]
fn without_fuse_patched_runc_does_as_stock() {
    let container = SystemContainer::new("safe-procfs-plain");
    let stock = fixture("runc-current");
    let patched = container.path().join("patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    let place = container.container(":", false);
    let [a, b] = [&stock, &patched].map(|runc| container.run(runc, &[], &place));
    assert!(a.success(), "{a}");
    assert_eq!((a.code, &a.stdout, &a.stderr), (b.code, &b.stdout, &b.stderr), "{b}");
    // The value of the container's own network namespace, not FUSE's.
    assert_eq!(a.stdout, format!("it runs\n{WANTED}\n"));
}

/// Started without the mount (on a bare host), a patched runc refuses the same
/// mount over a container's procfs.
#[test]
fn what_was_not_there_at_start_is_not_trusted() {
    let container = SystemContainer::new("safe-procfs-late");
    let stock = fixture("runc-current");
    let patched = container.path().join("patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    container.sh("umount /proc/sys");
    let prepare = format!("mount --bind $W/fuse/proc/{SYSCTL} $R/{SYSCTL}");
    let place = container.container(&prepare, false);
    must_fail_as_known(&container.run(&stock, &[], &place), "stock");
    must_fail_as_known(&container.run(&patched, &[], &place), "patched");
}

/// What a build with libpathrs asks of the file that it opened, also where a
/// supervisor of the host let the open through, as sysbox 0.7 does.
#[test]
fn libpathrs_takes_the_file_for_one_of_procfs_until_it_is_closed() {
    let container = SystemContainer::new("safe-procfs-pathrs");
    let (stock, trap) = (container.build("pathrs"), container.build("trap"));
    let patched = container.path().join("pathrs-patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    let say = |both: &str| format!("inline: {both}\nsyscall(): {both}\n");
    for (program, trapped, expected) in [
        (&stock, false, "openat2: Invalid cross-device link"),
        (&patched, false, "as procfs"),
        (&stock, true, "fstype mismatch in procfs"),
        (&patched, true, "as procfs"),
    ] {
        let mut command = Command::new(if trapped { &trap } else { program });
        if trapped {
            command.arg(program);
        }
        let outcome = run(command.arg(WANTED), Duration::from_secs(20));
        assert_eq!(outcome.stdout, say(expected), "{command:?}\n{outcome}");
        assert_eq!(outcome.success(), expected == "as procfs", "{outcome}");
    }
    let sysctl = SYSCTL.strip_prefix("sys/").expect("it is below sys");
    assert_eq!(container.value("fuse", sysctl), WANTED);
}

/// libpathrs itself, in place of its sequence: the crate.
#[test]
fn libpathrs_itself_writes_the_sysctl() {
    let container = SystemContainer::new("safe-procfs-libpathrs");
    let (stock, trap) = (fixture("libpathrs"), container.build("trap"));
    let hide = container.build("no_mount_api");
    let patched = container.path().join("libpathrs-patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    let sysctl = SYSCTL.strip_prefix("sys/").expect("it is below sys");
    for (program, trapped, failure) in [
        (&stock, false, Some("Invalid cross-device link")),
        (&patched, false, None),
        (&stock, true, Some("mount id mismatch")),
        (&patched, true, None),
    ] {
        container.sh(&format!("echo 1024 > fuse/proc/sys/{sysctl}"));
        let before: &[_] = if trapped { &[&trap, &hide] } else { &[&hide] };
        let mut command = Command::new(before[0]);
        command.args(&before[1..]).arg(program).args([&sysctl.replace('/', "."), WANTED]);
        let outcome = run(&mut command, Duration::from_secs(20));
        match failure {
            Some(text) => assert!(
                outcome.code == Some(1) && outcome.stderr.contains(text),
                "{command:?}: {text}\n{outcome}"
            ),
            None => assert_eq!(outcome.stdout, "written\n", "{command:?}\n{outcome}"),
        }
        let expected = if failure.is_some() { "1024" } else { WANTED };
        assert_eq!(container.value("fuse", sysctl), expected, "{command:?}\n{outcome}");
    }
}

/// Of all descriptors only the accepted one answers as procfs, until it ends.
#[test]
fn no_other_descriptor_answers_as_procfs() {
    let container = SystemContainer::new("safe-procfs-ends");
    let stock = container.build("ends");
    let patched = container.path().join("ends-patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    let outcome = run(&mut Command::new(&stock), Duration::from_secs(20));
    assert_eq!(outcome.stdout, "openat2: Invalid cross-device link\n", "{outcome}");
    let outcome = run(&mut Command::new(&patched), Duration::from_secs(20));
    let expected = "accepted: procfs\ndup: fuse\nF_DUPFD: fuse\nSCM_RIGHTS: fuse\n\
         a child's: procfs\nclosed by a child, there: fuse\nclosed by a child, here: procfs\n\
         dup2: fuse\ndup3: fuse\nclose_range: fuse\nclose_range at exec: procfs\n\
         closed by a thread: fuse\nkept over execve: fuse\n";
    assert_eq!(outcome.stdout, expected, "{outcome}");
}

/// The mount above a root file system is made private from inside a user namespace
/// that can't reach it by its path; to pretend so would only fail later.
#[test]
fn a_mount_is_made_private_by_the_working_directory() {
    let container = SystemContainer::bare("safe-procfs-private");
    let stock = container.build("propagation");
    let [patched, pretending] = ["patched", "pretending"].map(|n| container.path().join(n));
    patch(&stock, &patched, &["--profile", "sysbox"]);
    let rules = container.path().join("pretend.toml");
    let pretend =
        "[[rule]]\nname = \"pretend\"\naction = \"ignore\"\ncall = \"mount\"\non = [\"EACCES\"]\n";
    std::fs::write(&rules, pretend).expect("the folder is writable");
    patch(&stock, &pretending, &["--rules", rules.to_str().expect("a temporary path is text")]);
    container.sh("mkdir -m 755 closed; mount -t tmpfs none closed; chmod 700 closed; cd closed
         mkdir at; mount -t tmpfs none at; mkdir at/new; chmod 777 at at/new
         chown 100000:100000 at/new");
    let at = container.path().join("closed/at");
    let said = |program, covered: &[&str]| {
        let mut command = Command::new(program);
        command.arg(&at).args(covered).current_dir(container.path());
        let outcome = run(&mut command, Duration::from_secs(20));
        assert!(outcome.success(), "{outcome}");
        outcome.stdout.trim().to_owned()
    };
    assert_eq!(said(&stock, &[]), "mount: Permission denied, shared, pivot_root: Invalid argument");
    assert_eq!(said(&pretending, &[]), "mount: done, shared, pivot_root: Invalid argument");
    assert_eq!(said(&patched, &[]), "mount: done, private, pivot_root: done");

    // Something else at the path, or on the way: the working directory is not
    // what is meant any more, and the error stands.
    for covered in ["closed/at", "closed"] {
        let covered = container.path().join(covered);
        let covered = covered.to_str().expect("a temporary path is text");
        let said = said(&patched, &[covered]);
        assert!(said.starts_with("mount: Permission denied"), "{covered}: {said}");
        container.sh(&format!("umount -l {covered}"));
    }
}
