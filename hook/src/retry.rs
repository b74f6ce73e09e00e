//! Retry: the same call with some arguments changed.

use procsys_rules::table::{Op, Rule};

use crate::Call;
use crate::condition::{is_named, options};
use crate::kernel::Kernel;
use crate::memory::{self, Scratch};

/// Makes the call again as the rule changes it, and gives its result.
pub(crate) fn again(
    kernel: &impl Kernel,
    scratch: &mut Scratch,
    rule: Rule<'_>,
    call: &Call,
) -> isize {
    let mut args = call.args;
    for change in rule.changes() {
        let Some(arg) = args.get_mut(change.arg) else { continue };
        match change.op {
            Op::Set => *arg = change.value as usize,
            Op::ClearBits => *arg &= !(change.value as usize),
            Op::DropOptions => *arg = without(kernel, scratch, *arg, change.text).unwrap_or(*arg),
            _ => {}
        }
    }
    kernel.call(call.nr, args)
}

/// The list of options at `address` without the named ones: the address of the
/// new list, 0 when it is empty.
fn without(
    kernel: &impl Kernel,
    scratch: &mut Scratch,
    address: usize,
    names: &[u8],
) -> Option<usize> {
    let (_, list) = memory::text(kernel, address, &mut scratch.path)?.split_last()?;
    let [out, _] = &mut scratch.out;
    let mut len = 0;
    for option in options(list).filter(|o| !is_named(o, names)) {
        if len > 0 {
            *out.get_mut(len)? = b',';
            len += 1;
        }
        out.get_mut(len..len + option.len())?.copy_from_slice(option);
        len += option.len();
    }
    *out.get_mut(len)? = 0;
    Some(if len == 0 { 0 } else { out.as_ptr() as usize })
}
