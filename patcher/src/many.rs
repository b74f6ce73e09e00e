//! Several files at once: which, to where, and by as many threads as there are cores.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;
use crate::files::{self, Input};
use crate::k3s::contents::go_program;
use crate::k3s::directory;
use crate::patch::{Options, patch_to};
use crate::report::Report;
use crate::rules::Set;

/// One file to be patched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The file.
    pub input: PathBuf,
    /// Where it goes; `None` when nothing is written.
    pub output: Option<PathBuf>,
}

/// What there is to do.
#[derive(Debug, Default)]
pub struct Jobs {
    /// The files to be patched.
    pub all: Vec<Job>,
    /// What else the directories hold, and why it is left out.
    pub skipped: Vec<(PathBuf, &'static str)>,
    /// The directories among the inputs that k3s unpacked, and where they go.
    pub unpacked: Vec<(PathBuf, PathBuf)>,
}

/// Says what there is to do: each file that was named, and each ELF file below
/// each directory, under the same names below `output`.
///
/// # Errors
/// [`Error::Io`] when an input can't be read, two would have one output, the
/// output lies in an input, or there is nothing to do.
pub fn collect(inputs: &[PathBuf], output: Option<&Path>) -> Result<Jobs, Error> {
    let mut jobs = Jobs::default();
    if let Some(output) = output.filter(|o| o.exists() && !o.is_dir()) {
        return Err(Error::Io(format!("{}: not a directory", output.display())));
    }
    for input in inputs {
        let metadata = fs::metadata(input).map_err(|e| files::failed(input, &e))?;
        if metadata.is_dir() {
            refuse_inside(input, output)?;
            let before = jobs.all.len();
            let lists = directory::lists(input);
            lists.as_deref().map_or(Ok(()), directory::check)?;
            if lists.is_some() {
                jobs.unpacked.extend(output.map(|o| (input.clone(), o.to_path_buf())));
            }
            below(input, Path::new(""), output, lists.is_some(), &mut jobs)?;
            if jobs.all.len() == before {
                let shown = input.display();
                return Err(Error::Io(format!(
                    "{shown}: not a regular file, and a directory without ELF files"
                )));
            }
        } else {
            let name = input.file_name().unwrap_or_default();
            jobs.all.push(Job { input: input.clone(), output: output.map(|o| o.join(name)) });
        }
    }
    let mut outputs = BTreeMap::new();
    for job in &jobs.all {
        let Some(output) = &job.output else { continue };
        if let Some(other) = outputs.insert(output, &job.input) {
            let (output, input) = (output.display(), job.input.display());
            return Err(Error::Io(format!(
                "{output}: output of both {} and {input}",
                other.display()
            )));
        }
    }
    Ok(jobs)
}

/// An output below an input would be an input the next time.
fn refuse_inside(input: &Path, output: Option<&Path>) -> Result<(), Error> {
    let Some(output) = output else { return Ok(()) };
    let whole = |path: &Path| std::path::absolute(path).map_err(|e| files::failed(path, &e));
    let real = fs::canonicalize(input).map_err(|e| files::failed(input, &e))?;
    // The output, or what there is of it already.
    let mut there = whole(output)?;
    while !there.exists() && there.pop() {}
    let there = fs::canonicalize(&there).map_err(|e| files::failed(output, &e))?;
    if there.starts_with(&real) {
        let (output, input) = (output.display(), input.display());
        return Err(Error::Io(format!("{output}: output lies in input {input}")));
    }
    Ok(())
}

/// `is_go_only`: of what k3s unpacked, the programs that a release file's would be.
fn below(
    top: &Path,
    inside: &Path,
    output: Option<&Path>,
    is_go_only: bool,
    jobs: &mut Jobs,
) -> Result<(), Error> {
    let directory = top.join(inside);
    let failed = |e| files::failed(&directory, &e);
    let entries: Result<Vec<_>, _> = fs::read_dir(&directory).map_err(failed)?.collect();
    let mut names: Vec<_> = entries.map_err(failed)?.iter().map(fs::DirEntry::file_name).collect();
    names.sort();
    for name in names {
        let inside = inside.join(name);
        let path = top.join(&inside);
        let kind = fs::symlink_metadata(&path).map_err(|e| files::failed(&path, &e))?;
        if kind.is_dir() {
            below(top, &inside, output, is_go_only, jobs)?;
        } else if kind.is_symlink() {
            jobs.skipped.push((path, "symbolic link"));
        } else if !kind.is_file() {
            jobs.skipped.push((path, "not a regular file"));
        } else if !is_elf(&path).map_err(|e| files::failed(&path, &e))? {
            jobs.skipped.push((path, "not an ELF file"));
        } else if is_go_only && go_program(&Input::open(&path)?).is_none() {
            jobs.skipped.push((path, "not a Go program"));
        } else {
            jobs.all.push(Job { input: path, output: output.map(|o| o.join(inside)) });
        }
    }
    Ok(())
}

fn is_elf(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    fs::File::open(path)?.take(4).read_to_end(&mut start)?;
    Ok(start == object::elf::ELFMAG)
}

/// Patches all, and gives what came of each, in their order. `done` is called
/// after each, with their number so far.
pub fn run(
    jobs: &[Job],
    set: &Set,
    options: &Options,
    done: impl Fn(usize, &Job) + Sync,
) -> Vec<Result<Report, Error>> {
    in_parallel(jobs, |job| one(job, set, options), done)
}

/// Does something with each, by as many threads as there are cores, and gives what
/// came of each, in their order. `done` is called after each, with their number so far.
pub(crate) fn in_parallel<J: Sync, T: Send>(
    jobs: &[J],
    one: impl Fn(&J) -> Result<T, Error> + Sync,
    done: impl Fn(usize, &J) + Sync,
) -> Vec<Result<T, Error>> {
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Vec<_> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let todo: Vec<_> = jobs.iter().zip(&results).collect();
    let work = || {
        while let Some((job, place)) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = one(job);
            if let Ok(mut place) = place.lock() {
                *place = Some(result);
            }
            done(finished.fetch_add(1, Ordering::Relaxed) + 1, job);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| _ = scope.spawn(work));
    });
    let lost = || Err(Error::Io("no result".into()));
    let results = results.into_iter();
    results.map(|r| r.into_inner().ok().flatten().unwrap_or_else(lost)).collect()
}

/// Directories are made only when there is something to put there.
fn one(job: &Job, set: &Set, options: &Options) -> Result<Report, Error> {
    patch_to(&job.input, job.output.as_deref(), set, options, || {
        match job.output.as_deref().and_then(Path::parent) {
            Some(parent) => fs::create_dir_all(parent).map_err(|e| files::failed(parent, &e)),
            None => Ok(()),
        }
    })
}
