//! Does the slow path hold under all hazards at once? `tests/programs/stress`:
//! 64 threads with signals on small alternate stacks, fork, vfork, exec and
//! cancellation, every system call through the slow path, glibc, musl and Go at
//! the same time. Afterwards the process is looked at from outside: the counts
//! are those of the stock program, and no stack of the shim's is lost.
//!
//! `make stress` runs it for ten minutes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use procsys_tests::suite::workplace;
use procsys_tests::{fixture, patch, programs, run};

/// A file that no kernel has, served by the patch.
const EMULATED: &str = "/proc/sys/procsys/absent";
/// A prefix that is not there, redirected by the patch.
const PREFIX: &str = "/procsys-from";

/// The stacks, how their locks lie, and where the address of the areas of waiting
/// calls is kept: patcher/shim/layout.rs, slots.rs and park.rs.
const SLOTS: usize = 64;
const AREAS_KEPT_AT: u64 = 0x400;
const AREAS: u64 = 4096;
const AREA_SIZE: u64 = 0x8000;
const AREA_LOCK: u64 = 0xf0;

/// The least that a program does in a round, by the names of its counts.
const C_OPERATIONS: usize = 10;
const GO_OPERATIONS: usize = 7;

#[test]
fn counts_as_stock_and_loses_no_stack() {
    let seconds = std::env::var("PROCSYS_STRESS_SECONDS").map_or(20, |text| {
        text.parse::<u64>().unwrap_or_else(|e| panic!("PROCSYS_STRESS_SECONDS={text}: {e}"))
    });
    let work = workplace("stress");
    std::fs::create_dir_all(work.join("to")).expect("the workplace is writable");
    std::fs::write(work.join("emulated"), "42\n").expect("as above");
    std::fs::write(work.join("to/file"), "redirected\n").expect("as above");
    let programs = [("glibc", C_OPERATIONS), ("musl", C_OPERATIONS), ("go", GO_OPERATIONS)];
    for (kind, _) in programs {
        build(kind, &work);
    }
    let faults: Vec<String> = std::thread::scope(|scope| {
        let threads = programs.map(|(kind, operations)| {
            let work = &work;
            scope.spawn(move || stress(kind, operations, work, seconds))
        });
        threads.into_iter().filter_map(|t| t.join().expect("told as an error").err()).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let _ = std::fs::remove_dir_all(&work);
}

/// Builds one program as `work/kind`, and `work/kind-patched` from it.
fn build(kind: &str, work: &Path) {
    let (sources, output) = (programs::folder(), work.join(kind));
    let mut command = match kind {
        "go" => {
            // One package is one folder.
            let folder = work.join("go-sources");
            std::fs::create_dir_all(&folder).expect("the workplace is writable");
            for source in ["stress/stress.go", "hazard.go"] {
                let name = Path::new(source).file_name().expect("a file");
                std::fs::copy(sources.join(source), folder.join(name)).expect("as above");
            }
            let mut command = Command::new(fixture("go").join("bin/go"));
            command.arg("build").arg("-o").arg(&output).args(["stress.go", "hazard.go"]);
            command.current_dir(&folder).env("GOCACHE", work.join("gocache"));
            command.envs([("GO111MODULE", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "")]);
            command.env("CGO_ENABLED", "0").env_remove("GOROOT");
            command
        }
        libc => {
            let mut command = Command::new(if libc == "musl" { "musl-gcc" } else { "gcc" });
            command.args(["-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-static"]);
            command.arg(sources.join("stress/stress.c")).arg("-o").arg(&output);
            command
        }
    };
    let outcome = run(&mut command, Duration::from_secs(300));
    assert!(outcome.success(), "{command:?}\n{outcome}");
    let emulate = format!("{EMULATED}=42");
    let redirect = format!("{PREFIX}={}", work.join("to").display());
    let args = ["--every-call", "--emulate", &emulate, "--redirect", &redirect];
    patch(&output, &work.join(format!("{kind}-patched")), &args);
}

/// Runs one program patched for that time and stock for as many rounds as are
/// enough to know the counts of one.
fn stress(kind: &str, operations: usize, work: &Path, seconds: u64) -> Result<(), String> {
    const STOCK_ROUNDS: u64 = 3;
    let patched = work.join(format!("{kind}-patched"));
    let served = [PathBuf::from(EMULATED), Path::new(PREFIX).join("file")];
    let changed = Stressed::run(&patched, &served, ["seconds", &seconds.to_string()], seconds)?;
    let [held, waiting] = changed.taken(&patched)?;
    let descriptors = changed.descriptors();
    let after = changed.end()?;

    let real = [work.join("emulated"), work.join("to/file")];
    let stock = work.join(kind);
    let stock = Stressed::run(&stock, &real, ["rounds", &STOCK_ROUNDS.to_string()], seconds)?;
    let stock_descriptors = stock.descriptors();
    let before = stock.end()?;

    let rounds = after["rounds"];
    let in_all: u64 = after.iter().filter(|(n, _)| *n != "rounds").map(|(_, count)| count).sum();
    println!(
        "{kind}: {rounds} rounds in {seconds} s, {in_all} operations counted; stacks held at rest: \
         {held} of {SLOTS}, areas: {waiting}, all by threads that are gone"
    );
    if before.len() != operations + 1 {
        return Err(format!("{kind}: counted {before:?}"));
    }
    for (name, count) in &before {
        let [one, other] = [count * rounds, after[name] * STOCK_ROUNDS];
        if one != other || one == 0 {
            return Err(format!("{kind}: {name}: stock {before:?}\npatched {after:?}"));
        }
    }
    if descriptors != stock_descriptors {
        return Err(format!("{kind}: {descriptors} descriptors, stock {stock_descriptors}"));
    }
    Ok(())
}

/// A program that has done its rounds and waits, with what it counted.
struct Stressed {
    child: Child,
    counts: BTreeMap<String, u64>,
}

impl Stressed {
    /// Runs it until it is at rest.
    fn run(
        program: &Path,
        paths: &[PathBuf; 2],
        args: [&str; 2],
        seconds: u64,
    ) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(args).arg("wait").stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("HAZARD_EMULATED", &paths[0]).env("HAZARD_REDIRECTED", &paths[1]);
        let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().expect("piped above"));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut stressed = Self { child, counts: BTreeMap::new() };
        loop {
            let Ok(line) = lines.recv_timeout(Duration::from_secs(seconds * 2 + 120)) else {
                let _ = stressed.child.kill();
                let status = stressed.child.wait();
                return Err(format!("{command:?} hangs or died: {status:?}"));
            };
            match line.split_once(": ").map(|(name, count)| (name, count.parse())) {
                Some((name, Ok(count))) => stressed.counts.insert(name.to_owned(), count),
                _ if line == "at rest" => return Ok(stressed),
                _ => return Err(format!("{command:?} said {line:?}")),
            };
        }
    }

    /// How many of the shim's stacks, and of the areas of waiting calls, are held,
    /// read from the process's memory. None may be held by a thread that lives. One
    /// whose thread was cancelled above it is freed when the shim runs short
    /// (slots.rs); one that had no name yet may stay (docs/limits.md).
    fn taken(&self, program: &Path) -> Result<[usize; 2], String> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let memory = std::fs::File::open(folder.join("mem")).map_err(|e| e.to_string())?;
        let word = |address: u64| {
            let mut bytes = [0; 8];
            memory.read_exact_at(&mut bytes, address).map_err(|e| format!("{address:#x}: {e}"))?;
            Ok::<u64, String>(u64::from_le_bytes(bytes))
        };
        let locks = symbol(program, "procsys_slots")?;
        let areas = match word(locks + AREAS_KEPT_AT)? {
            0 => 0..0,
            first => first..first + AREAS * AREA_SIZE,
        };
        let locks = (0..SLOTS as u64).map(|slot| locks + slot * 8);
        let areas = areas.step_by(AREA_SIZE as usize).map(|area| area + AREA_LOCK);
        let held = |at: &mut dyn Iterator<Item = u64>| {
            let mut held = 0;
            for address in at {
                let lock = word(address)?;
                let thread = lock >> 32;
                if lock != 0 && folder.join(format!("task/{thread}")).exists() {
                    return Err(format!("{address:#x} is lost: {lock:#x}, the thread lives"));
                }
                held += usize::from(lock != 0);
            }
            Ok(held)
        };
        Ok([held(&mut locks.into_iter())?, held(&mut areas.into_iter())?])
    }

    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }

    /// Lets it end.
    fn end(mut self) -> Result<BTreeMap<String, u64>, String> {
        drop(self.child.stdin.take());
        let status = self.child.wait().map_err(|e| e.to_string())?;
        if status.success() { Ok(self.counts) } else { Err(format!("ended with {status}")) }
    }
}

/// The address of a symbol (readelf(1)).
fn symbol(program: &Path, name: &str) -> Result<u64, String> {
    let mut command = Command::new("readelf");
    command.args(["-sW"]).arg(program);
    let outcome = run(&mut command, Duration::from_secs(60));
    let line = outcome.stdout.lines().find(|line| line.split_whitespace().last() == Some(name));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|address| u64::from_str_radix(address, 16).ok())
        .ok_or_else(|| format!("{} has no symbol {name}", program.display()))
}
