//! What the program's unwinder will find by the output's table: all that it found by
//! the input's, and then functions of the shim's segment.

use gimli::{
    BaseAddresses, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, ParsedEhFrameHdr, Pointer,
    UnwindSection,
};
use goblin::elf::program_header::{PF_R, PT_GNU_EH_FRAME, ProgramHeader};
use object::LittleEndian as LE;
use object::read::elf::ProgramHeader as _;

use super::{Pair, ensure};
use crate::elf::Image;
use crate::error::Error;

/// Checks the table that PT_GNU_EH_FRAME names; `shim` is the shim's segment.
///
/// # Errors
/// [`Error::Verify`] with the first thing that is not as it should be.
pub(super) fn check(
    image: &Image<'_>,
    headers: &[ProgramHeader],
    shim: &ProgramHeader,
    Pair { output, bytes }: &Pair<'_>,
) -> Result<(), Error> {
    let new: Vec<_> = headers.iter().filter(|h| h.p_type == PT_GNU_EH_FRAME).collect();
    let old = image.segments.iter().filter(|s| s.p_type.get(LE) == PT_GNU_EH_FRAME);
    let mut old = old.map(|s| (s.p_vaddr.get(LE), s.file_range(LE)));
    let Some(search) = output.search else {
        let place = |h: &&ProgramHeader| (h.p_vaddr, (h.p_offset, h.p_filesz));
        return ensure(old.eq(new.iter().map(place)), "the unwinder's table moved");
    };
    let [header] = new[..] else {
        return Err(Error::Verify("the unwinder's table is not there once".into()));
    };
    let place = |h: &ProgramHeader| h.p_vaddr..h.p_vaddr.saturating_add(h.p_filesz);
    ensure(
        header.p_vaddr == search
            && place(shim).start <= search
            && place(header).end <= place(shim).end
            && search - shim.p_vaddr == header.p_offset.wrapping_sub(shim.p_offset)
            && header.p_flags == PF_R,
        "the unwinder's table is not where it was put",
    )?;
    let mut found = Table::read(search, bytes.get(header.file_range()))?;
    let mut last = 0;
    if let Some((address, (offset, len))) = old.next() {
        let end = offset.checked_add(len).ok_or_else(unreadable)?;
        let mut kept = Table::read(address, image.bytes.get(offset as usize..end as usize))?;
        while let Some(entry) = kept.next() {
            ensure(found.next() == Some(entry), "the unwinder's table lost an entry")?;
            last = entry.0;
        }
    }
    added(last, found, shim, &bytes[shim.file_range()])
}

/// What is left of the table leads to functions of the shim's segment, in order and
/// after `last`.
fn added(
    mut last: u64,
    mut found: Table<'_>,
    shim: &ProgramHeader,
    segment: &[u8],
) -> Result<(), Error> {
    let frames = EhFrame::new(segment, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(shim.p_vaddr);
    while let Some((start, frame)) = found.next() {
        let offset = frame.wrapping_sub(shim.p_vaddr) as usize;
        let fde = frames.fde_from_offset(&bases, offset.into(), EhFrame::cie_from_offset);
        let fde = fde.map_err(|e| Error::Verify(format!("{frame:#x}: {e}")))?;
        ensure(
            last < start
                && fde.initial_address() == start
                && shim.p_vaddr <= start
                && fde.end_address() <= shim.p_vaddr.saturating_add(shim.p_filesz),
            format!("the unwind information at {frame:#x} is not that of {start:#x}"),
        )?;
        last = start;
    }
    Ok(())
}

fn unreadable() -> Error {
    Error::Verify("the unwinder's table can't be read".into())
}

/// The entries of a table: the start of a function, and what describes it.
struct Table<'a> {
    bases: BaseAddresses,
    header: ParsedEhFrameHdr<EndianSlice<'a, LittleEndian>>,
    at: usize,
}

impl<'a> Table<'a> {
    fn read(address: u64, bytes: Option<&'a [u8]>) -> Result<Self, Error> {
        let bases = BaseAddresses::default().set_eh_frame_hdr(address);
        let header = EhFrameHdr::new(bytes.ok_or_else(unreadable)?, LittleEndian);
        let header = header.parse(&bases, 8).map_err(|_| unreadable())?;
        Ok(Self { bases, header, at: 0 })
    }

    fn next(&mut self) -> Option<(u64, u64)> {
        let entry = self.header.table()?.iter(&self.bases).nth(self.at);
        self.at += 1;
        match entry {
            Ok(Some((Pointer::Direct(start), Pointer::Direct(frame)))) => Some((start, frame)),
            _ => None,
        }
    }
}
