//! Where is a difference, and what does it change? In words, and as code.

use std::ops::Range;

use iced_x86::{Code, Decoder, DecoderOptions, Formatter, GasFormatter, Instruction};
use object::LittleEndian as LE;
use object::elf::SHT_NOBITS;
use serde_json::{Value, json};

use super::read::UNDO;
use super::verify::Expected;
use crate::constants::{Change, Edit};
use crate::elf::Image;
use crate::emit::note;
use crate::patch::Derived;
use crate::plan::Detour;

/// The most instructions shown for one place.
const SHOWN: usize = 4;
/// The most bytes shown for one place.
const BYTES: usize = 16;

/// One thing that is not as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// Offset in the file, and how many bytes, when it has a place.
    pub place: Option<Range<usize>>,
    /// The part of the file: a section's name, or words.
    pub region: String,
    /// The address in memory, when it is loaded.
    pub address: Option<u64>,
    /// The site that it belongs to, and the site's function.
    pub site: Option<(u64, String)>,
    /// What is wrong.
    pub message: String,
    /// The bytes that procsys writes there, and those that are there.
    pub bytes: Option<(String, String)>,
    /// The original's instructions, then what procsys writes, then what is there.
    pub code: Option<[Vec<String>; 3]>,
}

impl Finding {
    /// A finding about the whole file.
    pub fn whole(region: &str, message: impl Into<String>) -> Self {
        Self { region: region.into(), message: message.into(), ..Self::default() }
    }

    /// Everything, for machines.
    pub fn json(&self) -> Value {
        let [original, expected, actual] = self.code.clone().unwrap_or_default();
        json!({
            "offset": self.place.as_ref().map(|p| p.start),
            "length": self.place.as_ref().map(Range::len),
            "region": self.region,
            "address": self.address,
            "site": self.site.as_ref().map(|s| s.0),
            "function": self.site.as_ref().map(|s| &s.1),
            "message": self.message,
            "expected": self.bytes.as_ref().map(|b| &b.0),
            "actual": self.bytes.as_ref().map(|b| &b.1),
            "original_code": original,
            "expected_code": expected,
            "actual_code": actual,
        })
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{:#x} ", place.start)?;
        }
        write!(f, "({}", self.region)?;
        if let Some(address) = self.address {
            write!(f, ", address {address:#x}")?;
        }
        write!(f, "): {}", self.message)?;
        if let Some((expected, actual)) = &self.bytes {
            write!(f, "\n    expected {expected}\n    actual   {actual}")?;
        }
        for (name, lines) in
            ["original", "expected", "actual"].iter().zip(self.code.iter().flatten())
        {
            for (i, line) in lines.iter().enumerate() {
                write!(f, "\n    {:8} {line}", if i == 0 { name } else { "" })?;
            }
        }
        Ok(())
    }
}

/// Describes bytes that are not what procsys writes.
pub(super) fn describe(expected: &Expected<'_, '_>, actual: &[u8], place: Range<usize>) -> Finding {
    let written = expected.derived.bytes;
    let shown = |bytes: &[u8]| {
        let bytes = bytes.get(place.start..place.end.min(bytes.len())).unwrap_or_default();
        let text: Vec<_> = bytes.iter().take(BYTES).map(|b| format!("{b:02x}")).collect();
        if text.is_empty() { "nothing".to_owned() } else { text.join(" ") }
    };
    let mut finding = Finding {
        region: region(&expected.image, place.start),
        address: address(&expected.image, place.start),
        message: match place.start < expected.derived.original_len && place.start >= 64 {
            true => "changed since procsys copied it from the original".into(),
            false => "is not what procsys writes".into(),
        },
        bytes: Some((shown(written), shown(actual))),
        ..Finding::default()
    };
    if let Some(address) = finding.address {
        match expected.derived.detours {
            Some(derived) => in_code(derived, actual, address, place.start, &mut finding),
            None => in_constant(expected.derived.constants, address, &mut finding),
        }
    }
    if finding.region == UNDO {
        let changes = &expected.patched.changes;
        let mut at = expected.undo_at;
        let change = changes.iter().find(|c| {
            at += super::read::UNDO_HEADER + c.old.len();
            place.start < at
        });
        if let Some(change) = change {
            finding.message = format!("the original's bytes kept for {:#x} changed", change.offset);
        }
    }
    finding.place = Some(place);
    finding
}

/// What the difference is to rewritten constants and their lengths.
fn in_constant(constants: &[Change], address: u64, finding: &mut Finding) {
    let holds = |e: &Edit| (e.address..e.address + e.bytes.len() as u64).contains(&address);
    if let Some(change) = constants.iter().find(|c| c.edits.iter().any(holds)) {
        finding.message = format!("the constant {} or a length of it changed", change.new);
    }
}

/// What the difference is to detours and trampolines, or to other code.
fn in_code(derived: &Derived<'_>, actual: &[u8], address: u64, at: usize, finding: &mut Finding) {
    let written = derived.written;
    let entries = &derived.output.entries;
    let window = |bytes: &[u8], from: u64, to: u64| {
        let start = at - (address - from) as usize;
        let end = start + (to - from) as usize;
        let bytes = bytes.get(start..end.min(bytes.len())).unwrap_or_default();
        lines(Decoder::with_ip(64, bytes, from, DecoderOptions::NONE).iter(), address)
    };
    let here = |d: &&Detour<'_>| (d.start()..d.end()).contains(&address);
    if let Some(detour) = derived.detours.iter().find(here) {
        let site = (detour.site.address, detour.site.function.to_string());
        finding.message = format!("the detour of the site {:#x} in {}", site.0, site.1);
        finding.site = Some(site);
        let covered = detour.site.code[detour.covered.clone()].iter().copied();
        let (from, to) = (detour.start(), detour.end());
        finding.code =
            Some([lines(covered, from), window(written, from, to), window(actual, from, to)]);
        return;
    }
    let Range { start: shared, end } = derived.output.shared.clone();
    if derived.output.shared.contains(&address) {
        finding.message = "the code that trampolines share".into();
        finding.code =
            Some([Vec::new(), window(written, shared, end), window(actual, shared, end)]);
        return;
    }
    let index = entries.partition_point(|&e| e <= address).checked_sub(1);
    if let Some(index) = index.filter(|_| address < end) {
        let detour = &derived.detours[index];
        let site = (detour.site.address, detour.site.function.to_string());
        finding.message = format!("the trampoline of the site {:#x} in {}", site.0, site.1);
        finding.site = Some(site);
        let (from, to) = (entries[index], entries.get(index + 1).copied().unwrap_or(shared));
        let covered = detour.site.code[detour.covered.clone()].iter().copied();
        finding.code = Some([
            lines(covered, detour.start()),
            window(written, from, to),
            window(actual, from, to),
        ]);
        return;
    }
    if let Some(function) =
        derived.functions.lookup(address).filter(|_| address < derived.output.base)
    {
        finding.message = format!("the program's own code in {function} changed");
        let to = function.end.min(address + 64);
        // The original's code there is what procsys writes.
        let code = window(written, function.start, to);
        finding.code = Some([Vec::new(), code, window(actual, function.start, to)]);
    }
}

/// Instructions around an address: the last before it, and those after.
fn lines(code: impl Iterator<Item = Instruction>, address: u64) -> Vec<String> {
    let mut formatter = GasFormatter::new();
    let near = code.skip_while(|i| i.next_ip() <= address && i.code() != Code::INVALID);
    near.take(SHOWN)
        .map(|instruction| {
            let mut text = String::new();
            formatter.format(&instruction, &mut text);
            format!("{:#x} {text}", instruction.ip())
        })
        .collect()
}

/// The part of a patched file that an offset lies in.
pub(super) fn region(image: &Image<'_>, at: usize) -> String {
    let at = at as u64;
    let table = |start: u64, count: u16, size: u64| {
        (start..start.saturating_add(u64::from(count) * size)).contains(&at)
    };
    let header = image.header;
    if at < 64 {
        return "ELF header".into();
    }
    if table(header.e_phoff.get(LE), header.e_phnum.get(LE), 56) {
        return "program headers".into();
    }
    if table(header.e_shoff.get(LE), header.e_shnum.get(LE), 64) {
        return "section headers".into();
    }
    let holds = image.sections.iter().find(|s| {
        let start = s.sh_offset.get(LE);
        s.sh_type.get(LE) != SHT_NOBITS
            && (start..start.saturating_add(s.sh_size.get(LE))).contains(&at)
    });
    match holds.map(|s| String::from_utf8_lossy(image.section_name(s)).into_owned()) {
        Some(name) if name == note::SECTION => format!("{name}, the note"),
        Some(name) if !name.is_empty() => name,
        _ if at >= image.bytes.len() as u64 => "past the end".into(),
        _ => "between sections".into(),
    }
}

fn address(image: &Image<'_>, at: usize) -> Option<u64> {
    image.loads().find_map(|s| {
        let into = (at as u64).checked_sub(s.p_offset.get(LE))?;
        (into < s.p_filesz.get(LE)).then(|| s.p_vaddr.get(LE) + into)
    })
}
