//! Code that no table describes: decided by agreement.
//!
//! Decoding x86 from a wrong byte falls into step with the right instructions
//! within a few of them. So the bytes before a pair are decoded from every
//! starting point at some distance; if all that stay valid meet at the same
//! boundaries before the pair, those are the instructions.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};

use super::{Function, PREFIXED, Place, Site, place};

/// How far before the pair decoding starts, in bytes.
const REACH: u64 = 256;
/// No decoding starts nearer than this: it could still be out of step.
const NEAREST: u64 = 128;
/// How much before the pair all decodings must agree on, and is kept, in bytes.
const KEPT: u64 = 48;
/// How far after the pair decoding goes on, in bytes.
const AFTER: u64 = 64;

/// Decides about the pair at `address`: a site, not an instruction (`None`), or
/// why that can't be said.
pub(super) fn decide(
    segment: u64,
    bytes: &[u8],
    address: u64,
    gap: (u64, u64),
) -> Result<Option<Site>, String> {
    let code = agreed(segment, bytes, address, gap)?;
    Ok(match place(&code, address) {
        Some(Place::Prefixed) => return Err(PREFIXED.into()),
        Some(Place::Call(index)) => {
            // What was decoded and kept: jumps from all else count as from outside.
            let start = code.first().map_or(address, Instruction::ip);
            let end = code.last().map_or(address + 2, Instruction::next_ip);
            let function = Function { start, end, name: None, is_go: false };
            Some(Site { address, function, code: code.into(), index })
        }
        _ => None,
    })
}

/// Whether the address is known to be the inside of an instruction.
pub(super) fn is_inside(segment: u64, bytes: &[u8], address: u64, gap: (u64, u64)) -> bool {
    agreed(segment, bytes, address, gap)
        .is_ok_and(|code| code.iter().any(|i| i.ip() < address && address < i.next_ip()))
}

/// The instructions around an address, or why they can't be known.
fn agreed(
    segment: u64,
    bytes: &[u8],
    address: u64,
    gap: (u64, u64),
) -> Result<Vec<Instruction>, String> {
    let low = segment.max(gap.0).max(address.saturating_sub(REACH));
    let high = (segment + bytes.len() as u64).min(gap.1).min(address + 2 + AFTER);
    // The start of the stretch is a boundary: where a function ends, or a segment starts.
    let starts_at_boundary = low > address.saturating_sub(REACH);
    let last = address.saturating_sub(NEAREST).max(low);
    let mut agreed: Option<Vec<Instruction>> = None;
    let mut votes = 0;
    for from in low..=last {
        if starts_at_boundary && from != low {
            break;
        }
        let code = decode(segment, bytes, from, high);
        if place(&code, address).is_none() {
            continue;
        }
        let near: Vec<Instruction> =
            code.into_iter().skip_while(|i| i.next_ip() + KEPT < address).collect();
        votes += 1;
        match &agreed {
            None => agreed = Some(near),
            Some(first) if boundaries(first).eq(boundaries(&near)) => {}
            Some(_) => return Err("decodings from different starts disagree".into()),
        }
    }
    let code = agreed.ok_or("no decoding reaches it")?;
    if starts_at_boundary {
        // One decoding alone: it must make sense of the whole stretch.
        let end = (segment + bytes.len() as u64).min(gap.1);
        if !is_all_code(&decode(segment, bytes, low, end), end) {
            return Err("what surrounds it does not read as code throughout".into());
        }
    } else if votes < 8 {
        return Err(format!("only {votes} decodings reach it"));
    }
    Ok(code)
}

/// Whether decoded instructions reach `end`, or an end of control flow with
/// nothing but padding behind it.
fn is_all_code(code: &[Instruction], end: u64) -> bool {
    let is_padding = |i: &&Instruction| {
        matches!(i.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
            || (i.mnemonic() == Mnemonic::Xchg && i.op0_register() == i.op1_register())
    };
    let Some(last) = code.iter().rev().find(|i| !is_padding(i)) else { return false };
    let ends = last.code() == Code::Syscall
        || !matches!(last.flow_control(), FlowControl::Next | FlowControl::ConditionalBranch);
    ends && code.last().is_some_and(|i| i.next_ip() == end)
}

fn boundaries(code: &[Instruction]) -> impl Iterator<Item = u64> + '_ {
    code.iter().map(Instruction::ip)
}

fn decode(segment: u64, bytes: &[u8], from: u64, to: u64) -> Vec<Instruction> {
    let code = bytes.get((from - segment) as usize..(to - segment) as usize).unwrap_or_default();
    let mut decoder = Decoder::with_ip(64, code, from, DecoderOptions::NONE);
    decoder.iter().take_while(|i| i.code() != Code::INVALID).collect()
}
