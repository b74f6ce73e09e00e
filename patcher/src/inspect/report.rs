//! An inspection, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};

use serde_json::{Value, json};

use super::paths::Topic;
use super::sites::SiteFacts;
use super::{Carries, Go, Inspection, WasPatched};
use crate::emit::note::Claims;

impl Inspection {
    /// Everything, for machines.
    pub fn json(&self) -> Value {
        json!({
            "kind": self.linkage.kind,
            "machine": "x86-64",
            "interpreter": self.linkage.interpreter,
            "needed": self.linkage.needed,
            "go": self.go.as_ref().map(go_json),
            "libc": self.libc,
            "sites": self.sites.all.iter().map(site_json).collect::<Vec<_>>(),
            "not_instructions": self.sites.not_instructions,
            "undecided": self.sites.undecided,
            "paths": self.paths.iter().map(|c| json!({
                "text": c.text,
                "is_whole": c.is_whole,
                "topic": c.topic.name(),
                "address": c.address,
                "functions": c.functions,
                "references": c.references,
            })).collect::<Vec<_>>(),
            "archive": self.archive.as_ref().map(archive_json),
            "patched": self.patched.as_ref().map(patched_json),
            "can_be_patched": self.obstacle.is_none(),
            "obstacle": self.obstacle,
            "door": self.door,
        })
    }
}

fn go_json(go: &Go) -> Value {
    let settings: BTreeMap<_, _> = go.settings.iter().cloned().collect();
    json!({
        "version": go.version,
        "functions": go.functions,
        "path": go.path,
        "settings": settings,
    })
}

fn archive_json(archive: &Carries) -> Value {
    json!({
        "name": archive.name,
        "bytes": archive.packed,
        "unpacked_bytes": archive.unpacked,
        "programs": archive.programs.iter().map(|(name, bytes, go)| json!({"name": name, "bytes": bytes, "go": go})).collect::<Vec<_>>(),
        "other_files": archive.others,
    })
}

fn archive_lines(f: &mut Formatter<'_>, archive: &Carries) -> Result {
    writeln!(f, "  archive   {}", archive.name)?;
    for (name, bytes, go) in &archive.programs {
        writeln!(f, "            {name}: {go}, {bytes} bytes")?;
    }
    let Carries { packed, unpacked, others, .. } = archive;
    writeln!(f, "            {others} other files; {packed} bytes, unpacked {unpacked}")
}

fn site_json(site: &SiteFacts) -> Value {
    json!({
        "address": site.address,
        "function": site.function,
        "is_go": site.is_go,
        "calls": site.calls,
        "can_be_detoured": site.obstacle.is_none(),
        "obstacle": site.obstacle,
    })
}

fn patched_json(patched: &WasPatched) -> Value {
    let claims = patched.claims.as_ref();
    json!({
        "version": claims.map(|c| &c.version),
        "by_this_tool": claims.map(Claims::are_ours),
        "mode": claims.map(mode),
        "every_call": claims.map(|c| c.every_call),
        "preload": claims.and_then(|c| c.preload.as_ref()),
        "rules": patched.rules,
        "rules_sha256": claims.map(|c| &c.rules),
        "input_sha256": claims.map(|c| &c.input),
        "damage": patched.damage,
    })
}

/// How the file was patched.
fn mode(claims: &Claims) -> &'static str {
    if claims.constants.is_some() { "constants" } else { "detours" }
}

impl Display for Inspection {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "  kind      {} x86-64", self.linkage.kind)?;
        if let Some(interpreter) = &self.linkage.interpreter {
            writeln!(f, "  loader    {interpreter}; needs {}", self.linkage.needed.join(", "))?;
        }
        if let Some(go) = &self.go {
            self.go(f, go)?;
        }
        if let Some(archive) = &self.archive {
            archive_lines(f, archive)?;
        }
        writeln!(f, "  C library {}", self.libc.as_deref().unwrap_or("no sign of one"))?;
        if let Some(patched) = &self.patched {
            patched_lines(f, patched)?;
        }
        match &self.obstacle {
            None => writeln!(f, "  patch     can be patched")?,
            Some(why) => writeln!(f, "  patch     can't be patched: {why}")?,
        }
        writeln!(f, "  door      {}", self.door)?;
        self.sites(f)?;
        self.paths(f)
    }
}

impl Inspection {
    fn go(&self, f: &mut Formatter<'_>, go: &Go) -> Result {
        write!(f, "  Go        {}", go.version)?;
        if let Some(functions) = go.functions {
            write!(f, ", {functions} functions")?;
        }
        if let Some(path) = &go.path {
            write!(f, ", {path}")?;
        }
        writeln!(f)?;
        go.settings.iter().try_for_each(|(key, value)| writeln!(f, "            {key}={value}"))
    }

    fn sites(&self, f: &mut Formatter<'_>) -> Result {
        let sites = &self.sites;
        writeln!(
            f,
            "  sites     {} syscall instructions; {} byte pairs 0f 05 are not instructions",
            sites.all.len(),
            sites.not_instructions
        )?;
        for line in &sites.undecided {
            writeln!(f, "            undecided: {line}")?;
        }
        for site in &sites.all {
            let calls = match &site.calls[..] {
                [] => "the caller's".to_owned(),
                calls => calls.join(" or "),
            };
            write!(f, "    {:#x} {}: {calls}", site.address, site.function)?;
            match &site.obstacle {
                None => writeln!(f)?,
                Some(why) => writeln!(f, "; can't be detoured: {why}")?,
            }
        }
        Ok(())
    }

    fn paths(&self, f: &mut Formatter<'_>) -> Result {
        for topic in [Topic::Proc, Topic::Sys, Topic::Dev, Topic::Socket] {
            let all: Vec<_> = self.paths.iter().filter(|c| c.topic == topic).collect();
            writeln!(f, "  {:9} {} paths", topic.name(), all.len())?;
            for constant in all {
                let functions = match &constant.functions[..] {
                    [] => "no instruction refers to it".to_owned(),
                    functions => functions.join(", "),
                };
                let more = if constant.is_whole { "" } else { "…" };
                writeln!(f, "    {}{more}  ({functions})", constant.text)?;
            }
        }
        Ok(())
    }
}

fn patched_lines(f: &mut Formatter<'_>, patched: &WasPatched) -> Result {
    if let Some(claims) = &patched.claims {
        let by = if claims.are_ours() { "this tool" } else { "another build of it" };
        writeln!(f, "  patched   by procsys-patch {} ({by})", claims.version)?;
        writeln!(f, "            mode {}, rules {}", mode(claims), patched.rules.join(", "))?;
        writeln!(f, "            original sha256 {}", claims.input)?;
    }
    match &patched.damage {
        None => writeln!(f, "            all else here is said of the original"),
        Some(damage) => writeln!(f, "  damaged   {damage}"),
    }
}
