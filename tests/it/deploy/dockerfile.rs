//! The image's recipe: what a linter says of it, and what the service asks of an image.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support;
use crate::support::in_project;
use crate::tidy::files_below;

#[test]
fn the_linter_has_nothing_to_say() {
    if let Some(complaints) = complaints(&recipe()) {
        assert_eq!(complaints, "");
    }
}

#[test]
fn the_linter_complains_of_what_is_bad() {
    let recipe = recipe();
    for (from, to, rule) in [
        ("USER 65532:65532", "USER root", "DL3002"),
        ("rust:1.95.0-slim-bookworm", "rust", "DL3006"),
        ("rust:1.95.0-slim-bookworm", "rust:latest", "DL3007"),
        ("FROM gcr.io/", "FROM registry.example.com/", "DL3026"),
        ("WORKDIR /src", "WORKDIR src", "DL3000"),
        ("    cargo build", "    sudo cargo build", "DL3004"),
        ("EXPOSE 8080", "EXPOSE 80800", "DL3011"),
        (
            "ENTRYPOINT [\"/bin/slidegate\"]",
            "ENTRYPOINT /bin/slidegate",
            "DL3025",
        ),
    ] {
        assert!(recipe.contains(from), "{from}");
        let Some(complaints) = complaints(&recipe.replace(from, to)) else {
            return;
        };
        assert!(complaints.contains(rule), "{rule}: {complaints}");
    }
}

#[test]
fn the_image_has_both_names_and_no_root() {
    let recipe = recipe();
    let stages: Vec<_> = recipe.split("\nFROM ").skip(1).collect();
    let [build, image] = stages[..] else {
        panic!("{} stages", stages.len());
    };
    for line in [
        "cp target/release/slidegate /image/bin/slidegate",
        "ln -s slidegate /image/bin/ratelimit",
    ] {
        assert!(build.contains(line), "{line}");
    }
    // No RUN: nothing of the image is made as root but copies.
    let instructions: Vec<_> = image
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(!instructions.iter().any(|line| line.starts_with("RUN")));
    for line in [
        "COPY --from=build /image/bin/ /bin/",
        // A number, so that Kubernetes can tell that it is not root.
        "USER 65532:65532",
        "ENTRYPOINT [\"/bin/slidegate\"]",
        "CMD [\"serve\"]",
    ] {
        assert!(instructions.contains(&line), "{line}: {image}");
    }
}

#[test]
fn the_build_has_all_that_it_asks_for() {
    let context = TempDir::new().unwrap();
    let recipe = recipe();
    let build = recipe.split("\nFROM ").nth(1).unwrap();
    for line in build.lines().filter(|line| line.starts_with("COPY ")) {
        let words: Vec<_> = line.split(' ').skip(1).collect();
        let (to, sources) = words.split_last().unwrap();
        for source in sources {
            copy(&in_project(source), &context.path().join(to));
        }
    }
    // Everything is read before the name of the program is looked at.
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--offline", "--bin", "absent"])
        .current_dir(&context)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no bin target named `absent`"), "{said}");
    assert!(said.contains("slidegate"), "{said}");
    // What is put into the program lies where the build finds it.
    for file in files_below(&in_project("src")) {
        let is_test = file.ends_with("tests.rs");
        let text = fs::read_to_string(&file).unwrap();
        let leaves = text.contains("include_str!(\"../") || text.contains("include_bytes!(\"../");
        assert!(is_test || !leaves, "{}", file.display());
    }
}

#[test]
fn the_compiler_is_the_one_that_the_project_is_built_with() {
    let toolchain = fs::read_to_string(in_project("rust-toolchain.toml")).unwrap();
    let channel = toolchain.split("channel = \"").nth(1).unwrap();
    let channel = channel.split('"').next().unwrap();
    let image = format!("\nFROM rust:{channel}-slim-bookworm AS build\n");
    assert!(recipe().contains(&image), "{image}");
}

fn recipe() -> String {
    fs::read_to_string(in_project("deploy/Dockerfile")).unwrap()
}

/// What the linter says; `None`, after saying so, when there is no linter.
#[track_caller]
fn complaints(recipe: &str) -> Option<String> {
    let Some(program) = support::tool("hadolint") else {
        support::skip("REQUIRE_HADOLINT", "no hadolint (tests/run.sh installs it)");
        return None;
    };
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("Dockerfile"), recipe).unwrap();
    let output = Command::new(program)
        .args(["--no-color", "--failure-threshold", "style"])
        .args([
            "--trusted-registry",
            "docker.io",
            "--trusted-registry",
            "gcr.io",
        ])
        .arg("Dockerfile")
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    Some(said)
}

/// Copies a file into a folder, or what a folder holds, as a recipe's `COPY` does.
fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to.join(from.file_name().unwrap())).unwrap();
        return;
    }
    for path in files_below(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, target).unwrap();
    }
}
