//! A patched file: what does it say of itself, is that true, and what was it before?
//!
//! [`read`] finds what procsys left in it, and takes it back to the original;
//! [`mod@verify`] writes the original again and compares; [`place`] says where a
//! difference is; [`locator`] finds one that nothing else would show.

mod archive;
pub mod locator;
pub mod place;
pub mod read;
pub mod verify;

pub use read::Patched;
