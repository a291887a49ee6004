//! Platform documents → manifests → rules, through the command line; and the last step against
//! what Envoy Gateway pushed for the same manifests.

mod accepted;
mod arbitrary;
mod output;
mod recorded;
mod spoiled;

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use slidegate::manifest;
use slidegate::manifest::read;
use slidegate::manifest::settings::commented;
use slidegate::rule::tree::RuleSet;
use slidegate::source::Sources;
use slidegate::source::Start;

use crate::support::eventually;
use crate::support::http::Call;
use crate::support::in_project;
use crate::support::service::Service;
use crate::support::service::slidegate;

#[test]
fn the_sample_platform_becomes_manifests() {
    let stream = generated(&["config/imprun"]);
    check_golden("imprun-manifests.yaml", &stream);
}

#[test]
fn every_field_has_its_place_in_a_manifest() {
    let stream = generated(&["tests/golden/every-field.yaml"]);
    check_golden("every-field-manifests.yaml", &stream);
}

#[test]
fn what_is_generated_reads_back() {
    for platform in ["config/imprun", "tests/golden/every-field.yaml"] {
        let stream = generated(&[platform]);
        let manifests = read::read(&Arc::from("stream"), &stream).unwrap();
        assert!(!manifests.is_empty());
        let begin = stream.find("---\n").unwrap();
        assert_eq!(manifest::write(&manifests), stream[begin..]);
    }
}

#[test]
fn the_sample_platform_becomes_rules() {
    let rules = generated(&["config/imprun", "--as", "rate-limit-config"]);
    check_golden("imprun-rate-limit-config.yaml", &rules);
}

#[test]
fn the_rules_follow_from_manifests_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manifests.yaml");
    fs::write(&path, generated(&["config/imprun"])).unwrap();
    let path = path.to_str().unwrap();
    let rules = generated(&[path, "--as", "rate-limit-config"]);
    // All but bursts, which manifests have no place for.
    let platform = generated(&["config/imprun", "--as", "rate-limit-config"]);
    let is_burst = |line: &&str| line.trim_start().starts_with("burst: ");
    assert_eq!(platform.lines().filter(is_burst).count(), 1);
    let without: Vec<&str> = platform.lines().filter(|line| !is_burst(line)).collect();
    assert_eq!(rules.lines().collect::<Vec<_>>(), without);
}

#[test]
fn a_platform_and_the_rules_generated_from_it_are_the_same_limits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yaml");
    // Among them bursts, shared limits of every scope, plans, costs, and choices for an outage.
    for (platform, n_rules) in [("tests/golden/every-field.yaml", 27), ("config/imprun", 17)] {
        let text = generated(&[platform, "--as", "rate-limit-config"]);
        fs::write(&path, text).unwrap();
        let sources = [
            Sources {
                platform: vec![in_project(platform)],
                namespace: "default".to_owned(),
                ..Sources::default()
            },
            Sources {
                rules: vec![path.clone()],
                ..Sources::default()
            },
        ];
        let [platform, rules] =
            sources.map(|sources| Start::read(sources).unwrap().domains().to_vec());
        assert_eq!(platform, rules);
        assert_eq!(RuleSet::new(platform).rules().len(), n_rules);
    }

    let [platform, rules] = [
        ["--platform", "config/imprun"],
        ["--rules", path.to_str().unwrap()],
    ]
    .map(|from| {
        let service = Service::start(&[from[0], from[1], "--store", "memory"]);
        eventually("the rules are in force", || {
            let page = Call::get("/rlconfig").send(service.debug()).body;
            (page.lines().count() >= 9).then_some(page)
        })
    });
    assert_eq!(platform, rules);
}

#[test]
fn the_order_of_files_and_documents_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let mut documents = Vec::new();
    for file in ["gateway", "plans", "policies", "routes"] {
        let text = text(&in_project(&format!("config/imprun/{file}.yaml")));
        documents.extend(text.split("\n---\n").map(str::to_owned));
    }
    assert!(documents.len() > 10, "the sample has many documents");
    let whole = generated(&["config/imprun"]);
    // Deterministic, and each of these puts every document behind one that it came before.
    for step in [1, 3, 7] {
        documents.reverse();
        documents.rotate_left(step);
        let (first, second) = documents.split_at(step);
        fs::write(folder.path().join("b.yaml"), first.join("\n---\n")).unwrap();
        fs::write(folder.path().join("a.yaml"), second.join("\n---\n")).unwrap();
        assert_eq!(generated(&[folder.path().to_str().unwrap()]), whole);
    }
}

#[test]
fn the_namespace_is_in_every_name() {
    let manifests = generated(&["config/imprun", "--namespace", "imprun"]);
    assert!(manifests.contains("\n  namespace: imprun\n"));
    assert!(!manifests.contains("namespace: default"));
    let arguments = [
        "config/imprun",
        "--namespace",
        "imprun",
        "--as",
        "rate-limit-config",
    ];
    let rules = generated(&arguments);
    assert!(rules.contains("domain: imprun/api-gw/http\n"), "{rules}");
    assert!(
        rules.contains("key: httproute/imprun/chat/rule/0/"),
        "{rules}"
    );
    refused(
        &["config/imprun", "--namespace", "Im_Prun"],
        "--namespace: `Im_Prun` is not a namespace: expected at most 63 of a-z, 0-9 and inner hyphens\n",
    );
}

#[test]
fn each_resource_can_have_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("new/manifests");
    let output = output.to_str().unwrap();
    let said = generated(&["config/imprun", "--output", output]);
    let names = file_names(Path::new(output));
    assert_eq!(said, format!("{} files written to {output}\n", names.len()));
    // What is no resource is not called like one.
    let (resources, others): (Vec<_>, Vec<_>) =
        names.iter().partition(|name| name.ends_with(".yaml"));
    assert_eq!(others, ["envoy-gateway-settings.txt"]);
    assert!(
        names.contains(&"backendtrafficpolicy-chat.yaml".to_owned()),
        "{names:?}"
    );
    // Together they are the stream: nothing is missing and nothing is different.
    let stream = generated(&["config/imprun"]);
    let mut documents: Vec<&str> = stream.split("---\n").collect();
    let settings = text(&Path::new(output).join("envoy-gateway-settings.txt"));
    assert_eq!(commented(&settings), documents.remove(0));
    let mut files: Vec<String> = Vec::new();
    for name in resources {
        files.push(text(&Path::new(output).join(name)));
    }
    documents.sort_unstable();
    files.sort_unstable();
    assert_eq!(files, documents);
}

#[test]
fn files_of_an_earlier_run_are_left_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let (platform, output) = (
        folder.path().join("platform.yaml"),
        output.to_str().unwrap(),
    );
    let gateway = |name: &str| {
        format!(
            "{{kind: Gateway, name: {name}, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}"
        )
    };
    fs::write(&platform, gateway("old")).unwrap();
    let arguments = [platform.to_str().unwrap(), "--output", output];
    generated(&arguments);
    fs::write(Path::new(output).join("notes.yaml"), "kept: true\n").unwrap();
    fs::write(&platform, gateway("new")).unwrap();
    let expected = format!(
        "2 files written to {output}\n{output}/gateway-old.yaml is of an earlier run and was left: \
         delete it, and its resource\n"
    );
    assert_eq!(generated(&arguments), expected);
    let names = [
        "gateway-new.yaml",
        "gateway-old.yaml",
        "gatewayclass-envoy-gateway.yaml",
        "notes.yaml",
    ];
    assert_eq!(file_names(Path::new(output)), names);
}

#[test]
fn a_document_with_faults_generates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    fs::write(
        &path,
        "kind: Policy
name: p1
scope: route
route: nowhere
type: rate-limit
spec: {requests_per_unit: 1, unit: fortnight, burst: -3}
---
kind: Plan
name: gold
",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let expected = format!(
        "\
{path}:4: route: unknown route `nowhere`: there is none
{path}:6: spec.burst: expected a whole number from 0 to 4294967294, found `-3`
{path}:6: spec.unit: unknown unit `fortnight`: expected second, minute, hour, day, week, month or year
{path}:8: expected at least one of rate_limit and quota
"
    );
    refused(&[path], &expected);
    refused(&[path, "--as", "rate-limit-config"], &expected);
    refused(
        &[
            path,
            "--output",
            folder.path().join("out").to_str().unwrap(),
        ],
        &expected,
    );
    assert!(!folder.path().join("out").exists());
}

/// What `slidegate generate` writes when all is well.
#[track_caller]
fn generated(arguments: &[&str]) -> String {
    let output = generate(arguments);
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{complaints}");
    assert_eq!(complaints, "");
    String::from_utf8(output.stdout).unwrap()
}

/// It fails with exactly this complaint, and writes nothing.
#[track_caller]
fn refused(arguments: &[&str], complaint: &str) {
    let output = generate(arguments);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert_eq!(complaints, format!("slidegate: {complaint}"));
}

fn generate(arguments: &[&str]) -> Output {
    slidegate(&["generate"]).args(arguments).output().unwrap()
}

/// Compares with a file byte by byte; `UPDATE_GOLDEN=1` writes the file instead.
#[track_caller]
fn check_golden(name: &str, actual: &str) {
    let path = in_project("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, actual).unwrap();
    }
    assert_eq!(text(&path), actual, "{} differs", path.display());
}

fn file_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries.map(|it| name(it).into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
