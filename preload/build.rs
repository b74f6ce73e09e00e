//! Compiles the built-in profiles to the tables that the library holds.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use procsys_rules::{Table, compile, profiles};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../rules/profiles");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut list = String::from("&[");
    for profile in profiles::ALL {
        let rules = profile.rules().unwrap_or_else(|e| panic!("{e}"));
        let table = compile::compile(&rules).unwrap_or_else(|e| panic!("{}: {e}", profile.name));
        // One that needs the whole hook is no profile of the small library.
        let is_whole = env::var_os("CARGO_FEATURE_WHOLE").is_some();
        let needs_whole = |table: Table<'_>| table.first_for_whole().is_some();
        if !is_whole && Table::new(&table).is_none_or(needs_whole) {
            continue;
        }
        let file = out.join(format!("{}.table", profile.name));
        fs::write(&file, table).expect("OUT_DIR is writable");
        write!(list, "({:?}, include_bytes!({file:?}).as_slice()),", profile.name)
            .expect("a string takes text");
    }
    list.push(']');
    fs::write(out.join("profiles.rs"), list).expect("OUT_DIR is writable");
    fs::write(out.join("default.rs"), format!("{:?}", profiles::DEFAULT)).expect("as above");
}
