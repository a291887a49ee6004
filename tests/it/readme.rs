//! What the README shows is so.

use std::collections::BTreeSet;
use std::fs;

use tempfile::TempDir;

use crate::support::in_project;
use crate::support::service::Service;
use crate::support::service::slidegate;

#[test]
fn the_first_answers_are_those_shown() {
    let shown = block("json\n{\"overallCode\"");
    let service = Service::start(&[]);
    let readme = readme();
    let body = readme.split("/json -d '").nth(1).unwrap();
    let body = body.split('\'').next().unwrap();
    for line in shown.lines() {
        let answer = service.json(body).body;
        assert_eq!(without_duration(&answer), without_duration(line));
    }
}

#[test]
fn the_rules_shown_are_valid() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("rules.yaml");
    fs::write(&file, block("yaml\ndomain: shop")).unwrap();
    output(&["validate", file.to_str().unwrap()]);
}

#[test]
fn the_policy_shown_becomes_the_manifest_and_the_rule_shown() {
    let policies = fs::read_to_string(in_project("config/imprun/policies.yaml")).unwrap();
    check_holds(&policies, &block("yaml\nkind: Policy"));
    let manifests = output(&["generate", "config/imprun"]);
    check_holds(&manifests, &block("yaml\napiVersion:"));
    let rules = output(&["generate", "config/imprun", "--as", "rate-limit-config"]);
    check_holds(&rules, &block("yaml\ndomain: default/api-gw/http"));
}

#[test]
fn the_request_shown_is_explained_so() {
    let readme = readme();
    let command = readme
        .lines()
        .find_map(|line| line.strip_prefix("slidegate explain config/"));
    let path = format!("config/{}", command.unwrap());
    let mut arguments = vec!["explain"];
    arguments.extend(path.split(' '));
    assert_eq!(output(&arguments), block("text\ngateway "));
}

#[test]
fn the_flags_shown_are_those_that_exist() {
    let shown = flags(&block("\nslidegate serve [--rules"));
    let mut existing = BTreeSet::new();
    for command in ["serve", "generate", "validate", "explain", "load"] {
        existing.extend(flags(&output(&[command, "--help"])));
    }
    existing.remove("--help");
    assert_eq!(shown, existing);
}

/// The fenced block that begins so.
#[track_caller]
fn block(begin: &str) -> String {
    let readme = readme();
    let mut blocks = readme.split("```").skip(1).step_by(2);
    let found = blocks.find(|block| block.starts_with(begin));
    let found = found.unwrap_or_else(|| panic!("no block begins with {begin:?}"));
    found.split_once('\n').unwrap().1.to_owned()
}

#[track_caller]
fn check_holds(text: &str, part: &str) {
    assert!(text.contains(part), "not there:\n{part}");
}

/// Words that begin with two dashes, as clap and people write them.
fn flags(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split(|c| !is_part(c));
    let flags = words.filter(|word| word.len() > 2 && word.starts_with("--"));
    flags.map(str::to_owned).collect()
}

fn without_duration(answer: &str) -> &str {
    let end = answer.find(",\"durationUntilReset\"").unwrap();
    &answer[..end]
}

#[track_caller]
fn output(arguments: &[&str]) -> String {
    let output = slidegate(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn readme() -> String {
    fs::read_to_string(in_project("README.md")).unwrap()
}
