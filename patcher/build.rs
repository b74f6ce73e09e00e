//! Builds the shim (`shim/`) with plain rustc, and takes from it the images that
//! the patcher embeds: each is one run of bytes that works at any address. The
//! small one has the small hook, the whole one has everything.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSection, ObjectSymbol};

/// Flags of every crate of the shim. Full RELRO and fat LTO would make the
/// compiler's own calls (memcpy, memset) go through a GOT, which an image
/// without relocations can't have.
const FLAGS: &[&str] = &[
    "--edition=2024",
    "-Copt-level=2",
    "-Cpanic=abort",
    "-Crelocation-model=pie",
    "-Crelro-level=off",
    "-Ccodegen-units=1",
    "-Clto=off",
    "-Cforce-unwind-tables=no",
    // A fifth of the compiler's own: 2 KB less in every patched file.
    "-Cllvm-args=-inline-threshold=60",
    "--cap-lints=warn",
];

/// Address at which the shim is linked (shim/image.ld).
const LINKED_AT: u64 = 0x40_0000;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    watch(Path::new("shim"));
    watch(Path::new("../hook/raw.rs"));
    for (variant, features) in [("small", &[][..]), ("whole", &["whole", "redirect"])] {
        build(&out.join(variant), features);
    }
}

/// Builds the image with these features of the hook (hook/Cargo.toml).
fn build(out: &Path, features: &[&str]) {
    fs::create_dir_all(out).expect("OUT_DIR is writable");
    let rules = library(out, features, "procsys_rules", Path::new("../rules/src"), &[]);
    let crates = [("procsys_rules", &rules)];
    let hook = library(out, features, "procsys_hook", Path::new("../hook/src"), &crates);
    let shim = out.join("shim.elf");
    let mut link = rustc(features, "procsys_shim", Path::new("shim/main.rs"), &shim);
    link.args(["--crate-type=bin", "-L"]).arg(out);
    link.args(extern_args(&[("procsys_rules", &rules), ("procsys_hook", &hook)]));
    let script = fs::canonicalize("shim/image.ld").expect("shim/image.ld is there");
    for arg in ["-nostartfiles", "-nostdlib", "-static", "-no-pie"] {
        link.arg(format!("-Clink-arg={arg}"));
    }
    link.arg(format!("-Clink-arg=-Wl,-T,{},--gc-sections,--build-id=none", script.display()));
    run(link);
    extract(&shim, out);
}

fn rustc(features: &[&str], name: &str, source: &Path, output: &Path) -> Command {
    let mut command = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"));
    command.args(FLAGS).arg(format!("--crate-name={name}")).arg(source).arg("-o").arg(output);
    command.args(features.iter().map(|feature| format!("--cfg=feature=\"{feature}\"")));
    command
}

fn extern_args(crates: &[(&str, &PathBuf)]) -> Vec<String> {
    crates.iter().map(|(name, file)| format!("--extern={name}={}", file.display())).collect()
}

fn library(
    out: &Path,
    features: &[&str],
    name: &str,
    source: &Path,
    crates: &[(&str, &PathBuf)],
) -> PathBuf {
    watch(source);
    let output = out.join(format!("lib{name}.rlib"));
    let mut command = rustc(features, name, &source.join("lib.rs"), &output);
    command.args(["--crate-type=rlib", "-L"]).arg(out).args(extern_args(crates));
    run(command);
    output
}

fn run(mut command: Command) {
    let status = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(status.success(), "{command:?} failed: {status}");
}

fn watch(folder: &Path) {
    println!("cargo::rerun-if-changed={}", folder.display());
}

/// Writes the image to `image.bin` and its symbols to `symbols.txt`.
fn extract(shim: &Path, out: &Path) {
    let bytes = fs::read(shim).expect("rustc wrote it");
    let file = object::File::parse(&*bytes).expect("rustc wrote an ELF file");
    let allocated: Vec<_> = file.sections().filter(|s| s.address() != 0 && s.size() != 0).collect();
    assert!(
        matches!(&*allocated, [one] if one.name() == Ok(".image") && one.address() == LINKED_AT),
        "the shim has more than its image: {:?}",
        allocated.iter().map(|s| s.name().map(str::to_owned)).collect::<Vec<_>>()
    );
    let image = allocated[0].data().expect("the image has contents");
    fs::write(out.join("image.bin"), image).expect("OUT_DIR is writable");
    let mut symbols = String::new();
    for symbol in file.symbols().filter(|s| s.address() >= LINKED_AT && !s.is_undefined()) {
        let name = symbol.name().expect("the linker writes names");
        if symbol.kind() == object::SymbolKind::Text && name.starts_with("procsys_") {
            symbols += &format!("{} {} {name}\n", symbol.address() - LINKED_AT, symbol.size());
        }
    }
    fs::write(out.join("symbols.txt"), symbols).expect("OUT_DIR is writable");
}
