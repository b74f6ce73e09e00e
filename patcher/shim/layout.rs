// What the shim and the patcher must agree on. Included by both (main.rs
// checks the assembly's own copies of the slot's offsets against these).

/// How many threads can be in the slow path at once; more wait.
pub const SLOTS: u64 = 64;
/// Bytes of a slot: save area, stack, path buffers.
pub const SLOT_SIZE: u64 = 0x8000;
/// Bytes before the slots: their locks, 8 bytes each, what the hook keeps,
/// and its notes.
pub const LOCKS_SIZE: u64 = 0x2000;
/// Offset behind the locks of the word with the address of park.rs's areas.
pub const AREAS_AT: usize = 0x400;
/// Offset behind the locks of what the hook keeps of rules, 24 bytes each.
pub const KEPT_AT: usize = 0x600;
/// Of how many rules something is kept.
pub const KEPT: usize = 104;
/// Bytes of locks and slots. They lie directly below the image, in zeroed memory.
pub const SLOTS_SIZE: u64 = LOCKS_SIZE + SLOTS * SLOT_SIZE;

/// Where the process's notes lie, from the locks' start: behind what is kept.
pub const NOTES_AT: u64 = 0x1000;
/// Which byte of them is not 0 while calls are looked at whose reach says `armed`.
pub const NOTES_ARMED: u64 = 0;
/// Which is not 0 while opens are looked at that may have been trapped.
pub const NOTES_TRUSTED: u64 = 1;

/// Offset of a slot's stack top.
pub const SLOT_STACK_TOP: u64 = 0x4000;
/// Offset of a slot's path buffers.
pub const SLOT_SCRATCH: u64 = 0x4000;

/// The first bytes of the image.
pub const IMAGE_MAGIC: &[u8; 8] = b"procsysX";
/// Header field: offset in the image of the slow path's entry, u32.
pub const HEADER_SLOW: usize = 8;
/// Header field: offset in the image of the code that a forked child runs, u32.
pub const HEADER_FORKED: usize = 12;
/// Header field: offset of the rule table from the image's start, u32; written
/// by the patcher.
pub const HEADER_TABLE: usize = 16;
/// Header field: length of the rule table in bytes, u32; written by the patcher.
pub const HEADER_TABLE_LEN: usize = 20;

/// Header field: offset in the image of the code that runs before the program's
/// first instruction, u32.
pub const HEADER_START: usize = 24;
/// Header field: distance from the image's start to the program's entry point,
/// i32; written by the patcher where the entry point leads to the shim.
pub const HEADER_ENTRY: usize = 28;
/// Header field: the address of a function that completes the environment of an
/// execve, or 0, u64; written where a program is patched in memory.
pub const HEADER_EXEC: usize = 32;

/// Descriptor kind: the kernel has answered; `nr` is the descriptor's.
pub const KIND_AFTER: u16 = 0;
/// Descriptor kind: the kernel has not been asked; the number is in rax.
pub const KIND_BEFORE: u16 = 1;

/// What a trampoline hands to the slow path, in r11. Code addresses are
/// relative to the descriptor's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Descriptor {
    /// Where to go on when the call has been answered.
    pub after: i32,
    /// The call's number (`KIND_AFTER`).
    pub nr: u16,
    /// `KIND_AFTER` or `KIND_BEFORE`.
    pub kind: u16,
}

/// Length of a descriptor in bytes. With `KIND_BEFORE` an i32 follows it: where
/// to go on when the call is to be made as it stands.
pub const DESCRIPTOR: usize = 8;
