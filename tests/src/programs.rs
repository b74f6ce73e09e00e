//! The hazard programs under `tests/programs`: what their headers ask for, and
//! how they are built.
//!
//! A program says in lines `// #Name: value` at its top
//! - `Build`: the ways it is built, of `glibc` (static), `pie` (static-pie,
//!   glibc), `trixie` (static, the glibc of the Debian after this machine's), `musl`
//!   (static), `go` (static, no cgo), `gopie` (stripped static-pie with cgo, as runc is);
//! - `Expect`: the last line of its standard output when all is well;
//! - `Stderr`: words that its standard error must hold (optional);
//! - `Exit`: its exit code (0 unless said);
//! - `Limit`: the seconds after which it hangs (20 unless said);
//! - `Flags`: further flags for the C compiler;
//! - `Without`: the ways of patching that are known not to hold; why, and where
//!   docs/limits.md says so, stands above.
//!
//! The same source file is the test and its documentation: which hazard it is,
//! and which known tool falls into it, stands above those lines.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{fixture, root, run};

/// A way to build a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// Static, glibc, at a fixed address.
    Glibc,
    /// Static-pie, glibc.
    Pie,
    /// Static, glibc 2.41: its cancellable calls are made at one place.
    Trixie,
    /// Static, musl.
    Musl,
    /// Static Go without cgo.
    Go,
    /// Stripped static-pie Go linked externally with cgo.
    GoPie,
}

impl Build {
    /// The word for it in `#Build`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Pie => "pie",
            Self::Trixie => "trixie",
            Self::Musl => "musl",
            Self::Go => "go",
            Self::GoPie => "gopie",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Glibc, Self::Pie, Self::Trixie, Self::Musl, Self::Go, Self::GoPie]
            .into_iter()
            .find(|build| build.name() == name)
    }
}

/// A program and what its header asks for.
#[derive(Debug, Clone)]
pub struct Program {
    /// The source file.
    pub source: PathBuf,
    /// The ways it is built.
    pub builds: Vec<Build>,
    /// The last line of standard output when all is well.
    pub expect: String,
    /// Words that standard error must hold.
    pub stderr: Option<String>,
    /// The exit code when all is well.
    pub exit: i32,
    /// After this time it hangs.
    pub limit: Duration,
    /// Whether it reads the emulated or the redirected path at all.
    pub served: bool,
    /// Ways of patching that are known not to hold.
    pub without: Vec<String>,
    flags: Vec<String>,
}

impl Program {
    /// Reads the header of `tests/programs/<file>`.
    ///
    /// # Panics
    /// When the file is missing, or a line of its header is not understood.
    pub fn read(file: &str) -> Self {
        let source = folder().join(file);
        let text = std::fs::read_to_string(&source)
            .unwrap_or_else(|e| panic!("{}: {e}", source.display()));
        let mut program = Self {
            source,
            builds: Vec::new(),
            expect: String::new(),
            stderr: None,
            exit: 0,
            limit: Duration::from_secs(20),
            served: ["EMULATED", "CALLS", "ustBe42"].iter().any(|word| text.contains(word)),
            without: Vec::new(),
            flags: Vec::new(),
        };
        for line in text.lines().take_while(|line| line.starts_with("//")) {
            let Some(directive) = line.strip_prefix("// #") else { continue };
            let (name, value) = directive
                .split_once(": ")
                .unwrap_or_else(|| panic!("{file}: `{line}` is not `// #Name: value`"));
            program.set(name, value.trim()).unwrap_or_else(|()| panic!("{file}: `{line}`"));
        }
        assert!(!program.builds.is_empty(), "{file} has no `// #Build:` line");
        assert!(!program.expect.is_empty(), "{file} has no `// #Expect:` line");
        program
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ()> {
        match name {
            "Build" => {
                for word in value.split(", ") {
                    self.builds.push(Build::from_name(word).ok_or(())?);
                }
            }
            "Expect" => self.expect = value.to_owned(),
            "Stderr" => self.stderr = Some(value.to_owned()),
            "Exit" => self.exit = value.parse().map_err(|_| ())?,
            "Limit" => self.limit = Duration::from_secs(value.parse().map_err(|_| ())?),
            "Without" => self.without = value.split(", ").map(str::to_owned).collect(),
            "Flags" => self.flags = value.split(' ').map(str::to_owned).collect(),
            _ => return Err(()),
        }
        Ok(())
    }

    /// Builds the program into `folder` and returns the file.
    ///
    /// # Panics
    /// When a compiler is missing or refuses; its messages are shown.
    pub fn build(&self, build: Build, folder: &Path) -> PathBuf {
        let output = folder.join("stock");
        let mut command = match build {
            Build::Glibc => self.c("gcc", &["-static"]),
            Build::Pie => self.c("gcc", &["-static-pie", "-fPIE"]),
            Build::Trixie => self.trixie(),
            Build::Musl => self.c("musl-gcc", &["-static"]),
            Build::Go => self.go(false, &[]),
            Build::GoPie => {
                let link = "-s -w -linkmode external -extldflags -static-pie";
                self.go(true, &["-buildmode=pie", "-ldflags", link])
            }
        };
        command.arg("-o").arg(&output).arg(&self.source);
        if matches!(build, Build::Go | Build::GoPie) {
            command.arg(self.source.with_file_name("hazard.go"));
        }
        let outcome = run(&mut command, Duration::from_secs(300));
        assert!(outcome.success(), "{command:?}\n{outcome}");
        output
    }

    /// This machine's compiler, with another glibc's files before its own.
    fn trixie(&self) -> Command {
        let own = run(Command::new("gcc").arg("-print-file-name=include"), Duration::from_secs(20));
        let usr = fixture("glibc-trixie").join("usr");
        let (libraries, headers) = (usr.join("lib/x86_64-linux-gnu"), usr.join("include"));
        let mut command = self.c("gcc", &["-static", "-nostdinc"]);
        for folder in [Path::new(own.stdout.trim()), &headers.join("x86_64-linux-gnu"), &headers] {
            command.arg("-isystem").arg(folder);
        }
        command.arg("-B").arg(&libraries).arg("-L").arg(&libraries);
        command
    }

    fn c(&self, compiler: &str, args: &[&str]) -> Command {
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|p| p.join(compiler).exists()));
        assert!(found, "{compiler} is missing: install Debian's gcc, libc6-dev and musl-tools");
        let mut command = Command::new(compiler);
        command.args(["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]).args(args);
        command.args(&self.flags);
        command
    }

    fn go(&self, cgo: bool, args: &[&str]) -> Command {
        let mut command = Command::new(fixture("go").join("bin/go"));
        command.arg("build").args(args);
        command.env("CGO_ENABLED", if cgo { "1" } else { "0" });
        // Files, not a module; and nothing may be fetched.
        command.envs([("GO111MODULE", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "")]);
        command.env_remove("GOROOT");
        command.env("GOCACHE", root().join("target/hazards/gocache"));
        command
    }
}

/// Where the sources lie.
pub fn folder() -> PathBuf {
    root().join("tests/programs")
}

/// The names of all programs in the folder, in order, without what they share.
///
/// # Panics
/// When the folder can't be read.
pub fn all() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("tests/programs is part of the checkout");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned())
        .filter(|name| {
            !name.starts_with("hazard.") && [".c", ".go"].iter().any(|e| name.ends_with(e))
        })
        .collect();
    names.sort();
    names
}
