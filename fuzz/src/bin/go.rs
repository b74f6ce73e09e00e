//! Any bytes as what Go leaves in a file: function table, build information.
#![no_main]

use libfuzzer_sys::fuzz_target;
use procsys_fuzz::{is_one_of_many, warm_up, within_limits};
use procsys_patcher::elf::Image;
use procsys_patcher::go::{Functab, buildinfo};
use procsys_patcher::inspect::inspect;

/// Where the code and the data of the file around the input are.
const CODE: u64 = 0x40_1000;
const CODE_LEN: usize = 256;
const DATA: u64 = 0x50_0000;
const HEADERS: usize = 64 + 2 * 56;

/// A file without sections: 256 bytes of code, and the input as data.
fn around(data: &[u8]) -> Vec<u8> {
    let mut file = vec![0u8; HEADERS + CODE_LEN];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &[2, 0, 62, 0, 1]);
    put(24, &CODE.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 2, 0, 64, 0]);
    let segments = [(5u32, HEADERS, CODE, CODE_LEN), (4, HEADERS + CODE_LEN, DATA, data.len())];
    for (i, (flags, offset, address, len)) in segments.into_iter().enumerate() {
        let at = 64 + 56 * i;
        put(at, &1u32.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        for (field, value) in
            [(8, offset as u64), (16, address), (32, len as u64), (40, len as u64), (48, 16)]
        {
            put(at + field, &value.to_le_bytes());
        }
    }
    // mov $39, %eax; syscall; then nops to the end.
    file[HEADERS..].fill(0x90);
    file[HEADERS..HEADERS + 7].copy_from_slice(&[0xb8, 39, 0, 0, 0, 0x0f, 0x05]);
    file.extend_from_slice(data);
    file
}

fuzz_target!(init: warm_up(), |data: &[u8]| {
    let bytes = around(data);
    within_limits(bytes.len(), || {
        let Ok(image) = Image::parse(&bytes) else { return };
        drop(buildinfo::version(&image));
        let Some(table) = Functab::find(&image) else { return };
        let (first, end) = table.range();
        for address in [0, CODE - 1, CODE, CODE + 5, CODE + 255, first, end, u64::MAX] {
            if let Some((start, stop, _)) = table.lookup(address) {
                assert!(start <= address && address < stop, "{start:#x} {address:#x} {stop:#x}");
            }
        }
    });
    // All stages.
    if is_one_of_many(data) {
        within_limits(bytes.len(), || drop(inspect(&bytes)));
    }
});
