//! A k3s release file: a Go program that carries an archive of other programs,
//! unpacks it at its first start, and runs what was in it.
//!
//! [`embed`] finds the archive in the file, [`zst`] and [`archive`] read and write
//! it, [`sums`] is what k3s checks before it uses what it unpacked, [`contents`] says
//! what is in it, [`release`] patches the programs in it, and [`directory`] those of
//! one that is unpacked already. The layout is that of k3s's own sources
//! (`pkg/data`, `pkg/untar`, `pkg/dataverify`, `scripts/package-cli`).

pub mod archive;
pub mod contents;
pub mod directory;
pub mod embed;
pub mod release;
pub mod sums;
pub mod zst;
