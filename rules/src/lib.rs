//! What should the answer be?
//!
//! A [rule](model::Rule) names a call or a path, the errno or value on which
//! it acts, and its action. Rules are written as TOML ([`text`]), kept in
//! [profiles], and compiled ([`compile`]) to a [`Table`]: one read-only run of
//! bytes that the hook reads in place, without allocation.
//!
//! This crate makes no call and touches no memory but what it is given: it is
//! `no_std` and holds no unsafe code. Reading TOML is behind the feature
//! `toml`; the hook is built without it.
#![cfg_attr(not(any(feature = "toml", test)), no_std)]
#![forbid(unsafe_code)]

pub mod calls;
pub mod errno;
mod names;
pub mod path;
pub mod reach;
pub mod sockets;
pub mod table;

#[cfg(feature = "toml")]
pub mod compile;
#[cfg(feature = "toml")]
pub mod model;
#[cfg(feature = "toml")]
pub mod profiles;
#[cfg(feature = "toml")]
pub mod text;

pub use table::Table;
