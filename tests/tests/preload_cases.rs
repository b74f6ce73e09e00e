//! One table of cases, two doors: a static program under `procsys-patch` and
//! the same one, dynamic, under `libprocsys.so` print the same, errno included.

use std::fs;
use std::path::Path;

use procsys_tests::golang::build;
use procsys_tests::gosuites::Linked;
use procsys_tests::native::Folder;
use procsys_tests::patch;
use procsys_tests::preload::{
    compile, finish, isolated, preloaded, preloaded_by, source, table, whole,
};

/// A rule for each action and each kind of file.
const RULES: &str = r#"
[[rule]]
name = "refused"
action = "emulate"
path = "/proc/sys/procsys/refused"
value = "42\n"
mode = 0o444
write = "refuse"

[[rule]]
name = "accepted"
action = "emulate"
path = "/proc/sys/procsys/accepted"
value = "43\n"
mode = 0o644
write = "accept"

[[rule]]
name = "namespace"
action = "emulate"
path = "/proc/*/ns/procsys"
file = "namespace"
value = "procsys:[1]"

[[rule]]
name = "away"
action = "redirect"
from = "/procsys-away"
to = "FOLDER"

[[rule]]
name = "retry"
action = "retry"
call = "close_range"
on = ["EINVAL"]
when = [{ arg = 2, has_bits = 0x400 }]
change = [{ arg = 2, clear_bits = 0x400 }]

[[rule]]
name = "ignore-setns"
action = "ignore"
call = "setns"
on = ["EBADF"]

[[rule]]
name = "ignore-unshare"
action = "ignore"
call = "unshare"
on = ["EINVAL"]
when = [{ arg = 0, equal = 1 }]

[[rule]]
name = "errno-ioctl"
action = "report"
call = "ioctl"
on = ["ENOTTY"]
when = [{ arg = 1, equal = 0x12345 }]
errno = "EFAULT"

[[rule]]
name = "ignore-prctl"
action = "ignore"
call = "prctl"
on = ["EINVAL"]
when = [{ arg = 0, equal = 123456 }]

[[rule]]
name = "mount-options"
action = "retry"
call = "mount"
on = ["EINVAL"]
when = [{ arg = 2, text = "tmpfs" }, { arg = 4, has_option = "nonsense" }]
change = [{ arg = 4, drop_options = "nonsense" }]
"#;

/// What `cases` finds below the prefix that is redirected.
fn fresh(folder: &Path) {
    let real = folder.join("real");
    let _ = fs::remove_dir_all(&real);
    fs::create_dir_all(real.join("mnt")).expect("the temporary directory is writable");
    fs::write(real.join("file"), "real\n").expect("as above");
}

/// Compares the doors for one way of compiling.
fn compare(name: &str, compiler: &str, flags: &[&str]) {
    let folder = Folder::new(&format!("preload-{name}"));
    let path = |name: &str| folder.path().join(name);
    let rules = path("rules.toml");
    let real = path("real");
    let text = RULES.replace("FOLDER", real.to_str().expect("text"));
    fs::write(&rules, text).expect("the temporary directory is writable");
    let (dynamic, stock, patched) = (path("dynamic"), path("static"), path("patched"));
    let source = source("cases.c");
    compile(compiler, flags, &source, &dynamic);
    compile(compiler, &[flags, &["-static"]].concat(), &source, &stock);
    patch(&stock, &patched, &["--rules", rules.to_str().expect("text")]);
    let table = table(folder.path(), &rules);

    let print = |command: std::process::Command, what: &str| -> Vec<String> {
        fresh(folder.path());
        let outcome = finish(command);
        assert!(outcome.success(), "{name}: {what}: {outcome}");
        outcome.stdout.lines().map(str::to_owned).collect()
    };
    let without = print(isolated(&dynamic), "without");
    let door2 = print(isolated(&patched), "door 2");
    let door1 = print(preloaded(&dynamic, &table), "door 1");
    let larger = print(preloaded_by(&whole(), &dynamic, &table), "door 1, whole");
    assert_eq!(door1, larger, "{name}: the whole library differs");
    let repaired = door2.iter().filter(|line| !without.contains(line)).count();
    assert!(repaired > 300, "{name}: only {repaired} lines are not the kernel's own");
    let differences: Vec<String> = differing(&door2, &door1);
    assert!(differences.is_empty(), "{name}: door 2 (-), door 1 (+)\n{}", differences.join("\n"));
    println!("{name}: {} lines, {repaired} of them by rules, the same at both doors", door1.len());
}

fn differing(a: &[String], b: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for i in 0..a.len().max(b.len()) {
        let (x, y) = (a.get(i), b.get(i));
        if x != y {
            lines.push(format!("{i}\n- {}\n+ {}", show(x), show(y)));
        }
    }
    lines
}

fn show(line: Option<&String>) -> &str {
    line.map_or("(nothing)", String::as_str)
}

#[test]
fn glibc() {
    compare("glibc", "gcc", &["-O1", "-w"]);
}

#[test]
fn glibc_large_files() {
    compare("large-files", "gcc", &["-O1", "-w", "-D_FILE_OFFSET_BITS=64"]);
}

#[test]
fn glibc_fortified() {
    compare("fortified", "gcc", &["-O2", "-w", "-D_FORTIFY_SOURCE=2"]);
}

#[test]
fn musl() {
    compare("musl", "musl-gcc", &["-O1", "-w"]);
}

/// Names that came late or that few know, under both libraries.
#[test]
fn lesser_names() {
    for compiler in ["gcc", "musl-gcc"] {
        let folder = Folder::new(&format!("preload-lesser-names-{compiler}"));
        let path = |name: &str| folder.path().join(name);
        let rules = path("rules.toml");
        let real = path("real");
        fs::create_dir_all(real.join("folder/inside")).expect("the folder is writable");
        fs::write(real.join("file"), "redirected\n").expect("as above");
        fs::write(real.join("mounts"), "here /there ext4 rw 0 0\n").expect("as above");
        let text = RULES.replace("FOLDER", real.to_str().expect("text"));
        fs::write(&rules, text).expect("as above");
        let (dynamic, stock, patched) = (path("dynamic"), path("static"), path("patched"));
        compile(compiler, &["-O1", "-w"], &source("spawned.c"), &dynamic);
        compile(compiler, &["-O1", "-w", "-static"], &source("spawned.c"), &stock);
        patch(&stock, &patched, &["--rules", rules.to_str().expect("text")]);
        let table = table(folder.path(), &rules);
        let print = |command: std::process::Command| {
            let outcome = finish(command);
            assert!(outcome.success(), "{outcome}");
            outcome.stdout
        };
        let without = print(isolated(&dynamic));
        assert!(!without.contains("redirected") && !without.contains("/there"), "{without}");
        let door2 = print(isolated(&patched));
        for sign in ["here on /there", "redirected", "inside", "_Fork: status 3"] {
            assert!(door2.contains(sign), "{compiler}: {door2}");
        }
        assert_eq!(print(preloaded(&dynamic, &table)), door2, "{compiler}");
        assert_eq!(print(preloaded_by(&whole(), &dynamic, &table)), door2, "{compiler}, whole");
    }
}

/// Go makes its calls itself: static it is patched, dynamic it is detoured in
/// its memory.
#[test]
fn go() {
    let folder = Folder::new("preload-go-cases");
    let path = |name: &str| folder.path().join(name);
    let rules = path("rules.toml");
    let text = RULES.replace("FOLDER", path("real").to_str().expect("text"));
    fs::write(&rules, text).expect("the temporary directory is writable");
    let (stock, patched) = (path("static"), path("patched"));
    build("cases", Linked::Static, &stock);
    patch(&stock, &patched, &["--rules", rules.to_str().expect("text")]);
    let table = table(folder.path(), &rules);
    let print = |mut command: std::process::Command, what: &str| -> Vec<String> {
        fresh(folder.path());
        command.arg(folder.path());
        let outcome = finish(command);
        assert!(outcome.success(), "{what}: {outcome}");
        outcome.stdout.lines().map(str::to_owned).collect()
    };
    let without = print(isolated(&stock), "without");
    let door2 = print(isolated(&patched), "door 2");
    let repaired = door2.iter().filter(|line| !without.contains(line)).count();
    assert!(repaired > 100, "only {repaired} lines are not the kernel's own");
    for linked in [Linked::Dynamic, Linked::DynamicPie] {
        let dynamic = path("dynamic");
        build("cases", linked, &dynamic);
        let door1 = print(preloaded(&dynamic, &table), "door 1");
        let differences = differing(&door2, &door1);
        assert!(
            differences.is_empty(),
            "{linked:?}: door 2 (-), door 1 (+)\n{}",
            differences.join("\n")
        );
        println!(
            "Go, {linked:?}: {} lines, {repaired} by rules, the same at both doors",
            door1.len()
        );
    }
}
