//! Which of several limits is in force.

use std::sync::Arc;

use crate::document::node;
use crate::platform::Platform;
use crate::platform::document;
use crate::platform::effective::Effective;
use crate::platform::effective::Source;

const ROUTE: &str = "
{kind: Gateway, name: gw, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
{kind: Backend, name: up, scheme: http, endpoints: [{host: a.b, port: 1}]}
---
{kind: ApiService, name: api}
---
{kind: ApiService, name: other}
---
";

#[test]
fn a_route_without_a_policy_is_not_limited() {
    check("", "", None);
    check("", "scope: service, api_service: other", None);
}

#[test]
fn route_wins_over_service_and_service_over_global() {
    let (global, service, route) = (
        "scope: global, priority: 99",
        "scope: service, api_service: api, priority: 9",
        "scope: route, route: rt",
    );
    check("", global, Some("p1"));
    check("", &lines(&[global, service]), Some("p2"));
    check("", &lines(&[service, global]), Some("p1"));
    check("", &lines(&[global, service, route]), Some("p3"));
    check("", &lines(&[route, service, global]), Some("p1"));
}

#[test]
fn within_a_scope_the_higher_priority_wins_then_the_name() {
    check("", &lines(&["scope: global", "scope: global"]), Some("p1"));
    check(
        "",
        &lines(&["scope: global", "scope: global, priority: 1"]),
        Some("p2"),
    );
    let service = "scope: service, api_service: api";
    let higher = "scope: service, api_service: api, priority: 1";
    check("", &lines(&[service, higher, service]), Some("p2"));
}

#[test]
fn the_limit_in_the_route_is_a_policy_of_scope_route() {
    check(INLINE, "", Some("itself"));
    check(INLINE, "scope: global, priority: 9", Some("itself"));
    check(
        INLINE,
        "scope: service, api_service: api, priority: 9",
        Some("itself"),
    );
}

#[test]
fn the_limit_in_the_route_has_priority_0_and_the_routes_name() {
    // The route is called `rt`, which comes after `p1`.
    check(INLINE, "scope: route, route: rt", Some("p1"));
    check(INLINE, "scope: route, route: rt, name: zz", Some("itself"));
    check(INLINE, "scope: route, route: rt, name: rt", Some("itself"));
    check(
        INLINE,
        "scope: route, route: rt, name: zz, priority: 1",
        Some("zz"),
    );
}

#[test]
fn a_disabled_policy_overrides_nothing() {
    let disabled = "scope: route, route: rt, enabled: false";
    check("", &lines(&[disabled, "scope: global"]), Some("p2"));
}

#[test]
fn what_all_routes_share_overrides_only_its_like() {
    let shared = "scope: global, shared: true";
    let higher = "scope: global, shared: true, priority: 1";
    check("", &lines(&[shared, "scope: global"]), Some("p2"));
    check_shared("", None);
    check_shared("scope: global", None);
    check_shared(&lines(&[shared, "scope: route, route: rt"]), Some("p1"));
    check_shared(&lines(&[shared, higher, shared]), Some("p2"));
}

const INLINE: &str = "rate_limit: {requests_per_unit: 1, unit: day}";

fn lines(policies: &[&str]) -> String {
    policies.join("\n")
}

/// `policies` has one policy a line, named `p1`, `p2` and so on unless it says its name.
#[track_caller]
fn check(inline: &str, policies: &str, expected: Option<&str>) {
    let platform = platform(inline, policies);
    let limit = Effective::new(&platform).rate_limit(&platform.routes[0]);
    let actual = limit.map(|it| match it.source {
        Source::Route(_) => "itself",
        source => source.name(),
    });
    assert_eq!(actual, expected);
}

#[track_caller]
fn check_shared(policies: &str, expected: Option<&str>) {
    let platform = platform("", policies);
    let limit = Effective::new(&platform).shared();
    assert_eq!(limit.map(|it| it.source.name()), expected);
}

#[track_caller]
fn platform(inline: &str, policies: &str) -> Platform {
    let mut text = format!(
        "{ROUTE}{{kind: Route, name: rt, api_service: api, gateway: gw, path_prefix: /, \
         backend_refs: [{{backend: up}}], {inline}}}"
    );
    for (index, policy) in policies.lines().enumerate() {
        let name = if policy.contains("name:") {
            String::new()
        } else {
            format!("name: p{}, ", index + 1)
        };
        let (policy, shared) = match policy.split_once(", shared: true") {
            Some((before, after)) => (format!("{before}{after}"), ", shared: true"),
            None => (policy.to_owned(), ""),
        };
        text.push_str(&format!(
            "\n---\n{{kind: Policy, {name}{policy}, type: rate-limit, \
             spec: {{requests_per_unit: 1, unit: day{shared}}}}}"
        ));
    }
    let file = Arc::from("t.yaml");
    let nodes = node::parse(&file, &text).unwrap();
    let mut faults = Vec::new();
    let platform = document::read(&[(file, nodes)], &mut faults);
    assert_eq!(faults, []);
    platform
}
