//! The rows as a table and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

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
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Bytes => "bytes",
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

/// For people.
pub(crate) fn table(rows: &[Row], peers: &[Compared], compared: &[Compared]) -> String {
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
    text.push_str("\nFor comparison, other libraries under LD_PRELOAD, to stock:\n\n");
    for Compared { program, what, ratio } in peers {
        let _ = writeln!(text, "      {}  {program}: {what}", show(*ratio));
    }
    text.push_str(
        "\nFor comparison, a ptrace interceptor that stops at every system call, to stock:\n\n",
    );
    for Compared { program, what, ratio } in compared {
        let _ = writeln!(
            text,
            "      {:6.1} [{:.1} {:.1}]  {program}: {what}",
            ratio.median, ratio.low, ratio.high
        );
    }
    let over = rows.iter().filter(|row| !row.within()).count();
    let _ = writeln!(text, "\n{} rows, {over} over their limit", rows.len());
    text
}

fn show(summary: Summary) -> String {
    format!("{:.3} [{:.3} {:.3}]", summary.median, summary.low, summary.high)
}

/// For programs.
pub(crate) fn json(rows: &[Row], peers: &[Compared], compared: &[Compared]) -> Value {
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
        "within": rows.iter().all(Row::within),
    })
}

#[cfg(test)]
mod tests {
    use super::{Row, json, table};

    #[test]
    fn a_row_over_its_limit_says_so() {
        let rows = [Row::plain("p", "fits", 64, 64, 1.0), Row::plain("p", "does not", 65, 64, 1.0)];
        let text = table(&rows, &[], &[]);
        assert!(text.contains("ok    1.000"), "{text}");
        assert!(text.contains("over  1.016"), "{text}");
        assert!(text.ends_with("2 rows, 1 over their limit\n"), "{text}");
        let value = json(&rows, &[], &[]);
        assert_eq!(value["rows"][1]["verdict"], "over");
        assert_eq!(value["within"], false);
    }
}
