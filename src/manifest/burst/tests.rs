//! Which rules have a burst.

use std::sync::Arc;

use crate::document::node;
use crate::manifest::Namespace;
use crate::manifest::burst::Bursts;
use crate::manifest::emit;
use crate::manifest::rules;
use crate::platform::document;
use crate::rule::Allowance;
use crate::rule::Descriptor;

const PLATFORM: &str = "
{kind: Gateway, name: gw, listeners: [{name: http, port: 80, protocol: HTTP}, {name: other, port: 81, protocol: HTTP}]}
---
{kind: Backend, name: up, scheme: http, endpoints: [{host: a.b, port: 1}]}
---
{kind: ApiService, name: api}
---
{kind: Route, name: rt, api_service: api, gateway: gw, path_prefix: /, backend_refs: [{backend: up}], methods: [GET, PUT],
 rate_limit: {requests_per_unit: 1, unit: day, burst: 4, key: {by: client_ip}}}
---
{kind: Route, name: rt-2, api_service: api, gateway: gw, path_prefix: /2, backend_refs: [{backend: up}],
 rate_limit: {requests_per_unit: 1, unit: day}}
";

#[test]
fn every_rule_of_a_route_has_its_burst_and_no_other_has() {
    // Two methods and two families of addresses at each listener.
    let with = [("httproute/default/rt", 4); 4];
    let without = [("httproute/default/rt-2", 0)];
    let listener = [without.as_slice(), &with].concat();
    assert_eq!(bursts(), [listener.clone(), listener].concat());
}

/// The route and burst of every rule.
fn bursts() -> Vec<(&'static str, u32)> {
    let file = Arc::from("t.yaml");
    let nodes = node::parse(&file, PLATFORM).unwrap();
    let mut faults = Vec::new();
    let platform = document::read(&[(file, nodes)], &mut faults);
    assert_eq!(faults, []);
    let namespace = Namespace::try_from("default").unwrap();
    let mut domains = rules::domains(&emit::manifests(&platform, &namespace)).unwrap();
    Bursts::of(&platform, &namespace).add_to(&mut domains);
    let mut found = Vec::new();
    for bucket in domains.iter().flat_map(|domain| &domain.descriptors) {
        let names = ["httproute/default/rt", "httproute/default/rt-2"];
        let is_of = |name: &&str| bucket.key.starts_with(&format!("{name}/rule/"));
        let name = names.into_iter().find(is_of).unwrap();
        collect(name, bucket, &mut found);
    }
    found
}

fn collect(name: &'static str, descriptor: &Descriptor, found: &mut Vec<(&'static str, u32)>) {
    if let Some(Allowance::Limited(limit)) = &descriptor.allowance {
        found.push((name, limit.burst));
    }
    for below in &descriptor.descriptors {
        collect(name, below, found);
    }
}
