//! Door 2 of procsys: rewrites executables so that each of their own system
//! calls passes the hook.
//!
//! A pipeline of plain data: [`elf`] reads, [`scan`] finds the sites, [`plan`]
//! says what is written where, [`emit`] writes it, [`verify`] reads it again
//! with another reader. [`mod@patch`] is the whole of it for one file; [`patched`]
//! goes the other way, from a patched file to its original and back.

pub mod cli;
pub mod constants;
pub mod doors;
pub mod elf;
pub mod emit;
pub mod error;
pub mod files;
pub mod go;
pub mod inspect;
pub mod k3s;
pub mod many;
pub mod patch;
pub mod patched;
pub mod plan;
pub mod report;
pub mod rules;
pub mod scan;
pub mod shim;
mod sockets;
mod uses;
pub mod verify;

pub use error::Error;
