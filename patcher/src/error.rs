//! What can stop the patcher, in one line each.

use std::fmt;

/// Why a file was not patched.
#[derive(Debug)]
pub enum Error {
    /// The input is not what can be patched.
    Input(String),
    /// Some sites can't be detoured: one line for each.
    Sites(Vec<String>),
    /// Some constants can't be rewritten: one line for each.
    Constants(Vec<String>),
    /// The rules can't be used.
    Rules(String),
    /// The output failed the check by the second reader.
    Verify(String),
    /// Reading or writing failed.
    Io(String),
}

impl Error {
    /// A word for the kind, for machines.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Input(_) => "input",
            Error::Sites(_) => "sites",
            Error::Constants(_) => "constants",
            Error::Rules(_) => "rules",
            Error::Verify(_) => "verify",
            Error::Io(_) => "io",
        }
    }

    /// The same, of a program that lies in the file.
    pub fn about(self, name: &str) -> Self {
        let first = |mut lines: Vec<String>| {
            lines.insert(0, format!("in {name}:"));
            lines
        };
        match self {
            Error::Input(why) => Error::Input(format!("{name}: {why}")),
            Error::Verify(why) => Error::Verify(format!("{name}: {why}")),
            Error::Sites(lines) => Error::Sites(first(lines)),
            Error::Constants(lines) => Error::Constants(first(lines)),
            Error::Rules(_) | Error::Io(_) => self,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Input(why) | Error::Rules(why) | Error::Io(why) => f.write_str(why),
            Error::Verify(why) => write!(f, "the output failed its check: {why}"),
            Error::Sites(lines) => {
                write!(f, "{} syscall sites can't be detoured:", lines.len())?;
                lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
            Error::Constants(lines) => {
                write!(f, "{} things stand in the way of rewriting its constants:", lines.len())?;
                lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}

impl std::error::Error for Error {}
