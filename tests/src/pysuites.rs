//! CPython's own tests as programs: running modules of them with a given
//! interpreter, and reading how each test ended.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::suite::{Results, SuiteRun};
use crate::{fixture, root, run};

/// What the name service asks in these runs: only what a static glibc holds
/// itself. The modules that it would load crash a static program.
const NAME_SERVICE: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files\n\
                            protocols: files\nservices: files\n";

/// The longest module takes about a minute on two idle cores.
const LIMIT: Duration = Duration::from_secs(900);

/// Left out: they hang with the stock interpreter on machines like this one.
pub const LEAVE_OUT: &[&str] = &[
    // A vsock connection to a host that does not answer.
    "test.test_socket.ThreadedVSOCKSocketStreamTest.*",
];

/// Runs `module` of CPython's tests with the interpreter `program`, which lies
/// in the fixture's folder or a copy of it, without the tests that
/// `leave_out` names (fnmatch), and with more variables in the environment.
pub fn run_module(
    program: &Path,
    work: &Path,
    module: &str,
    leave_out: &[&str],
    more: &[(String, String)],
) -> SuiteRun {
    let place = work.join(module);
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("the workplace is writable");
    let (list, names) = (work.join(format!("{module}.list")), work.join("nsswitch.conf"));
    std::fs::write(&names, NAME_SERVICE).expect("the workplace is writable");
    let _ = std::fs::remove_file(&list);
    // In a mount namespace of its own, where the name service is another.
    let mut command = Command::new("unshare");
    let isolate = r#"mount --bind "$0" /etc/nsswitch.conf && exec "$@""#;
    command.args(["--mount", "sh", "-c", isolate]).arg(&names).arg("env");
    command.args(more.iter().map(|(name, value)| format!("{name}={value}")));
    command.arg(program).arg(root().join("tests/programs/suites/python_tests.py"));
    command.arg(&list).arg(module).args(leave_out).current_dir(&place);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
    command.env("LANG", "C.UTF-8").env("PYTHONDONTWRITEBYTECODE", "1");
    let library = fixture("python").join("usr").canonicalize().expect("the fixture exists");
    command.env("PYTHONHOME", library);
    let outcome = run(&mut command, LIMIT);
    let text = std::fs::read_to_string(&list).unwrap_or_default();
    SuiteRun::new(&outcome, read_list(&text))
}

/// Reads the lines of `python_tests.py`.
fn read_list(text: &str) -> Results {
    let mut results = Results::new();
    for (name, how) in text.lines().filter_map(|line| line.rsplit_once('\t')) {
        results.entry(name.to_owned()).or_default().push(how.to_owned());
    }
    results
}
