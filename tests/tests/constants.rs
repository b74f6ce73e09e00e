//! `--mode constants` on Go's programs, of every kind of linkage, and on programs
//! that others built: the stock one finds nothing at the new place, the rewritten
//! one reads there, and is verified and taken back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use procsys_tests::native::Folder;
use procsys_tests::{Outcome, fixture, patch, patcher, root, run};

const LIMIT: Duration = Duration::from_secs(300);

/// A directory with a path of so many bytes, removed at the end.
struct Root(PathBuf);

impl Root {
    fn new(bytes: usize) -> Self {
        let width = bytes - "/tmp/".len();
        let names = (0..9999).map(|n| PathBuf::from(format!("/tmp/{n:0width$}")));
        let found = names.into_iter().find(|path| fs::create_dir(path).is_ok());
        Self(found.expect("a free name"))
    }

    fn write(&self, name: &str, contents: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("it is writable");
        fs::write(path, contents).expect("it is writable");
    }

    fn redirect(&self) -> String {
        format!("/proc/sys={}", self.0.display())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("made above");
    }
}

fn go(source: &str, cgo: bool, args: &[&str], output: &Path) {
    let mut command = Command::new(fixture("go").join("bin/go"));
    command.arg("build").args(args).arg("-o").arg(output);
    command.arg(root().join("tests/programs/constants").join(source));
    command.env("CGO_ENABLED", if cgo { "1" } else { "0" });
    command.envs([("GO111MODULE", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "")]);
    command.env_remove("GOROOT").env("GOCACHE", root().join("target/hazards/gocache"));
    let outcome = run(&mut command, LIMIT);
    assert!(outcome.success(), "{command:?}\n{outcome}");
}

fn call(program: &Path, args: &[&str]) -> Outcome {
    run(Command::new(program).args(args), LIMIT)
}

fn rewrite(input: &Path, output: &Path, redirect: &str) -> Outcome {
    let constants = ["--mode", "constants", "--redirect", redirect];
    run(Command::new(patcher()).arg(input).arg("-o").arg(output).args(constants), LIMIT)
}

/// Sees that a rewritten file is verified, and that its original comes back.
fn verified_and_reverted(input: &Path, output: &Path) {
    let verified = run(Command::new(patcher()).arg("verify").arg(output), LIMIT);
    assert!(verified.success(), "{verified}");
    let back = output.with_extension("back");
    let reverted =
        run(Command::new(patcher()).arg("revert").arg(output).arg("-o").arg(&back), LIMIT);
    assert!(reverted.success(), "{reverted}");
    assert!(
        fs::read(&back).expect("written") == fs::read(input).expect("built"),
        "not the original"
    );
}

const NAMES: [&str; 10] = [
    "kernel/of-instruction",
    "kernel/of-header",
    "kernel/of-list",
    "kernel/of-list-too",
    "kernel/of-row",
    "net/of-row",
    "kernel/of-key",
    "kernel/of-format",
    "kernel/of-other-result",
    "kernel/of-result",
];

#[test]
fn go_reads_at_the_new_place_whatever_its_linkage() {
    let folder = Folder::new("constants-go");
    let link = "-s -w -linkmode external -extldflags -static-pie";
    let builds: [(&str, bool, &[&str]); 4] = [
        ("static", false, &[]),
        ("stripped", false, &["-ldflags", "-s -w"]),
        ("static-pie", true, &["-buildmode=pie", "-tags", "netgo,osusergo", "-ldflags", link]),
        ("dynamic", true, &["-buildmode=pie", "-ldflags", "-linkmode external"]),
    ];
    for (name, cgo, args) in builds {
        let input = folder.path().join(name);
        go("paths.go", cgo, args, &input);
        let arguments = ["kernel", "of-format"];
        let stock = call(&input, &arguments);
        for name in NAMES {
            let message = format!("open /proc/sys/{name}: no such file or directory");
            assert!(stock.stdout.contains(&message), "{message}\n{stock}");
        }
        // As long as the old prefix, and shorter: then every length is corrected.
        for bytes in [9, 7] {
            let place = Root::new(bytes);
            NAMES.iter().for_each(|name| place.write(name, "is here\n"));
            let output = folder.path().join(format!("{name}-{bytes}"));
            let report = rewrite(&input, &output, &place.redirect());
            // C's part has lengths that can't be proven; Go's own is all right.
            if bytes < 9 && cgo && name == "static-pie" {
                assert_eq!(report.code, Some(2), "{report}");
                assert!(!report.stderr.contains(" main."), "{report}");
                continue;
            }
            assert!(report.success(), "{report}");
            let moved = call(&output, &arguments);
            for name in NAMES {
                let base = name.rsplit('/').next().expect("a name");
                assert!(
                    moved.stdout.contains(&format!("{base} is here")),
                    "{name}\n{moved}\n{report}"
                );
            }
            assert!(moved.stdout.ends_with("/proc/sys is not a message\n"), "{moved}");
            assert_eq!(moved.stdout.lines().count(), NAMES.len() + 1, "{moved}");
            verified_and_reverted(&input, &output);
        }
    }
}

#[test]
fn go_lengths_that_can_not_be_proven_are_refused() {
    let folder = Folder::new("constants-refused");
    let (input, output) = (folder.path().join("refused"), folder.path().join("out"));
    go("refused.go", false, &[], &input);
    let shorter = rewrite(&input, &output, "/proc/sys=/tmp/a");
    let same = rewrite(&input, &output, "/proc/sys=/tmp/abcd");
    for outcome in [&shorter, &same] {
        assert_eq!(outcome.code, Some(2), "{outcome}");
        let has = |words: &str| assert!(outcome.stderr.contains(words), "{words}\n{outcome}");
        has("`/proc/sys/of-order`: ");
        has("in main.ordered compares it for order");
        has("an instruction in main.short carries this text as a number");
    }
    assert!(shorter.stderr.contains("`/proc/sys/of-a-long-prefix/`: its length 27"), "{shorter}");
    assert!(!same.stderr.contains("of-a-long-prefix"), "{same}");
    assert!(!output.exists());
}

#[test]
fn other_peoples_programs_look_at_the_new_place() {
    let folder = Folder::new("constants-others");
    let place = Root::new(9);
    place.write("kernel/tainted", "7\n");
    place.write("kernel/ostype", "Elsewhere\n");
    let busybox = fixture("busybox-static").canonicalize().expect("it is there");
    let output = folder.path().join("busybox");
    patch(&busybox, &output, &["--mode", "constants", "--redirect", &place.redirect()]);
    let stock = call(&busybox, &["sysctl", "kernel.ostype"]);
    assert_eq!(stock.stdout, "kernel.ostype = Linux\n");
    let moved = call(&output, &["sysctl", "kernel.ostype"]);
    assert_eq!(moved.stdout, "kernel.ostype = Elsewhere\n", "{moved}");
    verified_and_reverted(&busybox, &output);
    // Its shell's redirection to /dev/null is the end of another command line.
    let refused = rewrite(&busybox, &folder.path().join("none"), "/dev=/run");
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("`/dev/null`: shares its bytes with `test -f "), "{refused}");

    // runc's default root, static-pie and dynamic: what it looks for is elsewhere.
    for name in ["runc-1.3.6", "runc-dynamic"] {
        let runc = fixture(name).canonicalize().expect("it is there");
        let output = folder.path().join(name);
        let at = format!("/run/runc={}", place.0.display());
        patch(&runc, &output, &["--mode", "constants", "--redirect", &at]);
        place.write("a-container/state.json", "no JSON\n");
        let stock = call(&runc, &["state", "a-container"]);
        assert!(stock.stderr.contains("container does not exist"), "{stock}");
        let moved = call(&output, &["state", "a-container"]);
        assert!(moved.stderr.contains("invalid character 'o' in literal"), "{moved}");
        verified_and_reverted(&runc, &output);
    }
}
