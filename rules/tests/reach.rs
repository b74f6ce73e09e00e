//! Which calls do the doors hook for the default profile, and for others?
#![cfg(feature = "toml")]

use procsys_rules::calls;
use procsys_rules::compile::compile;
use procsys_rules::reach::{After, STAT_MODE, STATX_MODE};
use procsys_rules::{Table, profiles};

fn reached(rules: &[procsys_rules::model::Rule]) -> Vec<(&'static str, bool, After)> {
    let bytes = compile(rules).expect("it is small");
    let table = Table::new(&bytes).expect("it was just compiled");
    let name = |nr| calls::name(nr).expect("a reached call has a name");
    table.reached().map(|(nr, reach)| (name(nr), reach.before, reach.after)).collect()
}

/// The whole list: a call more costs every program, a call less is a wrong answer.
#[test]
fn the_default_profile() {
    let profile = profiles::by_name(profiles::DEFAULT).expect("it is built in");
    let stat = After::FailureOrMode(1, STAT_MODE);
    let expected = [
        ("open", After::Failure),
        ("stat", stat),
        ("fstat", stat),
        ("lstat", stat),
        ("access", After::Failure),
        ("creat", After::Failure),
        ("readlink", After::Failure),
        ("statfs", After::Always),
        ("fstatfs", After::Always),
        ("mount", After::Failure),
        ("openat", After::Failure),
        ("newfstatat", After::FailureOrMode(2, STAT_MODE)),
        ("readlinkat", After::Failure),
        ("faccessat", After::Failure),
        ("setns", After::Failure),
        ("statx", After::FailureOrMode(4, STATX_MODE)),
        ("close_range", After::Failure),
        ("openat2", After::Failure),
        ("faccessat2", After::Failure),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(name, after)| (name, false, after)).collect();
    assert_eq!(reached(&profile.rules().expect("a test shows that it parses")), expected);
}

/// Closes and questions are looked at only while something is accepted.
#[test]
fn the_sysbox_profile() {
    let profile = profiles::by_name("sysbox").expect("it is built in");
    let bytes = compile(&profile.rules().expect("it parses")).expect("it is small");
    let table = Table::new(&bytes).expect("it was just compiled");
    let expected = [
        (calls::CLOSE, After::Nothing, true),
        (calls::DUP2, After::Nothing, true),
        (calls::FSTATFS, After::Nothing, true),
        (165, After::Failure, false),
        (calls::DUP3, After::Nothing, true),
        (calls::STATX, After::Nothing, true),
        (calls::CLOSE_RANGE, After::Nothing, true),
        (calls::OPENAT2, After::FailureOrTrapped, false),
    ];
    let reached: Vec<_> = table.reached().map(|(nr, r)| (nr, r.after, r.armed)).collect();
    assert_eq!(reached, expected);
    assert!(table.starts() && table.needs_whole());
}

/// What a kubelet's profile adds: what it writes may be remembered or accepted.
#[test]
fn the_profile_kubelet() {
    let rules = profiles::by_name("kubelet").expect("it is built in").rules().expect("it parses");
    let reached = reached(&rules);
    for name in ["write", "prctl", "openat", "open"] {
        assert!(reached.contains(&(name, false, After::Failure)), "{name}: {reached:?}");
    }
    assert!(reached.iter().all(|r| !r.1));
}

/// A redirect is asked before every call that takes a path or the address of a
/// socket; after calls that are answered with an address, where it leads is looked at.
#[test]
fn a_redirect() {
    let rules = [profiles::redirect_option("/a=/b").expect("it is right")];
    let reached = reached(&rules);
    let (answered, asked): (Vec<_>, Vec<_>) = reached.iter().partition(|(_, before, _)| !before);
    let expected = [
        ("accept", false, After::AlwaysWith(1)),
        ("recvfrom", false, After::AlwaysWith(4)),
        ("recvmsg", false, After::Always),
        ("accept4", false, After::AlwaysWith(1)),
        ("recvmmsg", false, After::Always),
    ];
    assert_eq!(answered, expected);
    assert!(asked.iter().all(|(_, _, after)| *after == After::Nothing));
    let sockets =
        ["connect", "sendto", "sendmsg", "sendmmsg", "bind", "getsockname", "getpeername"];
    for name in sockets {
        assert!(asked.iter().any(|r| r.0 == name), "{name}");
    }
    let with_path = calls::SHAPES.iter().filter(|s| s.paths[0].is_some()).count();
    assert_eq!(asked.len(), with_path + sockets.len());
    for name in ["open", "execve", "rename", "statx", "mount", "openat2", "execveat", "unlinkat"] {
        assert!(reached.iter().any(|r| r.0 == name), "{name}");
    }
    for name in ["fstat", "fstatfs", "setns"] {
        assert!(reached.iter().all(|r| r.0 != name), "{name}");
    }
}

/// Two rules about one call: the one that looks at more decides.
#[test]
fn rules_add_up() {
    let text = "[[rule]]\nname = \"a\"\naction = \"ignore\"\ncall = \"fstatfs\"\non = [\"EIO\"]\n";
    let (_, mut rules) = procsys_rules::text::parse("x", text).expect("it is right");
    assert_eq!(reached(&rules), [("fstatfs", false, After::Failure)]);
    rules.push(profiles::emulate_option("/proc/a=1").expect("it is right"));
    rules.push(profiles::redirect_option("/a=/b").expect("it is right"));
    let all = reached(&rules);
    let of = |name: &str| all.iter().find(|r| r.0 == name).map(|r| (r.1, r.2));
    assert_eq!(of("fstatfs"), Some((false, After::Always)));
    assert_eq!(of("statfs"), Some((true, After::Always)));
    assert_eq!(of("open"), Some((true, After::Failure)));
    assert_eq!(of("unlink"), Some((true, After::Nothing)));
}

/// The default profile is served by the small hook; a redirect needs the whole.
#[test]
fn who_needs_the_whole_hook() {
    let needs = |rules: &[procsys_rules::model::Rule]| {
        let bytes = compile(rules).expect("it is small");
        Table::new(&bytes).expect("it was just compiled").needs_whole()
    };
    let profile = profiles::by_name(profiles::DEFAULT).expect("it is built in");
    let mut rules = profile.rules().expect("it is tested");
    assert!(!needs(&rules) && !needs(&[]));
    for name in ["kubelet", "k3s"] {
        let profile = profiles::by_name(name).expect("it is built in");
        assert!(needs(&profile.rules().expect("it is tested")), "{name}");
    }
    rules.push(profiles::redirect_option("/a=/b").expect("it is a redirect"));
    assert!(needs(&rules));
}
