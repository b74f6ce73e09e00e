//! `procsys-patch`: see [`procsys_patcher::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    procsys_patcher::cli::main()
}
