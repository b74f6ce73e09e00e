//! What is looked at beside a redirect: a path may lie anywhere in memory, and the
//! prefix anywhere in the path. None is missed, and nothing is read that is not there.

use std::fs;
use std::path::Path;
use std::process::Command;

use procsys_tests::native::Folder;
use procsys_tests::preload::{compile, finish, library, preloaded_by, source, table_of, whole};
use procsys_tests::{Outcome, patch};

/// The line that the program ends with: paths tried, and none of them wrong.
fn check(what: &str, outcome: &Outcome) {
    assert!(outcome.success() && outcome.stdout == "23232 tried, 0 wrong\n", "{what}: {outcome}");
}

/// One redirect; with others before and behind it; more than are looked for without the
/// hook.
fn rules(folder: &Path) -> [Vec<String>; 3] {
    let real = folder.join("real");
    fs::create_dir_all(&real).expect("the temporary directory is writable");
    fs::write(real.join("file"), "real\n").expect("as above");
    let redirect =
        |from: &str, to: &Path| ["--redirect".to_owned(), format!("{from}={}", to.display())];
    let other = |from: &str| redirect(from, Path::new("/procsys-nowhere"));
    let away = redirect("/procsys-away", &real);
    let long = format!("/b/{}", "procsys-away".repeat(5));
    let some = [other("/a/p"), other(&long), away.clone(), other("/c/procsys-awa")];
    let many = (0..9).map(|n| other(&format!("/many/{n}"))).chain([away.clone()]);
    [away.to_vec(), some.concat(), many.collect::<Vec<_>>().concat()]
}

#[test]
fn every_path_is_found_at_both_doors() {
    let folder = Folder::new("preload-look");
    let folder = folder.path();
    let flags = ["-O1", "-w", "-pthread"];
    for compiler in ["gcc", "musl-gcc"] {
        let (dynamic, fixed) = (folder.join("dynamic"), folder.join("static"));
        compile(compiler, &flags, &source("look.c"), &dynamic);
        compile(compiler, &[&flags[..], &["-static"]].concat(), &source("look.c"), &fixed);
        let stock = finish(named(Command::new(&dynamic)));
        assert!(!stock.success() && stock.stdout.contains(" wrong\n"), "{stock}");
        for args in rules(folder) {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let table = table_of(folder, &args);
            for library in [library(), whole()] {
                let what = format!("{compiler}, {}, {args:?}", library.display());
                check(&what, &finish(named(preloaded_by(&library, &dynamic, &table))));
            }
            let patched = folder.join("patched");
            patch(&fixed, &patched, &args);
            check(&format!("{compiler}, door 2, {args:?}"), &finish(named(Command::new(patched))));
        }
    }
}

fn named(mut command: Command) -> Command {
    command.arg("file");
    command
}
