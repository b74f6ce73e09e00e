//! The `struct open_how` that openat2(2) is given.

use crate::Call;
use crate::kernel::{Kernel, nr};
use crate::memory;

/// A `struct open_how`: flags, mode, resolve.
pub(crate) type How = [u64; 3];
/// Its length in bytes (`OPEN_HOW_SIZE_VER0`).
pub(crate) const HOW_SIZE: usize = 24;

/// `RESOLVE_IN_ROOT` (include/uapi/linux/openat2.h).
const IN_ROOT: u64 = 0x10;

/// The structure of a call of openat2's. `None` when it is too short, or can't be read:
/// the kernel need not have looked at it (a filter answers before it does).
pub(crate) fn given(kernel: &impl Kernel, call: &Call) -> Option<How> {
    let [_, _, how, size, ..] = call.args;
    let mut bytes = [0; HOW_SIZE];
    if size < HOW_SIZE || !memory::read(kernel, how, &mut bytes) {
        return None;
    }
    let field = |at: usize| {
        let bytes = bytes.get(at..).and_then(|b| b.first_chunk()).copied();
        u64::from_le_bytes(bytes.unwrap_or([0; 8]))
    };
    Some([field(0), field(8), field(16)])
}

/// Whether a path is the kernel's alone: where the descriptor is taken for the root
/// directory, neither `/` nor a link leads to what a rule names.
pub(crate) fn is_left_alone(kernel: &impl Kernel, call: &Call) -> bool {
    call.nr == nr::OPENAT2
        && given(kernel, call).is_none_or(|[_, _, resolve]| resolve & IN_ROOT != 0)
}
