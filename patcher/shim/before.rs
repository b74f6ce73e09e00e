//! Asked before a call is made: pass it on, or make another in its place.

use procsys_hook::{Before, Scratch};

use crate::layout::DESCRIPTOR;
use crate::{Raw, Slot, address_of, park, table};

/// Decides about a call whose number is in rax.
pub(crate) fn decide(slot: &mut Slot, scratch: &mut Scratch) {
    let at = slot.descriptor as usize;
    // SAFETY: a descriptor of this kind has one more field.
    let distance = unsafe { *((at + DESCRIPTOR) as *const i32) };
    let resume = at.wrapping_add_signed(distance as isize);
    let call = slot.call(slot.rax as u32 as usize);
    let decided = table().map(|table| procsys_hook::before(&Raw, table, scratch, &call));
    match decided {
        Some(Before::Replace(call)) => {
            slot.replaced = call;
            slot.next = address_of!("procsys_replace");
            park::park(slot, scratch);
        }
        // It goes on behind the call, as after any answer.
        Some(Before::Answer(result)) => slot.rax = result as usize,
        Some(Before::Pass) | None => slot.target = resume,
    }
}

/// A replaced call has failed: its answer is looked at like any other.
pub(crate) fn failed(slot: &mut Slot, scratch: &mut Scratch) {
    let Some(table) = table() else { return };
    let (call, result) = (slot.replaced, slot.rax as isize);
    slot.rax = procsys_hook::after(&Raw, table, scratch, &call, result) as usize;
}
