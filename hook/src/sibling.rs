//! A missing file that another one of its directory answers for.

use procsys_rules::calls::PathArg;
use procsys_rules::errno;
use procsys_rules::table::Rule;

use crate::Call;
use crate::kernel::{Kernel, O_ACCMODE, O_PATH, O_TRUNC};
use crate::memory::PATH_MAX;

/// Makes the call again with the sibling's name as the path's last component:
/// the answer is the kernel's, and as alive as the sibling is. `text` is the
/// path with its NUL; `flags`, those of a call that opens.
pub(crate) fn answer(
    kernel: &impl Kernel,
    rule: Rule<'_>,
    call: &Call,
    flags: Option<usize>,
    arg: PathArg,
    text: &[u8],
    out: &mut [u8; PATH_MAX],
) -> Result<isize, u8> {
    let writes = |f: usize| f & O_PATH == 0 && f & (O_ACCMODE | O_TRUNC) != 0;
    if flags.is_some_and(writes) {
        return Err(errno::EACCES);
    }
    let directory = text.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    put(out, text.get(..directory).unwrap_or_default(), rule.value()).ok_or(errno::ENAMETOOLONG)?;
    let mut args = call.args;
    if let Some(path) = args.get_mut(usize::from(arg.path)) {
        *path = out.as_ptr() as usize;
    }
    Ok(kernel.call(call.nr, args))
}

/// Two pieces and a NUL. `None` when they don't fit.
fn put(out: &mut [u8; PATH_MAX], head: &[u8], tail: &[u8]) -> Option<()> {
    out.get_mut(..head.len())?.copy_from_slice(head);
    let (nul, room) = out.get_mut(head.len()..=head.len() + tail.len())?.split_last_mut()?;
    room.copy_from_slice(tail);
    *nul = 0;
    Some(())
}
