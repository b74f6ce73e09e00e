//! What Rust's std says of a served file: argument 1 emulated, 2 redirected.
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (emulated, redirected) = (Path::new(&args[1]), Path::new(&args[2]));
    println!("{:?}", fs::read_to_string(emulated));
    println!("{:?}", fs::metadata(emulated).map(|m| (m.mode(), m.len(), m.is_file())));
    println!("{:?}", fs::symlink_metadata(emulated).map(|m| m.mode()));
    println!("{} {:?}", emulated.exists(), fs::read_link(emulated).map_err(|e| e.raw_os_error()));
    println!("{:?}", fs::read_to_string(redirected));
    println!("{:?}", fs::canonicalize(redirected).map(|p| p == redirected));
    let made = redirected.with_file_name("made");
    println!("{:?}", fs::create_dir(&made).and_then(|()| fs::write(made.join("x"), "y")));
    println!("{:?}", fs::read_dir(&made).map(|d| d.count()));
    println!("{:?}", fs::remove_dir_all(&made));
    println!("{:?}", fs::File::create(emulated).map(|_| ()).map_err(|e| e.raw_os_error()));
    let mut command = Command::new("cat");
    println!("{:?}", command.arg(emulated).env_clear().output().map(|o| o.stdout));
}
