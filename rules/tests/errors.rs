//! Does every bad rule give exactly one message, with its file and line?
#![cfg(feature = "toml")]

use procsys_rules::text::parse;

/// Each bad text begins in line 1; the message is the whole of what is shown.
const CASES: &[(&str, &str)] = &[
    // Not TOML.
    ("[[rule]\n", "x.toml:1: unclosed array table, expected `]`"),
    ("\n\nname = \"a", "x.toml:3: invalid basic string, expected `\"`"),
    // Not a file of rules.
    ("rules = 3\n", "x.toml:1: `rules`: expected [profile] or [[rule]]"),
    ("\n[rule]\nname = \"a\"\n", "x.toml:2: `rule`: expected [profile] or [[rule]]"),
    ("[profile]\nname = \"a\"\n", "x.toml:1: this profile has no `summary`"),
    ("[profile]\nname = 1\nsummary = \"\"\n", "x.toml:2: `name`: expected a text in quotes"),
    (
        "[profile]\nname = \"a\"\nsummary = \"\"\ntitle = \"\"\n",
        "x.toml:4: key `title`: expected one of name, summary, includes",
    ),
    (
        "[profile]\nname = \"a\"\nsummary = \"\"\naction = \"\"\n",
        "x.toml:4: key `action`: expected one of name, summary, includes",
    ),
    // Name and action.
    ("[[rule]]\naction = \"emulate\"\n", "x.toml:1: this rule has no `name`"),
    ("\n[[rule]]\nname = \"a\"\n", "x.toml:2: this rule has no `action`"),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulat\"\n",
        "x.toml:3: action `emulat`: expected emulate, redirect, retry, ignore or report",
    ),
    // Emulate.
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\n",
        "x.toml:1: expected either `value`, `probe` or `sibling`",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\nprobe = \"cap_last_cap\"\n",
        "x.toml:5: expected either `value`, `probe` or `sibling`",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nprobe = \"x\"\n",
        "x.toml:5: probe `x`: expected cap_last_cap or osrelease",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"a\"\nvalue = \"\"\n",
        "x.toml:4: path `a`: expected an absolute path below /",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/\"\nvalue = \"\"\n",
        "x.toml:4: path `/`: expected an absolute path below /",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a//b\"\nvalue = \"\"\n",
        "x.toml:4: path `/a//b`: expected no empty component, `.` or `..`",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a/../b\"\nvalue = \"\"\n",
        "x.toml:4: path `/a/../b`: expected no empty component, `.` or `..`",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\\u0000\"\nvalue = \"\"\n",
        "x.toml:4: path `/a\\u{0}`: expected no NUL byte",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\nvalue = \"\"\n",
        "x.toml:1: this rule has no `path`",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\nmode = 0o400\n",
        "x.toml:6: `mode`: expected 0o444, as `write` says",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\nwrite = \"accept\"\nmode = \"rw\"\n",
        "x.toml:7: `mode`: expected 0o644, as `write` says",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\nwrite = \"yes\"\n",
        "x.toml:6: write `yes`: expected accept or remember or refuse",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\nfile = \"dir\"\n",
        "x.toml:6: file `dir`: expected proc or namespace or kmsg",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\ncall = \"open\"\n",
        "x.toml:6: key `call`: expected one of path, on, value, probe, sibling, mode, write, file",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\non = []\n",
        "x.toml:6: `on`: expected one to four errnos",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\non = [\"EPERM\", \"ENOENT\", \"EIO\", \"EBADF\", \"ENXIO\"]\n",
        "x.toml:6: `on`: expected one to four errnos",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\non = [\"ENOWHERE\"]\n",
        "x.toml:6: errno `ENOWHERE`: expected a name such as ENOENT or EINVAL",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\non = \"ENOENT\"\n",
        "x.toml:6: `on`: expected a list such as [\"ENOENT\"]",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nvalue = \"\"\non = [2]\n",
        "x.toml:6: `on`: expected a list such as [\"ENOENT\"]",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nsibling = \"b/c\"\n",
        "x.toml:5: sibling `b/c`: expected a name in the same directory",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nsibling = \"b\"\nwrite = \"accept\"\n",
        "x.toml:6: `write`: expected refuse for this kind of file",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a\"\nfile = \"kmsg\"\nvalue = \"\"\n",
        "x.toml:6: expected no contents for the kernel's log",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a/*\"\nvalue = \"\"\nwrite = \"remember\"\n",
        "x.toml:4: path `/a/*`: expected no `*`, no `:` and at most 200 bytes where writes are remembered",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/proc/**/a\"\nvalue = \"\"\n",
        "x.toml:4: path `/proc/**/a`: expected one `**`, below a directory without `*` outside /proc, and not at the end",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/**/a\"\nvalue = \"\"\n",
        "x.toml:4: path `/**/a`: expected one `**`, below a directory without `*` outside /proc, and not at the end",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a/**\"\nvalue = \"\"\n",
        "x.toml:4: path `/a/**`: expected one `**`, below a directory without `*` outside /proc, and not at the end",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a/*/**/b\"\nvalue = \"\"\n",
        "x.toml:4: path `/a/*/**/b`: expected one `**`, below a directory without `*` outside /proc, and not at the end",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"emulate\"\npath = \"/a/**/b/**/c\"\nvalue = \"\"\n",
        "x.toml:4: path `/a/**/b/**/c`: expected one `**`, below a directory without `*` outside /proc, and not at the end",
    ),
    // Redirect.
    (
        "[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/a\"\n",
        "x.toml:1: this rule has no `to`",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/a\"\nto = \"b\"\n",
        "x.toml:5: to `b`: expected an absolute path below /",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/a/*\"\nto = \"/b\"\n",
        "x.toml:4: from `/a/*`: expected no `*`",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/a\"\nto = \"/a\"\n",
        "x.toml:5: to `/a`: expected another path than `from`",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/a\"\nto = \"/b\"\non = [\"EIO\"]\n",
        "x.toml:6: key `on`: expected one of from, to",
    ),
    // Retry.
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mount\"\non = [\"EINVAL\"]\n",
        "x.toml:1: this retry has no `change`: the call would be the same",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mount\"\nchange = [{ arg = 0, set = 1 }]\n",
        "x.toml:1: this rule has no `on`: expected a list of errnos",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mout\"\non = [\"EINVAL\"]\nchange = [{ arg = 0, set = 1 }]\n",
        "x.toml:4: call `mout`: expected the name of a system call that rules reach",
    ),
    // It would inherit the hook's signal mask, in which everything is blocked.
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"execveat\"\non = [\"EINVAL\"]\nchange = [{ arg = 4, clear_bits = 1 }]\n",
        "x.toml:4: call `execveat`: a retry starts no program",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mount\"\non = [\"EINVAL\"]\nchange = [{ arg = 6, set = 1 }]\n",
        "x.toml:6: `change`: expected `arg`, the argument's position from 0 to 5",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"openat2\"\non = [\"EXDEV\"]\nthrough = \"x\"\n",
        "x.toml:6: through `x`: expected trusted-overmount or mounted-proc or working-directory",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"openat\"\non = [\"EXDEV\"]\nthrough = \"trusted-overmount\"\n",
        "x.toml:4: `call`: expected openat2, as `through` says",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"openat2\"\non = [\"EXDEV\", \"EIO\"]\nthrough = \"trusted-overmount\"\n",
        "x.toml:5: `on`: expected [\"EXDEV\"], as `through` says",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mount\"\non = [\"EACCES\"]\nthrough = \"working-directory\"\nwhen = []\n",
        "x.toml:7: key `when`: expected one of call, on, through",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mount\"\non = [\"EINVAL\"]\nchange = [{ arg = 0 }]\n",
        "x.toml:6: `change`: expected `arg` and one more key in each",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mount\"\non = [\"EINVAL\"]\nchange = [{ arg = 0, set = 1, clear_bits = 1 }]\n",
        "x.toml:6: `change`: expected `arg` and one more key in each",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mount\"\non = [\"EINVAL\"]\nchange = [{ arg = 0, equal = 1 }]\n",
        "x.toml:6: `change`: key `equal`: expected set, clear_bits or drop_options",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mount\"\non = [\"EINVAL\"]\nchange = [{ arg = 0, set = \"1\" }]\n",
        "x.toml:6: `change`: `set`: expected a number",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mount\"\non = [\"EINVAL\"]\nchange = [{ arg = 0, drop_options = \"\" }]\n",
        "x.toml:6: `change`: `drop_options`: expected a text",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"retry\"\ncall = \"mount\"\non = [\"EINVAL\"]\nchange = 3\n",
        "x.toml:6: `change`: expected a list of { arg = …, … }",
    ),
    // Ignore.
    (
        "[[rule]]\nname = \"a\"\naction = \"ignore\"\ncall = \"setns\"\non = [\"EINVAL\"]\nwhen = [{ arg = 0, is = \"file\" }]\n",
        "x.toml:6: `when`: `is`: expected \"emulated-namespace\"",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"ignore\"\ncall = \"setns\"\non = [\"EINVAL\"]\nwhen = [{ arg = 0, set = 1 }]\n",
        "x.toml:6: `when`: key `set`: expected equal, greater, has_bits, lacks_bits, text, has_option, file or is",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"ignore\"\ncall = \"setns\"\non = [\"EINVAL\"]\nwhen = [1]\n",
        "x.toml:6: `when`: expected { arg = …, … }",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"ignore\"\non = [\"EINVAL\"]\n",
        "x.toml:1: this rule has no `call`",
    ),
    // Report.
    (
        "[[rule]]\nname = \"a\"\naction = \"report\"\nsubject = \"inode\"\n",
        "x.toml:4: subject `inode`: expected procfs-root-inode or trusted-overmount",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"report\"\nsubject = \"procfs-root-inode\"\non = [\"EIO\"]\n",
        "x.toml:5: key `on`: expected one of subject",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"report\"\ncall = \"mount\"\non = [\"EIO\"]\n",
        "x.toml:1: this rule has no `errno`",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"report\"\ncall = \"mount\"\non = [\"EIO\"]\nerrno = \"E\"\n",
        "x.toml:6: errno `E`: expected a name such as EFAULT",
    ),
    // Contradictions.
    (
        "[[rule]]\nname = \"a\"\naction = \"report\"\nsubject = \"procfs-root-inode\"\n[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/a\"\nto = \"/b\"\n",
        "x.toml:5: rule `a` is already at x.toml:1; expected another name",
    ),
    (
        "[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/a\"\nto = \"/b\"\n[[rule]]\nname = \"b\"\naction = \"redirect\"\nfrom = \"/a\"\nto = \"/c\"\n",
        "x.toml:6: rule `b` contradicts `a` at x.toml:1: both are about prefix /a; expected one rule",
    ),
];

#[test]
fn every_bad_rule_says_where_and_what_was_expected() {
    let mut wrong = Vec::new();
    for (text, expected) in CASES {
        match parse("x.toml", text) {
            Ok(_) => wrong.push(format!("accepted: {text}\n  expected: {expected}")),
            Err(e) if e.to_string() == *expected => {}
            Err(e) => wrong.push(format!("{text}\n  said:     {e}\n  expected: {expected}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

/// A rule that is read must have no key that is silently left out.
#[test]
fn the_same_mistake_is_found_whatever_the_rules_before_it() {
    let good = "[[rule]]\nname = \"g\"\naction = \"redirect\"\nfrom = \"/g\"\nto = \"/h\"\n";
    for (text, _) in CASES.iter().filter(|(t, _)| t.starts_with("[[rule]]\nname")) {
        let error = parse("y.toml", &format!("{good}{text}")).expect_err(text);
        let alone = parse("y.toml", text).expect_err(text);
        assert_eq!(error.line, alone.line + 5, "{text}");
    }
}

/// Messages are shown as one line, whatever the file holds.
#[test]
fn messages_are_one_line() {
    let hostile = ("[[rule]]\nname = \"\\n\"\naction = \"\\u001b[2J\\n\"\n", "");
    for (text, _) in CASES.iter().chain([&hostile]) {
        let error = parse("x.toml", text).expect_err(text).to_string();
        assert!(!error.contains(char::is_control), "{error}");
    }
}

/// Found by fuzzing: an earlier toml_edit panicked on it.
#[test]
fn an_inline_table_that_ends_in_another_is_an_error() {
    let text = "[[rule]]\ncname = { arg= \"report\"crule]roo]\nchange = [{ a\u{1}\0\0\0\0\0\0\u{1}drop_optbbbbbbbi[[r:}]]\n#\nnamodone\"s\n =";
    assert_eq!(parse("x", text).expect_err("it is no TOML").line, 2);
}
