//! The pipeline for one file: read, scan, plan, emit, verify, put in place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use procsys_rules::Table;

use crate::doors::Doors;
use crate::elf::Image;
use crate::emit::{self, Output, Pieces, Purpose, note};
use crate::error::Error;
use crate::files::{self, Beside, Copy, Input};
use crate::go;
use crate::k3s::archive::Archive;
use crate::k3s::embed;
use crate::k3s::release::{self, Attached};
use crate::patched::locator::{self, Sums};
use crate::patched::read;
use crate::plan::{self, Detour, Form};
use crate::report::{Carried, Report};
use crate::rules::Set;
use crate::scan::{self, Functions, Scan};
use crate::sockets;
use crate::verify::{self, Written};

/// Options of a run.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Send every call number through the slow path: for tests of equivalence.
    pub every_call: bool,
    /// The library that is added to a dynamic executable's: where it will be.
    pub preload: Option<String>,
    /// In memory: the address of the function that completes an execve's environment.
    pub exec: Option<u64>,
    /// Write nothing.
    pub dry_run: bool,
    /// The archive that takes the place of an embedded one.
    pub archive: Option<Arc<Attached>>,
    /// Where an embedded archive is unpacked, to a file without a name: the output's
    /// directory, or that of temporary files.
    pub scratch: Option<PathBuf>,
    /// Told how far the work on an embedded archive is.
    pub watcher: Watcher,
}

/// Who is told how far a run is.
#[derive(Clone, Default)]
pub struct Watcher(pub Option<Arc<Told>>);

/// What is called with how much is done, of how much, and what.
pub type Told = dyn Fn(usize, usize, &str) + Send + Sync;

impl Watcher {
    /// Tells them, if there is anyone.
    pub fn tell(&self, done: usize, all: usize, what: &str) {
        if let Some(watcher) = &self.0 {
            watcher(done, all, what);
        }
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher")
    }
}

/// Patches `input` to `output`. A file that is patched already is taken back to
/// its original first, so that its rules are replaced.
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
    patch_to(input, output, set, options, || Ok(()))
}

/// As [`patch`], with something to be done right before the output is written.
pub(crate) fn patch_to(
    input: &Path,
    output: Option<&Path>,
    set: &Set,
    options: &Options,
    before: impl FnOnce() -> Result<(), Error>,
) -> Result<Report, Error> {
    let start = Instant::now();
    let file = Input::open(input)?;
    if let Some(output) = output {
        file.refuse_same(input, output)?;
    }
    sockets::check(&file, &set.rules)?;
    let Some(output) = output.filter(|_| !options.dry_run) else {
        let (report, _) = transform(&file, set, options)?;
        return Ok(Report { dropped_setuid: file.gives_rights(), time: start.elapsed(), ..report });
    };
    let original = original(&file)?;
    let scratch = Some(files::directory(output)).filter(|directory| directory.is_dir());
    let is_there = scratch.is_some();
    let options = &Options { scratch, ..options.clone() };
    let report = std::thread::scope(|scope| {
        // The input is copied beside all else, if there is a place for it yet.
        let copy = (original.is_none() && is_there)
            .then(|| scope.spawn(|| Beside::copy_of(&file, output)));
        let (report, copy) = run(&file, original.as_deref(), set, options, |pieces| {
            before()?;
            let lost = |_| Error::Io(format!("{}: it could not be copied", output.display()));
            let copy = match (copy, &original) {
                (Some(copy), _) => copy.join().map_err(lost)??,
                (None, Some(original)) => Beside::with(original, output)?,
                (None, None) => Beside::copy_of(&file, output)?,
            };
            copy.write(pieces)
        })?;
        copy.put(file.mode())?;
        Ok::<_, Error>(report)
    })?;
    Ok(Report { dropped_setuid: file.gives_rights(), time: start.elapsed(), ..report })
}

/// All stages but reading and writing the file.
///
/// # Errors
/// As the stages say.
pub fn transform(bytes: &[u8], set: &Set, options: &Options) -> Result<(Report, Vec<u8>), Error> {
    run(bytes, original(bytes)?.as_deref(), set, options, |pieces| Ok(pieces.bytes()))
}

/// What a patched file was made of; `None` when it isn't patched.
fn original(bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    // Only a whole ELF file is asked whether it is patched: its errors come first.
    let is_patched = Image::parse(bytes)?.section(note::SECTION).is_some();
    if is_patched { read::restore(bytes) } else { Ok(None) }
}

/// All stages, with the output written as the caller says.
fn run<W: Written>(
    bytes: &[u8],
    original: Option<&[u8]>,
    set: &Set,
    options: &Options,
    write: impl FnOnce(&Pieces<'_>) -> Result<W, Error>,
) -> Result<(Report, W), Error> {
    let table = Table::new(&set.table)
        .ok_or_else(|| Error::Rules("the compiled rules can't be read".into()))?;
    let was_patched = original.is_some();
    let bytes = original.unwrap_or(bytes);
    let (attached, archive) = carried(bytes, set, options)?.unzip();
    let options = &Options { archive: attached, ..options.clone() };
    derive(bytes, table, options, write, |derived| Report {
        was_patched,
        archive,
        ..report(derived, set)
    })
}

/// The archive that a k3s release file is to carry: that of its own, with the programs
/// in it patched by the same rules. `None` for all other files.
fn carried(
    bytes: &[u8],
    set: &Set,
    options: &Options,
) -> Result<Option<(Arc<Attached>, Carried)>, Error> {
    let Some(embedded) = embed::find(&Image::parse(bytes)?)? else { return Ok(None) };
    let directory = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let progress = |done: usize, all: usize, what: &str| options.watcher.tell(done, all, what);
    let old = Archive::unpack(&bytes[embedded.data.clone()], &directory)?;
    let near = directory.join("program");
    let one = |bytes: &[u8]| beside(bytes, &near, set, options);
    let new = release::rewrite(&old, one, &progress)?;
    let attached = Attached::compress(&new.archive, &embedded, bytes.len(), &directory, &progress)?;
    let carried = Carried {
        old: embedded.name.clone(),
        new: embedded.renamed(&note::hex(&attached.sum)),
        unpacked: (old.len(), new.archive.len()),
        packed: (embedded.data.len(), attached.archive_len()),
        programs: new.programs,
        left: new.left,
    };
    Ok(Some((Arc::new(attached), carried)))
}

/// Patches a program that lies in memory to a file without a name beside `near`.
pub(crate) fn beside(
    bytes: &[u8],
    near: &Path,
    set: &Set,
    options: &Options,
) -> Result<(Report, Copy), Error> {
    let original = original(bytes)?;
    let base = original.as_deref().unwrap_or(bytes);
    let write = |pieces: &Pieces<'_>| Beside::with(base, near)?.write(pieces);
    let (report, copy) = run(bytes, original.as_deref(), set, options, write)?;
    Ok((report, copy))
}

/// What a run derives from an input and its rules.
pub struct Derived<'a> {
    /// The input, read.
    pub image: &'a Image<'a>,
    /// Its functions.
    pub functions: &'a Functions<'a>,
    /// Its sites.
    pub scan: &'a Scan,
    /// How a dynamic executable's parts are covered.
    pub doors: Option<&'a Doors>,
    /// Their detours.
    pub detours: &'a [Detour<'a>],
    /// SHA-256 of the input.
    pub digest: [u8; 32],
    /// The patched file, as meant.
    pub output: &'a Output<'a>,
    /// The patched file, as written.
    pub written: &'a [u8],
}

/// Runs the stages on an original, has the output written, and hands over all
/// they made.
///
/// # Errors
/// As the stages say.
pub fn derive<T, W: Written>(
    bytes: &[u8],
    table: Table<'_>,
    options: &Options,
    write: impl FnOnce(&Pieces<'_>) -> Result<W, Error>,
    then: impl FnOnce(&Derived<'_>) -> T,
) -> Result<(T, W), Error> {
    std::thread::scope(|scope| {
        // Digest and sums take about as long as all the rest.
        let digest = scope.spawn(|| digest_and_sums(bytes));
        let image = Image::parse(bytes)?;
        within_reach(&image)?;
        let doors = Doors::of(&image, options.preload.as_deref());
        let preload = doors.as_ref().and_then(Doors::added);
        let options = &Options { preload, ..options.clone() };
        let functions = Functions::new(&image);
        let scan = scan::scan(&image, &functions)?;
        doors.as_ref().map_or(Ok(()), |doors| doors.check(scan.sites.len()))?;
        let asked = emit::Asked::new(table, options);
        let detours = plan::plan(&image, &functions, &scan.sites, &asked)?;
        let digest = digest.join().map_err(|_| Error::Io("the digest could not be made".into()));
        let (digest, sums) = digest?;
        let purpose = Purpose { table, input: digest, options };
        let mut output = emit::write(&image, &functions, &purpose, &detours)?;
        locator::seal(&mut output.pieces, sums);
        let written = write(&output.pieces)?;
        verify::check(&image, &purpose, &output, &written, &detours)?;
        let derived = Derived {
            image: &image,
            functions: &functions,
            doors: doors.as_ref(),
            scan: &scan,
            detours: &detours,
            digest,
            output: &output,
            written: &written,
        };
        Ok((then(&derived), written))
    })
}

/// Both at once, piece by piece: what one brought in is at hand for the other.
fn digest_and_sums(bytes: &[u8]) -> ([u8; 32], Sums) {
    const PIECE: usize = 64 << 10;
    let (mut digest, mut sums) = (note::Digester::default(), Sums::default());
    for piece in bytes.chunks(PIECE) {
        digest.add(piece);
        sums = sums.and(Sums::of(piece));
    }
    (digest.end(), sums)
}

/// Refuses code of which one end can't jump to the other: a map of what is near
/// it would take as much memory as lies between them.
///
/// # Errors
/// [`Error::Input`] with the distance.
pub(crate) fn within_reach(image: &Image<'_>) -> Result<(), Error> {
    let ends = image.code().map(|(start, bytes)| start.saturating_add(bytes.len() as u64));
    let (first, last) = (image.code().map(|c| c.0).min(), ends.max());
    let span = last.unwrap_or(0).saturating_sub(first.unwrap_or(0));
    if i32::try_from(span).is_err() {
        return Err(Error::Input(format!("code spans {span:#x} bytes: out of reach of a jump")));
    }
    Ok(())
}

fn report(derived: &Derived<'_>, set: &Set) -> Report {
    let Derived { image, functions, scan, detours, output, .. } = derived;
    Report {
        kind: image.kind,
        doors: derived.doors.cloned(),
        go: go::buildinfo::version(image),
        go_functions: functions.go.as_ref().map(go::Functab::len),
        sites: scan.sites.len(),
        detoured: detours.iter().filter(|d| d.form != Form::First).count(),
        in_place: detours.iter().filter(|d| !matches!(d.form, Form::Around | Form::First)).count(),
        inside: scan.inside.len(),
        profiles: set.profiles.clone(),
        rules: set.rules.iter().map(|r| (r.name.clone(), r.action.word())).collect(),
        rules_digest: note::hex(&note::digest(&set.table)),
        input_digest: note::hex(&derived.digest),
        input_len: image.bytes.len() as u64,
        output_len: output.pieces.len() as u64,
        injected: output.injected,
        shim: output.shim.name,
        was_patched: false,
        archive: None,
        dropped_setuid: false,
        time: Duration::ZERO,
    }
}
