//! Does Debian's Docker run containers inside gVisor once dockerd, containerd, its
//! shim and runc are patched: without a network, with the sandbox's, and two on
//! Docker's bridge that talk to each other?

use std::time::Duration;

use procsys_tests::gvisor::{Platform, run_sharing};
use procsys_tests::node::{Record, Share};

/// What each step says; where it ends in `*`, how that begins.
const SAID: [(&str, &str); 8] = [
    (
        "stock",
        "docker: Error response from daemon: failed to create task for container: failed to \
         create shim task: OCI runtime create failed: runc create failed: unsafe procfs detected: \
         incorrect procfs root inode number *",
    ),
    ("none", "hello from *"),
    ("host", "hello from sandbox"),
    ("bridge", "served"),
    // docs/limits.md: gVisor lets nobody join a pid namespace.
    (
        "exec",
        "OCI runtime exec failed: exec failed: unable to start container process: error executing \
         setns process: *",
    ),
    ("list", "server running"),
    ("ended", "exited 137"),
    ("removed", "server"),
];

#[test]
fn docker_runs_containers() {
    let share = Share::without_kubelet("docker-gvisor");
    share.add_patched("dockerd", "docker/dockerd");
    for name in ["docker", "docker-proxy"] {
        share.add(name, &format!("docker/{name}"));
    }
    let limit = Duration::from_secs(240);
    let outcome = run_sharing(Platform::Systrap, share.path(), "docker.sh", &["/share"], limit);
    let record = Record::read(&outcome.stdout);
    let shown = || format!("{:#?}\n{outcome}\n{}", record.stages, share.logs());
    assert_eq!(record.stages.len(), SAID.len(), "{}", shown());
    for ((name, said), (step, expected)) in record.stages.iter().zip(SAID) {
        println!("{name}: {said}");
        let fits = match expected.strip_suffix('*') {
            Some(start) => said.starts_with(start),
            None => said.trim_end() == expected,
        };
        assert!(name == step && fits, "{step}: {expected}\n{}", shown());
    }
}
