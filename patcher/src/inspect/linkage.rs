//! How is a file linked? Read also where the patcher refuses the file.

use object::elf::{
    DF_1_PIE, DT_FLAGS_1, DT_SONAME, ET_DYN, ET_EXEC, FileHeader64, PF_X, PT_INTERP, PT_LOAD,
};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, ReadRef};

use crate::elf::{Dynamic, Image, Kind};
use crate::error::Error;

const LE: LittleEndian = LittleEndian;

/// How a file is linked.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Linkage {
    /// In words: `static`, `static-PIE`, `dynamic`, `dynamic PIE` or `shared library`.
    pub kind: &'static str,
    /// The program interpreter of a dynamic executable.
    pub interpreter: Option<String>,
    /// The libraries that it needs.
    pub needed: Vec<String>,
    /// Names of versions and symbols of its dynamic table.
    pub(super) strings: Vec<u8>,
}

impl Linkage {
    /// Whether another file is loaded with it.
    pub fn is_dynamic(&self) -> bool {
        self.interpreter.is_some() || self.kind == "shared library"
    }
}

/// Reads any 64-bit x86-64 ELF file, and says how it is linked.
///
/// # Errors
/// [`Error::Input`] when it is something else, or damaged.
pub(crate) fn read<'a>(bytes: &'a [u8]) -> Result<(Image<'a>, Linkage), Error> {
    let refused = match Image::parse(bytes) {
        Ok(image) => {
            let linkage = linkage(&image);
            return Ok((image, linkage));
        }
        Err(refused) => refused,
    };
    match lenient(bytes) {
        Some(image) => {
            let linkage = linkage(&image);
            Ok((image, linkage))
        }
        None => Err(refused),
    }
}

/// Reads without the checks of what can be patched; `None` for another machine, for a
/// packed file, and for damage that would mislead.
fn lenient<'a>(bytes: &'a [u8]) -> Option<Image<'a>> {
    let header = bytes.read_at::<FileHeader64<LittleEndian>>(0).ok()?;
    let is_ours = header.e_ident.magic == object::elf::ELFMAG
        && header.e_ident.class == object::elf::ELFCLASS64
        && header.e_ident.data == object::elf::ELFDATA2LSB
        && header.e_machine.get(LE) == object::elf::EM_X86_64
        && !Image::is_packed(header, bytes);
    let kind = match header.e_type.get(LE) {
        ET_EXEC => Kind::Static,
        ET_DYN => Kind::StaticPie,
        _ => return None,
    };
    let segments = header.program_headers(LE, bytes).ok().filter(|_| is_ours)?;
    let sections = header.sections(LE, bytes).ok()?;
    let in_order = segments.iter().filter(|s| s.p_type.get(LE) == PT_LOAD).try_fold(0, |end, s| {
        let next = s.p_vaddr.get(LE).checked_add(s.p_memsz.get(LE))?;
        let is_whole = s.data(LE, bytes).is_ok() && s.p_filesz.get(LE) <= s.p_memsz.get(LE);
        (is_whole && s.p_vaddr.get(LE) >= end).then_some(next)
    });
    let has_code = segments.iter().any(|s| s.p_flags.get(LE) & PF_X != 0);
    (in_order.is_some() && has_code).then_some(Image {
        bytes,
        header,
        segments,
        sections,
        kind,
        loaded: None,
    })
}

fn linkage(image: &Image<'_>) -> Linkage {
    let text = |bytes: &[u8]| {
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    let interpreter = image.segments.iter().find(|s| s.p_type.get(LE) == PT_INTERP);
    let interpreter = interpreter.and_then(|s| s.data(LE, image.bytes).ok()).map(text);
    let dynamic = Dynamic::read(image);
    let value = |tag: i64| dynamic.as_ref().and_then(|d| d.value(tag));
    let is_pie = value(DT_FLAGS_1).is_some_and(|flags| flags & u64::from(DF_1_PIE) != 0);
    let is_fixed = image.header.e_type.get(LE) == ET_EXEC;
    let kind = match (is_fixed, interpreter.is_some()) {
        (true, true) => Kind::Dynamic.name(),
        (true, false) => Kind::Static.name(),
        // libc.so.6 has an interpreter, to print its version.
        (false, true) if is_pie || value(DT_SONAME).is_none() => Kind::DynamicPie.name(),
        (false, false) if is_pie => Kind::StaticPie.name(),
        (false, _) => "shared library",
    };
    Linkage {
        kind,
        interpreter,
        needed: dynamic.iter().flat_map(Dynamic::needed).collect(),
        strings: dynamic.as_ref().map_or(&[][..], |d| d.strings).to_vec(),
    }
}
