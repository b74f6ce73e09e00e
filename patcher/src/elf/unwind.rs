//! Function ranges from `.eh_frame`: what a stripped C program still says.

use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, UnwindSection};
use object::LittleEndian as LE;
use object::elf::PT_GNU_EH_FRAME;

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
    /// `DW_EH_PE_pcrel | DW_EH_PE_sdata4`, as every linker writes it (LSB 5.0, 10.6.2).
    const PCREL_SDATA4: u8 = 0x1b;
    let segment = image.segments.iter().find(|s| s.p_type.get(LE) == PT_GNU_EH_FRAME)?;
    let start = segment.p_vaddr.get(LE);
    let header = image.at(start)?;
    if header.get(1) != Some(&PCREL_SDATA4) {
        return None;
    }
    let relative = i32::from_le_bytes(*header.get(4..)?.first_chunk()?);
    let address = (start + 4).wrapping_add_signed(i64::from(relative));
    Some((address, image.at(address)?))
}
