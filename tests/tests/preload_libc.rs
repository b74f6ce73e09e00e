//! Every function that a C library exports is accounted for: interposed, or in
//! `preload/libc.txt` with the reason why not. A name that a new libc brings is in
//! neither, and fails the test (in Debian's unstable suite it is printed).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, source, whole};
use procsys_tests::{fixture, root};

/// A C library, as a file.
struct Libc {
    release: String,
    path: PathBuf,
    /// Of a suite that moves by the day: what is new there is told, and no failure.
    moves: bool,
}

/// Those of the machine, and of later Debian releases (tests/fixtures/libcs.sh).
fn libcs() -> Vec<Libc> {
    let mut all = Vec::new();
    let mut add = |release: &str, folder: &Path, files: &[&str]| {
        for file in files {
            let path = folder.join(file);
            assert!(path.exists(), "{} is missing", path.display());
            let release = format!("{release} {file}");
            all.push(Libc { moves: release.starts_with("sid "), release, path });
        }
    };
    let glibc = ["libc.so.6", "libresolv.so.2"];
    add("the machine's", Path::new("/usr/lib/x86_64-linux-gnu"), &glibc);
    add("the machine's musl", Path::new("/usr/lib/x86_64-linux-musl"), &["libc.so"]);
    for suite in ["trixie", "sid"] {
        let folder = fixture("libcs").join(suite);
        add(suite, &folder, &glibc);
        add(suite, &folder, &["musl.so"]);
    }
    all
}

fn readelf(options: &[&str], path: &Path) -> String {
    let output = Command::new("readelf").args(options).arg(path).output();
    let output = output.expect("readelf (binutils) is installed");
    assert!(output.status.success(), "readelf {options:?} {}", path.display());
    String::from_utf8(output.stdout).expect("text")
}

/// The functions that a library exports, with their version; glibc's private ones are
/// for its own libraries.
fn functions(path: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in readelf(&["--dyn-syms", "-W"], path).lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, "FUNC" | "IFUNC", "GLOBAL" | "WEAK", _, section, symbol, ..] = fields[..]
        else {
            continue;
        };
        let (name, version) = symbol.split_once('@').unwrap_or((symbol, ""));
        if section != "UND" && !version.ends_with("GLIBC_PRIVATE") {
            found.entry(name.to_owned()).or_default().insert(version.to_owned());
        }
    }
    found
}

/// What a library asks the loader for by name.
fn relocated(path: &Path) -> BTreeSet<String> {
    let text = readelf(&["-rW"], path);
    let names = text.lines().filter_map(|line| line.split_whitespace().nth(4));
    names.map(|name| name.split('@').next().unwrap_or_default().to_owned()).collect()
}

fn exports(list: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("preload").join(list)).expect("it is checked in");
    text.lines().map(str::to_owned).collect()
}

/// The lists of `preload/libc.txt`, by their titles.
fn lists() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("preload/libc.txt")).expect("it is checked in");
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut title = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(new) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            title = new.to_owned();
        } else {
            let names = line.split_whitespace().map(str::to_owned);
            lists.entry(title.clone()).or_default().extend(names);
        }
    }
    lists
}

#[test]
fn every_function_is_accounted_for() {
    let mut known = exports("exports-whole.txt");
    let small = exports("exports.txt");
    assert!(small.is_subset(&known), "libprocsys-whole.so lacks what the small library has");
    for (title, names) in lists() {
        assert!(names.is_sorted(), "[{title}] is not in order");
        for name in names {
            assert!(known.insert(name.clone()), "[{title}] {name} is elsewhere, too");
        }
    }
    let mut seen = BTreeSet::new();
    for libc in libcs() {
        let exported = functions(&libc.path);
        // libresolv.so.2 is the smallest.
        assert!(exported.len() > 50, "{}: {} functions", libc.release, exported.len());
        let new: Vec<_> = exported.iter().filter(|(name, _)| !known.contains(*name)).collect();
        let release = &libc.release;
        let unknown = format!(
            "{release} exports what is neither interposed nor in preload/libc.txt: {new:?}"
        );
        assert!(new.is_empty() || libc.moves, "{unknown}");
        let result = if new.is_empty() { "all accounted for".into() } else { unknown };
        println!("{release}: {} functions, {result}", exported.len());
        seen.extend(exported.into_keys());
    }
    let older = lists().remove("older").unwrap_or_default();
    let nobodys: Vec<_> = known.difference(&seen).filter(|name| !older.contains(name)).collect();
    assert!(nobodys.is_empty(), "no C library exports {nobodys:?}");
}

/// A libc's own calls don't pass us, so that a list that says so can't be wrong; those
/// of libresolv.so.2 do, where a list says through what.
#[test]
fn libc_calls_itself_unseen() {
    let ours = exports("exports-whole.txt");
    for libc in libcs() {
        let passed: Vec<_> = relocated(&libc.path).intersection(&ours).cloned().collect();
        if libc.release.ends_with("libresolv.so.2") {
            assert_eq!(passed, ["fopen"], "{}", libc.release);
        } else {
            assert!(passed.is_empty(), "{}: {passed:?}", libc.release);
        }
    }
}

/// Of names with several versions a program gets the newest, whichever it was linked
/// against: these, and no other (docs/decisions-preload.md).
#[test]
fn versions_that_differ_are_known() {
    const DIFFERING: &str =
        "glob glob64 nftw nftw64 posix_spawn posix_spawnp realpath shm_open shm_unlink";
    let ours = exports("exports-whole.txt");
    for libc in libcs().iter().filter(|l| l.release.ends_with("libc.so.6") && !l.moves) {
        let exported = functions(&libc.path);
        let several =
            |name: &&String| exported.get(*name).is_some_and(|versions| versions.len() > 1);
        let found: Vec<&str> = ours.iter().filter(several).map(String::as_str).collect();
        assert_eq!(found.join(" "), DIFFERING, "{}", libc.release);
        // The next definition is the default version's: each name has one.
        let no_default = |name: &&String| {
            exported.get(*name).is_some_and(|versions| !versions.iter().any(|v| v.starts_with('@')))
        };
        let lost: Vec<_> = ours.iter().filter(no_default).collect();
        assert!(lost.is_empty(), "{}: no default version of {lost:?}", libc.release);
    }
}

/// pidfd_spawn is younger than the machine's glibc: a later one's runs a program, with
/// the environment that makes the library travel, and its path is redirected. Where
/// libc has none, it says so.
#[test]
fn a_later_glibc_has_its_spawn() {
    let folder = Folder::new("preload-pidfd-spawn");
    let program = folder.path().join("pidfd");
    compile("gcc", &["-O1", "-w"], &source("pidfd.c"), &program);
    let rules = folder.path().join("rules.toml");
    let text = "[[rule]]\nname = \"away\"\naction = \"redirect\"\nfrom = \"/procsys-bin\"\nto = \"/usr/bin\"\n";
    fs::write(&rules, text).expect("the temporary directory is writable");
    let later = fixture("libcs").join("trixie");
    let say = |libcs: Option<&Path>, preload: Option<PathBuf>| {
        let mut command = match libcs {
            None => Command::new(&program),
            Some(libcs) => {
                let mut command = Command::new(libcs.join("ld-linux-x86-64.so.2"));
                command.arg("--library-path").arg(libcs).arg(&program);
                command
            }
        };
        if let Some(library) = preload {
            command.env("LD_PRELOAD", library).env("PROCSYS_RULES", &rules);
        }
        finish(command).stdout
    };
    assert_eq!(say(None, None), "pidfd_spawn\nnone\npidfd_spawnp\nnone\n");
    let alone = "pidfd_spawn\nerror 2\npidfd_spawnp\n\nerror 0\n";
    assert_eq!(say(Some(&later), None), alone);
    for library in [library(), whole()] {
        let path = library.display();
        let expected = format!("pidfd_spawn\n{path}\nerror 0\npidfd_spawnp\n{path}\nerror 0\n");
        assert_eq!(say(Some(&later), Some(library.clone())), expected);
        let none = "pidfd_spawn\nerror 38\npidfd_spawnp\nerror 38\n";
        assert_eq!(say(None, Some(library.clone())), none, "{path}");
    }
}
