//! Any bytes as a file: patched, verified, reverted; inspected.
//!
//! What can be patched must verify clean and revert to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procsys_fuzz::{RULES, warm_up, within_limits};
use procsys_patcher::inspect::inspect;
use procsys_patcher::patch::{Options, transform};
use procsys_patcher::patched::{read, verify::verify};

fn both_ways(bytes: &[u8]) {
    let mut patched = None;
    within_limits(bytes.len(), || {
        patched = transform(bytes, &RULES, &Options::default()).ok();
    });
    let Some((report, patched)) = patched else { return };
    if report.was_patched {
        return;
    }
    within_limits(patched.len(), || {
        let verdict = verify(&patched, Some(bytes)).expect("it was just patched");
        assert!(verdict.findings.is_empty(), "{}", verdict.findings[0]);
    });
    let original = read::restore(&patched).expect("it was just patched");
    assert!(original.as_deref() == Some(bytes), "reverted to something else");
}

fuzz_target!(init: warm_up(), |bytes: &[u8]| {
    both_ways(bytes);
    within_limits(bytes.len(), || drop(inspect(bytes)));
});
