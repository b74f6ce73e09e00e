//! An emulated file that is opened again and again.

mod fake;

use fake::{CAP, O_CLOEXEC, O_NOFOLLOW, O_PATH, O_RDWR, PORT, Program};

const MEMFD_CREATE: usize = 319;
const OPENAT: usize = 257;
const MMAP: usize = 9;

/// How many calls of this number the hook has made since it was last asked.
fn made(program: &Program, nr: usize) -> usize {
    program.asked().iter().filter(|m| m.nr == nr).count()
}

fn open(program: &Program, path: &str, flags: usize) -> isize {
    let fd = program.open(path, flags);
    assert!(fd >= 0, "{path}: {fd}");
    fd
}

#[test]
fn one_open_keeps_nothing() {
    let program = Program::new();
    open(&program, CAP, 0);
    assert!(program.kernel.mapped.borrow().is_empty());
}

#[test]
fn from_the_third_open_on_no_file_is_made() {
    let program = Program::new();
    let first = open(&program, CAP, 0);
    let second = open(&program, CAP, 0);
    assert_eq!(made(&program, MEMFD_CREATE), 2);
    for flags in [0, O_CLOEXEC, O_NOFOLLOW, 0] {
        let again = open(&program, CAP, flags);
        let asked = program.asked();
        assert!(asked.iter().all(|m| m.nr != MEMFD_CREATE && m.nr != MMAP), "{asked:?}");
        let opened = asked.iter().find(|m| m.nr == OPENAT).expect("it was opened again");
        assert_eq!(opened.args[2], flags & O_CLOEXEC, "what it was asked to be opened with");
        assert_eq!(program.read(again), "40\n");
        assert_eq!(program.every_fstat(again as usize), program.every_fstat(first as usize));
        program.asked();
    }
    assert_ne!(first, second);
    assert_eq!(program.kernel.mapped.borrow().len(), 1);
}

#[test]
fn every_rule_has_its_own() {
    let program = Program::new();
    for _ in 0..4 {
        assert_eq!(program.read(open(&program, CAP, 0)), "40\n");
        assert_eq!(program.read(open(&program, PORT, 0)), "1024\n");
    }
    assert_eq!(program.kernel.mapped.borrow().len(), 2);
}

#[test]
fn what_is_written_is_never_shared() {
    let program = Program::new();
    for _ in 0..3 {
        open(&program, PORT, 0);
    }
    program.asked();
    let fd = open(&program, PORT, O_RDWR);
    assert_eq!(made(&program, MEMFD_CREATE), 1);
    let zero = b"0\n".as_ptr() as usize;
    assert_eq!(program.call(18, [fd as usize, zero, 2, 0, 0, 0]), 2);
    assert_eq!(program.read(open(&program, PORT, 0)), "1024\n");
}

#[test]
fn a_path_descriptor_is_a_file_of_its_own() {
    let program = Program::new();
    for _ in 0..3 {
        open(&program, CAP, O_PATH);
    }
    assert!(program.kernel.mapped.borrow().is_empty());
}

#[test]
fn without_the_links_a_file_is_made_each_time() {
    let program = Program::new();
    program.kernel.has_map_files.set(false);
    for _ in 0..5 {
        assert_eq!(program.read(open(&program, CAP, 0)), "40\n");
    }
    let asked = program.asked();
    let count = |nr| asked.iter().filter(|m| m.nr == nr).count();
    assert_eq!(count(MEMFD_CREATE), 5);
    assert_eq!(count(OPENAT), 1, "it is not tried again");
}

#[test]
fn another_file_at_the_address_is_closed_and_not_given() {
    let program = Program::new();
    open(&program, CAP, 0);
    open(&program, CAP, 0);
    // A container's own /proc, where the link leads to something else.
    let other = program.kernel.tree.borrow().place("/proc/42/status");
    for place in program.kernel.mapped.borrow_mut().values_mut() {
        *place = other;
    }
    // `Program::call` sees that no descriptor is left behind.
    for _ in 0..2 {
        assert_eq!(program.read(open(&program, CAP, 0)), "40\n");
    }
}

#[test]
fn a_file_whose_mode_the_program_has_changed_is_given_no_more() {
    let program = Program::new();
    open(&program, CAP, 0);
    let kept = open(&program, CAP, 0);
    assert_eq!(program.call(91, [kept as usize, 0o600, 0, 0, 0, 0]), 0);
    let facts = program.fstat(open(&program, CAP, 0) as usize);
    assert_eq!(facts.mode, 0o100_444);
}

#[test]
fn no_more_descriptors_is_not_the_links_fault() {
    let program = Program::new();
    for _ in 0..3 {
        open(&program, CAP, 0);
    }
    const EMFILE: isize = -24;
    program.kernel.failure.set(Some((OPENAT, EMFILE)));
    program.open(CAP, 0);
    program.kernel.failure.set(None);
    program.asked();
    open(&program, CAP, 0);
    assert_eq!(made(&program, MEMFD_CREATE), 0);
}
