//! Any bytes as a file: every reader alone, without the stages behind it, which
//! makes it some ten times as fast as the target `file`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procsys_fuzz::{warm_up, within_limits};
use procsys_patcher::elf::{Image, unwind};
use procsys_patcher::go::{Functab, buildinfo};
use procsys_patcher::patched::{Patched, locator, read};
use procsys_patcher::scan::Functions;

fuzz_target!(init: warm_up(), |bytes: &[u8]| {
    within_limits(bytes.len(), || {
        drop(read::note_text(bytes));
        if let Ok(Some(patched)) = Patched::read(bytes) {
            drop(patched.undone());
        }
        assert!(locator::repaired(bytes).is_none_or(|whole| whole.len() == bytes.len()));
        let Ok(image) = Image::parse(bytes) else { return };
        drop((buildinfo::version(&image), Functab::find(&image).map(|t| t.range())));
        for (start, end) in unwind::ranges(&image) {
            assert!(start < end && image.is_code(start));
        }
        if let Some(search) = unwind::Search::read(&image) {
            assert!(search.entries().count() <= bytes.len() / 8);
        }
        let functions = Functions::new(&image);
        for (start, code) in image.code() {
            for address in [start, start + code.len() as u64 / 2, start + code.len() as u64] {
                let (low, high) = functions.gap(address);
                match functions.lookup(address) {
                    Some(f) => assert!(f.start <= address && address < f.end),
                    None => assert!(low <= address && address < high, "{low:#x} {address:#x}"),
                }
            }
        }
    });
});
