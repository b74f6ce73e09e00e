//! Does every runc run every kind of container inside real gVisor, once it is
//! patched, and what says the one that is not?
//!
//! The answer is measured, and kept for readers in `docs/matrix.md`; with
//! UPDATE_MATRIX=1 this test writes that file, without, it compares.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use procsys_tests::gvisor::{Platform, Release, real, run_script};
use procsys_tests::native::Folder;
use procsys_tests::oci::{CONFIGS, Config};
use procsys_tests::{fixture, oci, patch, root, run};

/// The fixtures; what `runc-current` is depends on the day it was built.
const RUNCS: [&str; 3] = ["runc-1.1.5", "runc-1.1.15", "runc-current"];

const PLATFORMS: [Platform; 2] = [Platform::Ptrace, Platform::Systrap];

/// Everything that a stock runc may say, with numbers as N, and the rule that
/// answers it. Anything else is a finding.
const KNOWN: [(&str, &str); 3] = [
    (
        "runc run failed: unsafe procfs detected: incorrect procfs root inode number N",
        "report the inode of the procfs root",
    ),
    (
        "runc run failed: cgroup namespaces aren't enabled in the kernel",
        "report /proc/self/ns/cgroup",
    ),
    (
        "runc run failed: unable to start container process: error during container init: \
         open /proc/sys/net/ipvN/ip_unprivileged_port_start: operation not permitted",
        "emulate the missing sysctl",
    ),
];

/// One container takes less than a second; a sandbox under load, some more.
const CELL_SECONDS: u32 = 30;

/// What one runc did with one configuration on one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    /// The container printed its line, and runc ended with 0.
    Runs,
    /// It said the known message of this number.
    Says(usize),
    /// Anything else, as it was.
    Unknown(String),
}

/// What is run in one cell of the table.
struct Job {
    name: String,
    runc: PathBuf,
    config: Config,
}

#[test]
fn patched_runcs_run_every_container_in_gvisor() {
    let folder = Folder::new("matrix");
    let patched: Vec<PathBuf> = RUNCS
        .iter()
        .map(|name| {
            let output = folder.path().join(format!("{name}-patched"));
            patch(&fixture(name), &output, &[]);
            output
        })
        .collect();
    let stock = jobs("stock", &RUNCS.map(|name| fixture(name).canonicalize().expect("it exists")));
    let patched = jobs("patched", &patched);
    let all: Vec<&Job> = stock.iter().chain(&patched).collect();

    let measured: Vec<BTreeMap<String, Cell>> = std::thread::scope(|scope| {
        let runs: Vec<_> = PLATFORMS
            .iter()
            .map(|&platform| {
                let (folder, all) = (&folder, &all);
                scope.spawn(move || measure(platform, all, folder.path()))
            })
            .collect();
        runs.into_iter().map(|run| run.join().expect("a platform's run panicked")).collect()
    });

    let mut wrong = String::new();
    for (platform, cells) in PLATFORMS.iter().zip(&measured) {
        for (stock, patched) in stock.iter().zip(&patched) {
            if let Cell::Unknown(output) = &cells[&stock.name] {
                let _ =
                    writeln!(wrong, "{platform} {}: not a known message:\n{output}", stock.name);
            }
            if cells[&patched.name] != Cell::Runs {
                let cell = &cells[&patched.name];
                let _ = writeln!(wrong, "{platform} {}: does not run: {cell:?}", patched.name);
            }
        }
    }
    let table = table(&stock, &measured);
    println!("{table}");
    assert!(wrong.is_empty(), "{wrong}");
    // A table in which nothing ever fails would prove nothing.
    assert!(measured.iter().all(|cells| cells.values().any(|c| matches!(c, Cell::Says(_)))));
    compare(&table);
}

/// Every configuration with every runc of one kind.
fn jobs(kind: &str, runcs: &[PathBuf]) -> Vec<Job> {
    RUNCS
        .iter()
        .zip(runcs)
        .flat_map(|(name, runc)| {
            CONFIGS.iter().map(move |&config| Job {
                name: format!("{}-{}-{kind}", config.name, &name["runc-".len()..]),
                runc: runc.clone(),
                config,
            })
        })
        .collect()
}

/// Runs all jobs in one sandbox, one after the other.
fn measure(platform: Platform, jobs: &[&Job], folder: &Path) -> BTreeMap<String, Cell> {
    let rootfs = real(&fixture("rootfs"));
    let busybox = real(&fixture("busybox-static"));
    // Containers of one sandbox can't meet: each has its own names.
    let mut script = format!(
        "cell() {{\n\
         echo \"@@@ cell $1\"\n\
         {busybox} timeout -s KILL {CELL_SECONDS} $2 --root /run/$1 run --bundle $3 $1 2>&1\n\
         code=$?; echo; echo \"@@@ exit $code\"\n\
         }}\n"
    );
    for job in jobs {
        let bundle = folder.join(format!("{platform}/{}", job.name));
        let cgroup = format!("/kubepods/besteffort/{}", job.name);
        let config = oci::container(job.config.name, Path::new(&rootfs), &host(&job.name), &cgroup);
        oci::write_bundle(&bundle, &config);
        let _ = writeln!(script, "cell {} {} {}", job.name, job.runc.display(), bundle.display());
    }
    let limit = Duration::from_secs(480);
    let outcome = run_script(Release::R20240729, platform, &script, limit);
    let mut cells = parse(&outcome.stdout);
    assert!(outcome.success(), "the sandbox on {platform}: {outcome}");
    jobs.iter()
        .map(|job| {
            let (output, code) = cells
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
    if code == "0" && output.lines().any(|l| l == line) && !output.contains("level=error") {
        return Cell::Runs;
    }
    let said = output
        .lines()
        .filter(|line| line.contains("level=error"))
        .filter_map(|line| line.split_once("msg=\"")?.1.strip_suffix('"'))
        .map(procsys_tests::normalise::numbers)
        .next_back();
    match KNOWN.iter().position(|(message, _)| said.as_deref() == Some(message)) {
        Some(number) if code == "1" => Cell::Says(number),
        _ => Cell::Unknown(format!("{output}\nexit {code}")),
    }
}

/// The page for readers.
fn table(stock: &[Job], measured: &[BTreeMap<String, Cell>]) -> String {
    let mut page = String::from(
        "# Which containers run inside gVisor?\n\n\
         Measured, not written: `tests/tests/gvisor_matrix.rs` runs every cell in gVisor \
         20240729 on\nboth platforms, and fails when this page says something else. \
         `UPDATE_MATRIX=1 cargo test -p\nprocsys-tests --test gvisor_matrix` writes it anew.\n\n",
    );
    for config in CONFIGS {
        let _ = writeln!(page, "- **{}**: {}", config.name, config.asks);
    }
    page.push_str(
        "\nA container that runs has printed its line and ended with 0. The numbers are what \
         stock runc\nsays instead, and runs no container:\n\n\
         | | message (numbers as N) | the rule that answers it |\n|---|---|---|\n",
    );
    for (number, (message, rule)) in KNOWN.iter().enumerate() {
        let _ = writeln!(page, "| {} | `{message}` | {rule} |", number + 1);
    }
    page.push_str("\n| runc | container |");
    for platform in PLATFORMS {
        let _ = write!(page, " {platform}: stock | {platform}: patched |");
    }
    page.push_str("\n|---|---|---|---|---|---|\n");
    for (index, job) in stock.iter().enumerate() {
        let name = &RUNCS[index / CONFIGS.len()]["runc-".len()..];
        let _ = write!(page, "| {name} | {} |", job.config.name);
        for cells in measured {
            for kind in ["stock", "patched"] {
                let cell = &cells[&job.name.replace("stock", kind)];
                let _ = match cell {
                    Cell::Runs => write!(page, " runs |"),
                    Cell::Says(number) => write!(page, " fails: {} |", number + 1),
                    Cell::Unknown(_) => write!(page, " unknown |"),
                };
            }
        }
        page.push('\n');
    }
    let _ = writeln!(page, "\n{CURRENT}{}.", version());
    page
}

/// The one line that may differ: Debian's newest runc moves on by itself.
const CURRENT: &str = "When this was measured, `current` was ";

fn version() -> String {
    let mut command = std::process::Command::new(fixture("runc-current"));
    let outcome = run(command.arg("--version"), Duration::from_secs(10));
    outcome.stdout.lines().next().unwrap_or_default().to_owned()
}

fn compare(table: &str) {
    let path = root().join("docs/matrix.md");
    if std::env::var_os("UPDATE_MATRIX").is_some_and(|v| v == "1") {
        std::fs::write(&path, table).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let comparable = |page: &str| -> Vec<String> {
        page.lines().filter(|line| !line.starts_with(CURRENT)).map(str::to_owned).collect()
    };
    assert_eq!(
        comparable(&kept),
        comparable(table),
        "docs/matrix.md is not what was measured; UPDATE_MATRIX=1 rewrites it"
    );
}
