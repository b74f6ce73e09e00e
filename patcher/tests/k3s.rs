//! Files of the shape of a k3s release: what is patched, what is refused, and what
//! verify, revert and inspect make of them.

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use procsys_patcher::emit::note;
use procsys_patcher::k3s::sums::pairs;
use procsys_patcher::k3s::zst::Unpacked;
use serde_json::Value;
use support::release::*;
use support::*;

/// A release file and what came of it.
struct Release {
    place: Place,
    /// What its archive holds.
    tar: Vec<u8>,
    stock: PathBuf,
    output: PathBuf,
}

fn patched(how: &Outer) -> Release {
    let place = Place::new();
    let tar = Parts::of_k3s(&place).tar();
    let stock = outer(&place, "k3s-stock", &compressed(&tar), how);
    let output = place.path("k3s-patched");
    success(&patch_to(&stock, &output));
    Release { place, tar, stock, output }
}

/// The archive that a patched file carries, unpacked; its name is checked on the way.
fn carried(file: &Path) -> Vec<u8> {
    let bytes = fs::read(file).expect("it was written");
    let section = procsys_patcher::patched::read::section(&bytes, ".procsys.archive");
    let section = &bytes[section.expect("it has an archive")];
    let (name, start) = said(file);
    let (archive, name_there) = section.split_at(section.len() - name.len());
    assert_eq!(name.as_bytes(), name_there);
    assert_eq!(start, archive[..4], "the entry leads elsewhere");
    assert_eq!(name, format!("embed/{}.tar.zst", note::hex(&note::digest(archive))));
    let mut tar = Vec::new();
    Unpacked::new(archive).read_to_end(&mut tar).expect("it is whole");
    tar
}

#[test]
fn every_go_program_in_it_is_patched_and_the_lists_fit() {
    for flags in [BARE, &["-pie", "-nostdlib"]] {
        let Release { place, tar, stock, output } = patched(&Outer { flags, ..STATIC });
        let old = files(&tar);
        let new = files(&carried(&output));
        assert_ne!(said(&stock).0, said(&output).0, "it would not unpack beside the old one");
        let names =
            |files: &[(String, Vec<u8>)]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&old), names(&new));
        let content = |name: &str| {
            let found = new.iter().find(|f| f.0 == format!("bin/{name}"));
            found.unwrap_or_else(|| panic!("no {name} in {:?}", names(&new))).1.clone()
        };
        for (name, bytes) in &old {
            let plain = name.trim_start_matches("bin/");
            match plain {
                "k3s" | "runc" => {
                    // What patching it alone gives, and it runs.
                    let alone = place.path("alone");
                    let one = place.write("one", bytes);
                    fs::set_permissions(&one, fs::Permissions::from_mode(0o755)).expect("ours");
                    success(&patch_to(&one, &alone));
                    assert!(fs::read(&alone).expect("written") == content(plain), "{name}");
                    assert_eq!(run(&alone), format!("{plain}\nexit status: 0"));
                }
                ".sha256sums" => {}
                _ => assert!(*bytes == content(plain), "{name} changed"),
            }
        }
        let list = String::from_utf8(content(".sha256sums")).expect("text");
        assert_eq!(list.lines().count(), 4);
        for (sum, name) in pairs(&list) {
            assert_eq!(sum, note::hex(&note::digest(&content(name))), "{name}");
        }
        assert!(place.names().iter().all(|name| !name.starts_with('.')), "{:?}", place.names());
    }
}

#[test]
fn it_is_verified_reverted_inspected_and_patched_again() {
    let Release { place, stock, output, .. } = patched(&STATIC);
    let said = success(&patch(["verify".as_ref(), output.as_os_str()]));
    assert!(said.contains("2 programs, patched again and equal: bin/k3s, bin/runc"), "{said}");
    let back = place.path("back");
    success(&patch(["revert".as_ref(), output.as_os_str(), "-o".as_ref(), back.as_os_str()]));
    assert!(fs::read(&back).expect("written") == fs::read(&stock).expect("built"));
    for file in [&stock, &output] {
        let json = success(&patch(["inspect".as_ref(), file.as_os_str(), "--json".as_ref()]));
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["archive"]["programs"][0]["name"], "bin/k3s");
        assert_eq!(json["archive"]["programs"][1]["go"], "go1.24");
        assert_eq!(json["archive"]["other_files"], 4);
        assert_eq!(json["can_be_patched"], true, "{json}");
    }
    // Patched again it is the same, whatever it was patched with before.
    let (other, again) = (place.path("other"), place.path("again"));
    let emulate = ["--emulate", "/proc/sys/kernel/none=1"].map(AsRef::as_ref);
    let first = [stock.as_os_str(), "-o".as_ref(), other.as_os_str()];
    success(&patch(first.into_iter().chain(emulate)));
    assert!(carried(&other) != carried(&output));
    success(&patch_to(&other, &again));
    assert!(fs::read(&again).expect("written") == fs::read(&output).expect("written"));
}

/// One bit in every part of the file; in the archive, in each of its pages.
#[test]
fn one_flipped_bit_is_named() {
    let Release { place, output, .. } = patched(&STATIC);
    let whole = fs::read(&output).expect("written");
    let section = |name: &str| {
        procsys_patcher::patched::read::section(&whole, name).unwrap_or_else(|| panic!("{name}"))
    };
    let archive = section(".procsys.archive");
    let mut places: Vec<_> = archive.clone().step_by(1021).collect();
    places.extend([archive.start, archive.end - 1, archive.end - 80]);
    places.extend(
        [".procsys.undo", ".procsys.rules", ".procsys.text", ".rodata"]
            .map(|n| section(n).start + 8),
    );
    for (count, at) in places.into_iter().enumerate() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (count % 8);
        let file = place.write("damaged", &damaged);
        let run = patch(["verify".as_ref(), file.as_os_str(), "--json".as_ref()]);
        assert_eq!(run.status.code(), Some(1), "{at:#x}: {}", String::from_utf8_lossy(&run.stderr));
        let json: Value = serde_json::from_slice(&run.stdout).expect("JSON");
        let findings = json["findings"].as_array().expect("a list");
        let [finding] = &findings[..] else { panic!("{at:#x}: {findings:#?}") };
        assert_eq!(finding["offset"], at, "{finding:#}");
        if archive.contains(&at) {
            assert_eq!(finding["region"], ".procsys.archive");
        }
    }
    // Two places: the archive's digest says that it is not as it was.
    let mut damaged = whole;
    for at in [archive.start + 9, archive.end - 99] {
        damaged[at] ^= 1;
    }
    let run = patch(["verify".as_ref(), place.write("damaged", &damaged).as_os_str()]);
    let said = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("(.procsys.archive): its sha256 is "), "{said}");
}

/// What is refused, and in which words; nothing is written.
#[test]
fn what_is_not_whole_or_older_is_refused() {
    let place = Place::new();
    let parts = || Parts::of_k3s(&place);
    let good = compressed(&parts().tar());
    let refused = |name: &str, archive: &[u8], how: &Outer, why: &str| {
        let file = outer(&place, name, archive, how);
        let output = place.path("output");
        let error = one_error(&patch_to(&file, &output));
        assert!(error.contains(why), "{name}: {error}");
        assert!(error.contains(name), "{error}");
        assert!(!output.exists());
    };
    let cut = &good[..good.len() / 2];
    refused("cut", cut, &STATIC, "the embedded archive is damaged: it ends too early");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    refused("flipped", &flipped, &STATIC, "the embedded archive is damaged: ");
    let tar = parts().tar();
    let short = compressed(&tar[..tar.len() / 2]);
    refused("short", &short, &STATIC, "damaged: ");
    let wrong = Parts { listed_wrong: Some("runc"), ..parts() };
    let why = "the sha256 of bin/runc is not that of its .sha256sums";
    refused("listed", &compressed(&wrong.tar()), &STATIC, why);
    let wrong = Parts { linked_wrong: true, ..parts() };
    let why = "bin/kubelet is not the link to k3s-elsewhere of its .links";
    refused("linked", &compressed(&wrong.tar()), &STATIC, why);
    let wrong = Parts { unlisted: true, ..parts() };
    refused("bare", &compressed(&wrong.tar()), &STATIC, "it has no bin/.sha256sums");
    let wrong = Parts { recorded: Some("runc"), ..parts() };
    let why = "the header of bin/runc alone does not say its size";
    refused("recorded", &compressed(&wrong.tar()), &STATIC, why);
    let wrong = Parts { listed_twice: true, ..parts() };
    let why = "bin/.sha256sums is in it more than once";
    refused("twice", &compressed(&wrong.tar()), &STATIC, why);
    refused("plain", &tar, &STATIC, "is not zstd");
    let mut broken = parts();
    let program = broken.files.iter().position(|f| f.0 == "runc").expect("it is there");
    broken.files[program].1 = read_only(&broken.files[program].1);
    refused("broken", &compressed(&broken.tar()), &STATIC, "bin/runc: ");
    for suffix in [".tgz", ".tar.gz"] {
        refused("gzip", &good, &Outer { suffix, ..STATIC }, "is gzip, as k3s's was once");
    }
    let bindata = Outer { is_embedded: false, more: "main.bindataRead", ..STATIC };
    refused(
        "bindata",
        &good,
        &bindata,
        "was put into it by go-bindata, as k3s did until August 2025",
    );
}

/// A program whose last segment can't be written to: it has no room for the shim.
fn read_only(program: &[u8]) -> Vec<u8> {
    let mut bytes = program.to_vec();
    let at = u64::from_le_bytes(bytes[32..40].try_into().expect("8 bytes")) as usize;
    let count = u16::from_le_bytes(bytes[56..58].try_into().expect("2 bytes")) as usize;
    for header in (0..count).map(|i| at + i * 56) {
        // PT_LOAD that is read and written becomes read only.
        if bytes[header] == 1 && bytes[header + 4] == 6 {
            bytes[header + 4] = 4;
        }
    }
    bytes
}

/// The archive's bytes are not those of its name; the file ends too early.
#[test]
fn a_damaged_release_file_is_refused() {
    let Release { place, stock, .. } = patched(&STATIC);
    let whole = fs::read(&stock).expect("built");
    let start = memchr::memmem::find(&whole, &[0x28, 0xb5, 0x2f, 0xfd]).expect("it has an archive");
    let mut damaged = whole.clone();
    damaged[start + 200] ^= 1;
    let output = place.path("output");
    let error = one_error(&patch_to(&place.write("damaged", &damaged), &output));
    assert!(error.contains("is damaged: its sha256 is "), "{error}");
    for len in [start + 100, whole.len() / 2, 3000] {
        let error = one_error(&patch_to(&place.write("cut", &whole[..len]), &output));
        assert!(error.contains("truncated") || error.contains("damaged"), "{len}: {error}");
    }
    assert!(!output.exists());
}

/// Programs that only look as if they carried something are patched as ever.
#[test]
fn a_name_alone_is_no_archive() {
    let place = Place::new();
    let how = Outer { is_embedded: false, ..STATIC };
    let file = outer(&place, "named", b"anything", &how);
    let report = success(&patch_to(&file, &place.path("output")));
    assert!(!report.contains("archive"), "{report}");
}

/// An unpacked folder gives what the patched release file unpacks to.
#[test]
fn an_unpacked_folder_is_patched_whole() {
    let Release { place, tar, output, .. } = patched(&STATIC);
    let unpack = |tar: &[u8], to: &str| {
        let to = place.path(to);
        tar::Archive::new(tar).unpack(&to).expect("a whole tar");
        to
    };
    let stock = unpack(&tar, "stock");
    let expected = unpack(&carried(&output), "expected");
    for (from, to, within) in [("stock", "out", ""), ("stock/bin", "out-bin", "bin")] {
        let to = place.path(to);
        let said = success(&patch_to(&place.path(from), &to));
        assert!(said.contains("2 patched, 0 failed, 6 left out"), "{said}");
        let (to, expected) = (to.to_str().expect("text"), expected.join(within));
        let same = std::process::Command::new("diff")
            .args(["-r", "--no-dereference", to])
            .arg(expected)
            .output();
        let same = same.expect("diffutils are there");
        assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    }
    fs::write(stock.join("bin/check-config"), "other").expect("it is writable");
    let error = one_error(&patch_to(&stock, &place.path("refused")));
    assert!(error.contains("check-config: its sha256 is not that of "), "{error}");
}
