//! Retry: the same call with what the kernel does not know left out.

mod fake;

use std::ffi::CString;

use fake::*;

fn mount(p: &Program, kind: &str, options: Option<&str>) -> isize {
    let text = |t: &str| CString::new(t).expect("no NUL");
    let (kind, options) = (text(kind), options.map(text));
    let options = options.as_ref().map_or(0, |o| o.as_ptr() as usize);
    let (from, to) = (c"tmpfs".as_ptr() as usize, c"/tmp".as_ptr() as usize);
    p.call(165, [from, to, kind.as_ptr() as usize, 1, options, 0])
}

/// Options given and those that arrive; `None` for a null pointer.
#[test]
fn mount_options_are_dropped() {
    for (given, arrives) in [
        ("nr_blocks=1,nr_inodes=1", None),
        ("nr_blocks=1", None),
        (",nr_blocks=1,", None),
        ("mode=755,nr_blocks=1,size=1k,nr_inodes=1", Some("mode=755,size=1k")),
        ("nr_blocks=1,mode=755", Some("mode=755")),
        ("mode=755,,nr_blocks=1", Some("mode=755")),
        ("nr_blocks=1,nr_blocks=1,mode=7", Some("mode=7")),
    ] {
        let p = Program::new();
        assert_eq!(mount(&p, "tmpfs", Some(given)), 0, "{given}");
        assert_eq!(*p.kernel.mounted.borrow(), [arrives.map(str::to_owned)], "{given}");
    }
}

/// What the rule does not name stays an error, and the call is made once more at most.
#[test]
fn other_mounts_fail_as_they_did() {
    for (kind, options, retries) in [
        ("tmpfs", Some("nr_blocks_x=1"), 0),
        ("tmpfs", Some("xnr_blocks=1"), 0),
        ("tmpfs", Some("mode=7,unknown"), 0),
        ("tmpfs", Some("unknown=nr_blocks"), 0),
        ("tmpfs", Some("nr_blocks=1,unknown"), 1),
        // What Linux refuses is refused for good: these are not runc's.
        ("tmpfs", Some("nr_inodes"), 0),
        ("tmpfs", Some("nr_inodes=none"), 0),
        ("tmpfs", Some("nr_blocks=11"), 0),
        ("tmpfs", Some("nr_blocks=1,nr_inodes=none"), 1),
    ] {
        let p = Program::new();
        assert_eq!(mount(&p, kind, options), EINVAL, "{options:?}");
        let again = p.asked().iter().filter(|m| m.nr == 165).count();
        assert_eq!(again, retries, "{options:?}");
    }
    // A bound below what is in use.
    let p = Program::new();
    let (kind, options) = (c"tmpfs".as_ptr() as usize, c"nr_inodes=1".as_ptr() as usize);
    assert_eq!(p.call(165, [kind, kind, kind, 0x20, options, 0]), EINVAL);
    let p = Program::new();
    assert_eq!(mount(&p, "tmpfs", None), 0);
    assert_eq!(mount(&p, "tmpfs", Some("mode=7")), 0);
    assert_eq!(mount(&p, "ext4", Some("nr_blocks=1")), 0, "another type is not looked at");
    assert!(p.asked().is_empty());
}

/// The program's own list is left as it was.
#[test]
fn the_given_list_is_not_touched() {
    let p = Program::new();
    let options = *b"mode=755,nr_blocks=1\0";
    let at = options.as_ptr() as usize;
    let kind = c"tmpfs".as_ptr() as usize;
    assert_eq!(p.call(165, [kind, kind, kind, 0, at, 0]), 0);
    assert_eq!(&options, b"mode=755,nr_blocks=1\0");
    assert!(p.stored().is_empty());
}

#[test]
fn options_that_cannot_be_read() {
    let p = Program::new();
    let kind = c"tmpfs".as_ptr() as usize;
    let cut = p.kernel.memory.before_a_hole(b"nr_blocks=1,nr_inodes=1");
    for bad in [64, cut, usize::MAX] {
        let args = [kind, kind, kind, 0, bad, 0];
        assert_eq!(p.call(165, args), EFAULT);
        assert_eq!(p.after(&procsys_hook::Call { nr: 165, args }, EINVAL), EINVAL);
    }
}

#[test]
fn close_range() {
    let p = Program::new();
    for (last, asked) in [
        (0xffff_ffff, vec![0x7fff_ffff]),
        (0x8000_0000, vec![0x7fff_ffff]),
        (usize::MAX, vec![0x7fff_ffff]),
        (0x7fff_ffff, vec![]),
        (10, vec![]),
    ] {
        assert_eq!(p.call(436, [3, last, 4, 0, 0, 0]), 0, "{last:#x}");
        let made: Vec<_> = p.asked().iter().map(|m| m.args).collect();
        let expected: Vec<_> = asked.iter().map(|&l| [3, l, 4, 0, 0, 0]).collect();
        assert_eq!(made, expected, "{last:#x}");
    }
    // EINVAL for another reason (first > last) is not tried again; the kernel takes the
    // lower half of the register.
    for last in [3, 0x1_0000_0003] {
        let call = procsys_hook::Call { nr: 436, args: [9, last, 0, 0, 0, 0] };
        assert_eq!(p.after(&call, EINVAL), EINVAL, "{last:#x}");
    }
    assert!(p.asked().is_empty());
}

/// A rule with every condition and change on numbers.
#[test]
fn numbers() {
    let rule = |when: &str, change: &str| {
        format!(
            "[[rule]]\nname = \"r\"\naction = \"retry\"\ncall = \"close_range\"\non = [\"EINVAL\"]\nwhen = [{when}]\nchange = [{change}]\n"
        )
    };
    let set = "{ arg = 1, set = 5 }";
    for (when, args, holds) in [
        ("{ arg = 0, equal = 3 }", [3, usize::MAX], true),
        ("{ arg = 0, equal = 3 }", [4, usize::MAX], false),
        ("{ arg = 0, has_bits = 6 }", [7, usize::MAX], true),
        ("{ arg = 0, has_bits = 6 }", [4, usize::MAX], false),
        ("{ arg = 0, lacks_bits = 6 }", [9, usize::MAX], true),
        ("{ arg = 0, lacks_bits = 6 }", [10, usize::MAX], false),
        ("{ arg = 0, greater = 3 }", [3, usize::MAX], false),
        ("{ arg = 0, greater = 3 }, { arg = 0, equal = 9 }", [4, usize::MAX], false),
        ("{ arg = 0, greater = 3 }, { arg = 0, equal = 9 }", [9, usize::MAX], true),
    ] {
        let p = Program::only(&rule(when, set));
        let [first, last] = args;
        let expected = if holds { 0 } else { EINVAL };
        assert_eq!(p.call(436, [first, last, 0, 0, 0, 0]), expected, "{when} {first}");
    }
    let p = Program::only(&rule(
        "",
        "{ arg = 1, clear_bits = 0x7fffffff00000000 }, { arg = 1, clear_bits = -9223372036854775808 }, { arg = 1, clear_bits = 0xfffffff0 }",
    ));
    assert_eq!(p.call(436, [0, usize::MAX, 0, 0, 0, 0]), 0);
    assert_eq!(p.asked()[0].args[1], 15);
}

/// Report with a call: another errno, and only in place of the one named.
#[test]
fn another_errno() {
    let p = Program::only(
        "[[rule]]\nname = \"r\"\naction = \"report\"\ncall = \"close_range\"\non = [\"EINVAL\"]\nerrno = \"ENOSYS\"\n",
    );
    assert_eq!(p.call(436, [0, usize::MAX, 0, 0, 0, 0]), -38);
    assert_eq!(p.call(436, [0, 1, 0, 0, 0, 0]), 0);
    let call = procsys_hook::Call { nr: 436, args: [0; 6] };
    assert_eq!(p.after(&call, EBADF), EBADF);
}
