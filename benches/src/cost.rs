//! What patching itself takes, against `cp` of the same file: time, peak memory
//! and growth. Other tools that rewrite executables take part in the same rounds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::args::Args;
use crate::plan::progress;
use crate::programs::Programs;
use crate::report::{Row, Unit};
use crate::rounds::Ratios;
use crate::spawn::timed;
use crate::stats::{Summary, summarise};

const PAGE: u64 = 4096;
/// Growth may be this much beyond the alignment to a page.
const GROWTH: u64 = 48 * 1024;
/// Wall time may be this many times that of `cp`, peak memory that of the file.
const WALL: f64 = 3.0;
const MEMORY: f64 = 2.0;

/// What one tool took for one file.
pub(crate) struct Cost {
    /// The file.
    pub(crate) file: &'static str,
    /// The tool, with what it was told to do.
    pub(crate) tool: &'static str,
    /// Wall time, to that of `cp`.
    pub(crate) wall: Summary,
    /// Processor time, to that of `cp`.
    pub(crate) cpu: Summary,
    /// Peak memory in bytes.
    pub(crate) peak: u64,
    /// Bytes that the file has more.
    pub(crate) growth: i64,
    /// Length of the file in bytes.
    pub(crate) size: u64,
    /// Whether `FILE --version` says the same as the input's, or how it ends.
    pub(crate) runs: String,
}

/// A way to make `output` of `input`.
struct Tool {
    name: &'static str,
    command: fn(&Programs, &Path, &Path) -> Command,
    figures: Vec<Figures>,
    /// The first line that it printed when it refused the file.
    refused: Option<String>,
}

/// What one turn took.
#[derive(Clone, Copy)]
struct Figures {
    wall: f64,
    cpu: f64,
    peak: u64,
}

const CP: &str = "cp";
const AGAIN: &str = "cp, again";
const PATCHER: &str = "procsys-patch (profile gvisor)";
/// Adds as much as the patcher does, at the end, as a loaded segment.
const LIEF: &str = "
import lief, sys
elf = lief.ELF.parse(sys.argv[1])
segment = lief.ELF.Segment()
segment.type = lief.ELF.Segment.TYPE.LOAD
segment.flags = lief.ELF.Segment.FLAGS.R | lief.ELF.Segment.FLAGS.X
segment.content = [0x90] * 40000
elf.add(segment)
elf.write(sys.argv[2])
";

fn tools() -> Vec<Tool> {
    let tool = |name, command| Tool { name, command, figures: Vec::new(), refused: None };
    let cp: fn(&Programs, &Path, &Path) -> Command = |_, input, output| {
        let mut command = Command::new("cp");
        command.arg(input).arg(output);
        command
    };
    vec![
        tool(CP, cp),
        tool(PATCHER, |programs, input, output| {
            let mut command = Command::new(&programs.patcher);
            command.arg(input).arg("-o").arg(output);
            command
        }),
        tool("objcopy --add-section", |programs, input, output| {
            let mut command = Command::new("objcopy");
            let contents = programs.folder.join("section").display().to_string();
            command.arg(format!("--add-section=.added={contents}")).arg(input).arg(output);
            command
        }),
        tool("patchelf --set-rpath", |_, input, output| {
            let mut command = Command::new("patchelf");
            command.args(["--set-rpath", "/opt/procsys", "--output"]).arg(output).arg(input);
            command
        }),
        tool("LIEF, one more segment", |programs, input, output| {
            let mut command = Command::new("python3");
            command.env("PYTHONPATH", &programs.lief);
            command.args(["-c", LIEF]).arg(input).arg(output);
            command
        }),
        tool(AGAIN, cp),
    ]
}

/// All tools on all files.
pub(crate) fn costs(programs: &Programs, args: &Args) -> Result<Vec<Cost>> {
    fs::write(programs.folder.join("section"), [0x90; 40_000])?;
    let mut all = Vec::new();
    for (name, input, rounds) in
        [("runc", &programs.runc.stock, 21), ("kubelet", &programs.kubelet, 7)]
    {
        all.extend(of_file(programs, name, input, args.rounds.min(rounds))?);
    }
    Ok(all)
}

fn of_file(
    programs: &Programs,
    file: &'static str,
    input: &Path,
    rounds: usize,
) -> Result<Vec<Cost>> {
    let mut tools = tools();
    let output = |tool: usize| programs.folder.join(format!("cost-{tool}"));
    for round in 0..=rounds {
        progress(file, &format!("patching it, round {round} of {rounds}"));
        for turn in 0..tools.len() {
            // The order goes round, so that no one always follows the same other.
            let index = (turn + round) % tools.len();
            let tool = &mut tools[index];
            let output = output(index);
            let _ = fs::remove_file(&output);
            let mut command = (tool.command)(programs, input, &output);
            command.stderr(Stdio::null());
            if tool.refused.is_some() {
                continue;
            }
            match timed(&mut command) {
                // The first round brings files into the page cache.
                Ok(_) if round == 0 => {}
                Ok(usage) => tool.figures.push(Figures {
                    wall: usage.wall.as_secs_f64() * 1e6,
                    cpu: usage.cpu.as_secs_f64() * 1e6,
                    peak: usage.peak,
                }),
                Err(_) if round == 0 => tool.refused = Some(refusal(&mut command)?),
                Err(error) => return Err(error),
            }
        }
    }
    let base = tools[0].figures.clone();
    let size = fs::metadata(input)?.len();
    let mut all = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let output = output(index);
        all.push(cost(tool, &base, (file, input, size), &output)?);
        let _ = fs::remove_file(&output);
    }
    Ok(all)
}

/// What a tool says that does not take the file.
fn refusal(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::piped()).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    Ok(text.lines().last().unwrap_or("fails without a word").trim().to_owned())
}

fn cost(
    tool: &Tool,
    base: &[Figures],
    (file, input, size): (&'static str, &Path, u64),
    output: &Path,
) -> Result<Cost> {
    let ratios = |of: fn(&Figures) -> f64| {
        let pairs = tool.figures.iter().zip(base);
        let all: Vec<f64> = pairs.map(|(own, base)| of(own) / of(base).max(1.0)).collect();
        summarise(if all.is_empty() { vec![0.0] } else { all })
    };
    let (growth, runs) = match &tool.refused {
        Some(why) => (0, format!("no output: {why}")),
        None => (fs::metadata(output)?.len() as i64 - size as i64, runs(input, output)?),
    };
    Ok(Cost {
        file,
        tool: tool.name,
        wall: ratios(|f| f.wall),
        cpu: ratios(|f| f.cpu),
        peak: tool.figures.iter().map(|f| f.peak).max().unwrap_or(0),
        growth,
        size,
        runs,
    })
}

/// Whether the output still does what the input does, when asked for its version.
fn runs(input: &Path, output: &Path) -> Result<String> {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::ExitStatusExt;
    fs::set_permissions(output, fs::Permissions::from_mode(0o755))?;
    let said = |file: &PathBuf| Command::new(file).arg("--version").output();
    let stock = said(&input.to_path_buf()).with_context(|| input.display().to_string())?;
    ensure!(stock.status.success(), "{} --version: {}", input.display(), stock.status);
    Ok(match said(&output.to_path_buf()) {
        Err(error) => format!("does not start: {error}"),
        Ok(own) if own.stdout == stock.stdout && own.status == stock.status => "runs".into(),
        Ok(own) => match own.status.signal() {
            Some(signal) => format!("dies of signal {signal}"),
            None => format!("ends with {}", own.status),
        },
    })
}

/// The rows with limits: the patcher's.
pub(crate) fn rows(costs: &[Cost]) -> Vec<Row> {
    let mut rows = Vec::new();
    for cost in costs.iter().filter(|c| c.tool == PATCHER) {
        let noise = costs.iter().find(|c| c.file == cost.file && c.tool == AGAIN);
        let noise = noise.map_or(cost.wall, |c| c.wall);
        let name = if cost.file == "runc" { "procsys-patch runc" } else { "procsys-patch kubelet" };
        let wall = Ratios { patched: cost.wall, noise, stock: 1.0 };
        rows.push(Row::of(name, "wall, to cp", wall, WALL, Unit::Times));
        rows.push(Row::plain(name, "peak memory, to the file", cost.peak, cost.size, MEMORY));
        let aligned = cost.size.next_multiple_of(PAGE) - cost.size;
        let grown = (cost.growth as u64).saturating_sub(aligned);
        rows.push(Row::plain(name, "growth beyond a page, to 48 KiB", grown, GROWTH, 1.0));
    }
    rows
}
