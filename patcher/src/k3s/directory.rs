//! What k3s has unpacked already: a folder `data/HASH`, or the `bin` in it. Its programs
//! are patched as files; all else comes along, and the list of digests is renewed, so
//! that what comes out can stand in the folder's place.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::sums::{self, SUMS};
use crate::emit::note;
use crate::error::Error;
use crate::files::{self, Beside, Input};
use crate::many::{Job, Jobs};
use crate::report::Report;

/// Where the lists are in such a folder; `None` where it is none.
pub fn lists(folder: &Path) -> Option<PathBuf> {
    let places = [folder.to_path_buf(), folder.join("bin")];
    places.into_iter().find(|place| place.join(SUMS).is_file() && place.join(sums::LINKS).is_file())
}

/// Sees that the files of a folder are those of its list.
///
/// # Errors
/// [`Error::Input`] with the first that is not.
pub fn check(lists: &Path) -> Result<(), Error> {
    for (sum, name) in sums::pairs(&text(lists)?) {
        let file = lists.join(name);
        if note::hex(&note::digest(&Input::open(&file)?)) != sum {
            let (file, list) = (file.display(), lists.join(SUMS));
            return Err(Error::Io(format!("{file}: its sha256 is not that of {}", list.display())));
        }
    }
    Ok(())
}

/// Copies what was not patched of each such folder, and renews its list. A folder
/// with a program that could not be patched gets no list: k3s would not use it.
///
/// # Errors
/// [`Error::Io`] with the path that can't be read or written.
pub fn complete(jobs: &Jobs, results: &[Result<Report, Error>]) -> Result<(), Error> {
    for (input, output) in &jobs.unpacked {
        let within = |job: &&Job| job.input.starts_with(input);
        if jobs.all.iter().zip(results).any(|(job, r)| r.is_err() && within(&job)) {
            continue;
        }
        let Some(lists) = lists(input) else { continue };
        let place = |path: &Path| path.strip_prefix(input).map(|inside| output.join(inside)).ok();
        for (path, _) in jobs.skipped.iter().filter(|(path, _)| path.starts_with(input)) {
            let is_list = *path == lists.join(SUMS);
            if let Some(to) = place(path).filter(|_| !is_list) {
                carry(path, &to)?;
            }
        }
        let Some(to) = place(&lists) else { continue };
        let mut new = BTreeMap::new();
        for job in jobs.all.iter().filter(within) {
            let (Some(name), Some(file)) = (job.input.strip_prefix(&lists).ok(), &job.output)
            else {
                continue;
            };
            let sum = note::hex(&note::digest(&Input::open(file)?));
            new.insert(name.to_string_lossy().into_owned(), sum);
        }
        let mode = Input::open(&lists.join(SUMS))?.mode();
        files::put_in_place(&to.join(SUMS), sums::renewed(&text(&lists)?, &new).as_bytes(), mode)?;
    }
    Ok(())
}

fn text(lists: &Path) -> Result<String, Error> {
    let file = lists.join(SUMS);
    fs::read_to_string(&file).map_err(|e| files::failed(&file, &e))
}

/// Copies a file or a link.
fn carry(from: &Path, to: &Path) -> Result<(), Error> {
    let folder = files::directory(to);
    fs::create_dir_all(&folder).map_err(|e| files::failed(&folder, &e))?;
    let Ok(target) = fs::read_link(from) else {
        let input = Input::open(from)?;
        return Beside::copy_of(&input, to)?.put(input.mode());
    };
    let removed = match fs::remove_file(to) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    removed.and_then(|()| symlink(target, to)).map_err(|e| files::failed(to, &e))
}
