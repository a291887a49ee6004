//! Which rules have a burst, and a choice for when the store does not answer.

use std::sync::Arc;

use crate::document::node;
use crate::manifest::Namespace;
use crate::manifest::burst::Bursts;
use crate::manifest::emit;
use crate::manifest::rules;
use crate::platform::document;
use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::limit::OnStoreFailure;

const PLATFORM: &str = "
{kind: Gateway, name: gw, listeners: [{name: http, port: 80, protocol: HTTP}, {name: other, port: 81, protocol: HTTP}]}
---
{kind: Backend, name: up, scheme: http, endpoints: [{host: a.b, port: 1}]}
---
{kind: ApiService, name: api}
---
{kind: Route, name: rt, api_service: api, gateway: gw, path_prefix: /, backend_refs: [{backend: up}], methods: [GET, PUT],
 rate_limit: {requests_per_unit: 1, unit: day, burst: 4, key: {by: client_ip}, on_store_failure: deny}}
---
{kind: Route, name: rt-2, api_service: api, gateway: gw, path_prefix: /2, backend_refs: [{backend: up}],
 rate_limit: {requests_per_unit: 1, unit: day}}
";

const SHARED: &str = "
---
{kind: ApiService, name: together}
---
{kind: Route, name: rt-3, api_service: together, gateway: gw, path_prefix: /3, backend_refs: [{backend: up}], methods: [GET, PUT]}
---
{kind: Route, name: rt-4, api_service: together, gateway: gw, path_prefix: /4, backend_refs: [{backend: up}]}
---
{kind: Route, name: rt-5, api_service: api, gateway: gw, path_prefix: /5, backend_refs: [{backend: up}],
 rate_limit: {requests_per_unit: 1, unit: day, burst: 5, shared: true}}
---
{kind: Policy, name: together, scope: service, api_service: together, type: rate-limit,
 spec: {requests_per_unit: 1, unit: day, burst: 6, shared: true, on_store_failure: deny}}
---
{kind: Policy, name: all, scope: global, type: rate-limit,
 spec: {requests_per_unit: 1, unit: day, burst: 7, shared: true, key: {by: client_ip}}}
";

#[test]
fn every_rule_of_a_route_has_its_burst_and_no_other_has() {
    // Two methods and two families of addresses at each listener.
    let with = vec![("httproute/default/rt".to_owned(), 4); 4];
    let without = vec![("httproute/default/rt-2".to_owned(), 0)];
    let listener = [without, with].concat();
    assert_eq!(bursts(""), [listener.clone(), listener].concat());
}

#[test]
fn shared_rules_have_their_bursts_where_they_are_counted() {
    let mut bursts = bursts(SHARED);
    bursts.retain(|(bucket, _)| !bucket.starts_with("httproute/"));
    let expected = [
        ("default/platform.gateways/rule/0", 7),
        ("default/platform.gateways/rule/1", 7),
        ("default/rt-5/rule/0", 5),
        ("default/service.together/rule/0", 6),
    ];
    assert_eq!(
        bursts,
        expected.map(|(bucket, burst)| (bucket.to_owned(), burst))
    );
}

/// The route, or the shared rule, and burst of every rule.
fn bursts(more: &str) -> Vec<(String, u32)> {
    let file = Arc::from("t.yaml");
    let nodes = node::parse(&file, &format!("{PLATFORM}{more}")).unwrap();
    let mut faults = Vec::new();
    let platform = document::read(&[(file, nodes)], &mut faults);
    assert_eq!(faults, []);
    let namespace = Namespace::try_from("default").unwrap();
    let mut domains = rules::domains(&emit::manifests(&platform, &namespace)).unwrap();
    Bursts::of(&platform, &namespace).add_to(&mut domains);
    let mut found = Vec::new();
    for bucket in domains.iter().flat_map(|domain| &domain.descriptors) {
        let name = match bucket.key.split_once("/rule/") {
            Some((route, _)) if route.starts_with("httproute/") => route,
            _ => &bucket.key,
        };
        collect(name, bucket, &mut found);
    }
    found
}

fn collect(name: &str, descriptor: &Descriptor, found: &mut Vec<(String, u32)>) {
    if let Some(Allowance::Limited(limit)) = &descriptor.allowance {
        let choice = [4, 6]
            .contains(&limit.burst)
            .then_some(OnStoreFailure::Deny);
        assert_eq!(limit.on_store_failure, choice, "{name}");
        found.push((name.to_owned(), limit.burst));
    }
    for below in &descriptor.descriptors {
        collect(name, below, found);
    }
}
