//! Manifests and the rules in them, against what Envoy Gateway made of the same manifests.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use slidegate::document::node;
use slidegate::document::node::Kind;
use slidegate::document::node::Node;
use slidegate::manifest::read;
use slidegate::manifest::rules;
use slidegate::rule::Domain;
use slidegate::rule::document;

use crate::support::in_project;

#[test]
fn each_rule_match_hostname_and_listener_has_a_bucket_of_its_own() {
    let recorded = in_project("tests/vectors/routes");
    let input = text(&recorded.join("input.yaml"));
    let manifests = read::read(&Arc::from("input.yaml"), &input).unwrap();
    let domains = rules::domains(&manifests).unwrap();
    let pushed = pushed(&recorded.join("rate-limit-config.yaml"));
    assert_eq!(document::write(&domains), document::write(&pushed));
    assert_eq!(domains, pushed);
}

/// What Envoy Gateway pushed: a list of domains in the format of rule files, each with a name that
/// repeats the domain.
fn pushed(path: &Path) -> Vec<Domain> {
    let file = Arc::from(path.to_str().unwrap());
    let documents = node::parse(&file, &text(path)).unwrap();
    let mut configs = Vec::new();
    for document in documents {
        let Kind::Sequence(items) = document.kind else {
            panic!("{file} is no list");
        };
        configs.extend(items.into_iter().map(without_name));
    }
    let mut faults = Vec::new();
    let placed = document::domains(&file, &configs, &mut faults);
    assert_eq!(faults, []);
    document::distinct(placed, &mut faults)
}

fn without_name(config: Node) -> Node {
    let Kind::Mapping(mut entries) = config.kind else {
        panic!("a configuration is a mapping");
    };
    entries.retain(|(key, _)| !matches!(&key.kind, Kind::Scalar(key) if key.text == "name"));
    let kind = Kind::Mapping(entries);
    Node { kind, ..config }
}

#[track_caller]
fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
