//! What a file tells its loader (System V gABI, chapter 5, Dynamic Section).

use object::LittleEndian as LE;
use object::elf::{
    DF_TEXTREL, DT_FLAGS, DT_NEEDED, DT_NULL, DT_STRSZ, DT_STRTAB, DT_TEXTREL, PT_DYNAMIC,
};
use object::read::elf::ProgramHeader;

use super::Image;

/// Bytes of an entry: a tag and a value.
pub const ENTRY: usize = 16;

/// The dynamic section.
pub struct Dynamic<'a> {
    /// Its offset in the file.
    pub offset: u64,
    /// Tag and value of each entry up to the first DT_NULL.
    pub entries: Vec<(i64, u64)>,
    /// How many entries it has room for: with the DT_NULLs that follow.
    pub room: usize,
    /// The table of names.
    pub strings: &'a [u8],
}

impl<'a> Dynamic<'a> {
    /// Reads it; `None` where a file has none, or none that can be read.
    pub fn read(image: &Image<'a>) -> Option<Self> {
        let segment = image.segments.iter().find(|s| s.p_type.get(LE) == PT_DYNAMIC)?;
        let all = segment.dynamic(LE, image.bytes).ok()??;
        let entries = all.iter().map(|d| (d.d_tag.get(LE), d.d_val.get(LE)));
        let is_null = |e: &(i64, u64)| e.0 == DT_NULL;
        let nulls = entries.clone().skip_while(|e| !is_null(e)).take_while(is_null).count();
        let entries: Vec<_> = entries.take_while(|e| !is_null(e)).collect();
        let room = entries.len() + nulls;
        let mut dynamic = Self { offset: segment.p_offset.get(LE), entries, room, strings: &[] };
        let size = dynamic.value(DT_STRSZ).and_then(|size| usize::try_from(size).ok());
        let strings = dynamic.value(DT_STRTAB).and_then(|at| image.at(at)).unwrap_or_default();
        dynamic.strings = &strings[..size.unwrap_or(0).min(strings.len())];
        Some(dynamic)
    }

    /// The value of the first entry with that tag.
    pub fn value(&self, tag: i64) -> Option<u64> {
        self.entries.iter().find(|e| e.0 == tag).map(|e| e.1)
    }

    /// A name of the table, without its NUL.
    pub fn name(&self, at: u64) -> Option<&'a [u8]> {
        let rest = self.strings.get(usize::try_from(at).ok()?..)?;
        rest.get(..memchr::memchr(0, rest)?)
    }

    /// Whether the loader changes code (DT_TEXTREL, DF_TEXTREL).
    pub fn relocates_code(&self) -> bool {
        let flags = self.value(DT_FLAGS).unwrap_or(0);
        self.value(DT_TEXTREL).is_some() || flags & u64::from(DF_TEXTREL) != 0
    }

    /// The libraries that it needs, in order.
    pub fn needed(&self) -> impl Iterator<Item = String> {
        let entries = self.entries.iter().filter(|e| e.0 == DT_NEEDED);
        entries.filter_map(|e| Some(String::from_utf8_lossy(self.name(e.1)?).into_owned()))
    }
}
