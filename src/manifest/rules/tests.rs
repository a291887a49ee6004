//! What the recordings do not show: listeners that refuse, hosts that differ, policies that meet.

use std::sync::Arc;

use crate::manifest::read;
use crate::manifest::rules::domains;
use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::Domain;
use crate::rule::limit::Cost;

#[test]
fn a_route_without_a_policy_has_no_bucket() {
    let text = [
        &gateway("[{name: http, port: 80, protocol: HTTP}]"),
        &route("", "[{name: gw}]"),
    ];
    buckets(&text.map(String::as_str).join("---\n"), &[]);
}

#[test]
fn a_route_attaches_to_the_listeners_that_carry_http() {
    let listeners = "[{name: http, port: 80, protocol: HTTP}, {name: raw, port: 81, protocol: TCP}, \
                     {name: tls, port: 82, protocol: TLS}, {name: https, port: 83, protocol: HTTPS}]";
    attached(listeners, "", "[{name: gw}]", &["gw/http *", "gw/https *"]);
    attached(
        listeners,
        "",
        "[{name: gw, sectionName: https}]",
        &["gw/https *"],
    );
    attached(listeners, "", "[{name: gw, sectionName: raw}]", &[]);
    attached(listeners, "", "[{name: gw, port: 83}]", &["gw/https *"]);
}

#[test]
fn a_bucket_is_for_the_hosts_that_route_and_listener_share() {
    let listener = |host: &str| format!("[{{name: http, port: 80, protocol: HTTP{host}}}]");
    let parent = "[{name: gw}]";
    attached(
        &listener(", hostname: a.b.c"),
        "",
        parent,
        &["gw/http a_b_c"],
    );
    let hosts = "hostnames: ['*.b.c', a.b.c, x.y]";
    attached(
        &listener(", hostname: a.b.c"),
        hosts,
        parent,
        &["gw/http a_b_c"],
    );
    attached(
        &listener(", hostname: '*.b.c'"),
        hosts,
        parent,
        &["gw/http *_b_c", "gw/http a_b_c"],
    );
    attached(&listener(", hostname: z.z"), hosts, parent, &[]);
}

#[test]
fn a_host_goes_to_the_listener_of_the_port_that_is_named_for_it() {
    let listeners = "[{name: all, port: 80, protocol: HTTP}, \
                     {name: a, port: 80, protocol: HTTP, hostname: a.b}, \
                     {name: other, port: 81, protocol: HTTP}]";
    attached(
        listeners,
        "hostnames: [a.b, c.d]",
        "[{name: gw}]",
        &["gw/a a_b", "gw/all c_d", "gw/other a_b", "gw/other c_d"],
    );
}

#[test]
fn a_listener_takes_routes_of_the_namespaces_it_allows() {
    let listener = |from: &str| {
        format!(
            "[{{name: http, port: 80, protocol: HTTP, allowedRoutes: {{namespaces: {{from: {from}}}}}}}]"
        )
    };
    let parent = "[{name: gw, namespace: default}]";
    let far = |from: &str| {
        bound(&listener(from), "", parent).replace("{name: rt}\n", "{name: rt, namespace: far}\n")
    };
    let chosen = "Selector, selector: {matchLabels: {team: a}, matchExpressions: [{key: old, operator: DoesNotExist}]}";
    let namespace = |labels: &str| {
        let namespace =
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: far, labels: {LABELS}}\n";
        far(chosen) + &namespace.replace("LABELS", labels)
    };
    let by_name = "Selector, selector: {matchLabels: {kubernetes.io/metadata.name: far}}";
    let met = &["gw/http *"][..];
    buckets(&far("Same"), &[]);
    buckets(&far("All"), met);
    buckets(&far(by_name), met);
    buckets(&far(&by_name.replace("far", "near")), &[]);
    buckets(&namespace("team: a"), met);
    buckets(&namespace("team: a, old: ''"), &[]);
    buckets(&namespace("team: b"), &[]);
    refused(
        &far(chosen),
        "HTTPRoute far/rt: spec.parentRefs: listener `http` of gateway `default/gw` selects \
         namespaces by label: Namespace `far` is not given",
    );
    let only_grpc =
        "[{name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}]";
    buckets(&bound(only_grpc, "", parent), &[]);
}

#[test]
fn a_grpc_route_has_buckets_of_its_own_kind() {
    let listeners = "[{name: http, port: 80, protocol: HTTP}]";
    let text = bound(listeners, "", "[{name: gw}]").replace("HTTPRoute", "GRPCRoute");
    let keys = |text: &str| -> Vec<String> {
        let domains = translated(text).into_iter();
        domains
            .flat_map(|it| it.descriptors)
            .map(|it| it.key)
            .collect()
    };
    assert_eq!(keys(&text), ["grpcroute/default/rt/rule/0/match/0/*"]);
    let all = text.replace("rules: [{matches: [{}]}]", "rules: [{}]");
    assert_eq!(keys(&all), ["grpcroute/default/rt/rule/0/match/-1/*"]);
}

#[test]
fn a_rule_without_matches_has_one() {
    let listeners = "[{name: http, port: 80, protocol: HTTP}]";
    let text =
        bound(listeners, "", "[{name: gw}]").replace("rules: [{matches: [{}]}]", "rules: [{}]");
    buckets(&text, &["gw/http *"]);
}

#[test]
fn chains_that_begin_alike_share_their_nodes() {
    let exact =
        "clientSelectors: [{sourceCIDR: {value: 10.1.2.3/8}}], limit: {requests: 1, unit: Hour}";
    let each = "clientSelectors: [{sourceCIDR: {value: 10.0.0.0/8, type: Distinct}}], limit: {requests: 2, unit: Hour}";
    let rules = format!("[{{{each}}}, {{{exact}}}]");
    let [block] = limited(&rules).try_into().unwrap();
    assert_eq!(requests(&block), Some(1));
    assert_eq!(block.descriptors.len(), 1);
    assert_eq!(requests(&block.descriptors[0]), Some(2));
}

#[test]
fn of_equal_chains_the_first_is_kept() {
    let rule = |n: u32| {
        format!(
            "{{clientSelectors: [{{sourceCIDR: {{value: 10.0.0.0/8, invert: true}}}}], limit: {{requests: {n}, unit: Hour}}}}"
        )
    };
    let [block] = limited(&format!("[{}, {}]", rule(5), rule(6)))
        .try_into()
        .unwrap();
    assert_eq!(block.value.text(), Some("invert:10.0.0.0/8"));
    assert_eq!(requests(&block), Some(5));
}

#[test]
fn what_a_response_says_is_a_report_and_what_a_request_says_an_ask() {
    let metadata = "from: Metadata, metadata: {namespace: a, key: b}";
    cost("", None);
    cost(
        "cost: {request: {from: Number, number: 0}}",
        Some(Cost::Ask),
    );
    cost(
        &format!("cost: {{request: {{{metadata}}}}}"),
        Some(Cost::Ask),
    );
    cost(
        &format!("cost: {{response: {{{metadata}}}}}"),
        Some(Cost::Report),
    );
    let both = format!("cost: {{request: {{from: Number, number: 0}}, response: {{{metadata}}}}}");
    cost(&both, Some(Cost::Report));
}

#[test]
fn what_cannot_be_translated_is_named_with_its_field() {
    let listeners = "[{name: http, port: 80, protocol: HTTP}]";
    let good = bound(listeners, "", "[{name: gw}]");
    let policy = "BackendTrafficPolicy default/rt: spec";
    for (from, to, expected) in [
        (
            "name: gw}]",
            "name: gx}]",
            "HTTPRoute default/rt: spec.parentRefs[0]: gateway `default/gx` is not given",
        ),
        (
            "name: gw}]",
            "name: gw, kind: Service}]",
            "HTTPRoute default/rt: spec.parentRefs[0]: a parent of kind `Service` is not supported yet",
        ),
        (
            "kind: HTTPRoute, name",
            "kind: ListenerSet, name",
            &format!("{policy}.targetRefs[0]: a target of kind `ListenerSet` is not supported yet"),
        ),
        (
            "name: rt}], ",
            "name: rt, sectionName: x}], ",
            &format!(
                "{policy}.targetRefs[0].sectionName: HTTPRoute `rt` has nothing of the name `x`"
            ),
        ),
        (
            "kind: HTTPRoute, name: rt}], ",
            "kind: Gateway, name: gw, sectionName: x}], ",
            &format!(
                "{policy}.targetRefs[0].sectionName: Gateway `gw` has nothing of the name `x`"
            ),
        ),
        (
            "kind: HTTPRoute, name: rt}], ",
            "kind: Gateway, name: gw}], mergeType: StrategicMerge, ",
            &format!(
                "{policy}.mergeType: is for policies of routes only: this one is for a gateway"
            ),
        ),
        (
            "name: rt}], ",
            "name: rt}], mergeType: Replace, ",
            &format!(
                "{policy}.mergeType: unknown merge type `Replace`: expected StrategicMerge or JSONMerge"
            ),
        ),
        (
            "{limit:",
            "{clientSelectors: [{headers: [{name: a, type: RegularExpression, value: '('}]}], limit:",
            &format!(
                "{policy}.rateLimit.global.rules[0].clientSelectors[0].headers[0].value: `(` is no regular expression (RE2)"
            ),
        ),
        (
            "{limit:",
            "{clientSelectors: [{queryParams: [{name: a, value: ''}]}], limit:",
            &format!(
                "{policy}.rateLimit.global.rules[0].clientSelectors[0].queryParams[0].value: is empty: expected a value"
            ),
        ),
        (
            "{limit:",
            "{clientSelectors: [{path: {type: RegularExpression, value: '['}}], limit:",
            &format!(
                "{policy}.rateLimit.global.rules[0].clientSelectors[0].path.value: `[` is no regular expression (RE2)"
            ),
        ),
        (
            "{limit:",
            "{clientSelectors: [{headers: [{name: a}]}], limit:",
            &format!(
                "{policy}.rateLimit.global.rules[0].clientSelectors[0].headers[0].value: is missing"
            ),
        ),
        (
            "{limit:",
            "{clientSelectors: [{queryParams: [{name: a, type: Distinct, value: b}]}], limit:",
            &format!(
                "{policy}.rateLimit.global.rules[0].clientSelectors[0].queryParams[0].value: a value with type Distinct: expected none"
            ),
        ),
        (
            "{limit:",
            "{clientSelectors: [{headers: [{name: a, type: Distinct, invert: true}]}], limit:",
            &format!(
                "{policy}.rateLimit.global.rules[0].clientSelectors[0].headers[0].invert: true with type Distinct: expected none"
            ),
        ),
        (
            "{limit:",
            "{clientSelectors: [{sourceCIDR: {value: 10.0.0.0/33}}], limit:",
            &format!(
                "{policy}.rateLimit.global.rules[0].clientSelectors[0].sourceCIDR: `10.0.0.0/33` is no block of addresses: expected one such as `10.0.0.0/8`"
            ),
        ),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from}");
        refused(&text, expected);
    }
    let twice = good.replace(
        "metadata: {name: rt}\nspec: {targetRefs",
        "metadata: {name: more}\nspec: {targetRefs",
    );
    refused(
        &format!("{good}---\n{}", twice.rsplit("---\n").next().unwrap()),
        "BackendTrafficPolicy default/more: spec.targetRefs[0]: `rt` has the policy `rt` already",
    );
}

mod policies;

fn gateway(listeners: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\n\
         spec: {{gatewayClassName: eg, listeners: {listeners}}}\n"
    )
}

fn route(hostnames: &str, parents: &str) -> String {
    let comma = if hostnames.is_empty() { "" } else { ", " };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: rt}}\n\
         spec: {{parentRefs: {parents}, {hostnames}{comma}rules: [{{matches: [{{}}]}}]}}\n"
    )
}

fn policy(rules: &str) -> String {
    format!(
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: rt}}\n\
         spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: rt}}], \
         rateLimit: {{global: {{rules: {rules}}}}}}}\n"
    )
}

/// A gateway, a route of it and a policy for the route.
fn bound(listeners: &str, hostnames: &str, parents: &str) -> String {
    let policy = policy("[{limit: {requests: 1, unit: Hour}}]");
    [gateway(listeners), route(hostnames, parents), policy].join("---\n")
}

/// What is below the one bucket of a route with these rules.
#[track_caller]
fn limited(rules: &str) -> Vec<Descriptor> {
    let listeners = "[{name: http, port: 80, protocol: HTTP}]";
    let text = [gateway(listeners), route("", "[{name: gw}]"), policy(rules)].join("---\n");
    let [domain] = translated(&text).try_into().unwrap();
    let [route] = domain.descriptors.try_into().unwrap();
    route.descriptors
}

fn requests(descriptor: &Descriptor) -> Option<u32> {
    match &descriptor.allowance {
        Some(Allowance::Limited(limit)) => Some(limit.requests),
        Some(Allowance::Unlimited) | None => None,
    }
}

#[track_caller]
fn cost(cost: &str, expected: Option<Cost>) {
    let [all] = limited(&format!("[{{limit: {{requests: 1, unit: Hour}}, {cost}}}]"))
        .try_into()
        .unwrap();
    let Some(Allowance::Limited(limit)) = all.allowance else {
        panic!("{all:?}");
    };
    assert_eq!(limit.cost, expected);
}

#[track_caller]
fn attached(listeners: &str, hostnames: &str, parents: &str, expected: &[&str]) {
    buckets(&bound(listeners, hostnames, parents), expected);
}

/// The buckets, as gateway, listener and host.
#[track_caller]
fn buckets(text: &str, expected: &[&str]) {
    let mut actual = Vec::new();
    for domain in translated(text) {
        let listener = domain.name.strip_prefix("default/").unwrap();
        for descriptor in domain.descriptors {
            let host = descriptor.key.rsplit('/').next().unwrap();
            actual.push(format!("{listener} {host}"));
        }
    }
    assert_eq!(actual, expected);
}

#[track_caller]
fn translated(text: &str) -> Vec<Domain> {
    let manifests = read::read(&Arc::from("t.yaml"), text).unwrap();
    domains(&manifests).unwrap()
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let manifests = read::read(&Arc::from("t.yaml"), text).unwrap();
    assert_eq!(domains(&manifests).unwrap_err().to_string(), expected);
}
