//! Redirect: another path prefix takes the place of one, before the call.

use procsys_rules::calls;
use procsys_rules::path;
use procsys_rules::table::{Kind, Rule, Table};

use crate::kernel::{AT_FDCWD, Kernel};
use crate::memory::{self, PATH_MAX, Scratch};
use crate::{Before, Call, how, identity, locate};

/// Replaces the path arguments that lie below a redirected prefix.
pub(crate) fn apply(
    kernel: &impl Kernel,
    table: Table<'_>,
    scratch: &mut Scratch,
    call: &Call,
) -> Before {
    let Some(shape) = calls::shape(call.nr) else { return Before::Pass };
    if how::is_left_alone(kernel, call) {
        return Before::Pass;
    }
    let mut changed = *call;
    for (i, arg) in shape.paths.into_iter().enumerate() {
        let Some(arg) = arg else { continue };
        let Some((dirfd, address)) = locate::argument(&call.args, arg) else { continue };
        let Scratch { path, out, .. } = scratch;
        let Some(out) = out.get_mut(i) else { continue };
        let Some(text) = memory::text(kernel, address, path) else { continue };
        let len = text.len();
        let Some(text) = path.get_mut(..len) else { continue };
        let redirects = || table.rules().filter(|r| r.kind() == Some(Kind::Redirect));
        if redirects().any(|rule| rewrite(kernel, rule, dirfd, text, out))
            && let Some(place) = changed.args.get_mut(usize::from(arg.path))
        {
            *place = out.as_ptr() as usize;
        }
    }
    without_directories(call, &mut changed);
    if changed == *call { Before::Pass } else { Before::Replace(changed) }
}

/// Takes the directory away from each path that is not the one of `before`: the
/// new one is absolute and does not look at it, except with the RESOLVE_ flags of
/// openat2, which then refuse it as they would any other.
pub fn without_directories(before: &Call, changed: &mut Call) {
    let paths = calls::shape(before.nr).map(|shape| shape.paths).unwrap_or_default();
    for arg in paths.into_iter().flatten() {
        let position = usize::from(arg.path);
        if before.args.get(position) == changed.args.get(position) {
            continue;
        }
        let dirfd = arg.dirfd.and_then(|dirfd| changed.args.get_mut(usize::from(dirfd)));
        if let Some(dirfd) = dirfd {
            *dirfd = AT_FDCWD;
        }
    }
}

/// Writes the redirected path to `out`, if the rule's prefix is meant.
pub(crate) fn rewrite(
    kernel: &impl Kernel,
    rule: Rule<'_>,
    dirfd: usize,
    text: &mut [u8],
    out: &mut [u8; PATH_MAX],
) -> bool {
    let Some(rest) = rest(kernel, rule, dirfd, text) else { return false };
    let to = rule.value();
    let Some(rest) = text.get(rest..) else { return false };
    let Some(head) = out.get_mut(..to.len()) else { return false };
    head.copy_from_slice(to);
    // A result that is too long is left to the kernel as it stands.
    let Some(tail) = out.get_mut(to.len()..to.len() + rest.len()) else { return false };
    tail.copy_from_slice(rest);
    true
}

/// Where what follows the prefix starts, in a path that lies below it.
fn rest(kernel: &impl Kernel, rule: Rule<'_>, dirfd: usize, text: &mut [u8]) -> Option<usize> {
    let (_, given) = text.split_last()?;
    if let Some(rest) = path::below(rule.path(), given) {
        return Some(given.len() - rest.len());
    }
    let last = path::last(rule.path())?;
    let mut start = 0;
    while let Some(end) = component_end(text, start) {
        if text.get(start..end)? == last && leaves_no_more(text.get(end..)?) {
            let parent = locate::open_prefix(kernel, dirfd, text, start);
            let mut wanted = path::components(rule.path());
            wanted.next_back();
            if parent.is_ok_and(|fd| identity::is_directory(kernel, fd, wanted)) {
                return Some(end);
            }
        }
        start = end + 1;
    }
    None
}

/// Where the component that starts at `start` ends: at a slash or at the NUL.
fn component_end(text: &[u8], start: usize) -> Option<usize> {
    let len = text.get(start..)?.iter().position(|&b| b == b'/' || b == 0)?;
    Some(start + len)
}

/// Whether the rest of a path has no `..` that could lead out again.
fn leaves_no_more(rest: &[u8]) -> bool {
    rest.split(|&b| b == b'/' || b == 0).all(|c| c != b"..")
}
