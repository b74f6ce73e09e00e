//! Attacks on runc's check of procfs: containers whose file system an attacker
//! prepared, run by stock runc, by runc with profile `sysbox`, and by stock runc
//! without RESOLVE_NO_XDEV; and the page that keeps what became of them.

use std::fmt::Write;

use crate::sysbox::SystemContainer;
use crate::{Outcome, fixture, patch, root};

/// One attack: what is mounted where, in words; the shell that prepares it (as in
/// [`SystemContainer::container`]); and what a mere "drop RESOLVE_NO_XDEV" does:
/// whether it starts the container.
#[derive(Debug)]
pub struct Attack(pub &'static str, pub &'static str, pub bool);

/// The head of the table of [`try_all`]'s lines.
pub const TABLE: &str =
    "| | attack | stock | profile `sysbox` | no NO_XDEV |\n|---|---|---|---|---|\n";

/// Tries each attack in the three ways, `setup` (shell) before each; the table's lines.
///
/// # Panics
/// When stock runc does not refuse one, the patched one does not refuse it for the
/// same reason, or too few show anything.
pub fn try_all(container: &SystemContainer, setup: &str, attacks: &[Attack]) -> String {
    let stock = fixture("runc-current");
    let patched = container.path().join("patched");
    patch(&stock, &patched, &["--profile", "sysbox"]);
    let trap = container.build("trap");
    let mut lines = String::new();
    let mut through = 0;
    for (number, Attack(name, prepare, naive_starts)) in attacks.iter().enumerate() {
        let place = container.container(&format!("{setup}; {prepare}"), false);
        let [stock, patched, naive] =
            [(&stock, &[][..]), (&patched, &[]), (&stock, &[trap.as_path()])]
                .map(|(runc, before)| container.run(runc, before, &place));
        assert!(!stock.success(), "{name}: stock must refuse\n{stock}");
        assert_eq!(word(&patched), word(&stock), "{name}: patched must refuse the same\n{patched}");
        assert_eq!(naive.success(), *naive_starts, "{name}: without NO_XDEV\n{naive}");
        through += usize::from(naive.success());
        let line = [word(&stock), word(&patched), word(&naive)].join(" | ");
        println!("{:>2} {name}: {line}", number + 1);
        writeln!(lines, "| {} | {name} | {line} |", number + 1).expect("a string takes all");
    }
    assert!(through * 5 >= attacks.len() * 2, "{through} of {} show nothing", attacks.len());
    lines
}

/// What runc said, in a word or two.
fn word(outcome: &Outcome) -> &'static str {
    const KNOWN: [(&str, &str); 7] = [
        ("invalid argument", "opened, written to, which fails"),
        ("invalid cross-device link", "refused: EXDEV"),
        ("incorrect procfs root filesystem type", "refused: no procfs"),
        ("incorrect procfs root inode number", "refused: not its root"),
        ("too many levels of symbolic links", "refused: symlink"),
        ("no such file or directory", "refused: no such file"),
        ("permission denied", "refused: not writable"),
    ];
    if outcome.success() {
        return "**starts**";
    }
    assert_eq!(outcome.code, Some(1), "runc itself must say why\n{outcome}");
    assert!(!outcome.stdout.contains("it runs"), "it ran and failed\n{outcome}");
    let known = KNOWN.iter().find(|(text, _)| outcome.stderr.contains(text));
    known.unwrap_or_else(|| panic!("an unknown failure\n{outcome}")).1
}

/// Compares what was measured with the page at `path` of the checkout, or writes it
/// there with UPDATE_MATRIX=1.
///
/// # Panics
/// When they differ, or the page can't be written.
pub fn compare(path: &str, page: &str) {
    let path = root().join(path);
    if std::env::var_os("UPDATE_MATRIX").is_some_and(|v| v == "1") {
        std::fs::write(&path, page).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, page, "{} is not what was measured", path.display());
}
