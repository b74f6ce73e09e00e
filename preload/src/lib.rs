//! Door 1 of procsys: `libprocsys.so` (its own issue; no interposition here yet).
