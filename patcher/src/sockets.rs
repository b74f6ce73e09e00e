//! Which addresses of sockets in a file have no room once they are redirected?
//!
//! A socket's path has 107 bytes (unix(7)). A redirect to a longer one would make
//! each bind and connect fail with ENAMETOOLONG while the program runs; what can be
//! known before is said before. Looked at are texts that start with the redirect's
//! source and end in `.sock`: other names are not known to be sockets'.

use memchr::memmem;
use procsys_rules::model::{Action, Rule};
use procsys_rules::sockets::LONGEST;

use crate::error::Error;

/// How such an address ends.
const END: &[u8] = b".sock";

/// Refuses redirects by which an address in the file becomes too long.
///
/// # Errors
/// [`Error::Rules`], which names the redirect, the address and its new length.
pub(crate) fn check(file: &[u8], rules: &[Rule]) -> Result<(), Error> {
    for rule in rules {
        let Action::Redirect { from, to } = &rule.action else { continue };
        if let Some((address, len)) = too_long(file, from, to) {
            return Err(Error::Rules(format!(
                "redirect {from}={to}: the socket address `{address}` in the file would be {len} \
                 bytes long, {LONGEST} fit: choose a shorter path"
            )));
        }
    }
    Ok(())
}

/// The first address that becomes too long, and its new length in bytes.
fn too_long(file: &[u8], from: &str, to: &str) -> Option<(String, usize)> {
    memmem::find_iter(file, from.as_bytes()).find_map(|at| {
        let address = address(&file[at..], from.len())?;
        let len = to.len() + address.len() - from.len();
        (len > LONGEST).then(|| (address.to_owned(), len))
    })
}

/// The address that a text starts with, if it lies below its first `prefix` bytes and
/// could be one as it is. Strings of Go stand side by side: the shortest end counts.
fn address(text: &[u8], prefix: usize) -> Option<&str> {
    let below = &text[prefix..text.len().min(LONGEST)];
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+@:".contains(b);
    let path = &below[..below.iter().position(|b| !is_part(b)).unwrap_or(below.len())];
    let end = memmem::find(path, END)? + END.len();
    (path.first() == Some(&b'/')).then(|| str::from_utf8(&text[..prefix + end]).ok())?
}

#[cfg(test)]
mod tests {
    use super::{address, too_long};

    #[test]
    fn an_address_is_below_the_prefix_and_ends_as_one() {
        for (text, expected) in [
            ("/run/a/fs.sock\0", Some("/run/a/fs.sock")),
            ("/run/a/fs.sock/run/a/mgr.sock", Some("/run/a/fs.sock")),
            ("/run/a/fs.sockmore", Some("/run/a/fs.sock")),
            ("/run/ab/fs.sock\0", None),
            ("/run/a/file\0fs.sock\0", None),
            ("/run/a and then .sock", None),
            ("/run/a", None),
        ] {
            assert_eq!(address(text.as_bytes(), 6), expected, "{text:?}");
        }
        let long = format!("/run/a/{}.sock", "x".repeat(200));
        assert_eq!(address(long.as_bytes(), 6), None, "it never was one");
    }

    #[test]
    fn the_limit_is_that_of_the_kernel() {
        let file = b"..\0/run/a/fs.sock\0..";
        for (len, is_found) in [(99, false), (100, true)] {
            // `/fs.sock` has 8 bytes.
            let to = format!("/{}", "t".repeat(len - 1));
            let found = too_long(file, "/run/a", &to);
            assert_eq!(found, is_found.then(|| ("/run/a/fs.sock".into(), len + 8)));
        }
    }
}
