//! Manifests against the CRDs: what Envoy Gateway accepted, what we emit, and what is spoiled.

mod refusals;
mod semantics;

use std::fs;

use crate::support::crd::Judge;
use crate::support::in_project;
use crate::support::service::slidegate;
use crate::tidy::files_below;

#[test]
fn every_rule_of_every_crd_compiles() {
    let Some(judge) = Judge::load() else { return };
    let n_rules: usize = files_below(&in_project("../shared/crds"))
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .map(|text| text.matches(" rule: ").count())
        .sum();
    // All rules and, among them, the texts that differ. Other CRDs have other numbers.
    assert_eq!((n_rules, judge.rules()), (577, (577, 191)));
}

#[test]
fn no_rule_calls_a_function_that_the_judge_lacks() {
    let Some(judge) = Judge::load() else { return };
    // CEL looks functions up when it calls them, so a missing one would compile.
    let known = [
        "contains",
        "duration",
        "endsWith",
        "isIP",
        "lowerAscii",
        "matches",
        "size",
        "split",
        "startsWith",
        "substring",
        "upperAscii",
    ];
    assert_eq!(judge.functions(), known.map(str::to_owned).into());
}

#[test]
fn what_envoy_gateway_accepted_is_accepted() {
    let Some(judge) = Judge::load() else { return };
    let mut n_files = 0;
    for file in files_below(&in_project("../shared/vectors")) {
        let name = file.file_name().unwrap();
        if name == "accepted.yaml" || name == "input.yaml" {
            let stream = fs::read_to_string(&file).unwrap();
            let faults = judge.faults_in(&stream);
            assert!(faults.is_empty(), "{}: {faults:#?}", file.display());
            n_files += 1;
        }
    }
    assert_eq!(n_files, 6);
}

#[test]
fn what_platforms_become_is_accepted() {
    let Some(judge) = Judge::load() else { return };
    for platform in ["config/imprun", "tests/golden/every-field.yaml"] {
        let output = slidegate(&["generate", platform]).output().unwrap();
        let stream = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && stream.contains("kind: HTTPRoute"));
        assert_eq!(judge.faults_in(&stream), [""; 0], "{platform}");
    }
}
