//! Benchmarks of procsys.
fn main() {}
