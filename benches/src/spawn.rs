//! Starting a program and waiting for it, with the clock and the kernel's own
//! account of it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// What one run took.
pub(crate) struct Usage {
    /// From before the start to after the end.
    pub(crate) wall: Duration,
    /// Processor time, its own and the kernel's for it.
    pub(crate) cpu: Duration,
    /// The most memory it held, in bytes.
    pub(crate) peak: u64,
}

/// Keeps this process and all its children on one processor while it lives:
/// turns are fair only on the same one.
pub(crate) struct Pinned {
    before: libc::cpu_set_t,
}

impl Pinned {
    /// Chooses the last processor that is allowed.
    pub(crate) fn to_last_cpu() -> Result<Self> {
        // SAFETY: a CPU set is plain bits, for which all zeros is a value.
        let mut before: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: the kernel fills `size` bytes of a set of that size.
        let got = unsafe { libc::sched_getaffinity(0, size, &raw mut before) };
        ensure!(got == 0, "sched_getaffinity: {}", std::io::Error::last_os_error());
        let last = (0..libc::CPU_SETSIZE as usize)
            .rev()
            // SAFETY: the index is below CPU_SETSIZE.
            .find(|&cpu| unsafe { libc::CPU_ISSET(cpu, &before) })
            .context("no processor is allowed")?;
        // SAFETY: as above: all zeros is the empty set.
        let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the index was just found in range.
        unsafe { libc::CPU_SET(last, &mut one) };
        allow(&one)?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What was allowed before is allowed again; there is nobody to tell if not.
        let _ = allow(&self.before);
    }
}

fn allow(set: &libc::cpu_set_t) -> Result<()> {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: the kernel reads `size` bytes of a set of that size.
    let put = unsafe { libc::sched_setaffinity(0, size, set) };
    ensure!(put == 0, "sched_setaffinity: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Runs a program that must succeed, its output thrown away.
pub(crate) fn timed(command: &mut Command) -> Result<Usage> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("{command:?}"))?;
    let (status, usage) = wait(&child)?;
    let wall = start.elapsed();
    if !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) != 0 {
        bail!("{command:?} ended with status {status:#x}");
    }
    let time = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64)
    };
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Ok(Usage { wall, cpu, peak: usage.ru_maxrss as u64 * 1024 })
}

/// Waits for a child: its status and the kernel's account of it.
fn wait(child: &Child) -> Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: the usage record is plain numbers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both places live across the call and are of the kernel's types.
    let waited = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage) };
    ensure!(waited == child.id() as i32, "wait4: {}", std::io::Error::last_os_error());
    Ok((status, usage))
}

/// The one number that a program prints.
pub(crate) fn figure(command: &mut Command) -> Result<f64> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    text.trim().parse().with_context(|| format!("{command:?} printed `{text}`, no number"))
}
