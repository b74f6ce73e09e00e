//! Paths as text, at the edges.

use procsys_rules::path::{below, components, hash, last, matches};

const CAP: &[u8] = b"/proc/sys/kernel/cap_last_cap";

#[test]
fn what_matches() {
    for (pattern, path) in [
        (CAP, &b"/proc/sys/kernel/cap_last_cap"[..]),
        (CAP, b"///proc///sys///kernel///cap_last_cap"),
        (CAP, b"/./proc/././sys/kernel/./cap_last_cap"),
        // As text; what a slash or a dot at the end means is the kernel's to say.
        (CAP, b"/proc/sys/kernel/cap_last_cap/"),
        (b"/proc/*/ns/cgroup", b"/proc/self/ns/cgroup"),
        (b"/proc/*/ns/cgroup", b"/proc/.../ns/cgroup"),
        (b"/proc/*/ns/cgroup", b"/proc/*/ns/cgroup"),
        (b"/*", b"/x"),
        (b"/\xff", b"/\xff"),
    ] {
        assert!(matches(pattern, path), "{}", path.escape_ascii());
    }
}

#[test]
fn what_does_not_match() {
    for (pattern, path) in [
        (CAP, &b""[..]),
        (CAP, b"/"),
        (CAP, b"//"),
        (CAP, b"proc/sys/kernel/cap_last_cap"),
        (CAP, b"./proc/sys/kernel/cap_last_cap"),
        (CAP, b"/proc/sys/kernel/cap_last_ca"),
        (CAP, b"/proc/sys/kernel/cap_last_cap2"),
        (CAP, b"/proc/sys/kernel/cap_last_cap/x"),
        (CAP, b"/proc/sys/kernel"),
        (CAP, b"/proc/sys/kernel/x/../cap_last_cap"),
        (CAP, b"/../proc/sys/kernel/cap_last_cap"),
        (CAP, b"/Proc/sys/kernel/cap_last_cap"),
        (CAP, b"/proc/sys\0/kernel/cap_last_cap"),
        // `*` is one whole component, never none and never two.
        (b"/proc/*/ns/cgroup", b"/proc/ns/cgroup"),
        (b"/proc/*/ns/cgroup", b"/proc//ns/cgroup"),
        (b"/proc/*/ns/cgroup", b"/proc/./ns/cgroup"),
        (b"/proc/*/ns/cgroup", b"/proc/../ns/cgroup"),
        (b"/proc/*/ns/cgroup", b"/proc/1/task/ns/cgroup"),
        (b"/a*", b"/ab"),
    ] {
        assert!(!matches(pattern, path), "{}", path.escape_ascii());
    }
}

#[test]
fn what_lies_below() {
    for (path, rest) in [
        (&b"/run/a"[..], &b""[..]),
        (b"/run/a/", b"/"),
        (b"/run/a//", b"//"),
        (b"/run/a/.", b"/."),
        (b"//run/./a/b", b"/b"),
        (b"/run/a/b/../c/..", b"!"),
        (b"/run/a/...", b"/..."),
        (b"/run/a/..b", b"/..b"),
    ] {
        let expected = (rest != b"!").then_some(rest);
        assert_eq!(below(b"/run/a", path), expected, "{}", path.escape_ascii());
    }
    for path in
        [&b""[..], b"/", b"/run", b"/run/", b"run/a", b"/run/ab", b"/run/b/a", b"/run/../run/a"]
    {
        assert_eq!(below(b"/run/a", path), None, "{}", path.escape_ascii());
    }
}

#[test]
fn the_last_component() {
    for (path, expected) in [
        (&b"/a/b"[..], Some(&b"b"[..])),
        (b"b", Some(b"b")),
        (b"./b", Some(b"b")),
        (b"../b", Some(b"b")),
        (b"//b", Some(b"b")),
        (b"/a/...", Some(b"...")),
        (b"/a/.b", Some(b".b")),
        (b"", None),
        (b"/", None),
        (b"//", None),
        (b".", None),
        (b"..", None),
        (b"a/", None),
        (b"a/.", None),
        (b"a/..", None),
    ] {
        assert_eq!(last(path), expected, "{}", path.escape_ascii());
    }
}

#[test]
fn components_leave_out_what_says_nothing() {
    let all = |path: &'static [u8]| components(path).collect::<Vec<_>>();
    assert_eq!(all(b"//a/./b//..//"), [&b"a"[..], b"b", b".."]);
    assert!(all(b"/././/").is_empty());
    let backwards: Vec<_> = components(b"/a/./b/").rev().collect();
    assert_eq!(backwards, [&b"b"[..], b"a"]);
}

/// FNV-1a's published values; 0 means "any" in the table and never comes out.
#[test]
fn the_hash_is_fnv_1a() {
    assert_eq!(hash(b""), 0x811c_9dc5);
    assert_eq!(hash(b"a"), 0xe40c_292c);
    assert_eq!(hash(b"foobar"), 0xbf9c_f968);
    // A text whose FNV-1a hash is 0 (source: the FNV page, "32 bit FNV-1a, zero").
    assert_eq!(hash(b"\xcc\x24\x31\xc4"), 1);
}
