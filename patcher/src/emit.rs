//! Writing: the shim's segment, the detours, and the file around them.

mod code;
mod dispatch;
mod needed;
mod output;
mod pieces;
mod room;
mod sections;
mod segment;
mod tail;
mod trampoline;

pub mod note;

pub use output::{Output, Purpose, write};
pub use pieces::Pieces;
pub use trampoline::Asked;
