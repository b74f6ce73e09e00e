//! The shim's images, as build.rs made them, and what they share with the patcher.

use procsys_rules::Table;

include!("../shim/layout.rs");

/// One build of the shim.
pub struct Shim {
    /// Header, entry code, hook. Works at any address, directly above
    /// [`SLOTS_SIZE`] bytes of zeroed memory.
    pub image: &'static [u8],
    /// Its name.
    pub name: &'static str,
    symbols: &'static str,
}

macro_rules! shim {
    ($name:literal) => {
        Shim {
            image: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, "/image.bin")),
            name: $name,
            symbols: include_str!(concat!(env!("OUT_DIR"), "/", $name, "/symbols.txt")),
        }
    };
}

/// All builds: the one with the small hook (hook/Cargo.toml), the one with all of it.
pub static ALL: [Shim; 2] = [shim!("small"), shim!("whole")];

impl Shim {
    /// The smallest that has what the rules and options of a run need.
    pub fn fitting(table: &Table<'_>, every_call: bool) -> &'static Self {
        let [small, whole] = &ALL;
        if every_call || table.needs_whole() { whole } else { small }
    }

    /// Name, offset and size of the image's functions.
    pub fn symbols(&self) -> impl Iterator<Item = (&'static str, u64, u64)> + use<> {
        self.symbols.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let offset = words.next()?.parse().ok()?;
            let size = words.next()?.parse().ok()?;
            Some((words.next()?, offset, size))
        })
    }

    /// A field of the image's header.
    pub fn header(&self, field: usize) -> u32 {
        u32::from_le_bytes(self.image[field..field + 4].try_into().expect("four bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory};
    use procsys_rules::{compile::compile, profiles};

    #[test]
    fn images_start_with_their_header() {
        for shim in &ALL {
            assert_eq!(&shim.image[..8], IMAGE_MAGIC);
            assert!((shim.header(HEADER_SLOW) as usize) < shim.image.len());
            assert!((shim.header(HEADER_FORKED) as usize) < shim.image.len());
            assert_eq!((shim.header(HEADER_TABLE), shim.header(HEADER_TABLE_LEN)), (0, 0));
        }
    }

    /// The default profile's patch carries nothing that only other rules need.
    #[test]
    fn the_default_profile_takes_the_small_image() {
        let profile = profiles::by_name(profiles::DEFAULT).expect("it is built in");
        let bytes = compile(&profile.rules().expect("it is tested")).expect("it is small");
        let table = Table::new(&bytes).expect("it was just compiled");
        assert_eq!(Shim::fitting(&table, false).name, "small");
        assert_eq!(Shim::fitting(&table, true).name, "whole");
        let [small, whole] = &ALL;
        assert!(small.image.len() < whole.image.len());
        assert!(small.symbols().count() > 0);
    }

    /// The slow path saves xmm0 to xmm15 and nothing wider: no code of an image
    /// may use more (hazard 3).
    #[test]
    fn images_use_no_wide_vectors_and_no_x87() {
        let mut info = InstructionInfoFactory::new();
        for shim in &ALL {
            for (name, offset, size) in shim.symbols() {
                let code = &shim.image[offset as usize..(offset + size) as usize];
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
}
