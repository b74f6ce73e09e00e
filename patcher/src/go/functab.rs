//! Go's function table (`.gopclntab`), also where it has no section.
//!
//! Format: Go, src/internal/abi/symtab.go and src/cmd/link/internal/ld/pcln.go
//! (1.18 to 1.27; the header of 1.16 and 1.17 differs and is read too). The
//! table is found by its magic and checked: it must have as many functions as
//! its module data says, and they must lie in code, in order.

use crate::elf::Image;

/// Magic numbers by version: 1.20 and later, 1.18, 1.16.
const MAGICS: [u32; 3] = [0xffff_fff1, 0xffff_fff0, 0xffff_fffa];

/// The function table of a Go executable.
pub struct Functab<'a> {
    /// Address of the first function.
    text: u64,
    /// Pairs of function offset and data offset, and a last one for the end.
    entries: &'a [u8],
    count: usize,
    /// Bytes of an entry's field: 4 (offsets), or 8 (addresses, before 1.18).
    field: usize,
    /// Names, each ended by NUL.
    names: &'a [u8],
    /// Tables of values by program counter.
    values: &'a [u8],
    /// Function data, to which the entries' second halves are offsets.
    data: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'a> Functab<'a> {
    /// Finds and checks the table. `None` when the file has none, or none that
    /// holds together.
    pub fn find(image: &Image<'a>) -> Option<Self> {
        if let Some((section, bytes)) = image.section(".gopclntab")
            && let Some(table) =
                Self::parse(image, section.sh_addr.get(object::LittleEndian), bytes)
        {
            return Some(table);
        }
        image.loads().find_map(|segment| {
            let start = segment.p_vaddr.get(object::LittleEndian);
            let bytes = image.at(start)?;
            // In all three magics the upper bytes are 0xff and two zeros follow,
            // then the instruction alignment (1) and the pointer size (8).
            memchr::memmem::find_iter(bytes, b"\xff\xff\xff\0\0\x01\x08").find_map(|at| {
                let at = at.checked_sub(1)?;
                Self::parse(image, start + at as u64, bytes.get(at..)?)
            })
        })
    }

    fn parse(image: &Image<'a>, address: u64, bytes: &'a [u8]) -> Option<Self> {
        let magic = half(bytes, 0)?;
        if !MAGICS.contains(&magic) || bytes.get(4..8)? != [0, 0, 1, 8] {
            return None;
        }
        let count = usize::try_from(word(bytes, 8)?).ok()?;
        let is_old = magic == MAGICS[2];
        // 1.18 put the text's start after the two counts.
        let offsets = if is_old { 24 } else { 32 };
        let part = |i: usize| bytes.get(usize::try_from(word(bytes, offsets + 8 * i)?).ok()?..);
        let (names, values, data) = (part(0)?, part(3)?, part(4)?);
        let field = if is_old { 8 } else { 4 };
        let entries = data.get(..count.checked_mul(2 * field)?.checked_add(field)?)?;
        let mut table = Self { text: 0, entries, count, field, names, values, data };
        table.text = if is_old { 0 } else { table.text_start(image, address, word(bytes, 24)?)? };
        table.holds_together(image).then_some(table)
    }

    /// Where the text starts: what the header says, or, where the linker left
    /// that to a relocation (PIE) or to nobody (later versions), what the module
    /// data or the sections say.
    fn text_start(&self, image: &Image<'_>, address: u64, said: u64) -> Option<u64> {
        let candidates =
            [Some(said), relocated(image, address.wrapping_add(24)), module_text(image, address)];
        let sections = [".text"].into_iter().filter_map(|n| image.section(n));
        let sections = sections.map(|(s, _)| s.sh_addr.get(object::LittleEndian));
        candidates
            .into_iter()
            .flatten()
            .chain(sections)
            .find(|&text| text != 0 && Self { text, ..*self }.holds_together(image))
    }

    fn start(&self, index: usize) -> Option<u64> {
        let at = index.checked_mul(2 * self.field)?;
        match self.field {
            4 => self.text.checked_add(u64::from(half(self.entries, at)?)),
            _ => word(self.entries, at),
        }
    }

    /// Every function in code, in order, and the first and last where code is.
    fn holds_together(&self, image: &Image<'_>) -> bool {
        let (Some(first), Some(end)) = (self.start(0), self.start(self.count)) else {
            return false;
        };
        let step = (self.count / 64).max(1);
        self.count > 0
            && first < end
            && image.is_code(first)
            && image.is_code(end - 1)
            && (0..self.count).step_by(step).all(|i| match (self.start(i), self.start(i + 1)) {
                (Some(a), Some(b)) => a <= b && a >= first && b <= end,
                _ => false,
            })
    }

    /// How many functions there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first address and the one after the last.
    pub fn range(&self) -> (u64, u64) {
        (self.start(0).unwrap_or(0), self.start(self.count).unwrap_or(0))
    }

    /// Which function holds an address.
    fn index(&self, address: u64) -> Option<usize> {
        let (first, end) = self.range();
        if address < first || address >= end {
            return None;
        }
        let (mut low, mut high) = (0, self.count);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if self.start(middle)? <= address { low = middle } else { high = middle }
        }
        Some(low)
    }

    /// The function that holds an address: start, end, name.
    pub fn lookup(&self, address: u64) -> Option<(u64, u64, &'a str)> {
        let low = self.index(address)?;
        Some((self.start(low)?, self.start(low + 1)?, self.name(low).unwrap_or("?")))
    }

    /// How far the stack pointer is below its value at the function's first
    /// instruction, in bytes (Go, runtime/symtab.go: pcvalue, of `pcsp`).
    pub fn stack_depth(&self, address: u64) -> Option<u64> {
        let index = self.index(address)?;
        let at = index * 2 * self.field + self.field;
        let function = match self.field {
            4 => half(self.entries, at)? as usize,
            _ => usize::try_from(word(self.entries, at)?).ok()?,
        };
        // struct _func: entry (a field's width), name, args, deferreturn, pcsp.
        let mut table = self.values.get(half(self.data, function + self.field + 12)? as usize..)?;
        let (mut at, mut value) = (self.start(index)?, -1i64);
        loop {
            let change = varint(&mut table)?;
            if change == 0 && value != -1 {
                return None;
            }
            value += (change >> 1) as i64 ^ -((change & 1) as i64);
            at += u64::from(varint(&mut table)?);
            if address < at {
                return u64::try_from(value).ok();
            }
        }
    }

    fn name(&self, index: usize) -> Option<&'a str> {
        let at = index * 2 * self.field + self.field;
        let offset = match self.field {
            4 => half(self.entries, at)? as usize,
            _ => usize::try_from(word(self.entries, at)?).ok()?,
        };
        // struct _func: entry (a field's width), then the name's offset.
        let name = half(self.data, offset.checked_add(self.field)?)? as usize;
        let name = self.names.get(name..)?;
        let end = name.iter().position(|&b| b == 0)?;
        std::str::from_utf8(name.get(..end)?).ok()
    }
}

/// A number of seven bits a byte, which is taken off.
fn varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The addend of the relative relocation of the word at `address`, in a PIE.
fn relocated(image: &Image<'_>, address: u64) -> Option<u64> {
    let (_, bytes) = image.section(".rela.dyn")?;
    let (records, _) = bytes.as_chunks::<24>();
    let record = records.iter().find(|r| word(*r, 0) == Some(address))?;
    word(record, 16)
}

/// The text's start in the module data that points to the table: its twelfth
/// word after the pointer (Go, runtime/symtab.go: moduledata, text).
fn module_text(image: &Image<'_>, address: u64) -> Option<u64> {
    const TEXT: u64 = 22 * 8;
    let needle = address.to_le_bytes();
    let in_place = image.loads().rev().find_map(|segment| {
        let start = segment.p_vaddr.get(object::LittleEndian);
        let bytes = image.at(start)?;
        let at = memchr::memmem::find_iter(bytes, &needle).find(|at| at % 8 == 0)?;
        word(bytes, at + TEXT as usize).filter(|&t| t != 0)
    });
    in_place.or_else(|| {
        let (_, bytes) = image.section(".rela.dyn")?;
        let (records, _) = bytes.as_chunks::<24>();
        let module = records.iter().find(|r| word(*r, 16) == Some(address))?;
        relocated(image, word(module, 0)?.wrapping_add(TEXT))
    })
}
