//! Section headers and symbols for what was injected, so that readelf, objdump
//! and gdb show it. All are appended; those of the input stay what they were.

use object::LittleEndian as LE;
use object::elf::{
    SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHN_UNDEF, SHT_NOBITS, SHT_NOTE, SHT_NULL, SHT_PROGBITS,
    SHT_STRTAB, SHT_SYMTAB, STB_GLOBAL, STT_FUNC, STT_OBJECT, SectionHeader64, Sym64,
};
use object::pod::bytes_of;
use object::{U16, U32, U64};

use super::frames::{self, Described};
use super::note;
use super::output::{Place, Stretch};
use super::segment::{Contents, Part};
use crate::elf::Image;
use crate::elf::image::Section;
use crate::patched::read;
use crate::shim::SLOTS_SIZE;

/// What the end of the file holds, after the shim's segment.
pub(crate) struct Tail {
    pub(crate) bytes: Vec<u8>,
    /// Offset of the section headers in the file.
    pub(crate) headers: u64,
    pub(crate) count: u16,
    pub(crate) names: u16,
}

struct Builder<'a> {
    /// Offset in the file of the tail's first byte.
    start: u64,
    bytes: Vec<u8>,
    headers: Vec<Section>,
    names: Vec<u8>,
    image: &'a Image<'a>,
}

/// Builds the tail for a segment at its place.
pub(super) fn tail(
    image: &Image<'_>,
    described: &[Described],
    contents: &Contents,
    undo: &[u8],
    place: &Place,
) -> Tail {
    let (address, offset) = (place.base, place.offset);
    let mut headers: Vec<Section> = image.sections.iter().copied().collect();
    let has_bytes = |s: &Section| s.sh_type.get(LE) != SHT_NOBITS && s.sh_size.get(LE) > 0;
    for section in headers.iter_mut().filter(|s| has_bytes(s)) {
        if let Some((offset, address)) = place.moved(contents, section.sh_offset.get(LE)) {
            section.sh_offset = U64::new(LE, offset);
            section.sh_addr = U64::new(LE, address);
        }
    }
    if let Some(old) = place.strings {
        let is_it = |s: &&mut Section| s.sh_type.get(LE) == SHT_STRTAB && s.sh_addr.get(LE) == old;
        if let Some(section) = headers.iter_mut().find(is_it) {
            section.sh_addr = U64::new(LE, address + contents.strings.offset);
            section.sh_offset = U64::new(LE, offset + contents.strings.offset);
            section.sh_size = U64::new(LE, contents.strings.len);
        }
    }
    let mut builder = Builder::new(image, offset + contents.bytes.len() as u64, headers);
    builder.injected(contents, address, offset);
    if contents.search.len > 0 {
        builder.searched(contents, address, offset, place.search);
    }
    if let Some(Stretch { address, offset, len }) = place.archive {
        builder.named(read::ARCHIVE, header(SHT_PROGBITS, SHF_ALLOC, address, offset, len));
    }
    builder.appended(".procsys.undo", header(SHT_PROGBITS, 0, 0, 0, 0), undo);
    builder.frames(|before| frames::debug_frame(described, before));
    builder.symbols(contents, address);
    builder.finish()
}

/// Builds a tail behind the input's end that holds sections which are not loaded:
/// name, type and contents of each.
pub(crate) fn appended(image: &Image<'_>, parts: &[(&str, u32, &[u8])]) -> Tail {
    let headers = image.sections.iter().copied().collect();
    let mut builder = Builder::new(image, image.bytes.len() as u64, headers);
    for (name, kind, bytes) in parts {
        builder.appended(name, header(*kind, 0, 0, 0, 0), bytes);
    }
    builder.finish()
}

fn names_section<'a>(image: &Image<'a>) -> Option<(usize, &'a [u8])> {
    use object::read::elf::SectionHeader;
    let index = usize::from(image.header.e_shstrndx.get(LE));
    let section = image.sections.iter().nth(index).filter(|_| index != usize::from(SHN_UNDEF))?;
    Some((index, section.data(LE, image.bytes).ok()?))
}

fn header(kind: u32, flags: u32, address: u64, offset: u64, size: u64) -> Section {
    SectionHeader64 {
        sh_name: U32::new(LE, 0),
        sh_type: U32::new(LE, kind),
        sh_flags: U64::new(LE, u64::from(flags)),
        sh_addr: U64::new(LE, address),
        sh_offset: U64::new(LE, offset),
        sh_size: U64::new(LE, size),
        sh_link: U32::new(LE, 0),
        sh_info: U32::new(LE, 0),
        sh_addralign: U64::new(LE, if kind == SHT_NOTE { 4 } else { 16 }),
        sh_entsize: U64::new(LE, 0),
    }
}

impl<'a> Builder<'a> {
    fn new(image: &'a Image<'a>, start: u64, mut headers: Vec<Section>) -> Self {
        if headers.is_empty() {
            headers.push(header(SHT_NULL, 0, 0, 0, 0));
        }
        let names = names_section(image).map_or_else(|| vec![0], |(_, bytes)| bytes.to_vec());
        Builder { start, bytes: Vec::new(), headers, names, image }
    }

    fn named(&mut self, name: &str, mut section: Section) -> usize {
        section.sh_name = U32::new(LE, self.names.len() as u32);
        self.names.extend_from_slice(name.as_bytes());
        self.names.push(0);
        self.headers.push(section);
        self.headers.len() - 1
    }

    /// Appends bytes to the file, aligned to 8, and gives their offset.
    fn append(&mut self, bytes: &[u8]) -> u64 {
        while !(self.start + self.bytes.len() as u64).is_multiple_of(8) {
            self.bytes.push(0);
        }
        let offset = self.start + self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        offset
    }

    fn appended(&mut self, name: &str, mut section: Section, bytes: &[u8]) -> usize {
        section.sh_offset = U64::new(LE, self.append(bytes));
        section.sh_size = U64::new(LE, bytes.len() as u64);
        self.named(name, section)
    }

    /// The sections of the shim's segment and of the slots below it.
    fn injected(&mut self, contents: &Contents, address: u64, offset: u64) {
        let code = SHF_ALLOC | SHF_EXECINSTR;
        let slots =
            header(SHT_NOBITS, SHF_ALLOC | SHF_WRITE, address - SLOTS_SIZE, offset, SLOTS_SIZE);
        self.named(".procsys.slots", slots);
        let image = Part { offset: 0, len: contents.shim.image.len() as u64 };
        for (name, part, kind, flags) in [
            (".procsys.text", image, SHT_PROGBITS, code),
            (".procsys.tables", contents.tables, SHT_PROGBITS, SHF_ALLOC),
            (".procsys.rules", contents.rules, SHT_PROGBITS, SHF_ALLOC),
            (note::SECTION, contents.note, SHT_NOTE, SHF_ALLOC),
            (".procsys.trampolines", contents.trampolines, SHT_PROGBITS, code),
        ] {
            let (at, from) = (address + part.offset, offset + part.offset);
            self.named(name, header(kind, flags, at, from, part.len));
        }
    }

    /// What the program's unwinder finds, and its table in the place of the `old` one.
    fn searched(&mut self, contents: &Contents, address: u64, offset: u64, old: Option<u64>) {
        let make = |part: Part| {
            let (at, from) = (address + part.offset, offset + part.offset);
            header(SHT_PROGBITS, SHF_ALLOC, at, from, part.len)
        };
        // Not `.eh_frame`: readers expect one of that name.
        self.named(".procsys.eh_frame", make(contents.frames));
        let new = make(contents.search);
        let is_old = |s: &&mut Section| old == Some(s.sh_addr.get(LE)) && s.sh_size.get(LE) > 0;
        match self.headers.iter_mut().find(is_old) {
            Some(section) => {
                section.sh_addr = new.sh_addr;
                section.sh_offset = new.sh_offset;
                section.sh_size = new.sh_size;
            }
            None => _ = self.named(".eh_frame_hdr", new),
        }
    }

    /// Unwind information, behind the input's own of that name. Compressed, that
    /// can't be added to: then there is none.
    fn frames(&mut self, make: impl FnOnce(usize) -> Vec<u8>) {
        const NAME: &str = ".debug_frame";
        let old = self.image.section(NAME).map(|(section, bytes)| {
            let is_it = |s: &Section| {
                s.sh_offset.get(LE) == section.sh_offset.get(LE)
                    && s.sh_name.get(LE) == section.sh_name.get(LE)
            };
            (self.headers.iter().position(is_it), section.sh_flags.get(LE), bytes)
        });
        let plain = header(SHT_PROGBITS, 0, 0, 0, 0);
        match old {
            None => _ = self.appended(NAME, plain, &make(0)),
            Some((Some(index), 0, bytes)) => {
                let mut whole = bytes.to_vec();
                whole.extend(make(bytes.len()));
                self.replaced(Some(index), NAME, plain, &whole);
            }
            Some(_) => {}
        }
    }

    fn index(&self, address: u64) -> u16 {
        let holds = |s: &Section| {
            s.sh_addr.get(LE) <= address && address - s.sh_addr.get(LE) < s.sh_size.get(LE)
        };
        self.headers.iter().rposition(holds).unwrap_or(0) as u16
    }

    /// The symbol table: the input's, copied, with the shim's at its end.
    fn symbols(&mut self, contents: &Contents, address: u64) {
        let old = self.headers.iter().position(|s| s.sh_type.get(LE) == SHT_SYMTAB);
        let old_names = old.map(|i| self.headers[i].sh_link.get(LE) as usize);
        // A table whose names are nowhere is left alone, and a new one made.
        let old = old.filter(|_| old_names.is_some_and(|i| i < self.headers.len()));
        let old_names = old_names.filter(|_| old.is_some());
        let data = |image: &Image<'_>, section: &Section| {
            use object::read::elf::SectionHeader;
            section.data(LE, image.bytes).unwrap_or_default().to_vec()
        };
        let mut table = old.map_or_else(|| vec![0; 24], |i| data(self.image, &self.headers[i]));
        let mut names = old_names
            .and_then(|i| self.headers.get(i))
            .map_or_else(|| vec![0], |s| data(self.image, s));
        let trampolines = contents.trampolines;
        let functions = contents
            .shim
            .symbols()
            .chain([("procsys_trampolines", trampolines.offset, trampolines.len)])
            .map(|(name, offset, size)| (name, address + offset, size, STT_FUNC));
        let objects = [
            ("procsys_slots", address - SLOTS_SIZE, SLOTS_SIZE, STT_OBJECT),
            ("procsys_rules", address + contents.rules.offset, contents.rules.len, STT_OBJECT),
        ];
        for (name, value, size, kind) in functions.chain(objects) {
            let symbol = Sym64::<LE> {
                st_name: U32::new(LE, names.len() as u32),
                st_info: STB_GLOBAL << 4 | kind,
                st_other: 0,
                st_shndx: U16::new(LE, self.index(value)),
                st_value: U64::new(LE, value),
                st_size: U64::new(LE, size),
            };
            table.extend_from_slice(bytes_of(&symbol));
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        let names_index =
            self.replaced(old_names, ".strtab", header(SHT_STRTAB, 0, 0, 0, 0), &names);
        let mut section = header(SHT_SYMTAB, 0, 0, 0, 0);
        section.sh_link = U32::new(LE, names_index as u32);
        section.sh_info = U32::new(LE, 1);
        section.sh_entsize = U64::new(LE, 24);
        self.replaced(old, ".symtab", section, &table);
    }

    /// Points an existing section to new contents, or adds it.
    fn replaced(
        &mut self,
        old: Option<usize>,
        name: &str,
        section: Section,
        bytes: &[u8],
    ) -> usize {
        let Some(index) = old else { return self.appended(name, section, bytes) };
        let offset = self.append(bytes);
        self.headers[index].sh_offset = U64::new(LE, offset);
        self.headers[index].sh_size = U64::new(LE, bytes.len() as u64);
        index
    }

    fn finish(mut self) -> Tail {
        let names = match names_section(self.image) {
            Some((index, _)) => {
                let names = self.names.clone();
                self.replaced(Some(index), "", header(SHT_STRTAB, 0, 0, 0, 0), &names)
            }
            None => {
                let at = self.names.len() as u32;
                self.names.extend_from_slice(b".shstrtab\0");
                let names = self.names.clone();
                let mut section = header(SHT_STRTAB, 0, 0, self.append(&names), names.len() as u64);
                section.sh_name = U32::new(LE, at);
                self.headers.push(section);
                self.headers.len() - 1
            }
        };
        let bytes: Vec<u8> = self.headers.iter().flat_map(|h| bytes_of(h).to_vec()).collect();
        let headers = self.append(&bytes);
        Tail { bytes: self.bytes, headers, count: self.headers.len() as u16, names: names as u16 }
    }
}
