//! The rules in manifests, against what Envoy Gateway pushed for the same manifests.

use std::path::Path;
use std::sync::Arc;

use slidegate::document::node;
use slidegate::document::node::Kind;
use slidegate::document::node::Node;
use slidegate::manifest::read;
use slidegate::manifest::rules;
use slidegate::rule::Descriptor;
use slidegate::rule::Domain;
use slidegate::rule::document;
use slidegate::source::file::File;

use crate::generate::text;
use crate::support::in_project;
use crate::support::sample;

#[test]
fn each_rule_match_hostname_and_listener_has_a_bucket_of_its_own() {
    check("routes");
}

#[test]
fn every_selector_becomes_the_entries_that_envoy_sends() {
    check("selectors");
}

#[test]
fn a_shared_rule_has_one_bucket_for_all_routes() {
    check("shared");
}

#[test]
fn a_shared_rule_of_a_gateway_reaches_the_routes_that_merge_it_or_say_nothing() {
    check("plans");
}

#[test]
fn the_most_specific_policy_holds() {
    check("policies");
}

#[test]
fn plans_become_the_rules_that_were_recorded() {
    let file = File {
        name: Arc::from("platform.yaml"),
        text: PLANS.to_owned(),
    };
    let manifests = sample::manifests(vec![file]).unwrap();
    let domains = rules::domains(&manifests).unwrap();
    let pushed = pushed(&in_project("tests/vectors/plans/rate-limit-config.yaml"));
    // Some names are others there, and they stand in domains and keys.
    let rules = |domains: &[Domain]| {
        let text = document::write(domains)
            .replace("default/platform.gateways", "default/plans")
            .replace("default/aa/", "default/a/")
            .replace("default/dd/", "default/d/");
        let mut rules: Vec<String> = text.split("---\n").map(str::to_owned).collect();
        rules.sort_unstable();
        rules
    };
    assert_eq!(rules(&domains), rules(&pushed));
}

/// The platform of which the recorded manifests are, but that here all routes count for plans.
const PLANS: &str = "
{kind: Gateway, name: eg, gateway_class: eg, listeners: [{name: http, protocol: HTTP, port: 8888}]}
---
{kind: Backend, name: backend, scheme: http, endpoints: [{host: 10.0.0.1, port: 3000}]}
---
{kind: ApiService, name: api}
---
kind: Plan
name: gold
rate_limit: {requests: 3, period: 1h}
quota: {requests: 100, period: 30d}
---
{kind: Route, name: aa, api_service: api, gateway: eg, hostnames: [a.example.com], path_prefix: /, backend_refs: [{backend: backend}], rate_limit: {requests_per_unit: 10, unit: hour}}
---
{kind: Route, name: bb, api_service: api, gateway: eg, hostnames: [b.example.com], path_prefix: /, backend_refs: [{backend: backend}], timeout: {request_timeout: 30s}}
---
{kind: Route, name: cc, api_service: api, gateway: eg, hostnames: [c.example.com], path_prefix: /, backend_refs: [{backend: backend}]}
---
{kind: Route, name: dd, api_service: api, gateway: eg, hostnames: [d.example.com], path_prefix: /, backend_refs: [{backend: backend}], rate_limit: {requests_per_unit: 10, unit: hour}}
";

#[track_caller]
fn check(name: &str) {
    let folder = in_project("tests/vectors").join(name);
    let input = text(&folder.join("input.yaml"));
    let manifests = read::read(&Arc::from("input.yaml"), &input).unwrap();
    let mut domains = rules::domains(&manifests).unwrap();
    // The recording is sorted; siblings have no order of their own.
    for domain in &mut domains {
        sort(&mut domain.descriptors);
    }
    let pushed = pushed(&folder.join("rate-limit-config.yaml"));
    assert_eq!(document::write(&domains), document::write(&pushed));
    assert_eq!(domains, pushed);
}

fn sort(descriptors: &mut [Descriptor]) {
    descriptors.sort_by(|a, b| (&a.key, a.value.text()).cmp(&(&b.key, b.value.text())));
    for descriptor in descriptors {
        sort(&mut descriptor.descriptors);
    }
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
