//! Files and mounts.

use std::collections::BTreeMap;

use super::{ELOOP, ENOENT, ENOTDIR, NSFS_MAGIC, PROC_SUPER_MAGIC, TMPFS_MAGIC};

pub(crate) type Id = usize;

#[derive(Clone, PartialEq)]
pub(crate) enum Body {
    Directory(BTreeMap<Vec<u8>, Id>),
    File(Vec<u8>),
    Symlink(Vec<u8>),
    /// `/proc/…/fd`: each entry leads to an open descriptor.
    Descriptors,
    /// A timer that is never set.
    Timer,
    /// A FIFO that nobody writes to.
    Fifo,
}

pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) mode: u16,
    pub(crate) ino: u64,
    pub(crate) nlink: u64,
    pub(crate) parent: Id,
    pub(crate) owner: u32,
    /// `st_atime`.
    pub(crate) accessed: (u64, u64),
    /// Of a memory file.
    pub(crate) seals: Option<usize>,
}

pub(crate) struct Mount {
    pub(crate) root: Id,
    /// What it covers; `None` for the root and for a detached one.
    pub(crate) at: Option<Place>,
    pub(crate) magic: u64,
    pub(crate) dev: u64,
}

/// A file as reached through a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) mount: usize,
    pub(crate) node: Id,
}

/// What a walk came to.
pub(crate) enum Found {
    Here(Place),
    /// The directory is there, the last component is not.
    Missing(Place, Vec<u8>),
}

pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) root: Place,
}

pub(crate) const ROOT: Place = Place { mount: 0, node: 0 };
/// The mount at /proc, the detached procfs, where memory files and namespaces are.
pub(crate) const PROC: usize = 1;
pub(crate) const DETACHED: usize = 2;
pub(crate) const MEMORY_FILES: usize = 3;
pub(crate) const NAMESPACES: usize = 4;

impl Tree {
    /// `procfs_ino` is what the kernel gives as the inode of the procfs root.
    pub(crate) fn new(procfs_ino: u64) -> Self {
        let mut tree = Self { nodes: Vec::new(), mounts: Vec::new(), root: ROOT };
        let root = tree.directory(0o755);
        tree.nodes[root].parent = root;
        tree.mount(root, None, TMPFS_MAGIC);
        let procfs = tree.procfs(procfs_ino);
        let at = tree.make_directory("/proc", 0o555);
        tree.mount(procfs, Some(at), PROC_SUPER_MAGIC);
        let detached = tree.procfs(procfs_ino + 1);
        tree.mount(detached, None, PROC_SUPER_MAGIC);
        let nowhere = tree.directory(0o755);
        tree.mount(nowhere, None, TMPFS_MAGIC);
        tree.mount(nowhere, None, NSFS_MAGIC);
        // A plain directory with the name, the mode and the link of a procfs.
        tree.make_directory("/plain/proc/sys/kernel", 0o555);
        tree.make_directory("/plain/proc/sys/net/ipv4", 0o555);
        tree.set_mode("/plain/proc", 0o555);
        tree.add("/plain/proc/self", Body::Symlink(b"42".to_vec()), 0o120_777);
        // A part of procfs bound over another /proc.
        let at = tree.make_directory("/jail/proc", 0o555);
        let part = tree.place("/proc/42").node;
        tree.bind(PROC, part, at);
        // The same names in other places.
        tree.make_directory("/srv/sys/kernel", 0o755);
        tree.make_directory("/srv/ns", 0o755);
        tree.make_directory("/run", 0o755);
        tree.make_directory("/tmp", 0o1777);
        tree.make_directory("/dev", 0o755);
        // Links into procfs.
        tree.add("/link", Body::Symlink(b"/proc/sys".to_vec()), 0o120_777);
        tree.add("/srv/up", Body::Symlink(b"../proc/sys/kernel".to_vec()), 0o120_777);
        tree
    }

    fn procfs(&mut self, ino: u64) -> Id {
        let root = self.directory(0o555);
        self.nodes[root].parent = root;
        self.nodes[root].ino = ino;
        for path in ["sys/kernel", "sys/net/ipv4", "42/ns", "42/task/42/ns", "1/ns"] {
            self.directories_below(root, path);
        }
        let file = |text: &[u8]| Body::File(text.to_vec());
        for (directory, name, body, mode) in [
            ("", "self", Body::Symlink(b"42".to_vec()), 0o120_777),
            ("", "thread-self", Body::Symlink(b"42/task/42".to_vec()), 0o120_777),
            ("42", "fd", Body::Descriptors, 0o040_500),
            ("42", "status", file(b"State: R\n"), 0o100_444),
            ("sys/kernel", "hostname", file(b"fake\n"), 0o100_644),
            ("sys/net/ipv4", "ip_forward", file(b"0\n"), 0o100_644),
        ] {
            let parent = self.directories_below(root, directory);
            self.child(parent, name, body, mode);
        }
        root
    }

    fn directory(&mut self, mode: u16) -> Id {
        self.node(Body::Directory(BTreeMap::new()), 0o040_000 | mode, 0)
    }

    pub(crate) fn node(&mut self, body: Body, mode: u16, parent: Id) -> Id {
        let ino = 1000 + self.nodes.len() as u64;
        let (owner, accessed) = (0, (1_700_000_000, 5));
        self.nodes.push(Node { body, mode, ino, nlink: 1, parent, owner, accessed, seals: None });
        self.nodes.len() - 1
    }

    fn mount(&mut self, root: Id, at: Option<Place>, magic: u64) {
        let dev = 50 + self.mounts.len() as u64;
        self.mounts.push(Mount { root, at, magic, dev });
    }

    /// Makes a part of a mounted file system appear at another place, too.
    pub(crate) fn bind(&mut self, mount: usize, root: Id, at: Place) {
        let Mount { magic, dev, .. } = self.mounts[mount];
        self.mounts.push(Mount { root, at: Some(at), magic, dev });
    }

    /// Mounts an empty tmpfs.
    pub(crate) fn mount_tmpfs(&mut self, path: &str) {
        let at = self.place(path);
        let root = self.directory(0o755);
        self.nodes[root].parent = root;
        self.mount(root, Some(at), TMPFS_MAGIC);
    }

    pub(crate) fn child(&mut self, parent: Id, name: &str, body: Body, mode: u16) -> Id {
        let id = self.node(body, mode, parent);
        match &mut self.nodes[parent].body {
            Body::Directory(children) => _ = children.insert(name.into(), id),
            _ => panic!("no directory"),
        }
        id
    }

    fn directories_below(&mut self, mut at: Id, path: &str) -> Id {
        for name in path.split('/').filter(|c| !c.is_empty()) {
            let there = match &self.nodes[at].body {
                Body::Directory(children) => children.get(name.as_bytes()).copied(),
                _ => panic!("no directory"),
            };
            at = match there {
                Some(id) => id,
                None => {
                    let empty = Body::Directory(BTreeMap::new());
                    self.child(at, name, empty, 0o040_555)
                }
            };
        }
        at
    }

    /// Makes all directories of an absolute path, in the mounts that are there.
    pub(crate) fn make_directory(&mut self, path: &str, mode: u16) -> Place {
        let mut at = ROOT;
        let mut done = String::new();
        for name in path.split('/').filter(|c| !c.is_empty()) {
            done = format!("{done}/{name}");
            if self
                .walk(ROOT, done.as_bytes(), true, &|_| None)
                .is_ok_and(|f| matches!(f, Found::Missing(..)))
            {
                let empty = Body::Directory(BTreeMap::new());
                self.child(at.node, name, empty, 0o040_000 | mode);
            }
            at = self.place(&done);
        }
        at
    }

    pub(crate) fn add(&mut self, path: &str, body: Body, mode: u16) -> Id {
        let (parent, name) = path.rsplit_once('/').expect("an absolute path");
        let parent = self.place(if parent.is_empty() { "/" } else { parent });
        self.child(parent.node, name, body, mode)
    }

    pub(crate) fn remove(&mut self, path: &str) {
        let (parent, name) = path.rsplit_once('/').expect("an absolute path");
        let parent = self.place(parent).node;
        match &mut self.nodes[parent].body {
            Body::Directory(children) => _ = children.remove(name.as_bytes()).expect("was there"),
            _ => panic!("no directory"),
        }
    }

    /// Takes a name out of its directory.
    pub(crate) fn forget(&mut self, place: Place) {
        let parent = self.nodes[place.node].parent;
        match &mut self.nodes[parent].body {
            Body::Directory(children) => children.retain(|_, id| *id != place.node),
            _ => panic!("no directory"),
        }
    }

    pub(crate) fn set_mode(&mut self, path: &str, mode: u16) {
        let node = self.place(path).node;
        self.nodes[node].mode = self.nodes[node].mode & 0o170_000 | mode;
    }

    /// What an absolute path leads to: for the tests' own use.
    pub(crate) fn place(&self, path: &str) -> Place {
        match self.walk(ROOT, path.as_bytes(), true, &|_| None) {
            Ok(Found::Here(place)) => place,
            _ => panic!("{path} is not there"),
        }
    }

    /// Goes up through mounts.
    fn parent(&self, mut place: Place) -> Place {
        while place != self.root && self.mounts[place.mount].root == place.node {
            match self.mounts[place.mount].at {
                Some(at) => place = at,
                None => return place,
            }
        }
        if place == self.root {
            return place;
        }
        Place { node: self.nodes[place.node].parent, ..place }
    }

    /// What is mounted over a place, if anything.
    fn covered(&self, mut place: Place) -> Place {
        while let Some(mount) = self.mounts.iter().rposition(|m| m.at == Some(place)) {
            place = Place { mount, node: self.mounts[mount].root };
        }
        place
    }

    /// Walks a path as the kernel does (path_resolution(7)).
    pub(crate) fn walk(
        &self,
        from: Place,
        path: &[u8],
        follow: bool,
        descriptor: &dyn Fn(usize) -> Option<Place>,
    ) -> Result<Found, isize> {
        if path.is_empty() {
            return Err(ENOENT);
        }
        let mut at = if path[0] == b'/' { self.covered(self.root) } else { from };
        let mut todo: Vec<Vec<u8>> = Vec::new();
        let push = |todo: &mut Vec<Vec<u8>>, path: &[u8]| {
            let directory = path.ends_with(b"/");
            let mut parts: Vec<_> =
                path.split(|&b| b == b'/').filter(|c| !c.is_empty()).map(<[u8]>::to_vec).collect();
            if directory && !parts.is_empty() {
                parts.push(b".".to_vec());
            }
            parts.reverse();
            todo.extend(parts);
        };
        push(&mut todo, path);
        let mut links = 0;
        while let Some(name) = todo.pop() {
            let node = &self.nodes[at.node];
            let children = match &node.body {
                Body::Directory(children) => children,
                Body::Descriptors if name != b".." && name != b"." => {
                    let number = std::str::from_utf8(&name).ok().and_then(|n| n.parse().ok());
                    at = number.and_then(descriptor).ok_or(ENOENT)?;
                    continue;
                }
                Body::Descriptors => continue,
                _ => return Err(ENOTDIR),
            };
            match &name[..] {
                b"." => continue,
                b".." => {
                    at = self.parent(at);
                    continue;
                }
                _ => {}
            }
            let Some(&child) = children.get(&name) else {
                return if todo.is_empty() { Ok(Found::Missing(at, name)) } else { Err(ENOENT) };
            };
            match &self.nodes[child].body {
                Body::Symlink(target) if follow || !todo.is_empty() => {
                    links += 1;
                    if links > 40 {
                        return Err(ELOOP);
                    }
                    if target.first() == Some(&b'/') {
                        at = self.covered(self.root);
                    }
                    push(&mut todo, target);
                }
                _ => at = self.covered(Place { node: child, ..at }),
            }
        }
        Ok(Found::Here(at))
    }
}
