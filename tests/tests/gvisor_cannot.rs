//! What does gVisor 20240729 not do that a node would use, whatever a rule says? Each
//! call by a program that makes it (`tests/programs/node/cannot.c`), which the
//! machine's own kernel does; and what network plugins come to. docs/limits.md says
//! every one of them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use procsys_tests::gvisor::{Platform, Release, real, run_script};
use procsys_tests::native::Folder;
use procsys_tests::preload::compile;
use procsys_tests::{Outcome, fixture, root, run};

const LIMIT: Duration = Duration::from_secs(90);

/// Call and answer. What is not among these is done.
const NOT_DONE: [(&str, &str); 10] = [
    ("setns(CLONE_NEWPID)", "EINVAL"),
    ("if_nametoindex", "ENODEV"),
    ("RTM_GETLINK IFLA_LINKINFO", "ENODATA"),
    ("RTM_DELROUTE", "EOPNOTSUPP"),
    ("socket(NETLINK_NETFILTER)", "EPROTONOSUPPORT"),
    ("mount(overlay)", "EINVAL"),
    ("open_tree", "ENOSYS"),
    ("fsopen(proc)", "ENOSYS"),
    ("openat2", "ENOSYS"),
    ("open(memory.oom_control)", "ENOENT"),
];

/// The one among them that is done by chance.
const SOMETIMES: &str = "if_nametoindex";

/// The question whether there is seccomp. That it is EFAULT is right: Linux says so.
const SECCOMP: (&str, &str) = ("prctl(PR_SET_SECCOMP, 2, NULL)", "EFAULT");

/// How many lines the program prints.
const CALLS: usize = 22;

/// Plugins, and what they say.
const PLUGINS: [(&str, &str); 3] = [
    ("loopback", "\"address\": \"127.0.0.1/8\""),
    (
        "bridge",
        "failed to create bridge \\\"cni0\\\": \\\"cni0\\\" already exists but is not a bridge",
    ),
    ("ptp", "failed to delete route "),
];

fn program(folder: &Folder) -> String {
    let program = folder.path().join("cannot");
    compile("gcc", &["-O1", "-static"], &root().join("tests/programs/node/cannot.c"), &program);
    real(&program)
}

/// The calls that are not done, with their errno, and how many there were.
fn not_done(outcome: &Outcome) -> (Vec<(String, String)>, usize) {
    let lines = outcome.stdout.lines().map(|line| line.split(" | ").collect::<Vec<_>>());
    let all: Vec<_> = lines
        .map(|words| {
            let [_, call, answer] = words[..] else { panic!("{outcome}") };
            (call.to_owned(), answer.to_owned())
        })
        .collect();
    let count = all.len();
    (all.into_iter().filter(|(_, answer)| answer != "ok").collect(), count)
}

fn owned(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|&(call, answer)| (call.to_owned(), answer.to_owned())).collect()
}

#[test]
fn each_is_refused_there_and_written_down() {
    let folder = Folder::new("cannot");
    let program = program(&folder);
    let mut native = Command::new("unshare");
    native.args(["--mount", &program]).arg(folder.path());
    let native = run(&mut native, LIMIT);
    assert_eq!(not_done(&native), (owned(&[SECCOMP]), CALLS), "{native}");

    let script = format!("mkdir /var/cannot && {program} /var/cannot");
    let mut expected = owned(&[SECCOMP]);
    expected.extend(owned(&NOT_DONE));
    let mut times = 0;
    loop {
        let there = run_script(Release::R20240729, Platform::Systrap, &script, LIMIT);
        let (answers, count) = not_done(&there);
        times += 1;
        if answers == expected && count == CALLS {
            break;
        }
        // Of a moved link's two names gVisor finds either, now and then the right one.
        let all_but_one = expected.iter().filter(|(call, _)| call != SOMETIMES);
        assert!(answers.iter().eq(all_but_one) && count == CALLS && times < 10, "{there}");
    }
    let limits = std::fs::read_to_string(root().join("docs/limits.md")).expect("it is there");
    for (call, errno) in NOT_DONE {
        let row = format!("{call}, {errno}");
        assert!(limits.contains(&row), "docs/limits.md does not say `{row}`");
    }
}

#[test]
fn the_older_one_answers_the_question_for_seccomp_as_linux_does() {
    let folder = Folder::new("cannot-old");
    let script = format!("mkdir /var/cannot && {} /var/cannot | head -n 1", program(&folder));
    let outcome = run_script(Release::R20221219, Platform::Ptrace, &script, LIMIT);
    assert!(outcome.stdout.contains(&format!("{} | {}", SECCOMP.0, SECCOMP.1)), "{outcome}");
}

#[test]
fn network_plugins_stop_where_it_is_said() {
    let plugins = real(&fixture("cni"));
    let mut script = format!(
        "export CNI_PATH={plugins} CNI_CONTAINERID=one CNI_NETNS=/run/one CNI_IFNAME=eth0\n\
         export CNI_COMMAND=ADD\n\
         : >/run/one; unshare -n sh -c 'mount --bind /proc/self/ns/net /run/one'\n"
    );
    for (number, (name, _)) in PLUGINS.iter().enumerate() {
        let addresses =
            format!("{{\"type\": \"host-local\", \"subnet\": \"10.7{number}.0.0/24\"}}");
        let config = format!(
            "{{\"cniVersion\": \"0.4.0\", \"name\": \"{name}\", \"type\": \"{name}\", \
             \"isGateway\": true, \"ipam\": {addresses}}}"
        );
        let plugin = Path::new(&plugins).join(name);
        script += &format!("echo '{config}' | {} 2>&1 | tr '\\n' ' '; echo\n", plugin.display());
    }
    let outcome = run_script(Release::R20240729, Platform::Systrap, &script, LIMIT);
    let said: Vec<_> = outcome.stdout.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(said.len(), PLUGINS.len(), "{outcome}");
    for (said, (name, expected)) in said.iter().zip(PLUGINS) {
        assert!(said.contains(expected), "{name}: {said}");
    }
    assert!(said[2].contains("operation not supported"), "{}", said[2]);
}
