//! Does the compiled table say what the rules said?
#![cfg(feature = "toml")]

use procsys_rules::calls;
use procsys_rules::compile::compile;
use procsys_rules::model::{Action, Clause, Rule};
use procsys_rules::table::{self, ANY_CALL, FileKind, HEADER, Kind, Probe, RECORD, Write};
use procsys_rules::{Table, path, profiles, text};

/// One rule of every action, with every key.
const EVERYTHING: &str = r#"
[[rule]]
name = "emulate"
action = "emulate"
path = "/proc/sys/a"
on = ["ENOENT", "EPERM", "EACCES", "EOPNOTSUPP"]
value = "a\u0000b\n"
mode = 0o644
write = "accept"

[[rule]]
name = "probe"
action = "emulate"
path = "/proc/*/ns/*"
probe = "cap_last_cap"
file = "namespace"

[[rule]]
name = "sibling"
action = "emulate"
path = "/sys/**/a/b"
sibling = "c"

[[rule]]
name = "remember"
action = "emulate"
path = "/proc/sys/b"
value = "0\n"
write = "remember"

[[rule]]
name = "log"
action = "emulate"
path = "/dev/kmsg"
file = "kmsg"

[[rule]]
name = "release"
action = "emulate"
path = "/proc/sys/c"
probe = "osrelease"

[[rule]]
name = "redirect"
action = "redirect"
from = "/run/a"
to = "/run/b c"

[[rule]]
name = "retry"
action = "retry"
call = "mount"
on = ["EINVAL"]
when = [
  { arg = 0, equal = 1 }, { arg = 1, greater = -1 }, { arg = 2, has_bits = 3 },
  { arg = 3, lacks_bits = 4 }, { arg = 4, text = "t" }, { arg = 5, has_option = "a,b" },
]
change = [{ arg = 0, set = 9 }, { arg = 1, clear_bits = 0x7fffffffffffffff }, { arg = 2, drop_options = "x" }]

[[rule]]
name = "ignore"
action = "ignore"
call = "setns"
on = ["EINVAL"]
when = [{ arg = 0, is = "emulated-namespace" }, { arg = 1, file = "/proc/a" }]

[[rule]]
name = "report"
action = "report"
call = "close_range"
on = ["ENOSYS"]
errno = "EFAULT"

[[rule]]
name = "root"
action = "report"
subject = "procfs-root-inode"

[[rule]]
name = "overmount"
action = "retry"
call = "openat2"
on = ["EXDEV"]
through = "trusted-overmount"

[[rule]]
name = "overmount-questions"
action = "report"
subject = "trusted-overmount"

[[rule]]
name = "mounted"
action = "retry"
call = "openat"
on = ["EACCES"]
through = "mounted-proc"

[[rule]]
name = "here"
action = "retry"
call = "mount"
on = ["EACCES"]
through = "working-directory"
"#;

fn same_clauses<'t>(
    name: &str,
    given: &[Clause],
    compiled: impl Iterator<Item = table::Clause<'t>>,
) {
    let given: Vec<_> =
        given.iter().map(|c| (usize::from(c.arg), c.op, c.value, c.text.as_bytes())).collect();
    let compiled: Vec<_> = compiled.map(|c| (c.arg, c.op, c.value, c.text)).collect();
    assert_eq!(given, compiled, "{name}");
}

/// Compares rule by rule and field by field.
fn assert_same(rules: &[Rule], bytes: &[u8]) {
    let table = Table::new(bytes).expect("a compiled table can be read");
    assert_eq!(table.bytes(), bytes);
    assert_eq!(table.rules().count(), rules.len());
    for (rule, compiled) in rules.iter().zip(table.rules()) {
        let name = &rule.name;
        assert_eq!(compiled.name(), name.as_bytes());
        for errno in 0..=255 {
            assert_eq!(compiled.acts_on(errno), rule.on.contains(&errno), "{name} on {errno}");
        }
        let (kind, call) = match &rule.action {
            Action::Emulate(e) => {
                assert_eq!(compiled.path(), e.path.as_bytes(), "{name}");
                assert_eq!(compiled.value(), e.value, "{name}");
                assert_eq!(compiled.mode(), e.mode, "{name}");
                assert_eq!(compiled.probe(), e.probe, "{name}");
                assert_eq!(compiled.file(), e.file, "{name}");
                assert_eq!(compiled.write(), e.write, "{name}");
                let state = if e.write == Write::Remember { e.state.as_str() } else { "" };
                assert_eq!(compiled.state(), state.as_bytes(), "{name}");
                let last = path::last(e.path.as_bytes()).expect("a path of a rule has a last one");
                assert!(compiled.may_end_in(path::hash(last)), "{name}");
                let other = compiled.may_end_in(path::hash(b"something else"));
                assert_eq!(other, last == b"*", "{name}");
                (Kind::Emulate, ANY_CALL)
            }
            Action::Redirect { from, to } => {
                assert_eq!(compiled.path(), from.as_bytes(), "{name}");
                assert_eq!(compiled.value(), to.as_bytes(), "{name}");
                (Kind::Redirect, ANY_CALL)
            }
            Action::Retry { call, when, changes } => {
                same_clauses(name, when, compiled.when());
                same_clauses(name, changes, compiled.changes());
                (Kind::Retry, *call)
            }
            Action::Ignore { call, when } => {
                same_clauses(name, when, compiled.when());
                (Kind::Ignore, *call)
            }
            Action::ReportErrno { call, when, errno } => {
                same_clauses(name, when, compiled.when());
                assert_eq!(compiled.number(), u64::from(*errno), "{name}");
                (Kind::ReportErrno, *call)
            }
            Action::ReportProcfsRoot => {
                assert_eq!(compiled.number(), 1, "{name}");
                (Kind::ReportProcfsRoot, ANY_CALL)
            }
            Action::RetryThrough(way) => {
                (way.kind(), calls::by_name(way.subject().0).expect("a call"))
            }
            Action::ReportTrustedOvermount => (Kind::ReportTrustedOvermount, ANY_CALL),
        };
        assert_eq!(compiled.kind(), Some(kind), "{name}");
        assert_eq!(compiled.call(), call, "{name}");
    }
}

#[test]
fn every_action_and_key_comes_back() {
    let (_, rules) = text::parse("x.toml", EVERYTHING).expect("the text is right");
    assert_eq!(rules.len(), 15);
    let bytes = compile(&rules).expect("it is small");
    assert_same(&rules, &bytes);
    assert_eq!(bytes, compile(&rules).expect("it is small"), "not deterministic");
    // The keys themselves, so that text and table can't be wrong together.
    let table = Table::new(&bytes).expect("read above");
    let [emulate, probe, sibling, remember, log, release, _, retry, ..] =
        &table.rules().collect::<Vec<_>>()[..]
    else {
        panic!()
    };
    assert_eq!((emulate.value(), emulate.mode()), (&b"a\0b\n"[..], 0o644));
    assert!([1, 2, 13, 95].iter().all(|&e| emulate.acts_on(e)) && emulate.accepts_writes());
    assert!(probe.acts_on(2) && probe.probe() == Probe::CapLastCap && probe.mode() == 0o444);
    assert!(sibling.probe() == Probe::Sibling && sibling.value() == b"c");
    assert!(remember.write() == Write::Remember && remember.state() == b"/run/procsys");
    assert!(log.file() == FileKind::Kmsg && release.probe() == Probe::Osrelease);
    let values: Vec<_> = retry.when().map(|c| c.value).collect();
    assert_eq!(values, [1, u64::MAX, 3, 4, 0, 0]);
    assert_eq!(usize::from(retry.call()), 165);
}

#[test]
fn every_built_in_profile_is_read_and_comes_back() {
    for profile in profiles::ALL {
        let (head, _) = text::parse(profile.name, profile.text).unwrap_or_else(|e| panic!("{e}"));
        let rules = profile.rules().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(head.name, profile.name);
        assert!(!head.summary.is_empty(), "{}", profile.name);
        assert!(!rules.is_empty(), "{}", profile.name);
        let bytes = compile(&rules).expect("a profile is small");
        assert_same(&rules, &bytes);
        // As the documentation of every profile must: what it weakens comes first.
        assert!(profile.text.starts_with("# "), "{}: no word on what it weakens", profile.name);
    }
    assert!(profiles::by_name(profiles::DEFAULT).is_some());
}

/// Profiles and options may be combined in any order without an error.
#[test]
fn all_profiles_together_make_one_table() {
    let mut set = Vec::new();
    for profile in profiles::ALL.iter().chain(profiles::ALL) {
        profiles::add(&mut set, profile.rules().unwrap_or_else(|e| panic!("{e}")));
    }
    let option = profiles::emulate_option("/proc/sys/kernel/cap_last_cap=7").expect("it is right");
    profiles::add(&mut set, [option]);
    text::reject_contradictions(&set).unwrap_or_else(|(_, why)| panic!("{why}"));
    assert_same(&set, &compile(&set).expect("it is small"));
    let path = "/proc/sys/kernel/cap_last_cap";
    let about = |r: &&Rule| matches!(&r.action, Action::Emulate(e) if e.path == path);
    let values: Vec<_> = set.iter().filter(about).map(|r| r.action.clone()).collect();
    assert!(
        matches!(&values[..], [Action::Emulate(e)] if e.value == b"7\n"),
        "the option does not replace the profile's rule: {values:?}"
    );
}

#[test]
fn a_rule_with_the_name_of_one_and_the_subject_of_another_replaces_both() {
    let redirect = |name: &str, from: &str| Rule {
        name: name.into(),
        place: String::new(),
        on: vec![],
        action: Action::Redirect { from: from.into(), to: "/t".into() },
    };
    let all = || vec![redirect("a", "/a"), redirect("b", "/b"), redirect("c", "/c")];
    for (name, from, left) in [
        ("a", "/b", vec![("a", "/b"), ("c", "/c")]),
        ("b", "/a", vec![("b", "/a"), ("c", "/c")]),
        ("c", "/a", vec![("c", "/a"), ("b", "/b")]),
        ("d", "/c", vec![("a", "/a"), ("b", "/b"), ("d", "/c")]),
        ("d", "/d", vec![("a", "/a"), ("b", "/b"), ("c", "/c"), ("d", "/d")]),
    ] {
        let mut set = all();
        profiles::add(&mut set, [redirect(name, from)]);
        let now: Vec<_> = set
            .iter()
            .map(|r| match &r.action {
                Action::Redirect { from, .. } => (r.name.as_str(), from.as_str()),
                _ => unreachable!("only redirects are in the set"),
            })
            .collect();
        assert_eq!(now, left, "{name} {from}");
    }
}

#[test]
fn a_table_that_is_too_long_is_an_error() {
    let value = "x".repeat(40_000);
    let rule = |path: &str| {
        profiles::emulate_option(&format!("{path}={value}")).expect("values have no limit")
    };
    compile(&[rule("/a")]).expect("40 kB fit");
    let error = compile(&[rule("/a"), rule("/b")]).expect_err("80 kB don't");
    assert_eq!(error, "the rules take 80138 bytes; a table holds at most 65535");
}

/// An empty table is one, and does nothing.
#[test]
fn no_rules() {
    let bytes = compile(&[]).expect("nothing fits");
    let table = Table::new(&bytes).expect("nothing can be read");
    assert_eq!(table.rules().count(), 0);
    assert_eq!(table.reached().count(), 0);
}

/// Included profiles come first; the file's own rules replace theirs.
#[test]
fn a_file_includes_profiles() {
    let head = |includes: &str| {
        format!("[profile]\nname = \"a\"\nsummary = \"b\"\nincludes = [{includes}]\n")
    };
    let own =
        "[[rule]]\nname = \"panic\"\naction = \"emulate\"\npath = \"/proc/p\"\nvalue = \"1\"\n";
    let text = head("\"gvisor\", \"kubelet\"") + own;
    let set = profiles::read("x.toml", &text).expect("both are built in");
    let k3s = profiles::by_name("k3s").expect("built in").rules().expect("it parses");
    assert_eq!(set.len(), k3s.len());
    let panic = set.iter().find(|r| r.name == "panic").expect("it is in both");
    assert!(matches!(&panic.action, Action::Emulate(e) if e.path == "/proc/p"));
    for includes in ["\"none\"", "\"k3s\""] {
        let error = profiles::read("x.toml", &head(includes)).expect_err(includes).to_string();
        let name = includes.trim_matches('"');
        let expected = format!("x.toml:1: `includes`: no profile `{name}` that can be included");
        assert_eq!(error, expected);
    }
}

#[test]
fn where_writes_are_remembered() {
    let mut set = profiles::by_name("kubelet").expect("built in").rules().expect("it parses");
    profiles::keep_state_in(&mut set, "/var/lib/x").expect("it is right");
    let bytes = compile(&set).expect("it is small");
    let table = Table::new(&bytes).expect("just compiled");
    let kept: Vec<_> = table.rules().filter(|r| r.write() == Write::Remember).collect();
    assert!(kept.len() == 5 && kept.iter().all(|r| r.state() == b"/var/lib/x"));
    for (directory, why) in [
        ("x", "expected an absolute path below /"),
        ("/a/../b", "expected no empty component, `.` or `..`"),
        ("/a/*", "expected no `*` and names of at most 255 bytes"),
    ] {
        let error = profiles::keep_state_in(&mut set, directory).expect_err(directory);
        assert_eq!(error, format!("--state `{directory}`: {why}"));
    }
}

#[test]
fn options_of_the_command_line() {
    for (option, message) in [
        ("/a", "--emulate `/a`: expected PATH=VALUE"),
        ("a=1", "--emulate `a=1`: expected an absolute path below /"),
        ("=1", "--emulate `=1`: expected an absolute path below /"),
    ] {
        assert_eq!(profiles::emulate_option(option).expect_err(option), message);
    }
    for (option, message) in [
        ("/a", "--redirect `/a`: expected FROM=TO"),
        ("/a=", "--redirect `/a=`: expected an absolute path below /"),
        ("/a=/a", "--redirect `/a=/a`: expected two different paths"),
        ("/*=/a", "--redirect `/*=/a`: expected no `*`"),
        ("/a/=/b", "--redirect `/a/=/b`: expected no empty component, `.` or `..`"),
    ] {
        assert_eq!(profiles::redirect_option(option).expect_err(option), message);
    }
    // The first `=` separates: a value may have more.
    let rule = profiles::emulate_option("/a=b=c").expect("it is right");
    assert!(matches!(&rule.action, Action::Emulate(e) if e.value == b"b=c\n"), "{rule:?}");
}

#[test]
fn every_offset_lies_in_its_part() {
    let (_, rules) = text::parse("x.toml", EVERYTHING).expect("the text is right");
    let bytes = compile(&rules).expect("it is small");
    assert!(bytes.len() >= HEADER + rules.len() * RECORD);
    // A table in the middle of other bytes: offsets count from its own start.
    let mut longer = bytes.clone();
    longer.extend_from_slice(b"something after");
    assert_same(&rules, Table::new(&longer).expect("bytes after are left alone").bytes());
    assert_eq!(calls::name(calls::by_name("mount").expect("known")), Some("mount"));
}
