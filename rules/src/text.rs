//! Rules written as TOML. `docs/rules.md` describes the form.
//!
//! Every error names file, line and what was expected.

use std::fmt;

use toml_edit::{Document, Item, Table, Value};

use crate::model::{Action, Clause, Emulate, Rule, STATE, Way};
use crate::table::{FileKind, Op, Probe, Write};
use crate::{calls, errno};

/// A rule that can't be read, or that contradicts another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The file it is in, as the user named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for Error {}

/// The head of a profile.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The profile's name.
    pub name: String,
    /// One line on what it is for.
    pub summary: String,
    /// Built-in profiles whose rules come before its own.
    pub includes: Vec<String>,
}

/// Reads a file of rules.
///
/// # Errors
/// When it is not TOML, a rule lacks a key or has one that is not known, a
/// value is not what is expected, or two rules contradict each other.
pub fn parse(file: &str, text: &str) -> Result<(Head, Vec<Rule>), Error> {
    let source = Source { file, text };
    let document = Document::parse(text).map_err(|e| {
        let line = source.line(e.span().map_or(0, |s| s.start));
        source.error(line, e.message().replace('\n', "; "))
    })?;
    let mut head = Head::default();
    let mut rules = Vec::new();
    for (key, item) in document.as_table().iter() {
        match (key, item) {
            ("profile", Item::Table(table)) => head = source.head(table)?,
            ("rule", Item::ArrayOfTables(tables)) => {
                for table in tables.iter() {
                    rules.push(source.rule(table)?);
                }
            }
            _ => {
                let line = source.line(item.span().map_or(0, |s| s.start));
                return Err(source.error(line, format!("`{key}`: expected [profile] or [[rule]]")));
            }
        }
    }
    reject_contradictions(&rules).map_err(|(rule, message)| {
        let line = rule.place.rsplit(':').next().and_then(|l| l.parse().ok()).unwrap_or(1);
        source.error(line, message)
    })?;
    Ok((head, rules))
}

/// Finds two rules of one set with the same name or about the same subject.
///
/// # Errors
/// The later rule, and what is wrong with it.
pub fn reject_contradictions(rules: &[Rule]) -> Result<(), (&Rule, String)> {
    for (i, rule) in rules.iter().enumerate() {
        for earlier in &rules[..i] {
            if rule.name == earlier.name {
                let message = format!("rule `{}` is already at {}", rule.name, earlier.place);
                return Err((rule, format!("{message}; expected another name")));
            }
            if rule.action.subject().is_some() && rule.action.subject() == earlier.action.subject()
            {
                return Err((
                    rule,
                    format!(
                        "rule `{}` contradicts `{}` at {}: both are about {}; expected one rule",
                        rule.name,
                        earlier.name,
                        earlier.place,
                        rule.action.subject().unwrap_or_default(),
                    ),
                ));
            }
        }
    }
    Ok(())
}

struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset.min(self.text.len())].iter().filter(|&&b| b == b'\n').count()
            + 1
    }

    fn error(&self, line: usize, message: impl Into<String>) -> Error {
        // One line, whatever the file holds.
        let shown = |c: char| match c.is_control() {
            true => c.escape_default().to_string(),
            false => c.to_string(),
        };
        Error {
            file: self.file.to_owned(),
            line,
            message: message.into().chars().map(shown).collect(),
        }
    }

    fn head(&self, table: &Table) -> Result<Head, Error> {
        let fields = Fields::new(self, table, "profile");
        fields.reject_unknown(&["name", "summary", "includes"])?;
        let includes = fields.texts("includes", "expected a list such as [\"gvisor\"]")?;
        Ok(Head {
            name: fields.text("name")?,
            summary: fields.text("summary")?,
            includes: includes.unwrap_or_default(),
        })
    }

    fn rule(&self, table: &Table) -> Result<Rule, Error> {
        let fields = Fields::new(self, table, "rule");
        let name = fields.text("name")?;
        let (on, action) = match fields.text("action")?.as_str() {
            "emulate" => (fields.errnos(Some("ENOENT"))?, fields.emulate()?),
            "redirect" => (Vec::new(), fields.redirect()?),
            "retry" => fields.retry()?,
            "ignore" => {
                fields.reject_unknown(&["call", "on", "when"])?;
                let call = fields.call(&["writev"], "its success has no number")?;
                (fields.errnos(None)?, Action::Ignore { call, when: fields.clauses("when")? })
            }
            "report" => fields.report()?,
            other => {
                return Err(fields.error(
                    "action",
                    format!(
                        "action `{other}`: expected emulate, redirect, retry, ignore or report"
                    ),
                ));
            }
        };
        Ok(Rule { name, place: format!("{}:{}", self.file, fields.line), on, action })
    }
}

/// What a report with a subject is about.
#[derive(Clone, Copy)]
enum Subject {
    ProcfsRoot,
    TrustedOvermount,
}

/// The keys of one table.
struct Fields<'a> {
    source: &'a Source<'a>,
    table: &'a Table,
    what: &'static str,
    line: usize,
}

impl<'a> Fields<'a> {
    fn new(source: &'a Source<'a>, table: &'a Table, what: &'static str) -> Self {
        let line = source.line(table.span().map_or(0, |s| s.start));
        Self { source, table, what, line }
    }

    /// An error at the line of `key`, or of the table where the key is missing.
    fn error(&self, key: &str, message: impl Into<String>) -> Error {
        let span = self.table.get(key).and_then(Item::span);
        let line = span.map_or(self.line, |s| self.source.line(s.start));
        self.source.error(line, message)
    }

    fn reject_unknown(&self, known: &[&str]) -> Result<(), Error> {
        for (key, item) in self.table.iter() {
            let is_rules = self.what == "rule" && ["name", "action"].contains(&key);
            if !known.contains(&key) && !is_rules {
                let line = item.span().map_or(self.line, |s| self.source.line(s.start));
                let message = format!("key `{key}`: expected one of {}", known.join(", "));
                return Err(self.source.error(line, message));
            }
        }
        Ok(())
    }

    fn optional_text(&self, key: &str) -> Result<Option<String>, Error> {
        let Some(item) = self.table.get(key) else { return Ok(None) };
        match item.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(self.error(key, format!("`{key}`: expected a text in quotes"))),
        }
    }

    fn text(&self, key: &str) -> Result<String, Error> {
        self.optional_text(key)?
            .ok_or_else(|| self.error(key, format!("this {} has no `{key}`", self.what)))
    }

    /// A list of texts, if there is one.
    fn texts(&self, key: &str, expected: &str) -> Result<Option<Vec<String>>, Error> {
        let Some(item) = self.table.get(key) else { return Ok(None) };
        let one = |value: &Value| value.as_str().map(str::to_owned);
        match item.as_array().map(|list| list.iter().map(one).collect()) {
            Some(Some(texts)) => Ok(Some(texts)),
            _ => Err(self.error(key, format!("`{key}`: {expected}"))),
        }
    }

    /// One of a few words.
    fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], default: T) -> Result<T, Error> {
        let Some(given) = self.optional_text(key)? else { return Ok(default) };
        words.iter().find(|(w, _)| *w == given).map(|&(_, value)| value).ok_or_else(|| {
            let expected: Vec<_> = words.iter().map(|(w, _)| *w).collect();
            self.error(key, format!("{key} `{given}`: expected {}", expected.join(" or ")))
        })
    }

    fn errnos(&self, default: Option<&str>) -> Result<Vec<u8>, Error> {
        let Some(names) = self.texts("on", "expected a list such as [\"ENOENT\"]")? else {
            return default.and_then(errno::by_name).map(|e| vec![e]).ok_or_else(|| {
                self.error("on", "this rule has no `on`: expected a list of errnos")
            });
        };
        if names.is_empty() || names.len() > 4 {
            return Err(self.error("on", "`on`: expected one to four errnos"));
        }
        let number = |n: String| {
            errno::by_name(&n).ok_or_else(|| {
                self.error("on", format!("errno `{n}`: expected a name such as ENOENT or EINVAL"))
            })
        };
        names.into_iter().map(number).collect()
    }

    fn call(&self, but: &[&str], why: &str) -> Result<calls::Nr, Error> {
        let name = self.text("call")?;
        if but.contains(&name.as_str()) {
            return Err(self.error("call", format!("call `{name}`: {why}")));
        }
        calls::by_name(&name).ok_or_else(|| {
            self.error(
                "call",
                format!("call `{name}`: expected the name of a system call that rules reach"),
            )
        })
    }

    /// An absolute path without `.` and `..`.
    fn path(&self, key: &str) -> Result<String, Error> {
        let path = self.text(key)?;
        check_path(&path).map_err(|why| self.error(key, format!("{key} `{path}`: {why}")))?;
        Ok(path)
    }

    fn emulate(&self) -> Result<Action, Error> {
        self.reject_unknown(&["path", "on", "value", "probe", "sibling", "mode", "write", "file"])?;
        let file = self.word(
            "file",
            &[
                ("proc", FileKind::Proc),
                ("namespace", FileKind::Namespace),
                ("kmsg", FileKind::Kmsg),
            ],
            FileKind::Proc,
        )?;
        let (probe, value) = self.contents(file)?;
        let write = self.word(
            "write",
            &[("accept", Write::Accept), ("remember", Write::Remember), ("refuse", Write::Refuse)],
            Write::Refuse,
        )?;
        if write != Write::Refuse && (probe == Probe::Sibling || file != FileKind::Proc) {
            return Err(self.error("write", "`write`: expected refuse for this kind of file"));
        }
        // A descriptor's mark says whether writes are accepted, and so its mode.
        let mode = if write == Write::Refuse { 0o444 } else { 0o644 };
        if self.table.get("mode").is_some_and(|m| m.as_integer() != Some(mode)) {
            return Err(self.error("mode", format!("`mode`: expected 0o{mode:o}, as `write` says")));
        }
        let path = self.path("path")?;
        check_pattern(&path, write == Write::Remember)
            .map_err(|why| self.error("path", format!("path `{path}`: {why}")))?;
        let (mode, state) = (mode as u16, STATE.to_owned());
        Ok(Action::Emulate(Emulate { path, value, probe, mode, write, state, file }))
    }

    /// Where the contents of an emulated file come from.
    fn contents(&self, file: FileKind) -> Result<(Probe, Vec<u8>), Error> {
        let probe = self.word(
            "probe",
            &[("cap_last_cap", Probe::CapLastCap), ("osrelease", Probe::Osrelease)],
            Probe::None,
        )?;
        let (value, sibling) = (self.optional_text("value")?, self.optional_text("sibling")?);
        let given = [value.is_some(), probe != Probe::None, sibling.is_some()];
        match given.into_iter().filter(|&is| is).count() {
            0 if file == FileKind::Kmsg => return Ok((Probe::None, Vec::new())),
            1 if file != FileKind::Kmsg => {}
            _ if file == FileKind::Kmsg => {
                return Err(self.error("value", "expected no contents for the kernel's log"));
            }
            _ => return Err(self.error("value", "expected either `value`, `probe` or `sibling`")),
        }
        let Some(sibling) = sibling else {
            return Ok((probe, value.unwrap_or_default().into_bytes()));
        };
        if sibling.is_empty() || sibling.contains(['/', '*', '\0']) || sibling.len() > 255 {
            let message = format!("sibling `{sibling}`: expected a name in the same directory");
            return Err(self.error("sibling", message));
        }
        Ok((Probe::Sibling, sibling.into_bytes()))
    }

    fn redirect(&self) -> Result<Action, Error> {
        self.reject_unknown(&["from", "to"])?;
        let (from, to) = (self.path("from")?, self.path("to")?);
        for (key, path) in [("from", &from), ("to", &to)] {
            if path.contains('*') {
                return Err(self.error(key, format!("{key} `{path}`: expected no `*`")));
            }
        }
        if from == to {
            return Err(self.error("to", format!("to `{to}`: expected another path than `from`")));
        }
        Ok(Action::Redirect { from, to })
    }

    fn retry(&self) -> Result<(Vec<u8>, Action), Error> {
        if self.table.contains_key("through") {
            return self.retry_through();
        }
        self.reject_unknown(&["call", "on", "when", "change"])?;
        let changes = self.clauses("change")?;
        if changes.is_empty() {
            return Err(
                self.error("change", "this retry has no `change`: the call would be the same")
            );
        }
        let call = self.call(&["execve", "execveat"], "a retry starts no program")?;
        let action = Action::Retry { call, when: self.clauses("when")?, changes };
        Ok((self.errnos(None)?, action))
    }

    /// A retry that a name stands for: how it is made and what it checks is in
    /// docs/rules.md. Call and errno are written all the same, for the reader.
    fn retry_through(&self) -> Result<(Vec<u8>, Action), Error> {
        self.reject_unknown(&["call", "on", "through"])?;
        let way = self.word("through", &Way::ALL.map(|w| (w.word(), w)), Way::TrustedOvermount)?;
        let (call, on) = way.subject();
        if self.text("call")? != call {
            return Err(self.error("call", format!("`call`: expected {call}, as `through` says")));
        }
        let on_given = self.errnos(None)?;
        if errno::by_name(on).is_none_or(|e| on_given != [e]) {
            return Err(self.error("on", format!("`on`: expected [\"{on}\"], as `through` says")));
        }
        Ok((on_given, Action::RetryThrough(way)))
    }

    fn report(&self) -> Result<(Vec<u8>, Action), Error> {
        if self.table.contains_key("subject") {
            self.reject_unknown(&["subject"])?;
            let subjects = [
                ("procfs-root-inode", Subject::ProcfsRoot),
                ("trusted-overmount", Subject::TrustedOvermount),
            ];
            let action = match self.word("subject", &subjects, Subject::ProcfsRoot)? {
                Subject::ProcfsRoot => Action::ReportProcfsRoot,
                Subject::TrustedOvermount => Action::ReportTrustedOvermount,
            };
            return Ok((Vec::new(), action));
        }
        self.reject_unknown(&["call", "on", "when", "errno"])?;
        let name = self.text("errno")?;
        let errno = errno::by_name(&name).ok_or_else(|| {
            self.error("errno", format!("errno `{name}`: expected a name such as EFAULT"))
        })?;
        let (call, when) = (self.call(&[], "")?, self.clauses("when")?);
        let action = Action::ReportErrno { call, when, errno };
        Ok((self.errnos(None)?, action))
    }

    fn clauses(&self, key: &str) -> Result<Vec<Clause>, Error> {
        let Some(item) = self.table.get(key) else { return Ok(Vec::new()) };
        let wrong = |why: &str| self.error(key, format!("`{key}`: {why}"));
        let array = item.as_array().ok_or_else(|| wrong("expected a list of { arg = …, … }"))?;
        array.iter().map(|v| clause(v, key == "change").map_err(|why| wrong(&why))).collect()
    }
}

/// Whether a path may stand in a rule.
///
/// # Errors
/// What was expected instead.
pub fn check_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') || path == "/" {
        return Err("expected an absolute path below /".into());
    }
    if path.len() > 1024 {
        return Err("expected at most 1024 bytes".into());
    }
    if path.bytes().any(|b| b == 0) {
        return Err("expected no NUL byte".into());
    }
    if path[1..].split('/').any(|c| c.is_empty() || c == "." || c == "..") {
        return Err("expected no empty component, `.` or `..`".into());
    }
    Ok(())
}

/// Whether the wildcards of an emulated path can be answered for; what is
/// written is only remembered for one file.
fn check_pattern(path: &str, is_remembered: bool) -> Result<(), String> {
    let components: Vec<_> = path[1..].split('/').collect();
    if is_remembered && (path.contains(['*', ':']) || path.len() > 200) {
        return Err(
            "expected no `*`, no `:` and at most 200 bytes where writes are remembered".into()
        );
    }
    let Some(at) = components.iter().position(|c| *c == "**") else { return Ok(()) };
    let (above, below) = (&components[..at], &components[at + 1..]);
    let is_plain = above.iter().all(|c| *c != "*") && !below.contains(&"**");
    if above.is_empty() || above[0] == "proc" || below.is_empty() || !is_plain {
        return Err("expected one `**`, below a directory without `*` outside /proc, \
                    and not at the end"
            .into());
    }
    Ok(())
}

fn clause(value: &Value, is_change: bool) -> Result<Clause, String> {
    let table = value.as_inline_table().ok_or("expected { arg = …, … }")?;
    let arg = match table.get("arg").and_then(Value::as_integer) {
        Some(arg @ 0..=5) => arg as u8,
        _ => return Err("expected `arg`, the argument's position from 0 to 5".into()),
    };
    let mut rest = table.iter().filter(|(k, _)| *k != "arg");
    let (Some((key, value)), None) = (rest.next(), rest.next()) else {
        return Err("expected `arg` and one more key in each".into());
    };
    let number = || {
        value
            .as_integer()
            .map(|n| (n as u64, String::new()))
            .ok_or(format!("`{key}`: expected a number"))
    };
    let text = || match value.as_str() {
        Some(t) if !t.is_empty() => Ok((0, t.to_owned())),
        _ => Err(format!("`{key}`: expected a text")),
    };
    let (op, (value, text)) = match (key, is_change) {
        ("equal", false) => (Op::Equal, number()?),
        ("greater", false) => (Op::Greater, number()?),
        ("has_bits", false) => (Op::HasBits, number()?),
        ("lacks_bits", false) => (Op::LacksBits, number()?),
        ("text", false) => (Op::Text, text()?),
        ("has_option", false) => (Op::HasOption, text()?),
        ("file", false) => {
            let (_, path) = text()?;
            check_path(&path).map_err(|why| format!("`file`: {why}"))?;
            (Op::File, (0, path))
        }
        ("is", false) if value.as_str() == Some("emulated-namespace") => {
            (Op::EmulatedNamespace, (0, String::new()))
        }
        ("is", false) => return Err("`is`: expected \"emulated-namespace\"".into()),
        ("set", true) => (Op::Set, number()?),
        ("clear_bits", true) => (Op::ClearBits, number()?),
        ("drop_options", true) => (Op::DropOptions, text()?),
        (_, false) => {
            return Err(format!(
                "key `{key}`: expected equal, greater, has_bits, lacks_bits, text, has_option, file or is"
            ));
        }
        (_, true) => return Err(format!("key `{key}`: expected set, clear_bits or drop_options")),
    };
    Ok(Clause { arg, op, value, text })
}
