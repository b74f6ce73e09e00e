//! The Go version that built an executable (format: Go, debug/buildinfo).

use crate::elf::Image;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The blob is aligned to this many bytes.
const ALIGN: usize = 16;

/// The version, such as `go1.21.5`; `None` when the file is not Go's.
pub fn version(image: &Image<'_>) -> Option<String> {
    let blob = blob(image)?;
    if blob.get(15)? & 2 != 0 {
        return inline(blob.get(32..)?);
    }
    // Until Go 1.17 the blob held the address of a string header.
    let header = u64::from_le_bytes(*blob.get(16..)?.first_chunk()?);
    let header = image.at(header)?;
    let address = u64::from_le_bytes(*header.first_chunk()?);
    let len = usize::try_from(u64::from_le_bytes(*header.get(8..)?.first_chunk()?)).ok()?;
    text(image.at(address)?.get(..len)?)
}

fn blob<'a>(image: &Image<'a>) -> Option<&'a [u8]> {
    if let Some((_, bytes)) = image.section(".go.buildinfo") {
        return bytes.starts_with(MAGIC).then_some(bytes);
    }
    image.loads().rev().find_map(|segment| {
        let bytes = image.at(segment.p_vaddr.get(object::LittleEndian))?;
        let at = memchr::memmem::find_iter(bytes, MAGIC).find(|at| at % ALIGN == 0)?;
        bytes.get(at..)
    })
}

/// A string with its length before it, as a varint.
fn inline(bytes: &[u8]) -> Option<String> {
    let mut len = 0usize;
    for (i, &byte) in bytes.iter().take(5).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return text(bytes.get(i + 1..i + 1 + len)?);
        }
    }
    None
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.starts_with("go").then(|| text.to_owned())
}
