//! Policies that meet, and what is said about limits that do not hold as they are written.

use std::sync::Arc;

use crate::manifest::read;
use crate::manifest::rules::tests::gateway;
use crate::manifest::rules::tests::refused;
use crate::manifest::rules::translate;
use crate::rule::Allowance;
use crate::rule::Descriptor;

const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: rt}\n\
                     spec: {parentRefs: [{name: gw}], rules: [{name: one, matches: [{}]}, {name: two}]}\n";

#[test]
fn the_rule_comes_before_the_route_the_listener_and_the_gateway() {
    let mut policies = vec![policy("g", "Gateway, name: gw", "", &limit(4))];
    check(&policies, &["4 4", "4 4"], &[]);
    let dropped = |name: &str, by: &str| {
        format!(
            "BackendTrafficPolicy default/{name}: spec.rateLimit.global.rules: do not hold where \
             `BackendTrafficPolicy default/{by}` is in force, which replaces the less specific policies"
        )
    };
    policies.push(policy(
        "l",
        "Gateway, name: gw, sectionName: b",
        "",
        &limit(3),
    ));
    check(&policies, &["4 4", "3 3"], &[&dropped("g", "l")]);
    policies.push(policy("r", "HTTPRoute, name: rt", "", &limit(2)));
    let expected = [dropped("g", "r"), dropped("l", "r")];
    check(
        &policies,
        &["2 2", "2 2"],
        &expected.each_ref().map(String::as_str),
    );
    policies.push(policy(
        "s",
        "HTTPRoute, name: rt, sectionName: two",
        "",
        &limit(1),
    ));
    let by_two = |name: &str| {
        let others = "`BackendTrafficPolicy default/r` or 1 more";
        dropped(name, "r").replace("`BackendTrafficPolicy default/r`", others)
    };
    let expected = [by_two("g"), by_two("l"), dropped("r", "s")];
    check(
        &policies,
        &["2 1", "2 1"],
        &expected.each_ref().map(String::as_str),
    );
}

#[test]
fn a_policy_without_limits_takes_those_of_the_gateway_away_unless_it_is_merged() {
    let of_gateway = policy("g", "Gateway, name: gw", "", &limit(4));
    let bare = |merge: &str| {
        policy("r", "HTTPRoute, name: rt", merge, "").replace(
            "rateLimit: {global: {rules: []}}",
            "timeout: {http: {requestTimeout: 3s}}",
        )
    };
    let dropped = "BackendTrafficPolicy default/g: spec.rateLimit.global.rules: do not hold where \
                   `BackendTrafficPolicy default/r` is in force, which replaces the less specific policies";
    check(&[of_gateway.clone(), bare("")], &[], &[dropped]);
    let merged = bare("mergeType: StrategicMerge, ");
    check(&[of_gateway, merged], &["4 4", "4 4"], &[]);
}

#[test]
fn merged_limits_are_appended_and_numbered_with_those_of_the_route() {
    let both = format!("{}, {}", limit(4), shared(5));
    let of_gateway = policy("g", "Gateway, name: gw", "", &both);
    let of_route = |merge: &str| policy("r", "HTTPRoute, name: rt", merge, &limit(1));
    let merged = of_route("mergeType: StrategicMerge, ");
    let (domains, warnings) = translated(&[of_gateway.clone(), merged]);
    assert_eq!(warnings, [""; 0]);
    let listener = "default/gw/a httproute/default/rt/rule/0/match/0/*";
    for expected in [
        format!("{listener} rule-0-match--1 1"),
        format!("{listener} rule-1-match--1 4"),
        "default/g default/g/rule/1 rule-0-match--1 5".to_owned(),
    ] {
        assert!(domains.contains(&expected), "{expected}: {domains:#?}");
    }
    // A list that is merged as JSON is replaced.
    let merged = of_route("mergeType: JSONMerge, ");
    let warning = "BackendTrafficPolicy default/g: spec.rateLimit.global.rules: do not hold where \
                   `BackendTrafficPolicy default/r` is in force, which replaces lists (JSONMerge)";
    check(&[of_gateway, merged], &["1 1", "1 1"], &[warning]);
}

#[test]
fn limits_that_come_too_near_to_each_other_are_warned_of() {
    let block = |more: &str, n: u32| {
        format!(
            "{{clientSelectors: [{{sourceCIDR: {{value: 10.0.0.0/8{more}}}}}], limit: {{requests: {n}, unit: Hour}}}}"
        )
    };
    let warned = |rules: &str, expected: &str| {
        let warning = format!("BackendTrafficPolicy default/r: {expected}");
        let policy = policy("r", "HTTPRoute, name: rt", "", rules);
        assert_eq!(translated(&[policy]).1, [warning]);
    };
    warned(
        &format!("{}, {}", block("", 1), block("", 2)),
        "spec.rateLimit.global.rules[1]: selects requests by the same entries as \
         spec.rateLimit.global.rules[0] of `BackendTrafficPolicy default/r`: Envoy Gateway drops \
         this limit, and requests count twice",
    );
    warned(
        &format!("{}, {}", block("", 1), block(", type: Distinct", 2)),
        "spec.rateLimit.global.rules[1]: begins with the same block of addresses as \
         spec.rateLimit.global.rules[0] of `BackendTrafficPolicy default/r`: envoyproxy/ratelimit \
         refuses all limits of all gateways for that, slidegate does not",
    );
    // One of them is shared, so they do not meet.
    let shared = block("", 2).replacen('{', "{shared: true, ", 1);
    let policy = policy(
        "r",
        "HTTPRoute, name: rt",
        "",
        &format!("{}, {shared}", block("", 1)),
    );
    assert_eq!(translated(&[policy]).1, [""; 0]);
}

#[test]
fn a_shared_limit_that_counts_apart_is_warned_of() {
    let of_gateway = policy("g", "Gateway, name: gw", "", &shared(4));
    let of_rule = policy(
        "s",
        "HTTPRoute, name: rt, sectionName: two",
        "mergeType: StrategicMerge, ",
        &shared(1),
    );
    let warning = "BackendTrafficPolicy default/g: spec.rateLimit.global.rules[0]: counts apart on \
                   routes that have other shared limits before it: Envoy Gateway numbers the shared \
                   limits of each route";
    let (domains, warnings) = translated(&[of_gateway, of_rule]);
    assert_eq!(warnings, [warning]);
    assert!(
        domains.contains(&"default/g default/g/rule/0 rule-1-match--1 4".to_owned()),
        "{domains:#?}"
    );
}

#[test]
fn a_target_that_is_not_given_is_warned_of() {
    let policy = policy("r", "HTTPRoute, name: other", "", &limit(1));
    let warning = "BackendTrafficPolicy default/r: spec.targetRefs[0]: HTTPRoute `other` is not \
                   given: Envoy Gateway ignores the target";
    check(&[policy], &[], &[warning]);
}

#[test]
fn limits_of_type_local_leave_the_global_ones_out() {
    let local = policy("r", "HTTPRoute, name: rt", "", &limit(1))
        .replace("rateLimit: {", "rateLimit: {type: Local, ");
    let warning = "BackendTrafficPolicy default/r: spec.rateLimit.type: is Local: Envoy Gateway does \
                   not look at the global limits";
    check(&[local], &[], &[warning]);
}

#[test]
fn of_two_policies_of_a_cluster_the_older_holds() {
    let aged = |name: &str, n: u32, day: u32| {
        let metadata = format!("{{name: {name}, creationTimestamp: '2026-01-0{day}T00:00:00Z'}}");
        let policy = policy(name, "HTTPRoute, name: rt", "", &limit(n));
        policy.replace(&format!("{{name: {name}}}"), &metadata)
    };
    let dropped = |name: &str, by: &str| {
        format!(
            "BackendTrafficPolicy default/{name}: spec.targetRefs: `rt` has the older policy `{by}`: \
             Envoy Gateway leaves this one out there"
        )
    };
    let warning = dropped("a", "b");
    check(
        &[aged("a", 1, 2), aged("b", 2, 1)],
        &["2 2", "2 2"],
        &[&warning],
    );
    check(
        &[aged("b", 2, 1), aged("a", 1, 2)],
        &["2 2", "2 2"],
        &[&warning],
    );
    let warning = dropped("b", "a");
    check(
        &[aged("b", 2, 1), aged("a", 1, 1)],
        &["1 1", "1 1"],
        &[&warning],
    );
}

#[test]
fn a_part_of_a_route_has_one_policy() {
    let target = "HTTPRoute, name: rt, sectionName: two";
    let policies = ["r", "s"].map(|name| policy(name, target, "", &limit(1)));
    refused(
        &whole(&policies),
        "BackendTrafficPolicy default/s: spec.targetRefs[0]: `two` of `rt` has the policy `r` already",
    );
}

fn limit(requests: u32) -> String {
    format!("{{limit: {{requests: {requests}, unit: Hour}}}}")
}

fn shared(requests: u32) -> String {
    format!("{{shared: true, limit: {{requests: {requests}, unit: Hour}}}}")
}

fn policy(name: &str, target: &str, merge: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: {name}}}\n\
         spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: {target}}}], {merge}\
         rateLimit: {{global: {{rules: [{rules}]}}}}}}\n"
    )
}

/// A gateway with the listeners `a` and `b`, a route with the rules `one` and `two`, and policies.
fn whole(policies: &[String]) -> String {
    let listeners = "[{name: a, port: 80, protocol: HTTP}, {name: b, port: 81, protocol: HTTP}]";
    let mut documents = vec![gateway(listeners), ROUTE.to_owned()];
    documents.extend_from_slice(policies);
    documents.join("---\n")
}

/// Checks the limits of both rules at each listener, and the warnings.
#[track_caller]
fn check(policies: &[String], limits: &[&str], warnings: &[&str]) {
    let (leaves, actual) = translated(policies);
    assert_eq!(actual, warnings);
    let mut expected = Vec::new();
    for (listener, limits) in ["a", "b"].into_iter().zip(limits) {
        for (rule, limit) in limits.split(' ').enumerate() {
            expected.push(format!(
                "default/gw/{listener} httproute/default/rt/rule/{rule}/match/0/* rule-0-match--1 {limit}"
            ));
        }
    }
    assert_eq!(leaves, expected);
}

/// Each limit with what leads to it, and the warnings.
#[track_caller]
fn translated(policies: &[String]) -> (Vec<String>, Vec<String>) {
    let manifests = read::read(&Arc::from("t.yaml"), &whole(policies)).unwrap();
    let translation = translate(&manifests).unwrap();
    let mut found = Vec::new();
    for domain in &translation.domains {
        leaves(&domain.name, &domain.descriptors, &mut found);
    }
    let warnings = translation.warnings.iter().map(ToString::to_string);
    (found, warnings.collect())
}

fn leaves(path: &str, descriptors: &[Descriptor], found: &mut Vec<String>) {
    for descriptor in descriptors {
        let path = format!("{path} {}", descriptor.key);
        if let Some(Allowance::Limited(limit)) = &descriptor.allowance {
            found.push(format!("{path} {}", limit.requests));
        }
        leaves(&path, &descriptor.descriptors, found);
    }
}
