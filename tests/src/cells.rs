//! How are many containers run in one gVisor sandbox, and what became of each?

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::gvisor::{Platform, Release, real, run_script};
use crate::{fixture, normalise, oci};

/// One container takes less than a second; a sandbox under load, some more.
const SECONDS: u32 = 30;

/// All cells of a sandbox together.
const LIMIT: Duration = Duration::from_secs(540);

/// Everything that a stock runc may say in gVisor, with numbers as N, and the rule that
/// answers it. Anything else is a finding.
pub const KNOWN: [(&str, &str); 3] = [
    (
        "runc run failed: unsafe procfs detected: incorrect procfs root inode number N",
        "procfs-root-inode",
    ),
    ("runc run failed: cgroup namespaces aren't enabled in the kernel", "cgroup-namespace-file"),
    (
        "runc run failed: unable to start container process: error during container init: \
         open /proc/sys/net/ipvN/ip_unprivileged_port_start: operation not permitted",
        "ip-unprivileged-port-start",
    ),
];

/// Whether a stock runc is known to say this in gVisor.
pub fn is_known(said: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == said)
}

/// What is run in one cell of a table.
#[derive(Debug, Clone)]
pub struct Job {
    /// A name of its own, of letters, digits, `.` and `-`.
    pub name: String,
    /// The program.
    pub runc: PathBuf,
    /// The configuration's name.
    pub config: &'static str,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// The container printed its line, and runc ended with 0.
    Runs,
    /// runc ended with 1, after this message of level error, with numbers as N.
    Says(String),
    /// Anything else: all output and how it ended.
    Unknown(String),
}

/// What runc says, stock as well, when a container starts, runs and ends within
/// the 100 ms between two of its looks, on a machine with much to do (runc,
/// libcontainer/container_linux.go: exec). Such a cell says nothing.
const TOO_FAST: &str = "runc run failed: container process is already dead";

/// Runs all jobs in one sandbox, one after the other; `folder` is for their
/// bundles. Where runc missed the container's end, it is run again.
///
/// # Panics
/// When the sandbox does not come to its end, or gives no result for a job.
pub fn measure(platform: Platform, jobs: &[Job], folder: &Path) -> BTreeMap<String, Cell> {
    let mut cells = once(platform, jobs, folder);
    for _ in 0..3 {
        let missed = |job: &&Job| cells[&job.name] == Cell::Says(TOO_FAST.into());
        let again: Vec<Job> = jobs.iter().filter(missed).cloned().collect();
        if again.is_empty() {
            break;
        }
        cells.extend(once(platform, &again, folder));
    }
    cells
}

fn once(platform: Platform, jobs: &[Job], folder: &Path) -> BTreeMap<String, Cell> {
    let rootfs = real(&fixture("rootfs"));
    let busybox = real(&fixture("busybox-static"));
    let mut script = format!(
        "cell() {{\n\
         echo \"@@@ cell $1\"\n\
         {busybox} timeout -s KILL {SECONDS} $2 --root /run/$1 run --bundle $3 $1 2>&1\n\
         code=$?; echo; echo \"@@@ exit $code\"\n\
         }}\n"
    );
    for job in jobs {
        // Containers of one sandbox can't meet: each has its own names.
        let bundle = folder.join(format!("{platform}/{}", job.name));
        let cgroup = format!("/kubepods/besteffort/{}", job.name);
        let config = oci::container(job.config, Path::new(&rootfs), &host(&job.name), &cgroup);
        oci::write_bundle(&bundle, &config);
        let _ = writeln!(script, "cell {} {} {}", job.name, job.runc.display(), bundle.display());
    }
    let outcome = run_script(Release::R20240729, platform, &script, LIMIT);
    assert!(outcome.success(), "the sandbox on {platform}: {outcome}");
    let mut results = parse(&outcome.stdout);
    jobs.iter()
        .map(|job| {
            let (output, code) = results
                .remove(&job.name)
                .unwrap_or_else(|| panic!("{platform}: no result of {}\n{outcome}", job.name));
            (job.name.clone(), judge(&job.name, &output, &code))
        })
        .collect()
}

/// The container's host name: it has to come through, so that the line can
/// have been printed by this container alone.
fn host(job: &str) -> String {
    job.replace('.', "-")
}

/// The delimited results: output and exit code by name.
fn parse(stdout: &str) -> BTreeMap<String, (String, String)> {
    stdout
        .split("@@@ cell ")
        .skip(1)
        .filter_map(|part| {
            let (name, rest) = part.split_once('\n')?;
            let (output, code) = rest.split_once("@@@ exit ")?;
            Some((name.to_owned(), (output.trim().to_owned(), code.trim().to_owned())))
        })
        .collect()
}

fn judge(job: &str, output: &str, code: &str) -> Cell {
    let line = format!("hello from {}", host(job));
    let errors: Vec<&str> = output.lines().filter(|l| l.contains("level=error")).collect();
    if code == "0" && errors.is_empty() && output.lines().any(|l| l == line) {
        return Cell::Runs;
    }
    let message = errors.last().and_then(|l| l.split_once("msg=\"")?.1.strip_suffix('"'));
    match message {
        Some(message) if code == "1" => Cell::Says(normalise::numbers(message)),
        _ => Cell::Unknown(format!("{output}\nexit {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "time=\"x\" level=error msg=\"runc run failed: inode number 86\"";

    #[test]
    fn results_are_told_apart() {
        let stdout = format!(
            "@@@ cell a-1.2\nhello from a-1-2\n\n@@@ exit 0\n@@@ cell b\n{LOG}\n\n@@@ exit 1\n"
        );
        let results = parse(&stdout);
        let cell = |name: &str| judge(name, &results[name].0, &results[name].1);
        assert_eq!(cell("a-1.2"), Cell::Runs);
        assert_eq!(cell("b"), Cell::Says("runc run failed: inode number N".into()));
    }

    #[test]
    fn a_line_without_a_good_end_is_no_success() {
        for (output, code) in [("hello from a", "137"), ("hello from b", "0"), ("", "1")] {
            assert!(matches!(judge("a", output, code), Cell::Unknown(_)), "{output} {code}");
        }
    }
}
