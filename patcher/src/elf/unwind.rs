//! Function ranges from `.eh_frame`: what a stripped C program still says.

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, FrameDescriptionEntry, LittleEndian, ReaderOffset,
    Register, RegisterRule, UnwindContext, UnwindContextStorage, UnwindSection, UnwindTableRow,
};
use object::LittleEndian as LE;
use object::elf::PT_GNU_EH_FRAME;
use object::read::elf::ProgramHeader;

use super::Image;

/// Start and end of every function that unwind information describes, in
/// ascending order.
pub fn ranges(image: &Image<'_>) -> Vec<(u64, u64)> {
    let Some((address, bytes)) = eh_frame(image) else { return Vec::new() };
    let section = EhFrame::new(bytes, LittleEndian);
    let text = image.code().next().map_or(0, |(start, _)| start);
    let bases = BaseAddresses::default().set_eh_frame(address).set_text(text);
    let mut entries = section.entries(&bases);
    let mut ranges = Vec::new();
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        if let Ok(fde) = partial.parse(EhFrame::cie_from_offset) {
            // The entry of a signal trampoline starts one byte early, so that a
            // return address less one is found in it; that byte is not its code.
            let early = u64::from(fde.is_signal_trampoline());
            ranges.push((fde.initial_address().saturating_add(early), fde.end_address()));
        }
    }
    ranges.retain(|&(start, end)| start < end && image.is_code(start));
    ranges.sort_unstable();
    ranges
}

/// Address and bytes of `.eh_frame`: by its section, or by the pointer in the
/// header that PT_GNU_EH_FRAME names.
fn eh_frame<'a>(image: &Image<'a>) -> Option<(u64, &'a [u8])> {
    if let Some((section, bytes)) = image.section(".eh_frame") {
        return Some((section.sh_addr.get(LE), bytes));
    }
    let segment = image.segments.iter().find(|s| s.p_type.get(LE) == PT_GNU_EH_FRAME)?;
    let start = segment.p_vaddr.get(LE);
    let header = image.at(start)?;
    if header.get(1) != Some(&PCREL_SDATA4) {
        return None;
    }
    let address = target(start + 4, header.get(4..)?)?;
    Some((address, image.at(address)?))
}

/// `DW_EH_PE_pcrel | DW_EH_PE_sdata4`, as every linker writes it (LSB 5.0, 10.6.2).
pub const PCREL_SDATA4: u8 = 0x1b;
/// The first bytes of a search table, as every linker writes it: the version, how the
/// place of `.eh_frame` is written, the count (DW_EH_PE_udata4), and the entries
/// (`DW_EH_PE_datarel | DW_EH_PE_sdata4`).
pub const SEARCHED: [u8; 4] = [1, PCREL_SDATA4, 0x03, 0x3b];

/// The address that four bytes say relative to another.
fn target(from: u64, bytes: &[u8]) -> Option<u64> {
    let relative = i32::from_le_bytes(*bytes.first_chunk()?);
    from.checked_add_signed(i64::from(relative))
}

/// The table by which an unwinder searches `.eh_frame`.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The address of the table.
    pub address: u64,
    /// The address of `.eh_frame`.
    pub frames: u64,
    /// Two words for each function.
    words: &'a [[u8; 8]],
}

impl<'a> Search<'a> {
    /// Reads the table that PT_GNU_EH_FRAME names; `None` when there is none, or none
    /// that is written as all linkers do, and in order.
    pub fn read(image: &Image<'a>) -> Option<Self> {
        let mut named = image.segments.iter().filter(|s| s.p_type.get(LE) == PT_GNU_EH_FRAME);
        let (Some(segment), None) = (named.next(), named.next()) else { return None };
        let address = segment.p_vaddr.get(LE);
        let (offset, len) = segment.file_range(LE);
        let is_loaded = image.offset(address) == Some(offset);
        let bytes = image.at(address).filter(|_| is_loaded)?.get(..usize::try_from(len).ok()?)?;
        if bytes.get(..4) != Some(&SEARCHED) {
            return None;
        }
        let frames = target(address + 4, bytes.get(4..)?)?;
        let count = u32::from_le_bytes(*bytes.get(8..)?.first_chunk()?) as usize;
        let words = bytes.get(12..)?.as_chunks().0.get(..count)?;
        let search = Self { address, frames, words };
        search.entries().is_sorted_by_key(|e| e.0).then_some(search)
    }

    /// The addresses of each function and of what describes it, in ascending order.
    pub fn entries(self) -> impl Iterator<Item = (u64, u64)> + Clone {
        let at = move |word: &[u8]| target(self.address, word).unwrap_or(u64::MAX);
        self.words.iter().map(move |words| (at(words), at(&words[4..])))
    }
}

type Fde<'a> = FrameDescriptionEntry<gimli::EndianSlice<'a, LittleEndian>>;

/// What unwind information says at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The register from which the canonical frame address counts, in DWARF's numbering.
    pub register: u8,
    /// Its distance in bytes.
    pub offset: u64,
    /// Registers saved in the frame, and how many words below that address.
    pub saved: Vec<(u8, u64)>,
}

impl Default for Row {
    /// As at a function's first instruction: rsp + 8.
    fn default() -> Self {
        Self { register: 7, offset: 8, saved: Vec::new() }
    }
}

/// Room for one function's rows: more registers than there are, and as many rows
/// kept to come back to as compilers use.
struct OnStack;

impl<T: ReaderOffset> UnwindContextStorage<T> for OnStack {
    type Rules = [(Register, RegisterRule<T>); 192];
    type Stack = [UnwindTableRow<T, Self>; 4];
}

/// The unwind information of a file.
pub struct Rows<'a> {
    section: Option<EhFrame<gimli::EndianSlice<'a, LittleEndian>>>,
    bases: BaseAddresses,
    /// In ascending order of address.
    all: Vec<(u64, Fde<'a>)>,
}

impl<'a> Rows<'a> {
    /// Reads `.eh_frame`.
    pub fn read(image: &Image<'a>) -> Self {
        let mut rows = Self { section: None, bases: BaseAddresses::default(), all: Vec::new() };
        let Some((address, bytes)) = eh_frame(image) else { return rows };
        let section = EhFrame::new(bytes, LittleEndian);
        let text = image.code().next().map_or(0, |(start, _)| start);
        rows.bases = BaseAddresses::default().set_eh_frame(address).set_text(text);
        let mut entries = section.entries(&rows.bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            if let Ok(fde) = partial.parse(EhFrame::cie_from_offset) {
                rows.all.push((fde.initial_address(), fde));
            }
        }
        rows.all.sort_by_key(|(start, _)| *start);
        rows.section = Some(section);
        rows
    }

    /// The row of an address; `None` where there is none that plain numbers say.
    pub fn at(&self, address: u64) -> Option<Row> {
        let index = self.all.partition_point(|(start, _)| *start <= address).checked_sub(1)?;
        let fde = &self.all[index].1;
        let mut context = UnwindContext::<usize, OnStack>::new_in();
        let section = self.section.as_ref()?;
        let row = fde.unwind_info_for_address(section, &self.bases, &mut context, address).ok()?;
        let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { return None };
        let register = u8::try_from(register.0).ok()?;
        let mut found = Row { register, offset: u64::try_from(*offset).ok()?, saved: Vec::new() };
        for (register, rule) in row.registers() {
            let RegisterRule::Offset(offset) = rule else { return None };
            let words =
                u64::try_from(offset.checked_neg()? / 8).ok().filter(|_| offset % 8 == 0)?;
            match u8::try_from(register.0).ok().filter(|r| *r < 64)? {
                // The return address is where it always is, or nothing is known.
                16 if words == 1 => {}
                16 => return None,
                register => found.saved.push((register, words)),
            }
        }
        found.saved.sort_unstable();
        Some(found)
    }
}
