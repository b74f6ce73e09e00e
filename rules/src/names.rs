//! Names with numbers, as one text: `name number` on each line. A table of names
//! would be a pointer each, which a library has to relocate at every start.

/// The names of such a text with their numbers.
pub(crate) fn named(text: &'static str) -> impl Iterator<Item = (&'static str, usize)> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let rest = text.as_bytes().get(at..)?;
        let space = rest.iter().position(|&b| b == b' ')?;
        let end = rest.iter().position(|&b| b == b'\n')?;
        let digits = rest.get(space + 1..end)?;
        let number = digits.iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0'));
        let name = text.get(at..at + space)?;
        at += end + 1;
        Some((name, number))
    })
}
