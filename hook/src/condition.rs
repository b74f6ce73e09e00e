//! Whether the conditions of a rule hold for a call.

use procsys_rules::table::{Clause, FileKind, Op, Rule};

#[cfg(feature = "whole")]
use crate::kernel::AT_FDCWD;
use crate::kernel::Kernel;
use crate::memory::{self, Scratch};
#[cfg(feature = "whole")]
use crate::stat;
use crate::{Call, emulate};

/// Whether every condition of `rule` holds.
pub(crate) fn all_hold(
    kernel: &impl Kernel,
    scratch: &mut Scratch,
    rule: Rule<'_>,
    call: &Call,
) -> bool {
    rule.when().all(|clause| holds(kernel, scratch, clause, call))
}

fn holds(kernel: &impl Kernel, scratch: &mut Scratch, clause: Clause<'_>, call: &Call) -> bool {
    let Some(&arg) = call.args.get(clause.arg) else { return false };
    let number = arg as u64;
    match clause.op {
        Op::Equal => number == clause.value,
        Op::Greater => number > clause.value,
        Op::HasBits => number & clause.value == clause.value,
        Op::LacksBits => number & clause.value == 0,
        Op::Text => {
            let text = memory::text(kernel, arg, &mut scratch.path);
            text.and_then(|t| t.split_last()).is_some_and(|(_, text)| text == clause.text)
        }
        Op::HasOption => {
            let text = memory::text(kernel, arg, &mut scratch.path);
            text.and_then(|t| t.split_last())
                .is_some_and(|(_, list)| options(list).any(|o| is_named(o, clause.text)))
        }
        #[cfg(feature = "whole")]
        Op::File => is_file(kernel, scratch, arg, clause.text),
        Op::EmulatedNamespace => {
            emulate::marked(kernel, arg).is_some_and(|m| m.file == FileKind::Namespace)
        }
        _ => false,
    }
}

/// Whether the descriptor is of the file that the path leads to.
#[cfg(feature = "whole")]
fn is_file(kernel: &impl Kernel, scratch: &mut Scratch, fd: usize, path: &[u8]) -> bool {
    let Some(text) = memory::with_nul(&mut scratch.path, path) else { return false };
    let there = stat::of_path(kernel, AT_FDCWD, text, 0);
    let own = there.and_then(|there| Some((there, stat::of_fd(kernel, fd)?)));
    own.is_some_and(|(a, b)| (stat::dev(&a), stat::ino(&a)) == (stat::dev(&b), stat::ino(&b)))
}

/// The options of a comma-separated list, as mount(8) writes it.
pub(crate) fn options(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == b',').filter(|o| !o.is_empty())
}

/// Whether an option, with or without a value, has one of these names; a name with a
/// value stands for that very option.
pub(crate) fn is_named(option: &[u8], names: &[u8]) -> bool {
    let name = option.split(|&b| b == b'=').next().unwrap_or_default();
    options(names).any(|n| n == name || n == option)
}
