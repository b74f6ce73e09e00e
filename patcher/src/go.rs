//! What Go leaves in an executable: its function table and its build information.

pub mod buildinfo;
pub mod functab;

pub use functab::Functab;
