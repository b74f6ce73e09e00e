//! Reading ELF files: headers, segments, sections, and where addresses lie.

pub mod dynamic;
pub mod image;
pub mod relocations;
pub mod unwind;

pub use dynamic::Dynamic;
pub use image::{Image, Kind};
