//! The table that the corpus prints, and `docs/corpus.md`.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Row;

/// The cells of a row: file, package, size, kind, Go, sites, detoured, signal
/// returns, not instructions, verify, revert, commands.
fn cells(row: &Row) -> [String; 11] {
    let mut parts = row.name.splitn(3, '/');
    let origin = [parts.next(), parts.next()].map(Option::unwrap_or_default).join("/");
    let file = row.name.rsplit('/').next().unwrap_or_default().to_owned();
    let origin = format!("{origin} {}", row.version);
    let size = format!("{:.1}", row.size as f64 / 1e6);
    if row.refused.is_some() {
        let none = String::new;
        let refused = "refused".to_owned();
        return [
            file,
            origin,
            size,
            refused,
            none(),
            none(),
            none(),
            none(),
            none(),
            none(),
            none(),
        ];
    }
    let number = |key: &str| row.report[key].as_u64().map_or("?".into(), |n| n.to_string());
    let word =
        |key: &str| row.report[key].as_str().unwrap_or("").trim_start_matches("go").to_owned();
    let fine = if row.wrong.is_empty() { "clean, same" } else { "WRONG" };
    let commands = format!("{} × 2", row.commands);
    [
        file,
        origin,
        size,
        word("kind"),
        word("go"),
        number("sites"),
        number("detoured"),
        number("signal_returns"),
        number("not_instructions"),
        fine.to_owned(),
        if row.wrong.is_empty() { commands } else { "WRONG".into() },
    ]
}

/// A row in one line.
pub fn text(row: &Row) -> String {
    let mut line = cells(row).join(" | ");
    if let Some(why) = &row.refused {
        write!(line, "{why}").expect("strings grow");
    }
    for wrong in &row.wrong {
        write!(line, "\n  {wrong}").expect("strings grow");
    }
    line
}

/// How many there are of everything.
pub fn summary(rows: &[Row]) -> String {
    let sum = |key: &str| rows.iter().filter_map(|r| r.report[key].as_u64()).sum::<u64>();
    let versions: BTreeSet<_> = rows.iter().filter_map(|r| r.report["go"].as_str()).collect();
    let releases: BTreeSet<_> =
        versions.iter().map(|v| v.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")).collect();
    let releases: Vec<_> = releases.into_iter().collect();
    format!(
        "{} files, {:.0} MB, {} refused; {} sites, {} detoured, {} returns from signal handlers, \
         {} byte pairs that are no instructions; {} commands, each in two ways of patching; {}",
        rows.len(),
        rows.iter().map(|r| r.size).sum::<u64>() as f64 / 1e6,
        rows.iter().filter(|r| r.refused.is_some()).count(),
        sum("sites"),
        sum("detoured"),
        sum("signal_returns"),
        sum("not_instructions"),
        rows.iter().map(|r| r.commands).sum::<usize>(),
        releases.join(", "),
    )
}

/// The page `docs/corpus.md`.
pub fn page(rows: &[Row]) -> String {
    let mut page = format!(
        "# On what else has it been tried?\n\n\
         Written by `make corpus`: static programs from Debian's packages (suite/package version) and \
         small ones built by several compilers (made/compiler version). Each is patched with the default \
         profile and again with `--every-call`; verify must be clean, revert must give the same bytes, and \
         every command of `tests/corpus/smoke.txt` for it the same output, errors and exit code as \
         unpatched. `make corpus-bounded`, a part of `make test`, does the same with some thirty of them.\n\n\
         {}.\n\n\
         | file | from | MB | kind | Go | sites | detoured | signal returns | not instructions | verify, revert | commands |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
        summary(rows)
    );
    for row in rows {
        writeln!(page, "| {} |", cells(row).join(" | ")).expect("strings grow");
    }
    page.push_str("\n## Refused\n\n");
    if rows.iter().all(|row| row.refused.is_none()) {
        page.push_str("None.\n");
    }
    for row in rows {
        if let Some(why) = &row.refused {
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            writeln!(page, "- {}: `{why}`", row.name).expect("strings grow");
        }
    }
    page
}
