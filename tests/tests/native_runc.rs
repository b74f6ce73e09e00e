//! On a healthy kernel a patched runc is the same runc: every command, every
//! kind of container, every error, with the same output and exit codes.

use std::collections::BTreeSet;
use std::path::Path;

use procsys_tests::native::{Folder, config, private_mounts};
use procsys_tests::session::{Session, differences};
use procsys_tests::{fixture, normalise, patch};
use serde_json::{Value, json};

/// The oldest and the newest line of runc that is in use.
const VERSIONS: [&str; 2] = ["runc-1.1.5", "runc-current"];

/// The ways of patching: name and arguments.
const WAYS: [(&str, &[&str]); 2] = [("default profile", &[]), ("every call", &["--every-call"])];

/// Runs a session with each stock runc and each of its patched copies, and
/// lays the steps side by side.
///
/// `must_work` tells how steps begin of which at least one has to end with exit
/// code 0 in stock, so that two runcs that fail in the same way for want of
/// something on this machine do not pass for equal.
fn same(name: &str, start: &Value, must_work: &[&str], scenario: impl Fn(&mut Session)) {
    private_mounts();
    let folder = Folder::new(&format!("patched-{name}"));
    for version in VERSIONS {
        let stock = fixture(version);
        let session = |program: &Path| {
            let mut session = Session::new(&format!("session-{name}"), program, start);
            scenario(&mut session);
            std::mem::take(&mut session.steps)
        };
        let expected = session(&stock);
        for begin in must_work {
            let steps: Vec<_> = expected.iter().filter(|s| s.name.starts_with(begin)).collect();
            assert!(
                steps.iter().any(|s| s.code == Some(0)),
                "stock {version} cannot {begin} here: {steps:#?}"
            );
        }
        for (way, args) in WAYS {
            let patched = folder.path().join("runc");
            patch(&stock, &patched, args);
            let found = differences(&expected, &session(&patched));
            assert!(found.is_empty(), "{version}, patched ({way}), differs:\n{}", found.join("\n"));
            let codes: BTreeSet<_> = expected.iter().filter_map(|s| s.code).collect();
            println!(
                "{name:<10} {version:<12} {way:<15} {} steps the same (exit codes {codes:?})",
                expected.len()
            );
        }
    }
}

/// A container that can be waited for, signalled, limited and measured.
fn long_running(id: &str) -> Value {
    // It waits in `read`, without further processes that come and go.
    let mut config = config(
        "trap 'echo got USR1' USR1; trap 'echo got TERM; exit 5' TERM; \
         test -p /tmp/pipe || mkfifo /tmp/pipe; exec 3<>/tmp/pipe; echo started; \
         while :; do read -r line <&3; done",
    );
    config["linux"]["cgroupsPath"] = json!(format!("/procsys-{id}-{}", std::process::id()));
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(["CAP_CHOWN", "CAP_KILL"]);
    }
    config["linux"]["resources"] = json!({
        "memory": { "limit": 67_108_864 },
        "pids": { "limit": 60 },
        "cpu": { "shares": 512 },
    });
    config
}

/// Where a cgroup file of `long_running` is: version 1, or else version 2.
fn cgroup(id: &str, controller: &str, one: &str, two: &str) -> String {
    let group = format!("procsys-{id}-{}", std::process::id());
    if Path::new("/sys/fs/cgroup").join(controller).exists() {
        format!("/sys/fs/cgroup/{controller}/{group}/{one}")
    } else {
        format!("/sys/fs/cgroup/{group}/{two}")
    }
}

/// Writes down what the kernel holds of the container's limits; returns those
/// of memory and processes.
fn read_limits(s: &mut Session, id: &str) -> [String; 2] {
    s.file("cpu shares", cgroup(id, "cpu", "cpu.shares", "cpu.weight"));
    let memory = s.file("memory", cgroup(id, "memory", "memory.limit_in_bytes", "memory.max"));
    let pids = s.file("pids", cgroup(id, "pids", "pids.max", "pids.max"));
    [memory, pids].map(|text| text.trim().to_owned())
}

#[test]
fn a_container_from_create_to_delete() {
    let works = [
        "create",
        "start",
        "exec c /bin/echo",
        "exec --detach",
        "events",
        "update --memory",
        "pause",
        "resume",
        "kill c USR1",
        "kill c TERM",
        "delete c",
        "ps",
    ];
    same("lifecycle", &long_running("life"), &works, |s| {
        let pid = s.beside("pid");
        let out = s.step_and_keep(&["create", "--pid-file", &pid, "c"]);
        s.name_pid(&pid, "PID");
        s.step(&["state", "c"]);
        s.step(&["list"]);
        s.step(&["create", "c"]);
        s.step(&["delete", "c2"]);
        s.step(&["start", "c"]);
        s.wait_for_text(&out, "started");
        s.step(&["start", "c"]);
        s.step(&["state", "c"]);
        s.step(&["list"]);
        s.step(&["list", "--quiet"]);
        s.step(&["list", "--format", "json"]);
        s.step(&["list", "--format", "none"]);
        s.step_as(&["ps", "c"], normalise::processes);
        s.step(&["ps", "--format", "none", "c"]);
        assert_eq!(read_limits(s, "life"), ["67108864", "60"]);
        exec(s);
        limits(s);
        pause(s);
        s.step(&["kill", "c", "USR1"]);
        s.wait_for_text(&out, "got USR1");
        s.step(&["kill", "c", "NONE"]);
        s.step(&["kill", "c", "0"]);
        s.step(&["delete", "c"]);
        s.step(&["kill", "c", "TERM"]);
        s.wait_for("c", "stopped");
        for args in [
            &["state", "c"][..],
            &["kill", "c", "TERM"],
            &["kill", "--all", "c", "KILL"],
            &["start", "c"],
            &["pause", "c"],
            &["resume", "c"],
            &["exec", "c", "/bin/echo", "hello"],
            &["update", "--memory", "33554432", "c"],
            &["ps", "c"],
            &["events", "--stats", "c"],
            &["list"],
            &["delete", "c"],
            &["delete", "c"],
            &["delete", "--force", "c"],
            &["list"],
        ] {
            s.step(args);
        }
        s.file("what the container printed", &out);
        assert_eq!(read_limits(s, "life"), ["entity not found"; 2], "its cgroups are gone");
    });
}

/// Further programs in the running container.
fn exec(s: &mut Session) {
    let process = s.beside("process.json");
    let text = json!({ "args": ["/bin/sh", "-c", "echo $A; grep ^Cap /proc/self/status"],
        "cwd": "/tmp", "user": { "uid": 7, "gid": 8 }, "env": ["PATH=/bin", "A=from a file"] });
    std::fs::write(&process, text.to_string()).expect("the folder is writable");
    let pid = s.beside("exec-pid");
    for args in [
        &["exec", "c", "/bin/echo", "hello"][..],
        &[
            "exec",
            "--env",
            "A=1",
            "--cwd",
            "/tmp",
            "--user",
            "1000:1001",
            "c",
            "sh",
            "-c",
            "echo $A; pwd; id; grep -E '^(Cap|NoNew|Seccomp)' /proc/self/status",
        ],
        &[
            "exec",
            "--cap",
            "CAP_NET_RAW",
            "--cap",
            "CAP_CHOWN",
            "c",
            "grep",
            "^Cap",
            "/proc/self/status",
        ],
        &["exec", "--cap", "CAP_NONE", "c", "true"],
        &["exec", "--process", &process, "c"],
        &["exec", "c", "sh", "-c", "echo to stderr >&2; exit 3"],
        &["exec", "c", "sh", "-c", "kill -9 $$"],
        &["exec", "c", "sh", "-c", "kill -TERM $$"],
        &["exec", "c", "/bin/none"],
        &["exec", "c", "none"],
        &["exec", "c", "/etc"],
        &["exec", "--cwd", "/none", "c", "true"],
        &["exec", "--user", "nobody", "c", "true"],
        &["exec", "c"],
        &["exec", "--tty", "--detach", "c", "true"],
        &["exec", "none", "true"],
        &[
            "exec",
            "c",
            "sh",
            "-c",
            "ls /proc/self/fd | wc -l; cat /proc/sys/kernel/cap_last_cap; hostname; ls /",
        ],
        &[
            "exec",
            "c",
            "sh",
            "-c",
            "seq 1 50000 | md5sum; cat /proc/self/cgroup /proc/self/uid_map",
        ],
    ] {
        s.step(args);
    }
    s.step_at_terminal(&[
        "exec",
        "--tty",
        "c",
        "sh",
        "-c",
        "tty; test -t 1 && echo a terminal; exit 4",
    ]);
    s.step(&["exec", "--detach", "--pid-file", &pid, "c", "sleep", "100"]);
    s.name_pid(&pid, "SLEEP");
    s.step_as(&["ps", "c"], normalise::processes);
    s.step_as(&["ps", "c", "-o", "comm,args"], normalise::processes);
    s.step_as(&["ps", "--format", "json", "c"], normalise::shape);
}

/// Limits: changed, refused, read back, counted.
fn limits(s: &mut Session) {
    let file = s.beside("resources.json");
    let text = json!({ "memory": { "limit": 50_331_648 }, "pids": { "limit": 30 } });
    std::fs::write(&file, text.to_string()).expect("the folder is writable");
    s.step_as(&["events", "--stats", "c"], normalise::shape);
    s.step(&["update", "--memory", "33554432", "--pids-limit", "20", "--cpu-share", "256", "c"]);
    assert_eq!(read_limits(s, "life"), ["33554432", "20"]);
    s.step(&["update", "--resources", &file, "c"]);
    assert_eq!(read_limits(s, "life"), ["50331648", "30"]);
    s.step(&["update", "--memory", "much", "c"]);
    s.step(&["update", "--memory", "-5", "c"]);
    s.step(&["update", "--cpuset-cpus", "9999", "c"]);
    s.step(&["update", "--resources", "/none", "c"]);
    s.step(&["update", "none"]);
    assert_eq!(read_limits(s, "life"), ["50331648", "30"]);
    // Within the limit on processes; what goes over it is the kernel's to say.
    s.step(&["exec", "c", "sh", "-c", "for i in 1 2 3; do (sleep 0.1) & done; wait; echo forked"]);
}

/// Pause and resume, and what a paused container refuses.
fn pause(s: &mut Session) {
    let frozen = cgroup("life", "freezer", "freezer.state", "cgroup.freeze");
    s.step(&["pause", "c"]);
    assert!(["FROZEN", "1"].contains(&s.file("freezer", &frozen).trim()));
    s.step(&["state", "c"]);
    s.step(&["list"]);
    s.step(&["pause", "c"]);
    s.step(&["exec", "c", "true"]);
    s.step(&["resume", "c"]);
    assert!(["THAWED", "0"].contains(&s.file("freezer", &frozen).trim()));
    s.step(&["state", "c"]);
    s.step(&["resume", "c"]);
    s.step(&["exec", "c", "/bin/echo", "thawed"]);
}

#[test]
fn containers_of_many_kinds() {
    let works = ["run plain", "run full", "run userns", "run hooks", "run --detach", "run seccomp"];
    same("kinds", &config("true"), &works, |s| {
        let show = "id; hostname; pwd; env | sort; ulimit -n; cat /proc/self/oom_score_adj; \
             grep -E '^(Cap|NoNew|Seccomp|Groups|Umask)' /proc/self/status; cut -d' ' -f4- /proc/self/mountinfo; \
             cat /proc/self/uid_map /proc/self/cgroup /proc/sys/kernel/cap_last_cap; ls -l /proc/self/ns | wc -l; \
             cat /proc/sys/net/ipv4/ip_unprivileged_port_start; touch /new 2>&1; stat -f -c %t / /proc /sys /dev; \
             stat -c '%i %F' /proc; head -c 1 /proc/kcore 2>&1 | wc -c; ls /dev; exec true";
        s.config(&config(show));
        s.step(&["run", "plain"]);
        s.config(&full(show));
        s.step(&["run", "full"]);
        s.config(&with_user_namespace("id; cat /proc/self/uid_map; grep ^Cap /proc/self/status"));
        s.step(&["run", "userns"]);
        for (name, line) in
            [("exits", "exit 7"), ("killed", "kill -9 $$"), ("stops", "kill -TERM $$")]
        {
            s.config(&config(line));
            s.step(&["run", name]);
            s.step(&["state", name]);
        }
        s.step(&["run", "--keep", "kept"]);
        s.step(&["state", "kept"]);
        s.step(&["delete", "kept"]);
        s.config(&with_seccomp());
        s.step(&["run", "seccomp"]);
        hooks(s);
        detached(s);
        let mut terminal = config("tty; test -t 0 && echo a terminal; exit 6");
        terminal["process"]["terminal"] = json!(true);
        terminal["process"]["consoleSize"] = json!({ "height": 30, "width": 90 });
        s.config(&terminal);
        s.step_at_terminal(&["run", "terminal"]);
        s.step(&["create", "terminal"]);
        s.step(&["run", "--detach", "terminal"]);
        s.step(&["run", "--no-pivot", "terminal"]);
        s.config(&config("echo no pivot; ls /"));
        s.step(&["run", "--no-pivot", "nopivot"]);
        s.step(&["run", "--no-new-keyring", "nokeyring"]);
        s.step(&["list"]);
    });
}

/// What containerd writes for a pod, as far as this machine's own limits allow.
fn full(line: &str) -> Value {
    let mut c = config(line);
    let capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    for set in ["bounding", "effective", "permitted"] {
        c["process"]["capabilities"][set] = json!(capabilities);
    }
    c["process"]["user"] = json!({ "uid": 0, "gid": 0, "umask": 23, "additionalGids": [10, 20] });
    c["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 256, "hard": 512 }]);
    c["process"]["oomScoreAdj"] = json!(300);
    c["root"]["readonly"] = json!(true);
    c["annotations"] = json!({ "org.example.name": "full" });
    let mounts = c["mounts"].as_array_mut().expect("config() has mounts");
    mounts.push(json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
        "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] }));
    mounts.push(json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
        "options": ["nosuid", "noexec", "nodev"] }));
    mounts.push(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] }));
    mounts.push(json!({ "destination": "/tmp/bound", "type": "bind", "source": "/usr",
        "options": ["rbind", "ro", "nosuid"] }));
    c["linux"]["namespaces"] = json!([
        { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
        { "type": "network" }, { "type": "cgroup" },
    ]);
    c["linux"]["cgroupsPath"] = json!(format!("/procsys-full-{}", std::process::id()));
    c["linux"]["resources"] = json!({
        "devices": [{ "allow": false, "access": "rwm" }],
        "memory": { "limit": 67_108_864 }, "pids": { "limit": 50 }, "cpu": { "shares": 2 },
    });
    c["linux"]["sysctl"] = json!({ "net.ipv4.ip_unprivileged_port_start": "0",
        "net.ipv4.ping_group_range": "0 2147483647" });
    c["linux"]["maskedPaths"] =
        json!(["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]);
    c["linux"]["readonlyPaths"] = json!(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"]);
    c["linux"]["seccomp"] = seccomp();
    c
}

/// A container in a user namespace of its own, without a root outside.
fn with_user_namespace(line: &str) -> Value {
    let mut c = config(line);
    c["linux"]["namespaces"]
        .as_array_mut()
        .expect("an array")
        .extend([json!({ "type": "user" }), json!({ "type": "network" })]);
    // The rootfs stays root's, as nothing is written in it.
    c["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 0, "size": 10_000 }]);
    c["linux"]["gidMappings"] = json!([{ "containerID": 0, "hostID": 0, "size": 10_000 }]);
    c
}

/// A filter that refuses one harmless call with an error of its own.
fn seccomp() -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95 }] })
}

fn with_seccomp() -> Value {
    let mut c = config("mkdir /tmp/x; echo $?; grep ^Seccomp: /proc/self/status");
    c["linux"]["seccomp"] = seccomp();
    c
}

/// Each hook says its name and what it was told; a hook that fails is reported.
fn hooks(s: &mut Session) {
    let log = s.beside("hooks");
    let mut c = config("echo in the container");
    for hook in
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    {
        // startContainer runs inside, where only /tmp is known to both sides.
        let log = if hook == "startContainer" { "/tmp/hooks".to_owned() } else { log.clone() };
        let line =
            format!("echo {hook} $A >> {log}; sed 's/\"pid\":[0-9]*/PID/' >> {log}; echo >> {log}");
        c["hooks"][hook] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", line],
            "env": ["A=env", "PATH=/bin:/usr/bin"], "timeout": 10 }]);
    }
    s.config(&c);
    s.step(&["run", "hooks"]);
    s.file("hooks outside", &log);
    s.file("hooks inside", s.bundle.join("rootfs/tmp/hooks"));
    for (hook, line) in [
        ("createRuntime", "echo broken >&2; exit 3"),
        ("createContainer", "exit 4"),
        ("startContainer", "exit 5"),
        ("poststart", "exit 6"),
    ] {
        let mut c = config("echo in the container");
        c["hooks"][hook] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", line] }]);
        s.config(&c);
        s.step(&["run", "broken"]);
        s.step(&["delete", "--force", "broken"]);
    }
}

/// Containers in the background.
fn detached(s: &mut Session) {
    s.config(&config("echo detached; exec sleep 100"));
    let pid = s.beside("detached-pid");
    let out = s.step_and_keep(&["run", "--detach", "--pid-file", &pid, "back"]);
    s.name_pid(&pid, "BACK");
    s.wait_for_text(&out, "detached");
    s.step(&["state", "back"]);
    // Without capabilities in the config runc 1.1 panics here: a fault in Go.
    s.step(&["exec", "--cap", "CAP_CHOWN", "back", "grep", "^Cap", "/proc/self/status"]);
    s.step(&["run", "back"]);
    s.step(&["delete", "back"]);
    s.step(&["kill", "back", "KILL"]);
    s.wait_for("back", "stopped");
    s.step(&["delete", "back"]);
    s.step_and_keep(&["run", "--detach", "forced"]);
    s.step(&["delete", "--force", "forced"]);
    s.step(&["state", "forced"]);
    s.file("what the container printed", &out);
}

#[test]
fn errors_are_the_same_errors() {
    same("errors", &config("true"), &[], |s| {
        let nowhere = s.beside("nowhere");
        s.step(&["run", "--bundle", &nowhere, "e"]);
        std::fs::create_dir(&nowhere).expect("the folder is writable");
        s.step(&["run", "--bundle", &nowhere, "e"]);
        for text in ["", "{", "[]", "{\"ociVersion\": 1}", "{}", "{\"ociVersion\":\"1.0.0\"}"] {
            std::fs::write(s.bundle.join("config.json"), text).expect("the bundle is writable");
            s.step(&["run", "e"]);
        }
        for (pointer, value) in BROKEN {
            let mut c = config("echo in the container");
            let value = serde_json::from_str(value).expect("the table holds JSON");
            let (at, name) = pointer.rsplit_once('/').expect("a JSON pointer");
            let place = c.pointer_mut(at).expect("config() has it");
            match name.parse::<usize>() {
                Ok(index) => place[index] = value,
                Err(_) => place[name] = value,
            }
            s.config(&c);
            s.step(&["run", "e"]);
            s.step(&["delete", "--force", "e"]);
        }
        s.config(&config("true"));
        for id in ["", ".", "..", "a/b", "a b", "-", "ü", &"long".repeat(300)] {
            s.step(&["run", id]);
        }
        for command in [
            "start",
            "state",
            "delete",
            "kill",
            "pause",
            "resume",
            "ps",
            "update",
            "exec",
            "events",
            "checkpoint",
            "restore",
        ] {
            s.step(&[command]);
            s.step(&[command, "none"]);
            s.step(&[command, "none", "word"]);
            s.step(&[command, "--none", "none"]);
        }
        for args in [
            &["none"][..],
            &["--none"],
            &["run"],
            &["run", "a", "b"],
            &["--log-format", "none", "list"],
            &["--log", "/none/log", "list"],
            &["--root", "/proc/none", "list"],
            &["--root", "/proc/none", "run", "e"],
            &["run", "--pid-file", "/none/pid", "e"],
            &["run", "--console-socket", "/none/socket", "e"],
            &["run", "--preserve-fds", "9", "e"],
            &["list"],
        ] {
            s.step(args);
        }
    });
}

/// What can be wrong in a config: where, and the value that is wrong.
const BROKEN: &[(&str, &str)] = &[
    ("/process/args", "[]"),
    ("/process/args", r#"["/none"]"#),
    ("/process/args", r#"["none"]"#),
    ("/process/args", r#"["/etc"]"#),
    ("/process/args", r#"["/etc/passwd"]"#),
    ("/process/cwd", r#""/none""#),
    ("/process/cwd", r#""relative""#),
    ("/process/cwd", r#""/bin/sh""#),
    ("/process/user", r#"{"uid":-1}"#),
    ("/process/capabilities", r#"{"bounding":["CAP_NONE"]}"#),
    ("/process/rlimits", r#"[{"type":"RLIMIT_NONE","soft":1,"hard":1}]"#),
    ("/process/rlimits", r#"[{"type":"RLIMIT_NOFILE","soft":9,"hard":1}]"#),
    ("/process/apparmorProfile", r#""none""#),
    ("/root/path", r#""none""#),
    ("/root", "null"),
    ("/hostname", r#""""#),
    ("/mounts/0", r#"{"destination":"/x","type":"none","source":"none"}"#),
    ("/mounts/0", r#"{"destination":"/x","type":"bind","source":"/none","options":["bind"]}"#),
    ("/mounts/0", r#"{"destination":"/proc/x","type":"tmpfs","source":"tmpfs"}"#),
    ("/mounts/0", r#"{"destination":"/x","type":"tmpfs","source":"x","options":["size=none"]}"#),
    ("/linux/namespaces", r#"[{"type":"none"}]"#),
    ("/linux/namespaces", r#"[{"type":"pid"},{"type":"pid"}]"#),
    ("/linux/namespaces", r#"[{"type":"mount"},{"type":"pid","path":"/none"}]"#),
    ("/linux/namespaces", r#"[{"type":"mount"},{"type":"network","path":"/etc/passwd"}]"#),
    ("/linux/namespaces", "[]"),
    ("/linux/sysctl", r#"{"kernel.none":"1"}"#),
    ("/linux/sysctl", r#"{"kernel.shmmax":"x"}"#),
    ("/linux/sysctl", r#"{"net.ipv4.ip_forward":"1"}"#),
    ("/linux/maskedPaths", r#"["/none","/bin/sh","/tmp"]"#),
    ("/linux/readonlyPaths", r#"["/none","/tmp"]"#),
    ("/linux/rootfsPropagation", r#""none""#),
    ("/linux/cgroupsPath", r#""../../x""#),
    ("/linux/resources", r#"{"pids":{"limit":1}}"#),
    ("/linux/resources", r#"{"memory":{"limit":"much"}}"#),
    ("/linux/resources", r#"{"cpu":{"cpus":"9999"}}"#),
    ("/linux/devices", r#"[{"path":"/dev/none","type":"x","major":1,"minor":3}]"#),
    ("/linux/seccomp", r#"{"defaultAction":"none"}"#),
    (
        "/linux/seccomp",
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["none"],"action":"SCMP_ACT_ERRNO"}]}"#,
    ),
    ("/linux/uidMappings", r#"[{"containerID":0,"hostID":0,"size":1}]"#),
];

#[test]
fn it_says_the_same_about_itself() {
    same("itself", &config("true"), &["--version", "--help", "spec"], |s| {
        s.step(&["--version"]);
        s.step(&["--help"]);
        s.step(&["features"]);
        for command in [
            "checkpoint",
            "create",
            "delete",
            "events",
            "exec",
            "kill",
            "list",
            "pause",
            "ps",
            "restore",
            "resume",
            "run",
            "spec",
            "start",
            "state",
            "update",
            "features",
            "help",
        ] {
            s.step(&[command, "--help"]);
        }
        for rootless in [&["spec"][..], &["spec", "--rootless"]] {
            std::fs::remove_file(s.bundle.join("config.json")).expect("the bundle has a config");
            s.step(rootless);
            s.file("config.json", s.bundle.join("config.json"));
            s.step(rootless);
        }
        // The messages of a failed run, as they are kept for containerd.
        let log = s.beside("log.json");
        let mut c = config("true");
        c["process"]["args"] = json!(["/none"]);
        s.config(&c);
        s.step(&["--log", &log, "--log-format", "json", "run", "logged"]);
        s.file("log", &log);
    });
}
