//! What stood over /proc/sys before anything of a container ran.

use procsys_rules::Table;

use super::walk::procfs_root;
use crate::kernel::{AT_FDCWD, Fd, Kernel, O_DIRECTORY, O_NOFOLLOW, O_PATH};
use crate::memory::Scratch;
use crate::mountinfo;
use crate::openat2::{self, BENEATH, NO_MAGICLINKS, NO_SYMLINKS};

/// Notes the mount over /proc/sys, if there is one, it is FUSE, and it is mounted
/// on the procfs itself. To be called once in each process, before the program's
/// first instruction: in `runc init` that is before it joins or makes a mount
/// namespace. It costs nothing where no rule asks for it.
pub fn start(kernel: &impl Kernel, table: Table<'_>, scratch: &mut Scratch) {
    if table.starts() {
        // Nothing to note: then no file is ever accepted.
        let _ = note(kernel, scratch);
    }
}

fn note(kernel: &impl Kernel, scratch: &mut Scratch) -> Option<()> {
    let notes = kernel.notes()?;
    let path = c"/proc".as_ptr() as usize;
    let procfs = Fd::open(kernel, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_NOFOLLOW).ok()?;
    let root = procfs_root(kernel, procfs.number)?;
    let resolve = BENEATH | NO_SYMLINKS | NO_MAGICLINKS;
    let flags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
    let sys = openat2::open(kernel, procfs.number, b"sys\0", flags, resolve).ok()?;
    let mount = openat2::status(kernel, sys.number)?.mount;
    if mount == root.mount {
        return None;
    }
    mountinfo::find(kernel, procfs.number, &mut scratch.out, |line| {
        (line.id == mount).then(|| {
            if let (true, Some(mounted)) = (line.is_fuse && line.parent == root.mount, line.root) {
                notes.trust(line.device, mounted);
            }
        })
    })?
}
