//! A file of the shape of a k3s release, made of real programs as k3s's build makes one
//! (`scripts/package-cli`): lists, tar, zstd, go:embed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::node::PROGRAMS;
use crate::{Outcome, fixture, native, root, run};

/// Puts the archive together in a folder, and prints its name. What k3s's programs are
/// called leads to one of them: here, to kubelet.
const PACK: &str = r#"
set -e
cd "$1"
mv bin/kubelet bin/k3s
for name in kubelet kubectl; do ln -s k3s bin/$name; done
mkdir etc
(
    cd bin
    find . -not -path '*/\.*' -type f -exec sha256sum {} \; | sed 's| \./| |' | sort -k2 >.sha256sums
    find . -type l -printf '%P %l\n' | sort >.links
)
tar cf data.tar ./bin ./etc
zstd -q -T0 "$2" --long=25 --rm data.tar -o data.tar.zst
name=$(sha256sum data.tar.zst | cut -d' ' -f1).tar.zst
mkdir embed
touch embed/.empty
mv data.tar.zst embed/$name
echo $name
"#;

/// The programs that it is made of: name, and fixture.
pub fn programs() -> impl Iterator<Item = (&'static str, &'static str)> {
    [("kubelet", "kubelet")].into_iter().chain(PROGRAMS)
}

/// Makes the file `k3s` in a folder, with everything that it was made of beside it;
/// `level` is zstd's. Gives its path, and the sha256 in its archive's name.
///
/// # Panics
/// When a fixture is missing, or a tool does not succeed.
pub fn make(folder: &Path, level: &str) -> (PathBuf, String) {
    let bin = folder.join("bin");
    fs::create_dir_all(bin.join("aux")).expect("the folder is ours");
    for (name, program) in programs() {
        native::copy_program(&fixture(program), &bin.join(name));
    }
    native::copy_program(&fixture("busybox-static"), &bin.join("aux/mount"));
    fs::write(bin.join("check-config"), "#!/bin/sh\n").expect("the folder is ours");
    let mut pack = Command::new("sh");
    pack.args(["-c", PACK, "pack"]).arg(folder).arg(level);
    let name = done(&mut pack).stdout;
    fs::copy(root().join("tests/programs/k3s/main.go"), folder.join("main.go"))
        .expect("the program is there");
    let whole = |name: &str| fixture(name).canonicalize().expect("the fixture was found");
    let (go, output) = (whole("go"), folder.join("k3s"));
    let mut build = Command::new(go.join("bin/go"));
    build.current_dir(folder).env("GOROOT", &go).env("GOPATH", whole("klauspost"));
    build.env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("GOENV", "off");
    build.env("GO111MODULE", "off").env("CGO_ENABLED", "0");
    build.args(["build", "-ldflags=-s -w", "-o"]).arg(&output).arg(".");
    done(&mut build);
    (output, name.trim().trim_end_matches(".tar.zst").to_owned())
}

fn done(command: &mut Command) -> Outcome {
    let outcome = run(command, Duration::from_secs(300));
    assert!(outcome.success(), "{command:?}\n{outcome}");
    outcome
}
