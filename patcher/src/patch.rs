//! The pipeline for one file: read, scan, plan, emit, verify, put in place.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memmap2::Mmap;
use procsys_rules::Table;

use crate::elf::Image;
use crate::emit::{self, Purpose, note};
use crate::error::Error;
use crate::report::Report;
use crate::rules::Set;
use crate::scan::{self, Functions};
use crate::{go, plan, verify};

/// Options of a run.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Send every call number through the slow path: for tests of equivalence.
    pub every_call: bool,
    /// Write nothing.
    pub dry_run: bool,
}

/// Patches `input` to `output`.
///
/// # Errors
/// As the stages say. After an error there is no output file, and one that was
/// there before is as it was.
pub fn patch(
    input: &Path,
    output: Option<&Path>,
    set: &Set,
    options: &Options,
) -> Result<Report, Error> {
    let start = Instant::now();
    let io =
        |path: &Path, e: std::io::Error| Error::Io(format!("{}: {}", path.display(), words(&e)));
    let file = File::open(input).map_err(|e| io(input, e))?;
    let metadata = file.metadata().map_err(|e| io(input, e))?;
    if !metadata.is_file() {
        return Err(Error::Io(format!("{}: not a regular file", input.display())));
    }
    if let Some(output) = output {
        refuse_same(input, &metadata, output)?;
    }
    // SAFETY: the file is mapped to be read. Another process that truncates it
    // meanwhile makes reads fault, and this process ends without an output file;
    // one that writes to it changes plain bytes, and the second reader's check
    // and the digests are made of the same bytes as the output.
    let bytes = match unsafe { Mmap::map(&file) } {
        Ok(bytes) => bytes,
        Err(_) if metadata.len() == 0 => return Err(Error::Input("not an ELF file".into())),
        Err(e) => return Err(io(input, e)),
    };
    let table = Table::new(&set.table)
        .ok_or_else(|| Error::Rules("the compiled rules can't be read".into()))?;
    let (report, output_bytes) = transform(&bytes, table, set, options)?;
    if let (Some(output), false) = (output, options.dry_run) {
        let mode = metadata.mode() & 0o777;
        put_in_place(output, &output_bytes, mode).map_err(|e| io(output, e))?;
    }
    let dropped = metadata.mode() & 0o6000 != 0;
    Ok(Report { dropped_setuid: dropped, time: start.elapsed(), ..report })
}

/// An error of the operating system without its number.
fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn refuse_same(input: &Path, metadata: &std::fs::Metadata, output: &Path) -> Result<(), Error> {
    let same = std::fs::metadata(output)
        .is_ok_and(|m| (m.dev(), m.ino()) == (metadata.dev(), metadata.ino()));
    if same {
        return Err(Error::Io(format!(
            "{}: output equals input {}",
            output.display(),
            input.display()
        )));
    }
    Ok(())
}

/// All stages but reading and writing the file.
fn transform(
    bytes: &[u8],
    table: Table<'_>,
    set: &Set,
    options: &Options,
) -> Result<(Report, Vec<u8>), Error> {
    std::thread::scope(|scope| {
        // The digest takes about as long as all the rest.
        let digest = scope.spawn(|| note::digest(bytes));
        let image = Image::parse(bytes)?;
        if image.section(note::SECTION).is_some() {
            return Err(Error::Input("already patched: patch the original".into()));
        }
        let functions = Functions::new(&image);
        let scan = scan::scan(&image, &functions)?;
        let targets = scan::targets::near(&image, &scan.sites);
        let detours = plan::plan(&scan.sites, &targets)?;
        let input = digest.join().map_err(|_| Error::Io("the digest could not be made".into()))?;
        let purpose = Purpose { table, input, options };
        let output = emit::write(&image, &purpose, &detours)?;
        verify::check(&image, &output, &detours)?;
        let report = Report {
            kind: image.kind,
            go: go::buildinfo::version(&image),
            go_functions: functions.go.as_ref().map(go::Functab::len),
            sites: scan.sites.len(),
            detoured: detours.len(),
            in_place: detours.iter().filter(|d| !d.covers_syscall()).count(),
            inside: scan.inside.len(),
            profiles: set.profiles.clone(),
            rules: set.rules.iter().map(|r| (r.name.clone(), r.action.word())).collect(),
            rules_digest: note::hex(&note::digest(table.bytes())),
            input_digest: note::hex(&input),
            input_len: bytes.len() as u64,
            output_len: output.bytes.len() as u64,
            injected: output.injected,
            dropped_setuid: false,
            time: Duration::ZERO,
        };
        Ok((report, output.bytes))
    })
}

/// Writes a file beside `path`, then renames it over: the old file or the whole
/// new one is there at any moment.
fn put_in_place(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    if path.is_dir() {
        return Err(std::io::Error::other("is a directory"));
    }
    let mut file = tempfile::Builder::new().prefix(".procsys-").tempfile_in(parent)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}
