//! Any text as a file of rules: parsed, compiled, read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procsys_fuzz::{warm_up, within_limits};
use procsys_rules::{Table, compile, text};

fuzz_target!(init: warm_up(), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    within_limits(bytes.len(), || match text::parse("x", text) {
        // An error is one line that names the file.
        Err(error) => {
            let error = error.to_string();
            assert!(!error.contains('\n') && error.starts_with("x"), "{error}");
        }
        Ok((_, rules)) => {
            let Ok(compiled) = compile::compile(&rules) else { return };
            let table = Table::new(&compiled).expect("what was compiled can be read");
            assert_eq!(table.rules().count(), rules.len());
            assert!(table.reached().count() <= compiled.len());
        }
    });
});
