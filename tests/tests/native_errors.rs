//! On a healthy kernel a patched runc says what the stock one says: its errors,
//! and what it tells about itself.

use procsys_tests::native::config;
use procsys_tests::sidebyside::same;
use serde_json::json;

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
    (
        "/mounts/0",
        r#"{"destination":"/x","type":"tmpfs","source":"x","options":["nr_inodes=none"]}"#,
    ),
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
