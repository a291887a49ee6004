//! Accepted manifests with one thing changed, and what the CRDs say about that.

use std::collections::HashMap;
use std::fs;

use serde_json::Value;

use crate::support::crd;
use crate::support::crd::Judge;
use crate::support::in_project;

#[test]
fn each_spoiled_manifest_is_refused_in_the_words_of_its_crd() {
    let Some(judge) = Judge::load() else { return };
    let table = fs::read_to_string(in_project("tests/it/crd/refusals.yaml")).unwrap();
    let [rows] = &crd::documents(&table)[..] else {
        panic!("not one table")
    };
    let accepted = accepted();
    for row in rows.as_array().unwrap() {
        let mut manifest = accepted[row["of"].as_str().unwrap()].clone();
        spoil(&mut manifest, row);
        let expected = row["faults"].as_array().unwrap();
        assert_eq!(&judge.faults(&manifest), expected, "{row}");
    }
}

#[test]
fn matches_are_counted_over_all_rules_of_a_route() {
    let Some(judge) = Judge::load() else { return };
    let mut route = accepted().remove("HTTPRoute keyed").unwrap();
    let mut rule = route["spec"]["rules"][0].clone();
    rule["matches"] = vec![rule["matches"][0].clone(); 64].into();
    route["spec"]["rules"] = vec![rule.clone(); 2].into();
    assert_eq!(judge.faults(&route), [""; 0]);

    route["spec"]["rules"] = vec![rule.clone(); 3].into();
    let message = "spec.rules: While 16 rules and 64 matches per rule are allowed, the total number \
                   of matches across all rules in a route must be less than 128";
    assert_eq!(judge.faults(&route), [message]);

    rule["matches"] = vec![rule["matches"][0].clone(); 65].into();
    route["spec"]["rules"] = vec![rule; 3].into();
    let too_many = |index| format!("spec.rules[{index}].matches: this has more than 64 items");
    assert_eq!(judge.faults(&route), [0, 1, 2].map(too_many));
}

/// Does to a manifest what a row of the table says.
fn spoil(manifest: &mut Value, row: &Value) {
    for (place, value) in row["set"].as_object().into_iter().flatten() {
        if value == "dropped" {
            let (parent, field) = parent(manifest, place);
            let dropped = parent.as_object_mut().unwrap().remove(field);
            assert!(dropped.is_some(), "nothing at {place}");
        } else {
            put(manifest, place, value.clone());
        }
    }
    for (place, from) in row["copy"].as_object().into_iter().flatten() {
        let value = manifest.pointer(from.as_str().unwrap()).unwrap().clone();
        put(manifest, place, value);
    }
}

fn put(manifest: &mut Value, place: &str, value: Value) {
    let (parent, name) = parent(manifest, place);
    match parent {
        Value::Array(items) => {
            let index: usize = name.parse().unwrap();
            if index == items.len() {
                items.push(value);
            } else {
                items[index] = value;
            }
        }
        parent => parent[name] = value,
    }
}

fn parent<'m, 'p>(manifest: &'m mut Value, place: &'p str) -> (&'m mut Value, &'p str) {
    let (parent, name) = place.rsplit_once('/').unwrap();
    let found = manifest.pointer_mut(parent);
    (found.unwrap_or_else(|| panic!("nothing at {parent}")), name)
}

/// The accepted manifests by kind and name; of kinds that the record lacks, those of the sample.
fn accepted() -> HashMap<String, Value> {
    let mut named = HashMap::new();
    for file in [
        "tests/golden/imprun-manifests.yaml",
        "../shared/vectors/manifests/accepted.yaml",
    ] {
        let manifests = fs::read_to_string(in_project(file)).unwrap();
        for manifest in crd::documents(&manifests) {
            let of = |it: &Value| it.as_str().unwrap().to_owned();
            let (kind, name) = (of(&manifest["kind"]), of(&manifest["metadata"]["name"]));
            named.insert(format!("{kind} {name}"), manifest);
        }
    }
    named
}
