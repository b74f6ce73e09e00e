//! On a healthy kernel a patched runc is the same runc: every command on a
//! container from create to delete, with the same output and exit codes.

use std::path::Path;

use procsys_tests::native::config;
use procsys_tests::normalise;
use procsys_tests::session::Session;
use procsys_tests::sidebyside::same;
use serde_json::{Value, json};

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
    // runc does not wait for it to become another program.
    s.wait_for_text(&s.command_line(&pid), "sleep");
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
