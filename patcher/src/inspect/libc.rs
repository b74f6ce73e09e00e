//! Which C library is in a program, and how new is it? By what each library
//! says of itself; none of them puts its version into every static program.

use memchr::memmem;

use super::linkage::Linkage;

/// The C library of a file, in words; `None` when there is no sign of one.
pub(super) fn find(bytes: &[u8], linkage: &Linkage) -> Option<String> {
    if linkage.is_dynamic() {
        return dynamic(linkage);
    }
    let has = |text: &str| memmem::find(bytes, text.as_bytes()).is_some();
    if has("glibc-ld.so.cache") || has("Fatal glibc error") || has("__libc_IO_vtables") {
        // confstr's answer, where it is linked in, or the banner that libc.so prints.
        let version = after(bytes, "glibc 2.").or_else(|| after(bytes, "release version 2."));
        return Some(version.map_or("glibc".into(), |v| format!("glibc 2.{v}")));
    }
    // The first two of strerror's texts, which musl keeps in this order.
    has("No error information\0Illegal byte sequence\0").then(|| "musl".into())
}

fn dynamic(linkage: &Linkage) -> Option<String> {
    let named = |part: &str| {
        let interpreter = linkage.interpreter.iter();
        interpreter.chain(&linkage.needed).any(|name| name.contains(part))
    };
    if named("ld-musl") || named("libc.musl") {
        return Some("musl".into());
    }
    let versions = linkage.strings.split(|&b| b == 0).filter_map(|name| {
        std::str::from_utf8(name.strip_prefix(b"GLIBC_2.")?).ok()?.split('.').next()?.parse().ok()
    });
    let newest: Option<u32> = versions.max();
    if !named("ld-linux") && !named("libc.so.6") {
        return None;
    }
    Some(newest.map_or("glibc".into(), |v| format!("glibc, 2.{v} or later")))
}

/// The digits after a text.
fn after(bytes: &[u8], text: &str) -> Option<String> {
    memmem::find_iter(bytes, text.as_bytes()).find_map(|at| {
        let rest = &bytes[at + text.len()..];
        let digits: String = rest
            .iter()
            .take(3)
            .take_while(|b| b.is_ascii_digit())
            .map(|&b| char::from(b))
            .collect();
        (!digits.is_empty()).then_some(digits)
    })
}
