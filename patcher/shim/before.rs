//! Asked before a call is made: pass it on, or make another in its place.

use procsys_hook::{Before, Call, SENDMMSG, Scratch};

use crate::layout::{DESCRIPTOR, HEADER_EXEC};
use crate::{Raw, Slot, address_of, park, table};

/// The stage of a call that is made in steps.
pub(crate) const STEP: u32 = 2;

/// Decides about a call whose number is in rax.
pub(crate) fn decide(slot: &mut Slot, scratch: &mut Scratch) {
    let at = slot.descriptor as usize;
    // SAFETY: a descriptor of this kind has one more field.
    let distance = unsafe { *((at + DESCRIPTOR) as *const i32) };
    let resume = at.wrapping_add_signed(distance as isize);
    let mut call = slot.call(slot.rax as u32 as usize);
    let is_completed = complete(&mut call, scratch);
    let decided = table().map(|table| procsys_hook::before(&Raw, table, scratch, &call));
    let replaced = match decided {
        // It goes on behind the call, as after any answer.
        Some(Before::Answer(result)) => {
            slot.rax = result as usize;
            return;
        }
        Some(Before::Replace(call)) => Some(call),
        Some(Before::Pass) | None => is_completed.then_some(call),
    };
    match replaced {
        Some(call) => {
            slot.replaced = call;
            slot.next = address_of!("procsys_replace");
            if call.nr == SENDMMSG {
                (slot.stage, slot.sent) = (STEP, 0);
            }
            park::park(slot, scratch);
        }
        None => slot.target = resume,
    }
}

/// Lets door 1 complete the environment of an execve, in a buffer that is parked
/// with the call; says whether it did.
fn complete(call: &mut Call, scratch: &mut Scratch) -> bool {
    const EXECVE: usize = 59;
    const EXECVEAT: usize = 322;
    if !matches!(call.nr, EXECVE | EXECVEAT) {
        return false;
    }
    let header = address_of!("procsys_header") as *const u8;
    // SAFETY: the field is aligned, and written before the program runs; read as
    // volatile because that is after this code is compiled.
    let function = unsafe { header.add(HEADER_EXEC).cast::<usize>().read_volatile() };
    if function == 0 {
        return false;
    }
    // A redirect of the path is put into the first buffer.
    let [_, room] = &mut scratch.out;
    // SAFETY: whoever wrote the field wrote the address of such a function.
    unsafe {
        let complete: extern "C" fn(*mut Call, *mut u8, usize) -> bool =
            core::mem::transmute(function);
        complete(call, room.as_mut_ptr(), room.len())
    }
}

/// A replaced call has failed: its answer is looked at like any other.
pub(crate) fn failed(slot: &mut Slot, scratch: &mut Scratch) {
    let Some(table) = table() else { return };
    let (call, result) = (slot.replaced, slot.rax as isize);
    slot.rax = procsys_hook::after(&Raw, table, scratch, &call, result) as usize;
}

/// A step of the call has been made: makes the next one, or gives the answer. Save area
/// and buffers are the parked ones.
pub(crate) fn step_made(slot: &mut Slot, scratch: &mut Scratch) {
    let Some(table) = table() else { return };
    let (step, result) = (slot.replaced, slot.rax as isize);
    let call = slot.call(step.nr);
    let sent = &mut slot.sent;
    match procsys_hook::goes_on(&Raw, table, scratch, &call, (&step, result), sent) {
        Before::Replace(next) => {
            slot.replaced = next;
            slot.next = address_of!("procsys_replace");
        }
        Before::Answer(answer) => {
            slot.rax = procsys_hook::after(&Raw, table, scratch, &call, answer) as usize;
        }
        Before::Pass => {}
    }
}
