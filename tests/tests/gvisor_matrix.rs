//! Does every runc run every kind of container inside real gVisor, once it is
//! patched; what says the one that is not; and which rules does it take?
//!
//! The answer is measured, and kept for readers in `docs/matrix.md`; with
//! UPDATE_MATRIX=1 this test writes that file, without, it compares.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::cells::{Cell, Job, KNOWN, measure};
use procsys_tests::gvisor::{Platform, real};
use procsys_tests::native::Folder;
use procsys_tests::oci::CONFIGS;
use procsys_tests::{fixture, patch, patcher, root, run};

/// The fixtures; what `runc-current` is depends on the day it was built.
const RUNCS: [&str; 3] = ["runc-1.1.5", "runc-1.1.15", "runc-current"];

const PLATFORMS: [Platform; 2] = [Platform::Ptrace, Platform::Systrap];

type Cells = BTreeMap<String, Cell>;

#[test]
fn patched_runcs_run_every_container_in_gvisor() {
    let folder = Folder::new("matrix");
    let rules = rules();
    let mut jobs = Vec::new();
    // Which rules a runc needs does not depend on the platform.
    let mut partial = Vec::new();
    for name in RUNCS {
        let stock = fixture(name);
        let patched = folder.path().join(format!("{name}-patched"));
        patch(&stock, &patched, &[]);
        jobs.extend(jobs_of(name, "stock", &stock));
        jobs.extend(jobs_of(name, "patched", &patched));
        for rule in &rules {
            let runc = without(rule, &stock, folder.path());
            partial.extend(jobs_of(name, rule, &runc));
        }
    }
    let (measured, partial) = std::thread::scope(|scope| {
        let (folder, jobs) = (folder.path(), &jobs);
        let runs = PLATFORMS.map(|platform| scope.spawn(move || measure(platform, jobs, folder)));
        let measured = runs.map(|run| run.join().expect("a platform's run panicked"));
        (measured, measure(Platform::Systrap, &partial, &folder.join("partial")))
    });

    let wrong = wrong(&measured);
    let page = page(&rules, &measured, &partial);
    println!("{page}");
    assert!(wrong.is_empty(), "{wrong}");
    compare(&page);
}

/// The default profile's rules, by name.
fn rules() -> Vec<String> {
    let mut command = Command::new(patcher());
    command.arg(fixture("busybox-static")).args(["-o", "/nowhere", "--dry-run", "--json"]);
    let outcome = run(&mut command, Duration::from_secs(60));
    let report: serde_json::Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome}"));
    let rules = report["rules"].as_array().unwrap_or_else(|| panic!("no rules: {outcome}"));
    rules.iter().map(|rule| rule["name"].as_str().expect("a name").to_owned()).collect()
}

/// `stock`, patched with all rules but one: in its place stands one of the same
/// name that never acts.
fn without(rule: &str, stock: &Path, folder: &Path) -> PathBuf {
    let rules = folder.join(format!("{rule}.toml"));
    let text = format!(
        "[[rule]]\nname = \"{rule}\"\naction = \"emulate\"\npath = \"/no/such/file\"\n\
         on = [\"ENOENT\"]\nvalue = \"\"\n"
    );
    std::fs::write(&rules, text).unwrap_or_else(|e| panic!("{}: {e}", rules.display()));
    let name = stock.file_name().expect("a file").to_string_lossy();
    let output = folder.join(format!("{name}-without-{rule}"));
    patch(stock, &output, &["--rules", rules.to_str().expect("a plain path")]);
    output
}

/// Every configuration with one program.
fn jobs_of(name: &str, kind: &str, runc: &Path) -> Vec<Job> {
    let runc = PathBuf::from(real(runc));
    CONFIGS
        .iter()
        .map(|config| Job {
            name: key(name, config.name, kind),
            runc: runc.clone(),
            config: config.name,
        })
        .collect()
}

fn key(runc: &str, config: &str, kind: &str) -> String {
    format!("{runc}-{config}-{kind}")
}

/// What must not be, a line each.
fn wrong(measured: &[Cells; 2]) -> String {
    let mut wrong = String::new();
    for (platform, cells) in PLATFORMS.iter().zip(measured) {
        for (name, cell) in cells {
            let known = known(cell).is_some() && name.ends_with("-stock");
            if *cell != Cell::Runs && !known {
                let _ = writeln!(wrong, "{platform} {name}: {cell:?}");
            }
        }
        // A table in which nothing ever fails would prove nothing.
        if cells.values().all(|cell| *cell == Cell::Runs) {
            let _ = writeln!(wrong, "{platform}: stock runc ran everything: is this gVisor?");
        }
    }
    wrong
}

fn known(cell: &Cell) -> Option<usize> {
    let Cell::Says(said) = cell else { return None };
    KNOWN.iter().position(|(message, _)| said == message)
}

/// The page for readers.
fn page(rules: &[String], measured: &[Cells; 2], partial: &Cells) -> String {
    let mut page = String::from(HEAD);
    for config in CONFIGS {
        let _ = writeln!(page, "- **{}**: {}", config.name, config.asks);
    }
    page.push_str(MESSAGES);
    for (number, (message, rule)) in KNOWN.iter().enumerate() {
        let _ = writeln!(page, "| {} | `{message}` | `{rule}` |", number + 1);
    }
    page.push_str("\n| runc | container |");
    for platform in PLATFORMS {
        let _ = write!(page, " {platform}: stock | {platform}: patched |");
    }
    page.push_str("\n|---|---|---|---|---|---|\n");
    for (runc, config) in rows() {
        let _ = write!(page, "| {} | {config} |", &runc["runc-".len()..]);
        for cells in measured {
            for kind in ["stock", "patched"] {
                let cell = &cells[&key(runc, config, kind)];
                let _ = match (cell, known(cell)) {
                    (Cell::Runs, _) => write!(page, " runs |"),
                    (_, Some(number)) => write!(page, " fails: {} |", number + 1),
                    _ => write!(page, " unknown |"),
                };
            }
        }
        page.push('\n');
    }
    page.push_str(NEEDS);
    let mut needed = Vec::new();
    for (runc, config) in rows() {
        let needs: Vec<&String> =
            rules.iter().filter(|rule| partial[&key(runc, config, rule)] != Cell::Runs).collect();
        let list = needs.iter().map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ");
        let list = if list.is_empty() { "none".to_owned() } else { list };
        let _ = writeln!(page, "| {} | {config} | {list} |", &runc["runc-".len()..]);
        needed.extend(needs);
    }
    let idle: Vec<String> =
        rules.iter().filter(|r| !needed.contains(r)).map(|r| format!("`{r}`")).collect();
    let _ = writeln!(page, "\nNo container here needs {}:", idle.join(", "));
    page.push_str(IDLE);
    let _ = writeln!(page, "\n{CURRENT}{}.", version());
    page
}

/// The rows of both tables.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    RUNCS.into_iter().flat_map(|runc| CONFIGS.iter().map(move |config| (runc, config.name)))
}

const HEAD: &str = "# Which containers run inside gVisor?

Measured, not written: `tests/tests/gvisor_matrix.rs` runs every cell in gVisor 20240729, and
fails when this page says something else. `UPDATE_MATRIX=1 cargo test -p procsys-tests --test
gvisor_matrix` writes it anew.

";

const MESSAGES: &str = "
## Stock and patched

A container that runs has printed its line and ended with 0. The numbers are what stock runc
says instead, and it runs no container then:

| | message (numbers as N) | the rule that answers it |
|---|---|---|
";

const NEEDS: &str = "
## Which rules it takes

Found by leaving out one rule of the profile `gvisor` at a time: without any of those listed the
container does not run.

| runc | container | rules |
|---|---|---|
";

const IDLE: &str = "they are for other versions of runc and gVisor, and for `runc exec`; the comments in the profile
(`rules/profiles/gvisor.toml`) say for which.
";

/// The one line that may differ: Debian's newest runc moves on by itself.
const CURRENT: &str = "When this was measured, `current` was ";

fn version() -> String {
    let mut command = Command::new(fixture("runc-current"));
    let outcome = run(command.arg("--version"), Duration::from_secs(10));
    outcome.stdout.lines().next().unwrap_or_default().to_owned()
}

fn compare(page: &str) {
    let path = root().join("docs/matrix.md");
    if std::env::var_os("UPDATE_MATRIX").is_some_and(|v| v == "1") {
        std::fs::write(&path, page).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let comparable = |page: &str| -> Vec<String> {
        page.lines().filter(|line| !line.starts_with(CURRENT)).map(str::to_owned).collect()
    };
    assert_eq!(
        comparable(&kept),
        comparable(page),
        "docs/matrix.md is not what was measured; UPDATE_MATRIX=1 rewrites it"
    );
}
