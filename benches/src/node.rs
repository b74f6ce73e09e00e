//! What does a node cost that only stays up: kubelet, containerd, its shim and a
//! pod that does nothing, in gVisor?
//!
//! Three sandboxes at the same time: the programs patched; stock, with the same
//! files mounted where they are missing (`tests/programs/node/mounts.sh`); and that
//! once more, for the noise floor. In a second span of time the second one's
//! kubelet and containerd are under the ptrace interceptor. What is compared is the
//! CPU time of a whole sandbox, as its cgroup on the machine counts it; gVisor's own
//! count of a process's time is of ticks, and too coarse.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use procsys_tests::gvisor::{Platform, run_sharing};
use procsys_tests::native::{Folder, private_mounts};
use procsys_tests::node::{Record, Share};
use serde_json::{Value, json};

use crate::stats::{Summary, summarise};

/// The sandboxes; cost.sh knows them by these names.
const WAYS: [&str; 3] = ["patched", "mounts", "copy"];

/// The spans of a sandbox, as cost.sh calls them.
const SPANS: [&str; 2] = ["first", "second"];

/// How much more than with mounts a patched node may cost.
const LIMIT: f64 = 1.03;

/// One round: CPU seconds by way and span.
type Round = [[f64; 2]; 3];

/// Measures and prints; whether the limit is kept.
pub(crate) fn run(words: &[String]) -> Result<bool> {
    let number = |at: usize, default: u64| match words.get(at) {
        None => Ok(default),
        Some(word) => word.parse().with_context(|| format!("`{word}` is no number")),
    };
    let (rounds, seconds) = (number(0, 3)?, number(1, 180)?);
    ensure!(rounds > 0 && seconds > 0, "a round and a second at least");
    private_mounts();
    let cgroups = Cgroups::new()?;
    let mut all = Vec::new();
    for number in 1..=rounds {
        eprintln!("measuring a node: round {number} of {rounds}, twice {seconds} s");
        all.push(round(&cgroups, seconds)?);
    }
    print!("{}", table(&all, seconds));
    Ok(ratios(&all, 0, [0, 1]).median <= LIMIT)
}

/// All sandboxes at the same time.
fn round(cgroups: &Cgroups, seconds: u64) -> Result<Round> {
    let this = std::env::current_exe()?;
    let start = |way: &str| -> Result<Child> {
        let mut command = Command::new(&this);
        command.args(["node-one", way, &seconds.to_string()]).arg(cgroups.of(way)?);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().with_context(|| format!("{command:?}"))
    };
    let children = WAYS.map(start);
    let mut round = Round::default();
    for ((child, way), place) in children.into_iter().zip(WAYS).zip(&mut round) {
        let output = child?.wait_with_output()?;
        ensure!(output.status.success(), "{way}: {}", output.status);
        let value: Value = serde_json::from_slice(&output.stdout)?;
        for (span, figure) in SPANS.iter().zip(place) {
            *figure = value[span].as_f64().with_context(|| format!("{way}: {value}"))?;
        }
    }
    Ok(round)
}

/// One sandbox, in a cgroup of its own: `node-one WAY SECONDS CGROUP`, a process
/// of its own, as a cgroup takes processes.
pub(crate) fn one(words: &[String]) -> Result<()> {
    let [way, seconds, cgroup] = words else { bail!("node-one takes three words") };
    let cgroup = Path::new(cgroup);
    fs::write(cgroup.join("cgroup.procs"), std::process::id().to_string())
        .with_context(|| cgroup.display().to_string())?;
    let share = Share::new(&format!("node-cost-{way}"));
    let this = std::env::current_exe()?.into_os_string().into_string();
    let this = this.map_err(|path| anyhow::anyhow!("{} is no text", path.display()))?;
    let limit = Duration::from_secs(2 * seconds.parse::<u64>()? + 400);
    let arguments = ["/share", way, seconds, &this];
    let sandbox = std::thread::scope(|scope| {
        let script = || run_sharing(Platform::Systrap, share.path(), "cost.sh", &arguments, limit);
        let sandbox = scope.spawn(script);
        let mut samples = Vec::new();
        while !sandbox.is_finished() {
            samples.push((SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(), used(cgroup)?));
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok::<_, anyhow::Error>((sandbox.join().expect("a sandbox's thread"), samples))
    });
    let (outcome, samples) = sandbox?;
    let record = Record::read(&outcome.stdout);
    let shown = || format!("{way}: {outcome}\n{}", share.logs());
    ensure!(record.stages.iter().any(|(name, _)| name == "still"), "{}", shown());
    let mut value = json!({});
    for span in SPANS {
        let [begin, end] = ["begins", "ends"].map(|edge| -> Result<f64> {
            let name = format!("{span}-{edge}");
            let (_, second) = record.stages.iter().find(|(n, _)| *n == name).with_context(shown)?;
            let second: u64 = second.parse()?;
            let sample = samples.iter().find(|(at, _)| *at >= second).with_context(shown)?;
            Ok(sample.1)
        });
        value[span] = json!(end? - begin?);
    }
    println!("{value}");
    Ok(())
}

/// CPU seconds that the processes of a cgroup have used, those that are gone, too.
fn used(cgroup: &Path) -> Result<f64> {
    let text = fs::read_to_string(cgroup.join("cpu.stat"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
    Ok(line.context("cpu.stat has no usage_usec")?.parse::<f64>()? / 1e6)
}

/// A place for cgroups (version 2, which counts time without a controller, also
/// beside version 1).
struct Cgroups(Folder);

impl Cgroups {
    /// Needs a private view of the mounts.
    fn new() -> Result<Self> {
        let folder = Folder::new("node-cost-cgroups");
        let mut mount = Command::new("mount");
        mount.args(["-t", "cgroup2", "none"]).arg(folder.path());
        ensure!(mount.status()?.success(), "{mount:?}");
        Ok(Self(folder))
    }

    fn path(&self, way: &str) -> PathBuf {
        self.0.path().join(format!("procsys-node-cost-{}-{way}", std::process::id()))
    }

    /// The cgroup of a sandbox.
    fn of(&self, way: &str) -> Result<PathBuf> {
        let path = self.path(way);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for way in WAYS {
            let _ = fs::remove_dir(self.path(way));
        }
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// The ratios of two ways in a span, of all rounds.
fn ratios(rounds: &[Round], span: usize, [of, to]: [usize; 2]) -> Summary {
    summarise(rounds.iter().map(|r| r[of][span] / r[to][span]).collect())
}

/// For people.
fn table(rounds: &[Round], seconds: u64) -> String {
    let mut text = format!(
        "CPU seconds in {seconds} s of a gVisor sandbox with kubelet, containerd, its shim and a pod\n\
         that does nothing; the second three in another span of that length.\n\n\
         round    patched   mounts   again  patched   mounts, traced   again\n"
    );
    for (number, [patched, mounts, again]) in rounds.iter().enumerate() {
        text += &format!(
            "{:<8} {:7.2}  {:7.2} {:7.2}  {:7.2}          {:7.2} {:7.2}\n",
            number + 1,
            patched[0],
            mounts[0],
            again[0],
            patched[1],
            mounts[1],
            again[1]
        );
    }
    let lines = [
        ("patched to mounts", 0, [0, 1]),
        ("mounts again to mounts, the noise", 0, [2, 1]),
        ("patched to mounts again, later", 1, [0, 2]),
        ("traced to mounts again", 1, [1, 2]),
        ("traced to patched", 1, [1, 0]),
    ];
    text += "\nMedian of the rounds' ratios [quartiles]:\n\n";
    for (name, span, ways) in lines {
        let Summary { median, low, high } = ratios(rounds, span, ways);
        text += &format!("  {name:<36} {median:.3} [{low:.3} {high:.3}]\n");
    }
    text + &format!("\nlimit of the first: {LIMIT}\n")
}

#[cfg(test)]
mod tests {
    use super::{Round, ratios, table};

    #[test]
    fn ratios_are_of_one_round_each() {
        let round = |patched, mounts| -> Round {
            [[patched, patched], [mounts, mounts * 4.0], [mounts, mounts]]
        };
        let rounds = [round(1.0, 2.0), round(30.0, 20.0), round(1.0, 1.0)];
        assert_eq!(ratios(&rounds, 0, [0, 1]).median, 1.0);
        assert_eq!(ratios(&rounds, 1, [1, 2]).low, 4.0);
        let text = table(&rounds, 9);
        assert!(text.contains("2          30.00    20.00   20.00"), "{text}");
    }
}
