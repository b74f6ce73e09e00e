//! Bytes that read as a call or jump with a 32-bit offset, wherever they are.
//!
//! Every byte of all code is looked at, tens of megabytes in a large program, and
//! one in twenty is an e8, an e9 or a 0f. So 64 bytes are decided at a time, by
//! vector instructions, and the offset's last byte, which says how far the branch
//! goes, is looked at first.

/// Positions that are decided at a time.
const BLOCK: usize = 64;
/// Bytes of the longest branch: 0f, its opcode, the offset.
const LONGEST: usize = 6;

/// Calls `found` with the source and target of each `e8`, `e9` and `0f 80` to
/// `0f 8f` in code at `start`, if they are no more than `span` bytes apart.
pub(super) fn each(start: u64, bytes: &[u8], span: u64, mut found: impl FnMut(u64, u64)) {
    let mut consider = |at: usize| {
        if let Some((length, offset)) = bytes.get(at..).and_then(branch) {
            let source = start + at as u64;
            let target = (source + length).wrapping_add_signed(i64::from(offset));
            if source.abs_diff(target) <= span {
                found(source, target);
            }
        }
    };
    // The last byte of an offset of at most `span`, either way: 0 to `far`, and
    // 255 - `far` to 255. One more for the length of the branch itself.
    let far = u8::try_from((span + LONGEST as u64) >> 24).unwrap_or(127).min(127);
    let mut at = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let mut marks = marks(block, far);
        while marks != 0 {
            consider(at + marks.trailing_zeros() as usize);
            marks &= marks - 1;
        }
        at += BLOCK;
    }
    (at..bytes.len()).for_each(consider);
}

/// Length and offset of the branch that the bytes start with.
fn branch(bytes: &[u8]) -> Option<(u64, i32)> {
    let (length, offset) = match *bytes {
        [0xe8 | 0xe9, a, b, c, d, ..] => (5, [a, b, c, d]),
        [0x0f, 0x80..=0x8f, a, b, c, d, ..] => (6, [a, b, c, d]),
        _ => return None,
    };
    Some((length, i32::from_le_bytes(offset)))
}

/// One bit for each position where a branch may start that goes no farther than
/// `far` times 16 MiB.
#[cfg(target_arch = "x86_64")]
fn marks(bytes: &[u8; BLOCK + LONGEST - 1], far: u8) -> u64 {
    // SAFETY: every processor of this architecture has SSE2.
    unsafe { marks_by_sse2(bytes, far) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn marks_by_sse2(bytes: &[u8; BLOCK + LONGEST - 1], far: u8) -> u64 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8,
        _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    const WIDTH: usize = size_of::<__m128i>();
    let all = |byte: u8| _mm_set1_epi8(byte as i8);
    let (shift, most) = (all(far + 1), all(2 * far + 1));
    (0..BLOCK).step_by(WIDTH).fold(0, |marks, from| {
        let load = |at: usize| {
            let part: &[u8; WIDTH] = bytes[from + at..].first_chunk().expect("a block is longer");
            // SAFETY: that many bytes, wherever they lie.
            unsafe { _mm_loadu_si128(part.as_ptr().cast()) }
        };
        let is = |bytes, mask, value| _mm_cmpeq_epi8(_mm_and_si128(bytes, all(mask)), all(value));
        let is_near = |last| {
            let shifted = _mm_add_epi8(last, shift);
            _mm_cmpeq_epi8(_mm_min_epu8(shifted, most), shifted)
        };
        let opcode = load(0);
        let plain = _mm_and_si128(is(opcode, 0xfe, 0xe8), is_near(load(4)));
        let second = _mm_and_si128(is(load(1), 0xf0, 0x80), is_near(load(5)));
        let two_bytes = _mm_and_si128(is(opcode, 0xff, 0x0f), second);
        let found = _mm_movemask_epi8(_mm_or_si128(plain, two_bytes)) as u32;
        marks | u64::from(found) << from
    })
}

/// The same where there are no such instructions.
#[cfg(not(target_arch = "x86_64"))]
fn marks(bytes: &[u8; BLOCK + LONGEST - 1], far: u8) -> u64 {
    let is_near = |last: u8| last.wrapping_add(far + 1) <= 2 * far + 1;
    (0..BLOCK).fold(0, |marks, i| {
        let plain = bytes[i] & 0xfe == 0xe8 && is_near(bytes[i + 4]);
        let second = bytes[i + 1] & 0xf0 == 0x80 && is_near(bytes[i + 5]);
        marks | u64::from(plain || bytes[i] == 0x0f && second) << i
    })
}

#[cfg(test)]
mod tests {
    use super::{branch, each};

    /// The same as from looking at each byte in turn, for all lengths and spans.
    #[test]
    fn every_branch_is_found() {
        let mut state = 7u32;
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..4000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let opcode = [0xe8, 0xe9, 0x0f, (state >> 8) as u8][(state >> 30) as usize];
            let last = [0x00, 0xff, 0x01, 0xfe, 0x7f][(state >> 16) as usize % 5];
            bytes.extend([opcode, 0x80 | (state >> 24) as u8 & 0x1f, 3, last, last]);
        }
        let start = 0x40_0000;
        for span in [0x1000, 0xff_fff0, 0xff_ffff, 0x100_0000, 0x1ff_ffff, 0x7fff_ffff] {
            for len in (0..150).chain([bytes.len()]) {
                let bytes = &bytes[..len];
                let mut all = Vec::new();
                each(start, bytes, span, |source, target| all.push((source, target)));
                let plain = (0..len).filter_map(|at| {
                    let (length, offset) = branch(&bytes[at..])?;
                    let source = start + at as u64;
                    let target = (source + length).wrapping_add_signed(i64::from(offset));
                    (source.abs_diff(target) <= span).then_some((source, target))
                });
                assert_eq!(all, plain.collect::<Vec<_>>(), "{len} bytes, span {span:#x}");
                assert!(len < 4000 || span < 0xff_0000 || all.len() > 500, "{}", all.len());
            }
        }
    }
}
