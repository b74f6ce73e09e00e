//! Reading ELF files: headers, segments, sections, and where addresses lie.

pub mod image;
pub mod unwind;

pub use image::{Image, Kind};
