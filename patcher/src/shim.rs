//! The shim's image, as build.rs made it, and what it shares with the patcher.

include!("../shim/layout.rs");

/// The image: header, entry code, hook. Works at any address, directly above
/// [`SLOTS_SIZE`] bytes of zeroed memory.
pub const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/image.bin"));

/// Name, offset and size of the image's functions.
pub fn symbols() -> impl Iterator<Item = (&'static str, u64, u64)> {
    include_str!(concat!(env!("OUT_DIR"), "/symbols.txt")).lines().filter_map(|line| {
        let mut words = line.split(' ');
        let offset = words.next()?.parse().ok()?;
        let size = words.next()?.parse().ok()?;
        Some((words.next()?, offset, size))
    })
}

/// A field of the image's header.
pub fn header(field: usize) -> u32 {
    u32::from_le_bytes(IMAGE[field..field + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory};

    #[test]
    fn image_starts_with_its_header() {
        assert_eq!(&IMAGE[..8], IMAGE_MAGIC);
        assert!((header(HEADER_SLOW) as usize) < IMAGE.len());
        assert!((header(HEADER_FORKED) as usize) < IMAGE.len());
        assert_eq!((header(HEADER_TABLE), header(HEADER_TABLE_LEN)), (0, 0));
    }

    /// The slow path saves xmm0 to xmm15 and nothing wider: no code of the image
    /// may use more (hazard 3).
    #[test]
    fn image_uses_no_wide_vectors_and_no_x87() {
        let mut info = InstructionInfoFactory::new();
        for (name, offset, size) in symbols() {
            let code = &IMAGE[offset as usize..(offset + size) as usize];
            for instruction in &mut Decoder::with_ip(64, code, offset, DecoderOptions::NONE) {
                for used in info.info(&instruction).used_registers() {
                    let register = used.register();
                    assert!(
                        !register.is_ymm()
                            && !register.is_zmm()
                            && !register.is_st()
                            && !register.is_mm(),
                        "{name} uses {register:?} at {:#x}",
                        instruction.ip()
                    );
                }
            }
        }
    }
}
