//! Writing: the shim's segment, the detours, and the file around them.

mod between;
mod code;
mod dispatch;
mod eh_frame;
mod frames;
pub mod memory;
mod needed;
mod output;
mod pieces;
mod room;
pub(crate) mod sections;
mod segment;
mod tail;
mod trampoline;

pub mod note;

pub(crate) use output::{Edits, Stretch};
pub use output::{Output, Purpose, entry_point, write};
pub use pieces::Pieces;
pub use trampoline::Asked;
