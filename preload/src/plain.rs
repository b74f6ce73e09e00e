//! Mounts, namespaces and other calls that rules reach by their name, and
//! `syscall` itself.

use core::arch::naked_asm;

use procsys_hook::Call;

use crate::engine;
use crate::function::interpose;
use crate::libc::set_errno;

interpose! {
    after crate::stats::NUMBERS.1;
    fn mount(source: usize, target: usize, kind: usize, flags: usize, data: usize) -> i32 = 165 () [source, target, kind, flags, data] ();
    fn umount(path: usize) -> i32 = 166 () [path] (0);
    fn umount2(path: usize, flags: i32) -> i32 = 166 () [path, flags] ();
    fn open_tree(dirfd: i32, path: usize, flags: u32) -> i32 = 428 () [dirfd, path, flags] ();
    fn move_mount(fromfd: i32, from: usize, tofd: i32, to: usize, flags: u32) -> i32 = 429 () [fromfd, from, tofd, to, flags] ();
    fn mount_setattr(dirfd: i32, path: usize, flags: u32, attributes: usize, size: usize) -> i32 = 442 () [dirfd, path, flags, attributes, size] ();
    fn fsopen(name: usize, flags: u32) -> i32 = 430 () [name, flags] ();
    fn unshare(flags: i32) -> i32 = 272 () [flags] ();
    fn setns(fd: i32, kind: i32) -> i32 = 308 () [fd, kind] ();
    fn close_range(first: u32, last: u32, flags: i32) -> i32 = 436 () [first, last, flags] ();
    fn ioctl(fd: i32, request: usize, argument: usize) -> i32 = 16 () [fd, request, argument] ();
    fn prctl(option: i32, b: usize, c: usize, d: usize, e: usize) -> i32 = 157 () [option, b, c, d, e] ();
}

/// For each call number below 512, whether it may be made by [`shown`]. Calls
/// that return twice, or never, are none of these.
static SHOWN: [u64; 8] = {
    let mut bits = [0; 8];
    let mut i = 0;
    while i < procsys_rules::calls::SHAPES.len() {
        let nr = procsys_rules::calls::SHAPES[i].nr as usize;
        bits[nr / 64] |= 1 << (nr % 64);
        i += 1;
    }
    let plain = [16, 42, 43, 44, 45, 46, 47, 49, 51, 52, 157, 272, 288, 308, 430, 436];
    let mut i = 0;
    while i < plain.len() {
        bits[plain[i] / 64] |= 1 << (plain[i] % 64);
        i += 1;
    }
    let more: &[usize] =
        if cfg!(feature = "whole") { &[1, 3, 18, 20, 33, 292, 299, 307] } else { &[] };
    i = 0;
    while i < more.len() {
        bits[more[i] / 64] |= 1 << (more[i] % 64);
        i += 1;
    }
    bits
};

/// syscall(2): what no rule can reach is made here, as libc makes it, with
/// nothing of ours on the stack: it may be a vfork or a clone.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall() -> isize {
    naked_asm!(
        ".cfi_startproc",
        "cmp rdi, 511",
        "ja 2f",
        "lea r11, [rip + {shown}]",
        "bt qword ptr [r11], rdi",
        "jc {slow}",
        "2:",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 3f",
        "ret",
        "3:",
        "mov rdi, rax",
        "jmp {failed}",
        ".cfi_endproc",
        shown = sym SHOWN,
        slow = sym shown,
        failed = sym failed,
    )
}

extern "C" fn failed(result: isize) -> isize {
    set_errno(-result as i32);
    -1
}

extern "C" fn shown(
    nr: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> isize {
    let call = Call { nr, args: [a, b, c, d, e, f] };
    match nr {
        EXECVE | EXECVEAT => crate::exec::directly(&call),
        _ => engine::run(&call, &engine::directly),
    }
}

const EXECVE: usize = 59;
const EXECVEAT: usize = 322;
