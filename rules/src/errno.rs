//! The errno values that rules name (source: Linux,
//! include/uapi/asm-generic/errno-base.h and errno.h; all below 134).

use crate::names;

macro_rules! errnos {
    ($($name:ident = $value:literal),* $(,)?) => {
        $(#[doc = concat!("`", stringify!($name), "`, as the kernel numbers it.")]
        pub const $name: u8 = $value;)*

        /// Every errno that a rule may name with its number, each on a line: one
        /// text, as a table of names would be a pointer each.
        const NAMES: &str = concat!($(stringify!($name), " ", stringify!($value), "\n"),*);
    };
}

errnos! {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, ENXIO = 6, EBADF = 9, EAGAIN = 11,
    ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17, EXDEV = 18, ENODEV = 19,
    ENOTDIR = 20, EISDIR = 21, EINVAL = 22, EMFILE = 24, ENOTTY = 25, EROFS = 30, ERANGE = 34,
    ENAMETOOLONG = 36, ENOSYS = 38, ELOOP = 40, ENODATA = 61, EOPNOTSUPP = 95,
}

/// Every errno that a rule may name, with its number.
fn named() -> impl Iterator<Item = (&'static str, u8)> {
    names::named(NAMES).map(|(name, value)| (name, value as u8))
}

/// The number of an errno by its name.
pub fn by_name(name: &str) -> Option<u8> {
    named().find(|(n, _)| *n == name).map(|(_, value)| value)
}

/// The name of an errno, or `?` for one that no rule may name.
pub fn name(value: u8) -> &'static str {
    named().find(|&(_, v)| v == value).map_or("?", |(n, _)| n)
}
