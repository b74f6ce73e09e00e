//! Does Debian's own dynamic runc run every kind of container inside real
//! gVisor, once it is patched on disk; and what does it say before?

use std::path::PathBuf;

use procsys_tests::cells::{Cell, Job, is_known, measure};
use procsys_tests::gvisor::{Platform, real};
use procsys_tests::native::Folder;
use procsys_tests::oci::CONFIGS;
use procsys_tests::preload::library;
use procsys_tests::{fixture, patch};

/// Debian's own (1.1.5), and the newest packaged one built in the same way.
const RUNCS: [&str; 2] = ["runc-dynamic", "runc-current-dynamic"];

fn jobs(kind: &str, program: &str) -> Vec<Job> {
    let job = |config: &'static str| Job {
        name: format!("dynamic-{config}-{kind}"),
        runc: PathBuf::from(program),
        config,
    };
    CONFIGS.iter().map(|config| job(config.name)).collect()
}

#[test]
fn dynamic_runcs_run_every_container_once_patched() {
    for runc in RUNCS {
        runs_every_container_once_patched(runc);
    }
}

fn runs_every_container_once_patched(runc: &str) {
    let folder = Folder::new(&format!("dynamic-matrix-{runc}"));
    let stock = fixture(runc);
    let patched = folder.path().join("runc-patched");
    let with_library = folder.path().join("runc-with-library");
    patch(&stock, &patched, &[]);
    let library = library().canonicalize().expect("it was built");
    patch(&stock, &with_library, &["--with-preload", library.to_str().expect("text")]);
    let ways = [("stock", &stock), ("patched", &patched), ("library", &with_library)];
    let all: Vec<Job> = ways.iter().flat_map(|(kind, path)| jobs(kind, &real(path))).collect();
    for platform in [Platform::Ptrace, Platform::Systrap] {
        let cells = measure(platform, &all, folder.path());
        let mut failed = 0;
        for config in CONFIGS {
            let cell = |kind: &str| &cells[&format!("dynamic-{}-{kind}", config.name)];
            println!("{runc}, {platform} {}: stock {:?}", config.name, cell("stock"));
            match cell("stock") {
                Cell::Runs => {}
                Cell::Says(said) if is_known(said) => failed += 1,
                other => panic!("{runc}, {platform} {}: stock: {other:?}", config.name),
            }
            for kind in ["patched", "library"] {
                assert_eq!(*cell(kind), Cell::Runs, "{runc}, {platform} {}: {kind}", config.name);
            }
        }
        assert!(failed > 0, "{runc}, {platform}: stock runc ran everything: is this gVisor?");
    }
}
