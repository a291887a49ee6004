//! Checks the shape of the project: the floors, the length of files, and what may not stand in them.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::support::in_project;

/// Past this a file is split by idea.
const MAX_LINES: usize = 500;

/// Each module with the modules it may import, lowest floor first.
const FLOORS: &[(&str, &[&str])] = &[
    ("document", &[]),
    ("rule", &["document"]),
    ("algorithm", &["rule"]),
    ("platform", &["document", "rule"]),
    ("manifest", &["document", "platform", "rule"]),
    ("metrics", &["rule"]),
    ("shutdown", &[]),
    ("tls", &["shutdown"]),
    (
        "store",
        &["algorithm", "metrics", "rule", "shutdown", "tls"],
    ),
    (
        "source",
        &[
            "document", "manifest", "metrics", "platform", "rule", "shutdown", "tls",
        ],
    ),
    ("spans", &["tls"]),
    (
        "limiter",
        &["algorithm", "metrics", "rule", "spans", "store"],
    ),
    (
        "server",
        &[
            "limiter", "metrics", "rule", "shutdown", "source", "spans", "tls",
        ],
    ),
];

/// They wire everything, and nothing imports them.
const TOP: &[&str] = &["cli", "lib", "main", "settings"];

#[test]
fn modules_import_only_lower_floors() {
    for (module, allowed) in FLOORS {
        for path in sources_of(module) {
            let text = read(&path);
            for (line, imported) in crate_paths(&text) {
                assert!(
                    imported == *module || allowed.contains(&imported),
                    "{}:{line}: `{module}` may not import `{imported}`",
                    path.display(),
                );
            }
        }
    }
}

#[test]
fn the_floors_have_an_order() {
    for (place, (module, allowed)) in FLOORS.iter().enumerate() {
        for lower in *allowed {
            let is_lower = FLOORS[..place].iter().any(|(name, _)| name == lower);
            assert!(
                is_lower,
                "`{module}` may import `{lower}`, which is no floor below"
            );
        }
    }
}

#[test]
fn every_module_has_a_floor() {
    for path in children(&in_project("src")) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let has_floor = FLOORS.iter().any(|(module, _)| *module == name);
        assert!(
            TOP.contains(&name) || has_floor,
            "`{name}` is missing from FLOORS"
        );
    }
}

#[test]
fn files_are_short() {
    for path in rust_files() {
        let n_lines = read(&path).lines().count();
        assert!(
            n_lines <= MAX_LINES,
            "{} has {n_lines} lines, split it by idea",
            path.display(),
        );
    }
}

#[test]
fn a_file_opens_with_what_it_is() {
    for path in rust_files() {
        assert!(read(&path).starts_with("//! "), "{}", path.display());
    }
}

#[test]
fn no_test_is_ignored_and_none_sleeps() {
    for path in rust_files() {
        // `support::eventually` sleeps between two looks, in one place for all.
        let is_support = path.ends_with("tests/it/support.rs");
        for (line, text) in code_lines(&read(&path)) {
            let place = format!("{}:{line}", path.display());
            assert!(
                !text.contains(&["#[", "ignore"].concat()),
                "{place}: an ignored test"
            );
            let sleeps = text.contains(&["thread::", "sleep("].concat());
            assert!(
                is_support || !sleeps,
                "{place}: wait for what should happen instead"
            );
        }
    }
}

#[test]
fn nothing_is_allowed_that_could_be_expected() {
    for path in rust_files() {
        for (line, text) in code_lines(&read(&path)) {
            let allows = text.contains(&["#[", "allow("].concat())
                || text.contains(&["#![", "allow("].concat());
            assert!(
                !allows,
                "{}:{line}: write `expect` with a reason",
                path.display()
            );
        }
    }
}

#[test]
fn no_work_is_left_in_comments_and_no_path_of_one_machine_stands_anywhere() {
    let unwanted = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["/wo", "rk/"].concat(),
        ["/ro", "ot/"].concat(),
        ["/ho", "me/"].concat(),
        ["github.com/envoyproxy/gateway/", "issues"].concat(),
    ];
    for path in project_files() {
        let text = read(&path);
        for (index, line) in text.lines().enumerate() {
            let found = unwanted.iter().find(|it| line.contains(it.as_str()));
            let place = format!("{}:{}", path.display(), index + 1);
            assert!(found.is_none(), "{place}: `{}`", found.unwrap());
        }
    }
}

/// A module's file and those below it.
fn sources_of(module: &str) -> Vec<PathBuf> {
    let folder = in_project("src").join(module);
    let mut files = files_below(&folder);
    let file = folder.with_extension("rs");
    if file.is_file() {
        files.push(file);
    }
    files
}

/// Every Rust file of the project.
fn rust_files() -> Vec<PathBuf> {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|it| it == "rs");
    project_files().into_iter().filter(is_rust).collect()
}

/// Every text that people write here, but for lock files and recordings.
fn project_files() -> Vec<PathBuf> {
    let folders = ["benches", "config", "src", "tests/it", ".ci"];
    let mut files: Vec<_> = folders
        .iter()
        .flat_map(|folder| files_below(&in_project(folder)))
        .collect();
    let is_text = |path: &PathBuf| {
        path.is_file()
            && path
                .extension()
                .is_some_and(|it| it == "md" || it == "toml")
    };
    files.extend(children(&in_project("")).into_iter().filter(is_text));
    files.extend(
        children(&in_project("tests"))
            .into_iter()
            .filter(|it| it.is_file()),
    );
    files
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (folders, mut files): (Vec<_>, Vec<_>) =
        children(folder).into_iter().partition(|it| it.is_dir());
    files.extend(folders.iter().flat_map(|it| files_below(it)));
    files
}

/// What stands in a folder; nothing where there is none.
fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lines that are no comments, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The top-level modules named after `crate::`, with their line numbers.
fn crate_paths(text: &str) -> impl Iterator<Item = (usize, &str)> {
    code_lines(text).flat_map(|(number, line)| {
        line.split("crate::").skip(1).map(move |rest| {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            (number, &rest[..end])
        })
    })
}
