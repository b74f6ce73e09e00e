//! The shim: the code that procsys-patch injects.
//!
//! Built by build.rs with plain rustc into one position-independent image:
//! header, code and constants, no data, no relocation. `entry.s` is the way in
//! and out and holds the register contract; this file runs on the slot's own
//! stack with signals blocked, and hands over to `procsys-hook`.
//!
//! A call to the panic machinery would not link: see `panic` below.
//!
//! Without the feature `whole` it is the small image, for rules that the small
//! hook is enough for.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::slice;

use procsys_hook::{Call, Kept, Kernel, Notes, Scratch};
use procsys_rules::Table;

#[allow(dead_code)]
mod layout {
    include!("layout.rs");
}
#[cfg(feature = "whole")]
mod before;
#[cfg(feature = "whole")]
mod park;
#[path = "../../hook/raw.rs"]
mod raw;
mod slots;
#[cfg(feature = "whole")]
mod start;

use layout::{
    Descriptor, HEADER_TABLE, HEADER_TABLE_LEN, KEPT, KEPT_AT, LOCKS_SIZE, NOTES_AT, SLOT_SCRATCH,
    SLOT_SIZE, SLOTS,
};
use raw::{Raw, copy};

global_asm!(include_str!("entry.s"), options(att_syntax));
#[cfg(not(feature = "whole"))]
global_asm!(".globl procsys_start", ".set procsys_start, procsys_header");

/// The save area at the start of a slot, as `entry.s` lays it out.
#[repr(C)]
struct Slot {
    lock: usize,
    descriptor: *const Descriptor,
    rax: usize,
    rbx: usize,
    rdx: usize,
    rsi: usize,
    rdi: usize,
    rsp: usize,
    r8: usize,
    r9: usize,
    r10: usize,
    mask: u64,
    next: usize,
    target: usize,
    replaced: Call,
    /// 0, or why the hook is asked again: see `entry.s`.
    stage: u32,
    /// What the slot's lock becomes when the hook is done.
    state: u64,
    /// The save area that the program's registers are given back from.
    goes_on: usize,
    /// How many messages a sendmmsg has sent that is made in steps.
    sent: usize,
}

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Slot, descriptor) == 0x08 && offset_of!(Slot, rax) == 0x10);
    assert!(offset_of!(Slot, r10) == 0x50 && offset_of!(Slot, mask) == 0x58);
    assert!(offset_of!(Slot, next) == 0x60 && offset_of!(Slot, target) == 0x68);
    assert!(offset_of!(Slot, replaced) == 0x70 && offset_of!(Slot, stage) == 0xa8);
    assert!(offset_of!(Slot, state) == 0xb0 && offset_of!(Slot, goes_on) == 0xb8);
    assert!(SLOTS == 64 && SLOT_SIZE == 0x8000 && layout::SLOT_STACK_TOP == 0x4000);
    assert!(LOCKS_SIZE == 0x2000 && SLOTS as usize * 8 <= layout::AREAS_AT);
    assert!(KEPT_AT + KEPT * core::mem::size_of::<Kept>() <= NOTES_AT as usize);
    assert!(NOTES_AT as usize + core::mem::size_of::<Notes>() <= LOCKS_SIZE as usize);
    assert!(Notes::ARMED_AT == layout::NOTES_ARMED as usize);
    assert!(Notes::HAS_TRUSTED_AT == layout::NOTES_TRUSTED as usize);
    assert!(SLOT_SCRATCH as usize + core::mem::size_of::<Scratch>() <= SLOT_SIZE as usize);
};

/// The address of a symbol of `entry.s` or of the linker script, relative to the
/// instruction pointer. An `extern` item would go through a GOT.
macro_rules! address_of {
    ($symbol:literal) => {{
        let address: usize;
        // SAFETY: computes an address and touches nothing.
        unsafe {
            core::arch::asm!(
                concat!("lea {}, [rip + ", $symbol, "]"),
                out(reg) address,
                options(nomem, nostack, preserves_flags, pure)
            );
        }
        address
    }};
}
use address_of;

/// The rule table, where the header says.
fn table() -> Option<Table<'static>> {
    // SAFETY: the patcher writes offset and length of the table that it places
    // in the same read-only segment, and checks them; both are aligned. They are
    // read as volatile because they change after this code is compiled.
    let header = address_of!("procsys_header") as *const u8;
    let bytes = unsafe {
        let offset = header.add(HEADER_TABLE).cast::<u32>().read_volatile();
        let len = header.add(HEADER_TABLE_LEN).cast::<u32>().read_volatile();
        slice::from_raw_parts(header.add(offset as usize), len as usize)
    };
    Table::new(bytes)
}

/// What the hook keeps, behind the locks.
fn kept() -> &'static [Kept] {
    let start = address_of!("procsys_locks") + KEPT_AT;
    // SAFETY: the page of the locks is zeroed memory of the shim's own, which
    // nobody else uses behind the locks; zeros are a valid `Kept`, all of whose
    // fields are atomic; the layout is checked above.
    unsafe { slice::from_raw_parts(start as *const Kept, KEPT) }
}

/// What `entry.s` calls: decides, and says in the slot how to go on.
#[unsafe(no_mangle)]
extern "C" fn procsys_hook(slot: *mut Slot) {
    let base = slot as usize;
    // SAFETY: entry.s hands over a slot that this thread alone holds; the path
    // buffers lie in it, behind the stack, and the layout is checked above.
    let (slot, scratch) =
        unsafe { (&mut *slot, &mut *((base + SLOT_SCRATCH as usize) as *mut Scratch)) };
    slot.next = address_of!("procsys_finish");
    #[cfg(feature = "whole")]
    match slot.stage {
        0 => {}
        // The lock stays as it was: on the way out.
        before::STEP => return before::step_made(slot, scratch),
        _ => return before::failed(slot, scratch),
    }
    scratch.thread = slots::take(base, slot);
    let at = slot.descriptor as usize;
    // SAFETY: r11 held the address of a descriptor that the patcher wrote.
    let descriptor = unsafe { *slot.descriptor };
    slot.target = at.wrapping_add_signed(descriptor.after as isize);
    // The small hook is never asked before a call.
    #[cfg(feature = "whole")]
    if descriptor.kind != layout::KIND_AFTER {
        return before::decide(slot, scratch);
    }
    let call = slot.call(descriptor.nr as usize);
    if let Some(table) = table() {
        let result = slot.rax as isize;
        slot.rax = procsys_hook::after(&Raw, table, scratch, &call, result) as usize;
    }
}

impl Slot {
    /// The program's call, with this number.
    fn call(&self, nr: usize) -> Call {
        Call { nr, args: [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9] }
    }
}

/// All of the program's system calls have detours.
const SEES_WRITES: bool = true;

/// What the process remembers: behind the locks.
fn notes() -> Option<&'static Notes> {
    let at = address_of!("procsys_locks") + NOTES_AT as usize;
    // SAFETY: zeroed memory of the shim's own, aligned, of which nothing else is
    // used (checked above); empty notes are all zero, and all of it is atomic.
    Some(unsafe { &*(at as *const Notes) })
}

unsafe extern "C" {
    /// Not defined anywhere.
    fn procsys_the_hook_must_not_panic() -> !;
}

/// Never linked in: if any code above could panic, the link would fail for want
/// of the function that this calls.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never reached; see above.
    unsafe { procsys_the_hook_must_not_panic() }
}

/// What the compiler calls for copies (C11 7.24.2.1).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: as memcpy's caller promises.
    unsafe { copy(to, from, len) };
    to
}

/// What the compiler calls for fills (C11 7.24.6.1).
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: as memset's caller promises; the direction flag is clear.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") len => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags)
        );
    }
    to
}

/// What the compiler calls for comparisons (C11 7.24.4.1).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    let mut i = 0;
    while i < len {
        // SAFETY: as memcmp's caller promises. Volatile keeps the compiler from
        // turning this loop into a call to memcmp.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        i += 1;
    }
    0
}

/// As memcmp (what rustc calls for equality).
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: as memcmp.
    unsafe { memcmp(a, b, len) }
}
