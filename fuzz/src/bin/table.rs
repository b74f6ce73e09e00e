//! Any bytes as a compiled table of rules: what the hook reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procsys_fuzz::{is_one_of_many, warm_up, within_limits};
use procsys_patcher::patched::verify::rule_names;
use procsys_rules::Table;

fuzz_target!(init: warm_up(), |bytes: &[u8]| {
    within_limits(bytes.len(), || {
        let Some(table) = Table::new(bytes) else { return };
        let mut sum = 0;
        // Asks every rule about every call.
        if is_one_of_many(bytes) {
            sum += table.reached().count();
        }
        for rule in table.rules() {
            let texts = [rule.path(), rule.value(), rule.name()];
            sum += texts.iter().map(|t| t.len()).sum::<usize>();
            sum += rule.when().chain(rule.changes()).map(|c| c.text.len()).sum::<usize>();
            let _ = (rule.kind(), rule.call(), rule.mode(), rule.file(), rule.probe());
            let _ = (rule.number(), rule.accepts_writes(), rule.acts_on(2), rule.may_end_in(7));
        }
        drop((sum, rule_names(bytes)));
    });
});
