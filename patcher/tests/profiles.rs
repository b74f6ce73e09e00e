//! `procsys-patch profiles`: lists what is built in, and prints it to start from.

mod support;

use std::fs;

use procsys_rules::profiles::ALL;
use serde_json::Value;
use support::*;

#[test]
fn every_profile_is_listed_with_its_rules() {
    let text = success(&patch(["profiles"]));
    let report: Value =
        serde_json::from_str(&success(&patch(["profiles", "--json"]))).expect("JSON");
    let listed = report["profiles"].as_array().expect("a list");
    assert_eq!(listed.len(), ALL.len());
    assert_eq!(text.lines().count(), ALL.len());
    for (profile, (line, listed)) in ALL.iter().zip(text.lines().zip(listed)) {
        let rules = profile.rules().expect("built-in profiles are right");
        assert!(line.starts_with(profile.name), "{line}");
        assert!(line.contains(&format!("{} rules", rules.len())), "{line}");
        assert!(line.ends_with(listed["summary"].as_str().expect("a text")), "{line}");
        assert!(!listed["summary"].as_str().expect("a text").is_empty());
        assert_eq!(listed["rules"].as_array().expect("a list").len(), rules.len());
        let docs = include_str!("../../docs/cli.md");
        for key in listed.as_object().expect("an object").keys() {
            assert!(docs.contains(&format!("`{key}`")), "docs/cli.md does not explain `{key}`");
        }
    }
    assert_eq!(listed.iter().filter(|p| p["is_default"] == true).count(), 1);
}

/// What is printed, given back by `--rules`, makes the same file.
#[test]
fn a_printed_profile_is_a_rules_file() {
    let place = Place::new();
    let input = place.compile("hello", HELLO, BARE);
    for profile in ALL {
        let text = success(&patch(["profiles", profile.name]));
        assert_eq!(text, profile.text);
        let file = place.write("site.toml", text.as_bytes());
        let with = |options: &[&str]| {
            let output = place.path("patched");
            let arguments = [input.as_os_str(), "-o".as_ref(), output.as_os_str()];
            success(&patch(arguments.into_iter().chain(options.iter().map(|o| o.as_ref()))));
            fs::read(output).expect("it was written")
        };
        let file = file.to_str().expect("UTF-8");
        let named = with(&["--profile", profile.name]);
        assert!(named == with(&["--profile", profile.name, "--rules", file]), "{}", profile.name);
    }
}

#[test]
fn an_unknown_name_is_an_error() {
    let said = one_error(&patch(["profiles", "gvizor"]));
    assert!(said.starts_with("profile `gvizor`: expected one of gvisor"), "{said}");
}

/// A table that only the larger library takes is said to be one, and no table is
/// written over the rules that it is made of.
#[test]
fn compile_says_who_takes_the_table() {
    let place = Place::new();
    let table = place.path("table");
    let into = ["compile".as_ref(), "-o".as_ref(), table.as_os_str(), "--json".as_ref()];
    for (profile, warns) in [("gvisor", false), ("kubelet", true)] {
        let run = patch([&into[..], &["--profile".as_ref(), profile.as_ref()]].concat());
        let report: Value = serde_json::from_str(&success(&run)).expect("it is JSON");
        let length = fs::metadata(&table).expect("it was written").len();
        assert_eq!(report["bytes"], length);
        assert!(report["rules"].as_u64().is_some_and(|n| n > 0), "{report}");
        let said = String::from_utf8_lossy(&run.stderr);
        let warning = "warning: rule `kmsg`: only libprocsys-whole.so takes this table";
        assert_eq!(said.contains(warning), warns, "{said}");
        assert_eq!(said.is_empty(), !warns, "{said}");
    }
    let text = b"[[rule]]\nname = \"a\"\naction = \"redirect\"\nfrom = \"/a\"\nto = \"/b\"\n";
    let rules = place.write("site.toml", text);
    let onto = ["compile".as_ref(), "-o".as_ref(), rules.as_os_str(), "--rules".as_ref()];
    let said = one_error(&patch([&onto[..], &[rules.as_os_str()]].concat()));
    assert!(said.contains("output equals input"), "{said}");
    assert_eq!(fs::read(&rules).expect("it is there"), text);
}
