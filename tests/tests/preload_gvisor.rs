//! Does Debian's own dynamic crun run every kind of container inside real
//! gVisor, under `libprocsys.so`; and what does it say without?

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use procsys_tests::gvisor::{Platform, Release, real, run_script};
use procsys_tests::native::Folder;
use procsys_tests::oci::CONFIGS;
use procsys_tests::preload::{library, source, table};
use procsys_tests::{fixture, oci};

/// What crun says in every configuration without the library.
const STOCK: &str = "error opening file `/proc/self/setgroups`: No such file or directory";

/// All cells of a platform together.
const LIMIT: Duration = Duration::from_secs(300);

/// A script that runs the program as a user with these variables would.
fn wrapper(folder: &Path, name: &str, variables: &str, program: &str) -> PathBuf {
    let path = folder.join(name);
    let text = format!("#!/bin/sh\nexec env {variables} {program} \"$@\"\n");
    fs::write(&path, text).expect("the temporary directory is writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("as above");
    path
}

/// Output and exit code of each cell, by `config-way`.
fn measure(
    platform: Platform,
    folder: &Path,
    ways: &[(&str, PathBuf)],
) -> BTreeMap<String, (String, String)> {
    let rootfs = real(&fixture("rootfs"));
    let busybox = real(&fixture("busybox-static"));
    let mut script = String::new();
    for config in CONFIGS {
        for (way, program) in ways {
            let name = format!("{}-{way}", config.name);
            let bundle = folder.join(platform.to_string()).join(&name);
            let cgroup = format!("/kubepods/besteffort/{name}");
            let container = oci::container(config.name, Path::new(&rootfs), &name, &cgroup);
            oci::write_bundle(&bundle, &container);
            let _ = writeln!(
                script,
                "echo '@@@ cell {name}'; {busybox} timeout -s KILL 30 {} --root /run/{name} run \
                 --bundle {} {name} 2>&1; code=$?; echo; echo \"@@@ exit $code\"",
                program.display(),
                bundle.display()
            );
        }
    }
    let outcome = run_script(Release::R20240729, platform, &script, LIMIT);
    assert!(outcome.success(), "{outcome}");
    let parts = outcome.stdout.split("@@@ cell ").skip(1);
    parts
        .filter_map(|part| {
            let (name, rest) = part.split_once('\n')?;
            let (output, code) = rest.split_once("@@@ exit ")?;
            Some((name.to_owned(), (output.trim().to_owned(), code.trim().to_owned())))
        })
        .collect()
}

#[test]
fn crun_runs_in_gvisor() {
    let folder = Folder::new("preload-gvisor");
    let crun = real(&fixture("crun"));
    let yajl = format!("LD_LIBRARY_PATH={crun}");
    let program = format!("{crun}/crun --cgroup-manager=disabled");
    let rules = table(folder.path(), &source("crun.toml"));
    let preload =
        format!("{yajl} LD_PRELOAD={} PROCSYS_RULES={}", library().display(), rules.display());
    let ways = [
        ("stock", wrapper(folder.path(), "stock", &yajl, &program)),
        ("door1", wrapper(folder.path(), "door1", &preload, &program)),
    ];
    for platform in [Platform::Ptrace, Platform::Systrap] {
        let cells = measure(platform, folder.path(), &ways);
        for config in CONFIGS.map(|c| c.name) {
            let (said, code) = &cells[&format!("{config}-stock")];
            assert_eq!((said.as_str(), code.as_str()), (STOCK, "1"), "{platform} {config}: stock");
            let (said, code) = &cells[&format!("{config}-door1")];
            let line = format!("hello from {config}-door1");
            assert_eq!((said, code.as_str()), (&line, "0"), "{platform} {config}: door 1");
        }
    }
}
