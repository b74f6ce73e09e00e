//! Unwind information for what was injected (DWARF 4, section 6.4): for debuggers
//! as a section that is not loaded, and for the program's own unwinder (`eh_frame.rs`).
//!
//! A trampoline runs on the stack of its site, as the site left it: its rows are
//! the site's own, from `.eh_frame` for C and from Go's table of stack sizes, and those of
//! the instructions that were moved to it, which may push and pop. A call that was
//! redirected waits in the shim, and goes on where the slot says.

use crate::elf::Image;
use crate::elf::unwind::{Row, Rows};
use crate::plan::{Detour, Form};
use crate::scan::Functions;

/// DWARF's numbers of registers (System V ABI, AMD64, 3.36).
const RBX: u8 = 3;
const RBP: u8 = 6;
const RSP: u8 = 7;
pub(super) const RETURN: u8 = 16;

/// DW_CFA_advance_loc, DW_CFA_advance_loc2, DW_CFA_advance_loc4.
const ADVANCE: u8 = 0x40;
const ADVANCE_2: u8 = 0x03;
const ADVANCE_4: u8 = 0x04;
/// DW_CFA_offset: with a register, saved so many words below the CFA.
const OFFSET: u8 = 0x80;
/// DW_CFA_remember_state, DW_CFA_restore_state.
const REMEMBER: u8 = 0x0a;
const RESTORE: u8 = 0x0b;
/// DW_CFA_def_cfa.
const CFA: u8 = 0x0c;
/// DW_CFA_expression: a register is saved where an expression says.
const EXPRESSION: u8 = 0x10;
/// DW_OP_breg3: rbx and an offset.
const BREG3: u8 = 0x73;

/// What the section describes.
pub(super) struct Injected<'a> {
    /// The address of each detour's trampoline.
    pub(super) entries: &'a [u64],
    /// Where in them the stack is as it is at an address of the program, in ascending
    /// order: here, there.
    pub(super) marks: &'a [(u64, u64)],
    /// The address after the last trampoline.
    pub(super) end: u64,
    /// The code of the shim in which a redirected call is made: from, to.
    pub(super) replace: Option<(u64, u64)>,
}

/// How a stretch of code is entered, which its first row follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Entered {
    /// As a function: rsp + 8, with the return address below.
    Called,
    /// From a slot. The frame is no call's: rbx is the slot's address, which holds the
    /// caller's rbx and where it goes on (shim/entry.s: S_RBX, S_TARGET).
    FromSlot,
}

impl Entered {
    /// The instructions of a CIE.
    pub(super) fn code(self) -> &'static [u8] {
        const SLOT: &[u8] = &[
            CFA, RSP, 0, EXPRESSION, RBX, 2, BREG3, 0x18, EXPRESSION, RETURN, 3, BREG3, 0xe8, 0x00,
        ];
        match self {
            Entered::Called => &[CFA, RSP, 8, OFFSET | RETURN, 1],
            Entered::FromSlot => SLOT,
        }
    }
}

/// A stretch of code that is described as one function.
pub(super) struct Described {
    /// The address of its first byte.
    pub(super) start: u64,
    /// The address after its last.
    pub(super) end: u64,
    pub(super) entered: Entered,
    /// The instructions of its FDE.
    pub(super) code: Vec<u8>,
}

/// What can be said of what was injected, in ascending order of address.
pub(super) fn describe(
    image: &Image<'_>,
    functions: &Functions<'_>,
    detours: &[Detour<'_>],
    injected: &Injected<'_>,
) -> Vec<Described> {
    // The shim's code lies before the trampolines.
    let in_shim =
        |(start, end)| Described { start, end, entered: Entered::FromSlot, code: Vec::new() };
    let mut all: Vec<_> = injected.replace.map(in_shim).into_iter().collect();
    let rows = Rows::read(image);
    let ends = injected.entries.iter().skip(1).copied().chain([injected.end]);
    let mut open: Option<Run> = None;
    for ((detour, &start), end) in detours.iter().zip(injected.entries).zip(ends) {
        let row = |there: u64| row(functions, &rows, detour, there);
        let site = if detour.form == Form::After { detour.start() } else { detour.site.address };
        let Some(first) = row(site) else {
            all.extend(open.take().map(Run::described));
            continue;
        };
        let run = open.get_or_insert_with(|| Run::new(start));
        run.add(start, end, &first);
        let inside = injected.marks.partition_point(|mark| mark.0 < start);
        for &(here, there) in injected.marks[inside..].iter().take_while(|mark| mark.0 < end) {
            if let Some(row) = row(there) {
                run.add(here, end, &row);
            }
        }
    }
    all.extend(open.map(Run::described));
    all
}

/// The contents of `.debug_frame`, to be put behind `before` bytes of others.
pub(super) fn debug_frame(described: &[Described], before: usize) -> Vec<u8> {
    let mut out = Section { bytes: Vec::new(), before };
    let mut cies: Vec<(Entered, u32)> = Vec::new();
    for one in described {
        let known = cies.iter().find(|cie| cie.0 == one.entered).map(|cie| cie.1);
        let cie = known.unwrap_or_else(|| {
            cies.push((one.entered, out.cie(one.entered.code())));
            cies[cies.len() - 1].1
        });
        out.fde(cie, one);
    }
    out.bytes
}

/// The row of an address in the function of a detour's site.
fn row(
    functions: &Functions<'_>,
    rows: &Rows<'_>,
    detour: &Detour<'_>,
    address: u64,
) -> Option<Row> {
    if !detour.site.function.is_go {
        return rows.at(address);
    }
    let depth = functions.go.as_ref()?.stack_depth(address)?;
    let mut row = Row { register: RSP, offset: depth + 8, saved: Vec::new() };
    if depth > 0 {
        // Go keeps the caller's frame pointer at the top of a frame.
        row.saved.push((RBP, 2));
    }
    Some(row)
}

/// Trampolines one behind the other, and the instructions that tell their rows.
struct Run {
    start: u64,
    end: u64,
    /// Where the last row was told.
    told: u64,
    row: Row,
    code: Vec<u8>,
}

impl Run {
    fn new(start: u64) -> Self {
        // The first row is the CIE's, kept to come back to.
        Self { start, end: start, told: start, row: Row::default(), code: vec![REMEMBER] }
    }

    fn described(self) -> Described {
        Described { start: self.start, end: self.end, entered: Entered::Called, code: self.code }
    }

    fn add(&mut self, start: u64, end: u64, row: &Row) {
        self.end = end;
        if *row == self.row {
            return;
        }
        match start - self.told {
            0 => {}
            step @ 1..64 => self.code.push(ADVANCE | step as u8),
            step => {
                self.code.push(ADVANCE_4);
                self.code.extend((step as u32).to_le_bytes());
                // Two bytes are enough for all but a trampoline of 64 KiB.
                if let Ok(step) = u16::try_from(step) {
                    self.code.truncate(self.code.len() - 5);
                    self.code.push(ADVANCE_2);
                    self.code.extend(step.to_le_bytes());
                }
            }
        }
        self.told = start;
        self.code.extend([RESTORE, REMEMBER]);
        if (row.register, row.offset) != (RSP, 8) {
            self.code.extend([CFA, row.register]);
            uleb(&mut self.code, row.offset);
        }
        for &(register, words) in &row.saved {
            self.code.push(OFFSET | register);
            uleb(&mut self.code, words);
        }
        self.row = row.clone();
    }
}

/// The section `.debug_frame`, as it grows.
struct Section {
    bytes: Vec<u8>,
    before: usize,
}

impl Section {
    /// Adds a CIE, and gives its place: offsets of code by 1, of data by -8.
    fn cie(&mut self, code: &[u8]) -> u32 {
        let place = (self.before + self.bytes.len()) as u32;
        let mut body = u32::MAX.to_le_bytes().to_vec();
        body.extend([1, 0, 1, 0x78, RETURN]);
        body.extend(code);
        self.entry(body);
        place
    }

    fn fde(&mut self, cie: u32, one: &Described) {
        let mut body = cie.to_le_bytes().to_vec();
        body.extend(one.start.to_le_bytes());
        body.extend((one.end - one.start).to_le_bytes());
        body.extend(&one.code);
        self.entry(body);
    }

    /// Padded with DW_CFA_nop so that the next one is aligned to 8.
    fn entry(&mut self, mut body: Vec<u8>) {
        body.resize((body.len() + 4).next_multiple_of(8) - 4, 0);
        self.bytes.extend((body.len() as u32).to_le_bytes());
        self.bytes.extend(body);
    }
}

fn uleb(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
