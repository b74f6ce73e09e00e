//! What is noted before the program's first instruction.

use core::arch::global_asm;

use procsys_hook::Scratch;

use crate::layout::{HEADER_ENTRY, SLOT_SCRATCH};
use crate::raw::Raw;
use crate::{address_of, table};

global_asm!(include_str!("start.s"), options(att_syntax));

const _: () = assert!(HEADER_ENTRY == 28);

/// What `start.s` calls: there is one thread, and no slot is in use.
#[unsafe(no_mangle)]
extern "C" fn procsys_started() {
    let buffers = address_of!("procsys_slots") + SLOT_SCRATCH as usize;
    // SAFETY: the first slot's buffers, which nobody else uses yet.
    let scratch = unsafe { &mut *(buffers as *mut Scratch) };
    if let Some(table) = table() {
        procsys_hook::start(&Raw, table, scratch);
    }
}
