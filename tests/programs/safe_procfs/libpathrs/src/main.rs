//! Writes a sysctl by libpathrs itself, as runc does when it is built with it
//! (internal/sys/sysctl_linux.go: WriteSysctls, by pathrs-lite's OpenRoot and Reopen).
//!
//!   sysctl-by-libpathrs NAME VALUE

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use pathrs::Handle;
use pathrs::flags::OpenFlags;
use pathrs::procfs::{ProcfsBase, ProcfsHandleBuilder};

fn write(name: &str, value: &str) -> Result<(), Box<dyn Error>> {
    let procfs = ProcfsHandleBuilder::new().unmasked().build()?;
    let path = format!("sys/{}", name.replace('.', "/"));
    let file = procfs.open(ProcfsBase::ProcRoot, path, OpenFlags::O_PATH)?;
    let mut writer = Handle::from_fd(file).reopen(OpenFlags::O_WRONLY | OpenFlags::O_TRUNC)?;
    writer.write_all(value.as_bytes())?;
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, value] = &arguments[..] else {
        eprintln!("sysctl-by-libpathrs NAME VALUE");
        return ExitCode::from(2);
    };
    match write(name, value) {
        Ok(()) => {
            println!("written");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text += &format!(": {error}");
                cause = error.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
