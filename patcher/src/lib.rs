//! Door 2 of procsys.
