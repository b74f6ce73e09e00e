//! Directories by identity: is this one that?

use crate::kernel::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, Fd, Kernel};
use crate::stat;

/// `PROC_SUPER_MAGIC` (include/uapi/linux/magic.h).
pub(crate) const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Device and inode number.
type Identity = (u64, u64);

fn identity(kernel: &impl Kernel, dirfd: usize, path: &[u8], flags: usize) -> Option<Identity> {
    stat::of_path(kernel, dirfd, path, flags).map(|s| (stat::dev(&s), stat::ino(&s)))
}

fn identity_of_fd(kernel: &impl Kernel, fd: usize) -> Option<Identity> {
    stat::of_fd(kernel, fd).map(|s| (stat::dev(&s), stat::ino(&s)))
}

/// Whether `fd` is the root directory of a procfs: procfs by type, and holding
/// the link `self`, which its root alone has.
pub(crate) fn is_procfs_root(kernel: &impl Kernel, fd: usize) -> bool {
    if stat::filesystem_type(kernel, fd) != Some(PROC_SUPER_MAGIC) {
        return false;
    }
    let own = stat::of_path(kernel, fd, b"self\0", AT_SYMLINK_NOFOLLOW);
    own.is_some_and(|s| stat::is_symlink(&s))
}

/// Whether the directory `fd` is the one that `components` name, counted from
/// the root directory or, when the first is `proc`, from any procfs. `*` stands
/// for any one component, `**` for any number. Climbs by `..` and compares each name from above, so
/// that symlinks, detached mounts and other mount points can't mislead it.
pub(crate) fn is_directory<'c, 'k, K: Kernel>(
    kernel: &'k K,
    fd: Fd<'k, K>,
    mut components: impl DoubleEndedIterator<Item = &'c [u8]> + Clone,
) -> bool {
    let in_procfs = components.clone().next() == Some(b"proc");
    let mut current = fd;
    while let Some(component) = components.next_back() {
        if in_procfs && components.clone().next().is_none() {
            return is_procfs_root(kernel, current.number);
        }
        #[cfg(feature = "whole")]
        if component == b"**" {
            return is_below(kernel, current, components);
        }
        if component != b"*" && !is_named(kernel, current.number, component) {
            return false;
        }
        let Ok(parent) = Fd::directory(kernel, current.number, b"..\0") else { return false };
        current = parent;
    }
    let root = identity(kernel, AT_FDCWD, b"/\0", 0);
    root.is_some() && root == identity_of_fd(kernel, current.number)
}

/// Whether the directory `fd` is the one that `components`, without wildcards,
/// name, or lies anywhere below it.
#[cfg(feature = "whole")]
fn is_below<'c, 'k, K: Kernel>(
    kernel: &'k K,
    fd: Fd<'k, K>,
    components: impl DoubleEndedIterator<Item = &'c [u8]> + Clone,
) -> bool {
    /// As deep as a path can be that the kernel takes whole, near enough.
    const DEEPEST: usize = 256;
    let mut current = fd;
    for _ in 0..DEEPEST {
        if is_exactly(kernel, &current, components.clone()) {
            return true;
        }
        let Ok(parent) = Fd::directory(kernel, current.number, b"..\0") else { return false };
        if identity_of_fd(kernel, parent.number) == identity_of_fd(kernel, current.number) {
            return false;
        }
        current = parent;
    }
    false
}

/// As [`is_directory`], for components without wildcards outside procfs.
#[cfg(feature = "whole")]
fn is_exactly<'c, K: Kernel>(
    kernel: &K,
    fd: &Fd<'_, K>,
    components: impl DoubleEndedIterator<Item = &'c [u8]>,
) -> bool {
    let mut above: Option<Fd<'_, K>> = None;
    for component in components.rev() {
        let current = above.as_ref().map_or(fd.number, |fd| fd.number);
        if !is_named(kernel, current, component) {
            return false;
        }
        let Ok(parent) = Fd::directory(kernel, current, b"..\0") else { return false };
        above = Some(parent);
    }
    let current = above.as_ref().map_or(fd.number, |fd| fd.number);
    let root = identity(kernel, AT_FDCWD, b"/\0", 0);
    root.is_some() && root == identity_of_fd(kernel, current)
}

/// Whether the directory `fd` is what its parent calls `name`.
fn is_named(kernel: &impl Kernel, fd: usize, name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"../";
    let mut path = [0u8; 260];
    let Some(head) = path.get_mut(..PREFIX.len()) else { return false };
    head.copy_from_slice(PREFIX);
    let Some(rest) = path.get_mut(PREFIX.len()..PREFIX.len() + name.len()) else { return false };
    rest.copy_from_slice(name);
    if path.last() != Some(&0) {
        return false;
    }
    let above = identity(kernel, fd, &path, AT_SYMLINK_NOFOLLOW);
    above.is_some() && above == identity_of_fd(kernel, fd)
}
