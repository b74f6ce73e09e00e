//! A 64-bit x86-64 ELF executable, as the patcher needs it.

use object::elf::{
    self, EM_AARCH64, EM_X86_64, ET_DYN, ET_EXEC, FileHeader64, PF_W, PF_X, PT_DYNAMIC, PT_INTERP,
    PT_LOAD, ProgramHeader64, SectionHeader64,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};
use object::{LittleEndian, ReadRef};

use crate::error::Error;

/// The file header.
pub type Header = FileHeader64<LittleEndian>;
/// A program header.
pub type Segment = ProgramHeader64<LittleEndian>;
/// A section header.
pub type Section = SectionHeader64<LittleEndian>;

const LE: LittleEndian = LittleEndian;

/// How the executable is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Static, at fixed addresses (ET_EXEC).
    Static,
    /// Static, position-independent (ET_DYN without an interpreter).
    StaticPie,
    /// With libraries, at fixed addresses.
    Dynamic,
    /// With libraries, position-independent.
    DynamicPie,
}

impl Kind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Static => "static",
            Kind::StaticPie => "static-PIE",
            Kind::Dynamic => "dynamic",
            Kind::DynamicPie => "dynamic PIE",
        }
    }

    /// Whether a loader brings libraries to it.
    pub fn is_dynamic(self) -> bool {
        matches!(self, Kind::Dynamic | Kind::DynamicPie)
    }
}

/// A parsed executable.
#[derive(Clone)]
pub struct Image<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// The file header.
    pub header: &'a Header,
    /// The program headers.
    pub segments: &'a [Segment],
    /// The section headers and their names; empty when the file has none.
    pub sections: SectionTable<'a, Header>,
    /// How it is linked.
    pub kind: Kind,
    /// Code that is read where the program was loaded: the address of an executable
    /// segment, and its bytes. The same bytes as in the file, but read already.
    pub loaded: Option<(u64, &'a [u8])>,
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Input(why.into()))
}

impl<'a> Image<'a> {
    /// Reads the headers and checks that the file is one that can be patched.
    ///
    /// # Errors
    /// [`Error::Input`] in one line for anything else.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = Self::header(bytes)?;
        if Self::is_packed(header, bytes) {
            return refuse("packed by UPX: its code is compressed; `upx -d` unpacks it");
        }
        Self::has_whole_tables(header, bytes)?;
        let damaged = |what: &str| Error::Input(format!("damaged ELF file: {what}"));
        let segments = header.program_headers(LE, bytes).map_err(|e| damaged(&e.to_string()))?;
        let has_interpreter = segments.iter().any(|s| s.p_type.get(LE) == PT_INTERP);
        let kind = match (header.e_type.get(LE), has_interpreter) {
            (ET_EXEC, false) => Kind::Static,
            (ET_EXEC, true) => Kind::Dynamic,
            (ET_DYN, _) if !Self::is_executable(segments, bytes, header, has_interpreter) => {
                return refuse("shared library: expected an executable");
            }
            (ET_DYN, false) => Kind::StaticPie,
            (ET_DYN, true) => Kind::DynamicPie,
            (other, _) => return refuse(format!("ELF type {other}: expected an executable")),
        };
        let sections = header.sections(LE, bytes).map_err(|e| damaged(&e.to_string()))?;
        let image = Self { bytes, header, segments, sections, kind, loaded: None };
        image.check()?;
        Ok(image)
    }

    fn header(bytes: &'a [u8]) -> Result<&'a Header, Error> {
        if bytes.get(..4) != Some(&elf::ELFMAG) {
            return refuse("not an ELF file");
        }
        match bytes.get(4) {
            Some(&elf::ELFCLASS64) => {}
            Some(&elf::ELFCLASS32) => return refuse("32-bit ELF file: expected 64-bit x86-64"),
            _ => return refuse("truncated ELF file: no whole file header"),
        }
        if bytes.get(5) == Some(&elf::ELFDATA2MSB) {
            return refuse("big-endian ELF file: expected x86-64");
        }
        let Ok(header) = bytes.read_at::<Header>(0) else {
            return refuse("truncated ELF file: no whole file header");
        };
        match header.e_machine.get(LE) {
            EM_X86_64 => Ok(header),
            EM_AARCH64 => refuse("ELF file for arm64: expected x86-64"),
            other => refuse(format!("ELF machine {other}: expected x86-64 (62)")),
        }
    }

    /// Whether UPX packed the file: its mark stands behind the program headers. Their
    /// system calls are not in such a file, and what is packed reads as anything.
    pub(crate) fn is_packed(header: &Header, bytes: &[u8]) -> bool {
        let headers = u64::from(header.e_phnum.get(LE)) * size_of::<Segment>() as u64;
        let mark = header.e_phoff.get(LE).checked_add(headers + 4);
        mark.is_some_and(|at| bytes.read_bytes_at(at, 4) == Ok(b"UPX!"))
    }

    /// A file that was not copied to its end has lost its section headers, at the least.
    fn has_whole_tables(header: &Header, bytes: &[u8]) -> Result<(), Error> {
        let (segments, sections) = (header.e_phnum.get(LE), header.e_shnum.get(LE));
        for (what, at, count, size) in [
            ("program", header.e_phoff.get(LE), segments, size_of::<Segment>()),
            ("section", header.e_shoff.get(LE), sections, size_of::<Section>()),
        ] {
            let end = at.checked_add(u64::from(count) * size as u64);
            if end.is_none_or(|end| end > bytes.len() as u64) {
                return refuse(format!("truncated ELF file: it ends before its {what} headers do"));
            }
        }
        Ok(())
    }

    /// A static-PIE has an entry point and, unlike a library, DF_1_PIE. A dynamic
    /// one of older linkers lacks the flag; libc.so.6, which has an interpreter
    /// to print its version, has a name.
    fn is_executable(
        segments: &[Segment],
        bytes: &[u8],
        header: &Header,
        has_interpreter: bool,
    ) -> bool {
        const DF_1_PIE: u64 = 0x0800_0000;
        let entries = segments.iter().filter(|s| s.p_type.get(LE) == PT_DYNAMIC);
        let entries = entries.filter_map(|s| s.dynamic(LE, bytes).ok().flatten()).flatten();
        let value =
            |tag: i64| entries.clone().find(|d| d.d_tag.get(LE) == tag).map(|d| d.d_val.get(LE));
        let has_flag = value(elf::DT_FLAGS_1).is_some_and(|flags| flags & DF_1_PIE != 0);
        let is_unnamed = has_interpreter && value(elf::DT_SONAME).is_none();
        (has_flag || is_unnamed) && header.e_entry.get(LE) != 0
    }

    fn check(&self) -> Result<(), Error> {
        let mut end = 0;
        if self.loads().next().is_none() {
            return refuse("ELF file without a loadable segment");
        }
        for (i, segment) in self.loads().enumerate() {
            let (offset, size) = segment.file_range(LE);
            let inside = offset.checked_add(size).is_some_and(|e| e <= self.bytes.len() as u64);
            if !inside {
                return refuse(format!(
                    "truncated ELF file: segment {i} ends past the end of the file"
                ));
            }
            let start = segment.p_vaddr.get(LE);
            let Some(next) = start.checked_add(segment.p_memsz.get(LE)) else {
                return refuse(format!("damaged ELF file: segment {i} wraps around"));
            };
            // User space ends at 2^47 (Linux, Documentation/arch/x86/x86_64/mm.rst).
            if next >= 1 << 47 {
                return refuse(format!("damaged ELF file: segment {i} is out of user space"));
            }
            if start < end || segment.p_memsz.get(LE) < size {
                return refuse(format!(
                    "damaged ELF file: segment {i} at {start:#x} is out of order"
                ));
            }
            end = next;
            let flags = segment.p_flags.get(LE);
            if flags & PF_W != 0 && flags & PF_X != 0 {
                return refuse(format!("segment {i} at {start:#x} is writable and executable"));
            }
        }
        for section in self.sections.iter() {
            if section.data(LE, self.bytes).is_err() {
                return refuse("truncated ELF file: a section ends past the end of the file");
            }
        }
        Ok(())
    }

    /// The loadable segments, in ascending order of address.
    pub fn loads(&self) -> impl DoubleEndedIterator<Item = &'a Segment> {
        self.segments.iter().filter(|s| s.p_type.get(LE) == PT_LOAD)
    }

    /// Address and bytes of each executable segment.
    pub fn code(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let (bytes, loaded) = (self.bytes, self.loaded);
        self.loads().filter(|s| s.p_flags.get(LE) & PF_X != 0).map(move |s| {
            let in_memory = loaded.filter(|l| l.0 == s.p_vaddr.get(LE));
            let in_file = || (s.p_vaddr.get(LE), s.data(LE, bytes).unwrap_or_default());
            in_memory.unwrap_or_else(in_file)
        })
    }

    /// The offset in the file of an address that the file holds.
    pub fn offset(&self, address: u64) -> Option<u64> {
        self.loads().find_map(|s| {
            let into = address.checked_sub(s.p_vaddr.get(LE))?;
            (into < s.p_filesz.get(LE)).then(|| s.p_offset.get(LE) + into)
        })
    }

    /// The bytes of the file from an address to the end of its segment.
    pub fn at(&self, address: u64) -> Option<&'a [u8]> {
        self.loads().find_map(|s| {
            let into = address.checked_sub(s.p_vaddr.get(LE))?;
            s.data(LE, self.bytes).ok()?.get(usize::try_from(into).ok()?..)
        })
    }

    /// Whether the address lies in an executable segment.
    pub fn is_code(&self, address: u64) -> bool {
        self.code().any(|(start, bytes)| address >= start && address - start < bytes.len() as u64)
    }

    /// Whether a section of data holds the address, or one of the file's own
    /// tables: older linkers, and Go's, put those into the same segment as code.
    pub fn is_data(&self, address: u64) -> bool {
        let data = u64::from(elf::SHF_ALLOC);
        let code = data | u64::from(elf::SHF_EXECINSTR);
        self.is_in_section(address, data)
            || self.is_in_table(address) && !self.is_in_section(address, code)
    }

    /// Whether a section of that kind holds the address: `SHF_ALLOC`, and
    /// `SHF_EXECINSTR` or not.
    fn is_in_section(&self, address: u64, wanted: u64) -> bool {
        self.sections.iter().any(|s| {
            let kind = s.sh_flags.get(LE) & u64::from(elf::SHF_ALLOC | elf::SHF_EXECINSTR);
            kind == wanted && address.wrapping_sub(s.sh_addr.get(LE)) < s.sh_size.get(LE)
        })
    }

    /// Whether it lies in the file's header, or the table of segments or sections.
    fn is_in_table(&self, address: u64) -> bool {
        let Some(offset) = self.offset(address) else { return false };
        let tables = [
            (0, size_of_val(self.header)),
            (self.header.e_phoff.get(LE), size_of_val(self.segments)),
            (self.header.e_shoff.get(LE), self.sections.len() * size_of::<Section>()),
        ];
        tables.into_iter().any(|(start, len)| offset.wrapping_sub(start) < len as u64)
    }

    /// A section by name: its header and bytes.
    pub fn section(&self, name: &str) -> Option<(&'a Section, &'a [u8])> {
        let (_, section) = self.sections.section_by_name(LE, name.as_bytes())?;
        Some((section, section.data(LE, self.bytes).ok()?))
    }

    /// The name of a section.
    pub fn section_name(&self, section: &Section) -> &'a [u8] {
        self.sections.section_name(LE, section).unwrap_or_default()
    }

    /// Named functions of the symbol table: start, size, name. Empty when stripped.
    pub fn function_symbols(&self) -> Vec<(u64, u64, &'a str)> {
        let Ok(table) = self.sections.symbols(LE, self.bytes, elf::SHT_SYMTAB) else {
            return Vec::new();
        };
        let name = |s| table.symbol_name(LE, s).ok().and_then(|n| std::str::from_utf8(n).ok());
        let mut all: Vec<_> = table
            .iter()
            .filter(|s| s.st_type() == elf::STT_FUNC && s.st_size.get(LE) > 0)
            .filter_map(|s| Some((s.st_value.get(LE), s.st_size.get(LE), name(s)?)))
            .collect();
        all.sort_unstable();
        all
    }
}
