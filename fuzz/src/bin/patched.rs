//! Damaged patched files: verified, reverted, inspected, patched again.
//!
//! What differs from what procsys wrote must be found; what can be reverted
//! must be the original.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procsys_fuzz::{RULES, edits, warm_up, within_limits};
use procsys_patcher::inspect::inspect;
use procsys_patcher::patch::{Options, transform};
use procsys_patcher::patched::{read, verify::verify};

fuzz_target!(init: warm_up(), |input: &[u8]| {
    let Some(bytes) = edits::apply(input) else { return };
    let original = read::restore(&bytes);
    let is_clean = {
        let mut clean = false;
        within_limits(bytes.len(), || {
            clean = verify(&bytes, None).is_ok_and(|verdict| verdict.findings.is_empty());
        });
        clean
    };
    if is_clean {
        let original = original.expect("a clean file can be reverted");
        assert!(edits::is_base(&bytes), "damage that verify does not see");
        assert!(original.is_some(), "a clean file is patched");
    }
    within_limits(bytes.len(), || drop(inspect(&bytes)));
    within_limits(bytes.len(), || drop(transform(&bytes, &RULES, &Options::default())));
});
