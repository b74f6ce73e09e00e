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
