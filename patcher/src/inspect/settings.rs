//! With which settings did Go build a program? (format: Go, debug/buildinfo)

use memchr::memmem;

use crate::elf::Image;

/// What marks both ends of the module information: 16 bytes that no text has.
const START: &[u8] = b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6";
const END: &[u8] = b"\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2";
/// Longer than the information of any program: 16 MiB.
const LONGEST: usize = 1 << 24;

/// The main package's path, and the `build` lines: key and value.
pub(super) fn read(image: &Image<'_>) -> (Option<String>, Vec<(String, String)>) {
    let Some(text) = text(image) else { return (None, Vec::new()) };
    let path = text.lines().find_map(|l| l.strip_prefix("path\t")).map(str::to_owned);
    let builds = text.lines().filter_map(|l| l.strip_prefix("build\t")?.split_once('='));
    let plain = |(key, value): (&str, &str)| (key.to_owned(), value.trim_matches('"').to_owned());
    (path, builds.map(plain).collect())
}

/// The module information, wherever the linker put it.
fn text<'a>(image: &Image<'a>) -> Option<&'a str> {
    image.loads().find_map(|segment| {
        let bytes = image.at(segment.p_vaddr.get(object::LittleEndian))?;
        memmem::find_iter(bytes, START).find_map(|at| {
            let rest = bytes.get(at + START.len()..)?;
            let rest = &rest[..rest.len().min(LONGEST)];
            std::str::from_utf8(&rest[..memmem::find(rest, END)?]).ok()
        })
    })
}
