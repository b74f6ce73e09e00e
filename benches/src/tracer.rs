//! The interceptor to compare with: it stops the program before and after every
//! system call, reads the registers, and reads the path of the calls that have
//! one, as the known k3s-in-gVisor interceptors do. It changes nothing, so what
//! is measured is the least that such a door costs.

use std::io::Read;
use std::mem::zeroed;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// The one number that a program prints, intercepted.
pub(crate) fn figure(command: &mut Command) -> Result<f64> {
    command.stdout(Stdio::piped());
    let text = intercepted(command)?;
    text.trim().parse().with_context(|| format!("{command:?} printed `{text}`, no number"))
}

/// The time of a whole run, intercepted.
pub(crate) fn timed(command: &mut Command) -> Result<Duration> {
    command.stdout(Stdio::piped());
    let start = Instant::now();
    intercepted(command)?;
    Ok(start.elapsed())
}

fn intercepted(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    // SAFETY: between fork and exec only a raw system call is made.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    follow(child.id() as i32).with_context(|| format!("{command:?}"))?;
    let mut text = String::new();
    // The program has ended; the few bytes that it printed wait in the pipe.
    child.stdout.take().context("piped above")?.read_to_string(&mut text)?;
    Ok(text)
}

/// What is seen of the threads: calls, and new threads, which are followed, too.
const THREADS: i32 = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE;

/// Lets the program and all its threads run to their end, stop by stop.
fn follow(leader: i32) -> Result<()> {
    let mut status = 0;
    // SAFETY: the status lives across the call.
    let stopped = unsafe { libc::waitpid(leader, &raw mut status, 0) };
    ensure!(stopped == leader && libc::WIFSTOPPED(status), "no stop at exec: {status:#x}");
    let options =
        THREADS | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK | libc::PTRACE_O_EXITKILL;
    // SAFETY: the options are a plain number.
    let set = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, leader, 0, options) };
    ensure!(set == 0, "PTRACE_SETOPTIONS: {}", std::io::Error::last_os_error());
    go_on(leader, 0);
    attend(&[leader])
}

/// Follows running processes with all their threads, not what they start, until
/// one of them has ended. Says so once they are followed.
pub(crate) fn attach(processes: &[i32]) -> Result<()> {
    for &process in processes {
        let folder = format!("/proc/{process}/task");
        // Threads are made while others are being seized: till no new one is seen.
        while seize_threads(&folder)? > 0 {}
    }
    println!("processes {processes:?} are traced");
    attend(processes)
}

/// Seizes the threads that are not yet; how many those were.
fn seize_threads(folder: &str) -> Result<usize> {
    let mut new = 0;
    for thread in std::fs::read_dir(folder).with_context(|| folder.to_owned())? {
        let name = thread?.file_name();
        let thread: i32 =
            name.to_str().and_then(|n| n.parse().ok()).context("a thread's number")?;
        // SAFETY: the thread is not ours; the options are a plain number.
        let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, 0, THREADS) };
        if seized == 0 {
            // SAFETY: as above. It stops, and attend lets it go on to its next call.
            unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, thread, 0, 0) };
            new += 1;
        } else {
            let error = std::io::Error::last_os_error();
            // Seized before, or gone meanwhile.
            let known = matches!(error.raw_os_error(), Some(libc::EPERM | libc::ESRCH));
            ensure!(known, "PTRACE_SEIZE {thread}: {error}");
        }
    }
    Ok(new)
}

/// A stopped thread goes on to its next call, or to the call's end.
fn go_on(thread: i32, signal: i32) {
    // SAFETY: the thread is stopped; the signal is a plain number. A thread
    // that was killed meanwhile gives an error that waitpid tells better.
    unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, 0, signal) };
}

/// Serves every stop until one of the leaders has ended.
fn attend(leaders: &[i32]) -> Result<()> {
    let mut status = 0;
    loop {
        // SAFETY: the status lives across the call.
        let thread = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        ensure!(thread > 0, "waitpid: {}", std::io::Error::last_os_error());
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            if !leaders.contains(&thread) {
                continue;
            }
            return match status {
                0 => Ok(()),
                _ => bail!("ended with status {status:#x}"),
            };
        }
        let mut signal = 0;
        match libc::WSTOPSIG(status) {
            stop if stop == libc::SIGTRAP | 0x80 => look(thread)?,
            // An event, the first stop of a new thread.
            libc::SIGTRAP | libc::SIGSTOP => {}
            stop => signal = stop,
        }
        go_on(thread, signal);
    }
}

/// Looks at a call as a rule would: its number, and its path where it has one.
fn look(thread: i32) -> Result<()> {
    // SAFETY: the record is plain numbers, for which all zeros is a value.
    let mut registers: libc::user_regs_struct = unsafe { zeroed() };
    // SAFETY: the kernel fills the record, which is of its own type.
    let got =
        unsafe { libc::ptrace(libc::PTRACE_GETREGS, thread, null_mut::<u8>(), &raw mut registers) };
    ensure!(got == 0, "PTRACE_GETREGS: {}", std::io::Error::last_os_error());
    let path = match registers.orig_rax as i64 {
        libc::SYS_open | libc::SYS_stat | libc::SYS_lstat | libc::SYS_access => registers.rdi,
        libc::SYS_openat | libc::SYS_newfstatat | libc::SYS_faccessat => registers.rsi,
        _ => return Ok(()),
    };
    let mut text = [0_u8; 256];
    let ours = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    let theirs = libc::iovec { iov_base: path as *mut _, iov_len: text.len() };
    // A path near the end of a mapping reads short, as for any interceptor.
    // SAFETY: one vector each; ours is the array above, theirs is only the
    // kernel's to check.
    unsafe { libc::process_vm_readv(thread, &raw const ours, 1, &raw const theirs, 1, 0) };
    std::hint::black_box(&text);
    Ok(())
}
