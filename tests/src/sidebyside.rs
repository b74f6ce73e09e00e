//! A stock runc and its patched copies, one session after the other: each step
//! has to end the same.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::native::{Folder, private_mounts};
use crate::session::{Session, differences};
use crate::{fixture, patch};

/// The oldest and the newest line of runc that is in use.
const VERSIONS: [&str; 2] = ["runc-1.1.5", "runc-current"];

/// The ways of patching: name and arguments.
const WAYS: [(&str, &[&str]); 2] = [("default profile", &[]), ("every call", &["--every-call"])];

/// Runs a session with each stock runc and each of its patched copies, and
/// lays the steps side by side.
///
/// `must_work` tells how steps begin of which at least one has to end with exit
/// code 0 in stock, so that two runcs that fail in the same way for want of
/// something on this machine do not pass for equal.
///
/// # Panics
/// When a step differs, or none of those that must work does.
pub fn same(name: &str, start: &Value, must_work: &[&str], scenario: impl Fn(&mut Session)) {
    private_mounts();
    let folder = Folder::new(&format!("patched-{name}"));
    for version in VERSIONS {
        let stock = fixture(version);
        let session = |program: &Path| {
            let mut session = Session::new(&format!("session-{name}"), program, start);
            scenario(&mut session);
            std::mem::take(&mut session.steps)
        };
        let expected = session(&stock);
        for begin in must_work {
            let steps: Vec<_> = expected.iter().filter(|s| s.name.starts_with(begin)).collect();
            assert!(
                steps.iter().any(|s| s.code == Some(0)),
                "stock {version} cannot {begin} here: {steps:#?}"
            );
        }
        for (way, args) in WAYS {
            let patched = folder.path().join("runc");
            patch(&stock, &patched, args);
            let found = differences(&expected, &session(&patched));
            assert!(found.is_empty(), "{version}, patched ({way}), differs:\n{}", found.join("\n"));
            let codes: BTreeSet<_> = expected.iter().filter_map(|s| s.code).collect();
            println!(
                "{name:<10} {version:<12} {way:<15} {} steps the same (exit codes {codes:?})",
                expected.len()
            );
        }
    }
}
