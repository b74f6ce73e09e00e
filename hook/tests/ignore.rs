//! Ignore: joining the emulated namespace, and nothing else, succeeds.

mod fake;

use fake::*;

#[test]
fn only_for_an_emulated_namespace() {
    let p = Program::new();
    let setns = |fd: isize| p.call(308, [fd as usize, 0, 0, 0, 0, 0]);
    let namespace = p.open(CGROUP, 0);
    assert_eq!(setns(namespace), 0);
    let again = p.open(&format!("/proc/self/fd/{namespace}"), 0);
    assert_eq!(setns(again), 0);
    for path in [CAP, PORT, "/proc/sys/kernel/hostname", "/proc"] {
        assert_eq!(setns(p.open(path, 0)), EINVAL, "{path}");
    }
    // As a namespace of another kind it is refused, as Linux refuses the real file.
    for (kind, expected) in [(0x0200_0000, 0), (0x4000_0000, EINVAL), (0x2000_0000, EINVAL)] {
        assert_eq!(p.call(308, [again as usize, kind, 0, 0, 0, 0]), expected, "{kind:#x}");
    }
    assert_eq!(setns(9999), EBADF);
    assert_eq!(setns(-1), EBADF);
    // A memory file of the program's own, whatever its mode.
    let own = p.call(319, [c"x".as_ptr() as usize, 2, 0, 0, 0, 0]);
    assert_eq!(p.call(91, [own as usize, 0o3444, 0, 0, 0, 0]), 0);
    assert_eq!(setns(own), EINVAL);
}

#[test]
fn other_errors_stand() {
    let p = Program::new();
    let fd = p.open(CGROUP, 0) as usize;
    let call = procsys_hook::Call { nr: 308, args: [fd, 0, 0, 0, 0, 0] };
    assert_eq!(p.after(&call, EPERM), EPERM);
    assert_eq!(p.after(&call, EINVAL), 0);
    // Nor does the rule reach another call with the same errno.
    let call = procsys_hook::Call { nr: 272, args: [fd, 0, 0, 0, 0, 0] };
    assert_eq!(p.after(&call, EINVAL), EINVAL);
}
