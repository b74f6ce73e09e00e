//! A node: kubelet, containerd, its shim and runc, with a static pod and no API
//! server. What is it made of, and where does it find it?

mod record;

pub use record::{Process, Record, Sample};

use std::fs;
use std::path::{Path, PathBuf};

use crate::gvisor::real;
use crate::native::Folder;
use crate::preload::compile;
use crate::{fixture, patch, root};

/// A folder with all that a node needs, which the node also writes its logs to.
#[derive(Debug)]
pub struct Share(Folder);

/// The stock programs that run containers: name in the share, and fixture.
pub const PROGRAMS: [(&str, &str); 3] = [
    ("containerd", "containerd-1.7/containerd"),
    ("containerd-shim-runc-v2", "containerd-1.7/containerd-shim-runc-v2"),
    ("runc", "runc-current"),
];

/// Which rules of the profile a kubelet has that still fails.
const PARTIAL: [(&str, &[&str]); 2] =
    [("kubelet-kmsg", &["kmsg"]), ("kubelet-percpu", &["kmsg", "cpuacct-usage-percpu"])];

impl Share {
    /// With all programs of a node, stock and patched with the profile `k3s`, and
    /// kubelets that have only some of the rules.
    ///
    /// # Panics
    /// When a fixture is missing or can't be patched.
    pub fn new(name: &str) -> Self {
        let share = Self::without_kubelet(name);
        share.add_patched("kubelet", "kubelet");
        for (name, rules) in PARTIAL {
            let file = share.path().join(format!("{name}.toml"));
            fs::write(&file, only(rules)).expect("the share is writable");
            let file = file.to_str().expect("a plain path");
            patch(&share.program("kubelet"), &share.program(name), &["--rules", file]);
        }
        share
    }

    /// With ctr, all scripts, and what the programs are given to work with.
    ///
    /// # Panics
    /// When a fixture is missing.
    pub fn bare(name: &str) -> Self {
        let share = Self(Folder::new(name));
        fs::create_dir(share.path().join("bin")).expect("the share was just made");
        share.add("ctr", "containerd-1.7/ctr");
        let sources = root().join("tests/programs/node");
        for source in fs::read_dir(&sources).expect("they are there").flatten() {
            if source.path().extension().is_some_and(|e| e == "sh") {
                fs::copy(source.path(), share.path().join(source.file_name()))
                    .expect("the script is there");
            }
        }
        fs::copy(real(&fixture("node-images")), share.path().join("images.tar"))
            .expect("the fixture was found");
        for (file, text) in
            [("containerd.toml", CONTAINERD), ("kubelet.yaml", KUBELET), ("pod.yaml", POD)]
        {
            fs::write(share.path().join(file), text).expect("the share is writable");
        }
        share
    }

    /// With containerd, its shim and runc, stock and patched, and all scripts.
    ///
    /// # Panics
    /// As [`Share::new`].
    pub fn without_kubelet(name: &str) -> Self {
        let share = Self::bare(name);
        for (name, program) in PROGRAMS {
            share.add_patched(name, program);
        }
        let einval = share.program("prctl_einval");
        let source = root().join("tests/programs/node/prctl_einval.c");
        compile("gcc", &["-O1", "-static"], &source, &einval);
        share
    }

    /// Adds a program: its name, and the fixture.
    ///
    /// # Panics
    /// When the fixture is missing.
    pub fn add(&self, name: &str, program: &str) {
        crate::native::copy_program(&fixture(program), &self.program(name));
    }

    /// Adds a program, and as `NAME-patched` what it becomes with the profile `k3s`.
    ///
    /// # Panics
    /// When the fixture is missing or can't be patched.
    pub fn add_patched(&self, name: &str, program: &str) {
        self.add(name, program);
        let patched = self.program(&format!("{name}-patched"));
        patch(&self.program(name), &patched, &["--profile", "k3s"]);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.path().join("bin").join(name)
    }

    /// The last lines of every log, for the message of a failed test, and before them
    /// those that say why a Go program ended: what follows may be a thousand stacks.
    pub fn logs(&self) -> String {
        let mut logs = String::new();
        let files = fs::read_dir(self.path()).expect("the share can be read");
        for file in files.flatten().filter(|f| f.file_name().to_string_lossy().ends_with(".log")) {
            let text = fs::read(file.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().collect();
            logs += &format!("--- {}\n", file.file_name().to_string_lossy());
            let tail = lines.len().saturating_sub(25);
            if let Some(end) = lines[..tail].iter().position(|line| is_an_end(line)) {
                let why = &lines[end.saturating_sub(10)..(end + 10).min(tail)];
                logs += &format!("{}\n…\n", why.join("\n"));
            }
            logs += &format!("{}\n", lines[tail..].join("\n"));
        }
        logs
    }
}

/// Whether a line is the first of a Go program's end: klog's fatal ones begin with F and
/// the month and day.
fn is_an_end(line: &str) -> bool {
    let is_fatal = line
        .as_bytes()
        .first_chunk::<5>()
        .is_some_and(|[first, date @ ..]| *first == b'F' && date.iter().all(u8::is_ascii_digit));
    is_fatal || line.starts_with("panic: ") || line.starts_with("fatal error: ")
}

/// The named rules of the profile `kubelet`, as a file of rules of their own:
/// they are added to the profile `gvisor`, of which kubelet needs none.
fn only(names: &[&str]) -> String {
    let profile = fs::read_to_string(root().join("rules/profiles/kubelet.toml"))
        .expect("the profile is there");
    let rules = profile.split("[[rule]]").skip(1);
    let named = rules.filter(|r| names.iter().any(|n| r.contains(&format!("name = \"{n}\"\n"))));
    let text: String = named.map(|rule| format!("[[rule]]{rule}")).collect();
    assert_eq!(text.matches("[[rule]]").count(), names.len(), "{names:?} in the profile");
    text
}

/// `restrict_oom_score_adj`: a machine without CAP_SYS_RESOURCE takes no lower one.
/// `unset_seccomp_profile`: also what a pod's sandbox runs has a seccomp profile.
const CONTAINERD: &str = r#"
version = 2
root = "/run/procsys-node/containerd"
state = "/run/procsys-node/containerd-state"
[grpc]
  address = "/run/procsys-node/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "procsys.test/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  unset_seccomp_profile = "runtime/default"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/run/procsys-node/opt"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/run/procsys-node/cni/bin"
    conf_dir = "/run/procsys-node/cni/net.d"
"#;

const KUBELET: &str = "
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: /run/procsys-node/manifests
cgroupDriver: cgroupfs
cgroupRoot: /
failSwapOn: false
fileCheckFrequency: 2s
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
readOnlyPort: 10255
enforceNodeAllocatable: []
";

/// With a seccomp profile, as every pod of a k3s node has one.
const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  securityContext: {seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: main
    image: procsys.test/busybox:1
    imagePullPolicy: Never
    command: ["/bin/sh", "-c", "echo pod is up; trap 'exit 0' TERM; while :; do sleep 1; done"]
"#;
