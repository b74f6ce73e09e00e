//! The rows as a table and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cost::Cost;
use crate::rounds::Ratios;
use crate::stats::Summary;

/// What the stock figure of a row is counted in.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// One call.
    Nanoseconds,
    /// One run.
    Microseconds,
    /// A size.
    Bytes,
    /// The measure is the ratio itself.
    Times,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Bytes => "bytes",
            Self::Times => "cp",
        }
    }
}

/// One comparison with a limit.
pub(crate) struct Row {
    program: &'static str,
    what: &'static str,
    ratio: Summary,
    /// There is none for sizes, which do not vary.
    noise: Option<Summary>,
    base: f64,
    unit: Unit,
    limit: f64,
}

impl Row {
    /// A row of measured ratios.
    pub(crate) fn of(
        program: &'static str,
        what: &'static str,
        ratios: Ratios,
        limit: f64,
        unit: Unit,
    ) -> Self {
        let Ratios { patched, noise, stock } = ratios;
        Self { program, what, ratio: patched, noise: Some(noise), base: stock, unit, limit }
    }

    /// A row of two sizes.
    pub(crate) fn plain(
        program: &'static str,
        what: &'static str,
        size: u64,
        base: u64,
        limit: f64,
    ) -> Self {
        let median = size as f64 / base as f64;
        let ratio = Summary { median, low: median, high: median };
        Self { program, what, ratio, noise: None, base: base as f64, unit: Unit::Bytes, limit }
    }

    /// A row of what was added, as parts of the most that may be (in microseconds).
    pub(crate) fn added(
        program: &'static str,
        what: &'static str,
        ratio: Summary,
        most: f64,
    ) -> Self {
        Self { program, what, ratio, noise: None, base: most, unit: Unit::Microseconds, limit: 1.0 }
    }

    /// Whether the row keeps its limit.
    pub(crate) fn within(&self) -> bool {
        self.ratio.median <= self.limit
    }

    fn verdict(&self) -> &'static str {
        if self.within() { "ok" } else { "over" }
    }
}

/// A ratio without a limit, for comparison.
pub(crate) struct Compared {
    /// The program.
    pub(crate) program: &'static str,
    /// What it did.
    pub(crate) what: &'static str,
    /// Intercepted to free.
    pub(crate) ratio: Summary,
}

/// All that was measured.
#[derive(Default)]
pub(crate) struct Measured {
    /// What has limits.
    pub(crate) rows: Vec<Row>,
    /// Other preloaded libraries.
    pub(crate) peers: Vec<Compared>,
    /// The interceptor.
    pub(crate) compared: Vec<Compared>,
    /// Tools that rewrite executables, ours among them.
    pub(crate) costs: Vec<Cost>,
}

/// For people.
pub(crate) fn table(measured: &Measured) -> String {
    let Measured { rows, peers, compared, costs } = measured;
    let mut text = String::from(
        "Patched to stock: median of the rounds' ratios [quartiles], and the noise floor,\n\
         which is another copy of stock to stock.\n\n",
    );
    for row in rows {
        let Row { program, what, ratio, noise, base, unit, limit } = row;
        let noise = noise.map_or_else(|| "-".to_owned(), show);
        let _ = writeln!(
            text,
            "{:<5} {} (limit {limit})  noise {noise}  {program}: {what} ({base:.0} {})",
            row.verdict(),
            show(*ratio),
            unit.name(),
        );
    }
    if !peers.is_empty() {
        text.push_str("\nFor comparison, other libraries under LD_PRELOAD, to stock:\n\n");
    }
    for Compared { program, what, ratio } in peers {
        let _ = writeln!(text, "      {}  {program}: {what}", show(*ratio));
    }
    if !compared.is_empty() {
        text.push_str(
            "\nFor comparison, a ptrace interceptor that stops at every system call, to stock:\n\n",
        );
    }
    for Compared { program, what, ratio } in compared {
        let _ = writeln!(
            text,
            "      {:6.1} [{:.1} {:.1}]  {program}: {what}",
            ratio.median, ratio.low, ratio.high
        );
    }
    text.push_str(&against_others(costs));
    let over = rows.iter().filter(|row| !row.within()).count();
    let _ = writeln!(text, "\n{} rows, {over} over their limit", rows.len());
    text
}

/// The patcher beside other tools that rewrite executables.
fn against_others(costs: &[Cost]) -> String {
    let mut text = String::from(
        "\nRewriting a file, to cp in the same rounds: wall and processor time [quartiles], peak\n\
         memory to the file, growth in bytes, and whether the output's --version is the input's:\n\n",
    );
    for Cost { file, tool, wall, cpu, peak, growth, size, runs } in costs {
        let memory = *peak as f64 / *size as f64;
        let _ = writeln!(
            text,
            "      {file:<8} {tool:<31} {:6.2} [{:.2} {:.2}]  cpu {:6.2}  memory {memory:5.2}  {growth:+8}  {runs}",
            wall.median, wall.low, wall.high, cpu.median,
        );
    }
    text
}

fn show(summary: Summary) -> String {
    format!("{:.3} [{:.3} {:.3}]", summary.median, summary.low, summary.high)
}

/// For programs.
pub(crate) fn json(measured: &Measured) -> Value {
    let Measured { rows, peers, compared, costs } = measured;
    let summary = |s: &Summary| json!({"median": s.median, "low": s.low, "high": s.high});
    let list = |all: &[Compared]| {
        let one = |c: &Compared| json!({"program": c.program, "what": c.what, "ratio": summary(&c.ratio)});
        all.iter().map(one).collect::<Vec<_>>()
    };
    json!({
        "rows": rows.iter().map(|row| json!({
            "program": row.program,
            "what": row.what,
            "ratio": summary(&row.ratio),
            "noise": row.noise.as_ref().map(summary),
            "base": row.base,
            "unit": row.unit.name(),
            "limit": row.limit,
            "verdict": row.verdict(),
        })).collect::<Vec<_>>(),
        "preload": list(peers),
        "ptrace": list(compared),
        "costs": costs.iter().map(|c| json!({
            "file": c.file, "tool": c.tool, "wall": summary(&c.wall), "cpu": summary(&c.cpu),
            "peak_bytes": c.peak, "file_bytes": c.size, "growth_bytes": c.growth, "runs": c.runs,
        })).collect::<Vec<_>>(),
        "within": rows.iter().all(Row::within),
    })
}

#[cfg(test)]
mod tests {
    use super::{Measured, Row, json, table};

    #[test]
    fn a_row_over_its_limit_says_so() {
        let rows = [Row::plain("p", "fits", 64, 64, 1.0), Row::plain("p", "does not", 65, 64, 1.0)];
        let measured = Measured { rows: rows.into(), ..Measured::default() };
        let text = table(&measured);
        assert!(text.contains("ok    1.000"), "{text}");
        assert!(text.contains("over  1.016"), "{text}");
        assert!(text.ends_with("2 rows, 1 over their limit\n"), "{text}");
        let value = json(&measured);
        assert_eq!(value["rows"][1]["verdict"], "over");
        assert_eq!(value["within"], false);
    }
}
