//! On a healthy kernel a patched runc runs every kind of container as the stock
//! one does.

use procsys_tests::native::config;
use procsys_tests::session::Session;
use procsys_tests::sidebyside::same;
use serde_json::{Value, json};

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
