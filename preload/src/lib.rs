//! Door 1 of procsys: `libprocsys.so`, for dynamic programs; with the feature `whole`
//! `libprocsys-whole.so`, which has the rules of all profiles and is larger.
//!
//! The library puts functions of its own in the place of libc's. Each makes the
//! call through the next library, as the program would have, and shows the
//! answer to the hook ([`engine`]); the hook is the one of the other door.
//!
//! What holds for all code here, because it runs inside other programs:
//!
//! - no allocation, no locks, no libc call that could come back to us;
//! - nothing big on the caller's stack: the hook runs on one of ours ([`pool`]);
//! - nothing is held while the program's own call is made: it may block, be
//!   cancelled, be left by longjmp, or never come back (exec);
//! - errno is as it was wherever a call succeeds.
#![no_std]

mod auxiliary;
mod config;
mod early;
mod engine;
mod entry;
mod environment;
mod exec;
mod filter;
#[cfg(feature = "whole")]
mod folders;
mod function;
#[cfg(feature = "whole")]
mod given;
mod go;
mod kernel;
mod libc;
mod mem;
#[cfg(feature = "whole")]
mod messages;
mod next;
mod paths;
mod plain;
mod pool;
mod readable;
mod realpath;
mod redirect;
mod rules_file;
mod second;
mod socket;
mod stack;
mod stats;
mod statvfs;
mod streams;
mod trace;
#[cfg(feature = "whole")]
mod walks;
#[cfg(feature = "whole")]
mod writes;

#[cfg(panic = "abort")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    config::fail(b"internal error", &[])
}
