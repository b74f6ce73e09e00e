//! Does the slow path hold under all hazards at once? `tests/programs/stress`:
//! 64 threads with signals on small alternate stacks, fork, vfork, exec and
//! cancellation, every system call through the slow path, glibc, musl and Go at
//! the same time. Afterwards the process is looked at from outside: the counts
//! are those of the stock program, and no stack of the shim's is lost: when all but
//! one are made to look like those of threads that are gone, every one comes back.
//!
//! `make stress` runs it for ten minutes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

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
/// The lock of a thread in the slow path, which no kernel numbers so high
/// (PID_MAX_LIMIT).
const HELD_BY_NOBODY: u64 = NAMED | 1 | 0x3fff_ffff << 32;
/// The bit of a lock that names a thread; any other is a stack pointer.
const NAMED: u64 = 1 << 63;

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
    let mut changed = Stressed::run(&patched, &served, ["seconds", &seconds.to_string()], seconds)?;
    let [held, waiting] = changed.taken(&patched)?;
    changed.hold_all_but_one(&patched)?;
    changed.go_on()?;
    let left = changed.left(&patched)?;
    if left > 0 {
        return Err(format!("{kind}: {left} of {SLOTS} stacks don't come back"));
    }
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
         {held} of {SLOTS}, areas: {waiting}, all by threads that are gone; after all but one \
         looked so: {left}"
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
    lines: mpsc::Receiver<String>,
    counts: BTreeMap<String, u64>,
    /// How long the program may be silent.
    patience: Duration,
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
        let patience = Duration::from_secs(seconds * 2 + 120);
        let mut stressed = Self { child, lines, counts: BTreeMap::new(), patience };
        while let Some((name, count)) = stressed.line()? {
            stressed.counts.insert(name, count);
        }
        Ok(stressed)
    }

    /// The next count that it prints; none when it is at rest.
    fn line(&mut self) -> Result<Option<(String, u64)>, String> {
        let Ok(line) = self.lines.recv_timeout(self.patience) else {
            let _ = self.child.kill();
            return Err(format!("hangs or died: {:?}", self.child.wait()));
        };
        match line.split_once(": ").map(|(name, count)| (name, count.parse())) {
            Some((name, Ok(count))) => Ok(Some((name.to_owned(), count))),
            _ if line == "at rest" => Ok(None),
            _ => Err(format!("said {line:?}")),
        }
    }

    /// Lets it make all of its calls once more.
    fn go_on(&mut self) -> Result<(), String> {
        let input = self.child.stdin.as_mut().expect("piped above");
        input.write_all(b"\n").map_err(|e| e.to_string())?;
        match self.line()? {
            None => Ok(()),
            said => Err(format!("said {said:?}")),
        }
    }

    /// Makes every free stack but the last look held by a thread that is gone. Who
    /// takes the last one has to find them, and those that the run has left.
    fn hold_all_but_one(&self, program: &Path) -> Result<(), String> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let memory = std::fs::File::options().read(true).write(true).open(folder.join("mem"));
        let memory = memory.map_err(|e| e.to_string())?;
        let locks = symbol(program, "procsys_slots")?;
        self.stop(&folder)?;
        for lock in (0..SLOTS as u64 - 1).map(|slot| locks + slot * 8) {
            let mut bytes = [0; 8];
            memory.read_exact_at(&mut bytes, lock).map_err(|e| format!("{lock:#x}: {e}"))?;
            if bytes == [0; 8] {
                let held = HELD_BY_NOBODY.to_le_bytes();
                memory.write_all_at(&held, lock).map_err(|e| format!("{lock:#x}: {e}"))?;
            }
        }
        self.signal(libc::SIGCONT)
    }

    /// How many stacks stay taken; a thread of the language's own may have one just now.
    fn left(&self, program: &Path) -> Result<usize, String> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let [held, _] = self.taken(program).unwrap_or([SLOTS, 0]);
            if held == 0 || Instant::now() >= end {
                return Ok(held);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops all of its threads.
    fn stop(&self, folder: &Path) -> Result<(), String> {
        self.signal(libc::SIGSTOP)?;
        let is_stopped = |task: std::fs::DirEntry| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("State:\tT"))
        };
        let end = Instant::now() + self.patience;
        while Instant::now() < end {
            let mut tasks = std::fs::read_dir(folder.join("task")).map_err(|e| e.to_string())?;
            if tasks.all(|task| task.is_ok_and(is_stopped)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err("does not stop".into())
    }

    fn signal(&self, number: i32) -> Result<(), String> {
        // SAFETY: no memory is handed over; the child is this process's own and not
        // waited for, so that its number is not another's.
        match unsafe { libc::kill(self.child.id().cast_signed(), number) } {
            0 => Ok(()),
            _ => Err(format!("kill: {}", std::io::Error::last_os_error())),
        }
    }

    /// How many of the shim's stacks, and of the areas of waiting calls, are held,
    /// read from the process's memory. None may be held by a thread that lives. One
    /// whose thread was cancelled above it is freed when the shim runs short
    /// (slots.rs).
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
                let thread = (lock & !NAMED) >> 32;
                if lock & NAMED != 0 && folder.join(format!("task/{thread}")).exists() {
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
