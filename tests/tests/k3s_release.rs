//! Is a file of a k3s release's shape patched as a file: does it start, unpack beside
//! the old one, pass the checks that k3s makes, and bring up a pod in gVisor where the
//! stock file's kubelet fails; and is it what it was when it is reverted?

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use procsys_tests::gvisor::{Platform, run_sharing};
use procsys_tests::native::Folder;
use procsys_tests::node::{Record, Share};
use procsys_tests::{Outcome, fixture, patch, patcher, release, run};

const LIMIT: Duration = Duration::from_secs(300);

/// Runs the patcher.
fn procsys(arguments: &[&str]) -> Outcome {
    run(Command::new(patcher()).args(arguments), LIMIT)
}

/// Runs a program of a release file, with a data directory.
fn started(file: &Path, data: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(file);
    command.arg("--data-dir").arg(data).args(arguments);
    let outcome = run(&mut command, LIMIT);
    assert!(outcome.success(), "{command:?}\n{outcome}");
    outcome.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn same(one: &Path, other: &Path) {
    let mut compare = Command::new("cmp");
    compare.arg(one).arg(other);
    let outcome = run(&mut compare, LIMIT);
    assert!(outcome.success(), "{outcome}");
}

#[test]
fn a_release_file_is_patched_as_a_file() {
    let folder = Folder::new("k3s-release");
    // As quickly as zstd packs: what it is packed with is no matter here.
    let (stock, old) = release::make(folder.path(), "-1");
    let share = Share::bare("k3s-gvisor");
    let gvisor = share.path().join("k3s-gvisor");
    patch(&stock, &gvisor, &["--profile", "k3s"]);
    fs::copy(&stock, share.path().join("k3s-stock")).expect("the share is writable");
    let data = folder.path().join("data-dir");
    let new = natively(&stock, &gvisor, &data, &old);
    undone(&stock, &gvisor, &data.join("data").join(&new), folder.path());
    refused(&stock, folder.path());
    in_gvisor(&share, &old, &new);
}

/// Both start, each from a folder of its own. Gives the name of the new one.
fn natively(stock: &Path, gvisor: &Path, data: &Path, old: &str) -> String {
    let link = |name: &str| {
        let to =
            fs::read_link(data.join("data").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        to.file_name().expect("it has a name").to_string_lossy().into_owned()
    };
    let version = started(stock, data, &["kubelet", "--version"]);
    assert!(version.starts_with("Kubernetes v"), "{version}");
    assert_eq!(link("current"), old);
    assert_eq!(started(gvisor, data, &["kubelet", "--version"]), version);
    let new = link("current");
    assert_ne!(new, old);
    assert_eq!(link("previous"), old);
    // The second start finds it.
    assert_eq!(started(gvisor, data, &["kubelet", "--version"]), version);
    for folder in [old, &new] {
        assert!(data.join("data").join(folder).join("bin/.sha256sums").is_file(), "{folder}");
    }
    new
}

/// The file and the programs that it unpacked are verified, and taken back.
fn undone(stock: &Path, gvisor: &Path, unpacked: &Path, folder: &Path) {
    let verified = procsys(&["verify", text(gvisor)]);
    assert!(verified.success(), "{verified}");
    assert!(verified.stdout.contains("4 programs, patched again and equal"), "{verified}");
    let back = folder.join("back");
    let original = |patched: &Path, stock: &Path| {
        let reverted = procsys(&["revert", text(patched), "-o", text(&back)]);
        assert!(reverted.success(), "{reverted}");
        same(&back, stock);
    };
    original(gvisor, stock);
    for (name, program) in release::programs() {
        // kubelet has k3s's name there.
        let name = if name == "kubelet" { "k3s" } else { name };
        original(&unpacked.join("bin").join(name), &fixture(program));
    }
}

/// Damaged and cut off, it is refused, and nothing is written.
fn refused(stock: &Path, folder: &Path) {
    let whole = fs::read(stock).expect("it was built");
    let zstd = [0x28, 0xb5, 0x2f, 0xfd];
    let start = whole.windows(4).position(|bytes| bytes == zstd).expect("it has an archive");
    let (file, output) = (folder.join("damaged"), folder.join("refused"));
    let mut flipped = whole.clone();
    flipped[start + whole.len() / 2] ^= 1;
    for (bytes, why) in [
        (&flipped[..], "is damaged: its sha256 is "),
        (&whole[..whole.len() / 2], "truncated ELF file: "),
    ] {
        fs::write(&file, bytes).expect("the folder is ours");
        let outcome = procsys(&[text(&file), "-o", text(&output)]);
        assert!(outcome.code == Some(2) && outcome.stderr.contains(why), "{outcome}");
        assert!(!output.exists());
    }
}

/// The stock file's kubelet fails with the known message, the patched one's runs a pod.
fn in_gvisor(share: &Share, old: &str, new: &str) {
    let outcome = run_sharing(Platform::Systrap, share.path(), "k3s.sh", &["/share"], LIMIT);
    let record = Record::read(&outcome.stdout);
    let shown = || format!("{:?}\n{outcome}\n{}", record.stages, share.logs());
    let said = |name: &str| {
        let found = record.stages.iter().find(|(n, _)| n == name);
        found.map_or("nothing", |(_, value)| value.as_str())
    };
    assert!(said("b1").contains("open /dev/kmsg: no such file or directory"), "{}", shown());
    let dir = |hash: &str| format!("/run/k3s/data/{hash}");
    assert_eq!(said("stock"), dir(old), "{}", shown());
    assert_eq!(said("pod"), "runs", "{}", shown());
    assert_eq!(said("kubelet"), format!("{}/bin/k3s", dir(new)), "{}", shown());
    assert_eq!(said("containerd"), format!("{}/bin/containerd", dir(new)), "{}", shown());
    assert_eq!((said("patched"), said("previous")), (&*dir(new), &*dir(old)), "{}", shown());
}
