//! Paths as text: components, cleaning, patterns.
//!
//! Nothing here asks the kernel. What `..` or a symlink really leads to is
//! found by the hook, which compares directories by identity.

/// The components of a path, without empty ones and `.`.
pub fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".")
}

/// The last component, unless the path ends in `..`, in a slash or in `.`
/// (then it can only mean a directory) or has none.
pub fn last(path: &[u8]) -> Option<&[u8]> {
    let last = path.rsplit(|&b| b == b'/').next()?;
    (!last.is_empty() && last != b"." && last != b"..").then_some(last)
}

/// Whether the pattern component `*` or a literal one matches `component`.
pub fn component_matches(pattern: &[u8], component: &[u8]) -> bool {
    pattern == b"*" || pattern == component
}

/// Whether a pattern component stands for more than itself.
pub fn is_wild(component: &[u8]) -> bool {
    component == b"*" || component == b"**"
}

/// Whether an absolute path, as text, is what the absolute `pattern` says: the
/// same components, where the pattern's `*` stands for any one of them, and its
/// `**`, of which it has one at most, for any number. A path with `..` never
/// matches as text: where it leads is the kernel's to say.
pub fn matches(pattern: &[u8], path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    if pattern == path {
        return true;
    }
    let mut wanted = components(pattern);
    let mut given = components(path);
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(b"**"), g) => {
                // What `**` stands for ends where the rest of the pattern starts.
                let mut given = g.into_iter().chain(given);
                let ends_so = wanted
                    .rev()
                    .all(|w| given.next_back().is_some_and(|g| component_matches(w, g)));
                return ends_so && given.all(|g| g != b"..");
            }
            (Some(w), Some(g)) if g != b".." && component_matches(w, g) => {}
            _ => return false,
        }
    }
}

/// What follows the directory `prefix` in the absolute `path`, compared as text
/// by components: empty or starting with the slash. `None` when the path is not
/// below the prefix, or has a `..` that could lead out of it.
pub fn below<'a>(prefix: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if path.first() != Some(&b'/') {
        return None;
    }
    let mut rest = path;
    for wanted in components(prefix) {
        let (component, after) = split_first(rest)?;
        if component != wanted {
            return None;
        }
        rest = after;
    }
    components(rest).all(|c| c != b"..").then_some(rest)
}

/// The first component and what follows it (empty or starting with a slash).
fn split_first(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = path;
    loop {
        let start = rest.iter().position(|&b| b != b'/')?;
        rest = rest.get(start..)?;
        let end = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
        let (component, after) = rest.split_at_checked(end)?;
        if component != b"." {
            return Some((component, after));
        }
        rest = after;
    }
}

/// A hash of a last component, to pass over most rules at once (FNV-1a; source:
/// RFC 9923 has the constants). Never 0.
pub fn hash(component: &[u8]) -> u32 {
    let h =
        component.iter().fold(0x811c_9dc5u32, |h, &b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    if h == 0 { 1 } else { h }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_matches_by_components() {
        let pattern = b"/proc/sys/kernel/cap_last_cap";
        for same in [&b"/proc/sys/kernel/cap_last_cap"[..], b"//proc/./sys//kernel/cap_last_cap"] {
            assert!(matches(pattern, same));
        }
        for other in [
            &b"proc/sys/kernel/cap_last_cap"[..],
            b"/proc/sys/kernel/cap_last_cap2",
            b"/proc/sys/kernel",
            b"/proc/sys/kernel/../kernel/cap_last_cap",
            b"/x/proc/sys/kernel/cap_last_cap",
            b"",
        ] {
            assert!(!matches(pattern, other), "{}", String::from_utf8_lossy(other));
        }
        assert!(matches(b"/proc/*/ns/cgroup", b"/proc/17/ns/cgroup"));
        assert!(!matches(b"/proc/*/ns/cgroup", b"/proc/1/task/1/ns/cgroup"));
        assert!(!matches(b"/proc/*/ns/cgroup", b"/proc/../ns/cgroup"));
    }

    #[test]
    fn two_stars_stand_for_any_number() {
        let pattern = b"/sys/fs/**/a";
        for same in [&b"/sys/fs/a"[..], b"/sys/fs/x/a", b"/sys/fs/x/y//z/a", b"/sys/fs/a/a"] {
            assert!(matches(pattern, same), "{}", String::from_utf8_lossy(same));
        }
        for other in [
            &b"/sys/fs"[..],
            b"/sys/fs/b",
            b"/sys/fs/a/b",
            b"/sys/a",
            b"/sys/fs/../a",
            b"/sys/fs/x/../a",
            b"sys/fs/x/a",
        ] {
            assert!(!matches(pattern, other), "{}", String::from_utf8_lossy(other));
        }
        assert!(matches(b"/a/**/b/c", b"/a/b/c") && matches(b"/a/**/b/*", b"/a/x/b/y"));
        assert!(!matches(b"/a/**/b/c", b"/a/c"));
    }

    #[test]
    fn below_keeps_the_rest() {
        assert_eq!(below(b"/run/sysbox", b"/run//sysbox/a/b"), Some(&b"/a/b"[..]));
        assert_eq!(below(b"/run/sysbox", b"/run/./sysbox"), Some(&b""[..]));
        assert_eq!(below(b"/run/sysbox", b"/run/sysbox/"), Some(&b"/"[..]));
        assert_eq!(below(b"/run/sysbox", b"/run/sysboxes"), None);
        assert_eq!(below(b"/run/sysbox", b"/run/sysbox/../x"), None);
        assert_eq!(below(b"/run/sysbox", b"run/sysbox"), None);
    }

    #[test]
    fn last_component() {
        assert_eq!(last(b"/a/b"), Some(&b"b"[..]));
        assert_eq!(last(b"b"), Some(&b"b"[..]));
        for none in [&b""[..], b"/", b"/a/", b"/a/..", b"a/."] {
            assert_eq!(last(none), None);
        }
    }
}
