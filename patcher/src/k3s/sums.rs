//! What k3s checks when it has unpacked its archive (`pkg/dataverify`): the sha256 of
//! each file in `.sha256sums`, the target of each link in `.links`.

use std::collections::BTreeMap;

/// The list of digests.
pub const SUMS: &str = ".sha256sums";
/// The list of links.
pub const LINKS: &str = ".links";

/// The pairs of words in such a list, as k3s reads it.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()?))
    })
}

/// The list with other digests for some files; all else in it stays.
pub fn renewed(text: &str, new: &BTreeMap<String, String>) -> String {
    let line = |line: &str| {
        let known = pairs(line).next().and_then(|(old, file)| Some((old, new.get(plain(file))?)));
        match known {
            Some((old, digest)) => line.replacen(old, digest, 1),
            None => line.to_owned(),
        }
    };
    text.split_inclusive('\n').map(line).collect()
}

/// A name without the `./` before it.
pub fn plain(name: &str) -> &str {
    name.trim_start_matches("./").trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_digest_of_a_named_file_changes() {
        let text = "aa  aux/mount\nbb  k3s\n\ncc  k3s-root\nbb  ./cni";
        let new = [("k3s", "11"), ("cni", "22")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let now = renewed(text, &new.into_iter().collect());
        assert_eq!(now, "aa  aux/mount\n11  k3s\n\ncc  k3s-root\n22  ./cni");
        assert_eq!(pairs(text).count(), 4);
    }
}
