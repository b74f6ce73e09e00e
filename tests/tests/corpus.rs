//! Static programs of Debian's packages and of several compilers: every site
//! detoured or a refusal by name, verify clean, revert byte for byte, and each
//! program's own commands as unpatched. `make corpus` takes all of them and
//! writes docs/corpus.md; `make corpus-bounded` takes those that are quick to fetch.

use std::fs;
use std::path::Path;

use procsys_tests::corpus::{Smoke, check_all, page, programs, summary};
use procsys_tests::{fixture, root};

#[test]
fn static_programs_are_patched_verified_reverted_and_run() {
    let is_full = std::env::var_os("PROCSYS_CORPUS").is_some_and(|v| v == "full");
    let mut all = programs(&fs::canonicalize(fixture("corpus")).expect("it is there"));
    let mut guests = Path::new("/nowhere").to_path_buf();
    if is_full {
        let full = fs::canonicalize(fixture("corpus-full")).expect("it is there");
        guests = full.join("guests");
        all.extend(programs(&full));
    }
    let rows = check_all(&all, &Smoke::read(guests));
    println!("{}", summary(&rows));
    let wrong: Vec<_> = rows.iter().filter(|r| !r.wrong.is_empty()).collect();
    for row in &wrong {
        println!("WRONG {}\n  {}", row.name, row.wrong.join("\n  "));
    }
    assert!(wrong.is_empty(), "{} of {} are wrong", wrong.len(), rows.len());
    assert!(rows.len() >= 25, "only {} programs", rows.len());
    if is_full {
        let bytes: u64 = rows.iter().map(|r| r.size).sum();
        assert!(bytes > 1_000_000_000, "only {bytes} bytes");
        fs::write(root().join("docs/corpus.md"), page(&rows)).expect("the checkout is writable");
    }
}
