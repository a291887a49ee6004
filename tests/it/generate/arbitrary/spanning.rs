//! Documents of what spans routes: plans, and limits that all routes, those of a service, or all parts of
//! one share.

use proptest::prelude::*;

use crate::generate::arbitrary::subset;

/// The documents. Envoy Gateway numbers the shared limits of a route, so that limits of routes and services
/// stand beside shared ones of addresses only, which have no number in their keys.
pub(super) fn documents() -> impl Strategy<Value = Vec<String>> {
    let plans = prop::collection::vec(plan(), 0..3);
    let for_all = prop::collection::vec(limit(key()), 0..2);
    let numbered = (plans, for_all).prop_map(|(plans, limits)| {
        let plans = plans.iter().enumerate();
        let plans = plans.map(|(index, it)| format!("{{kind: Plan, name: plan-{index}, {it}}}"));
        plans.chain(shared_by_all(&limits)).collect()
    });
    let address = Just("key: {by: client_ip}".to_owned());
    let for_all = prop::collection::vec(limit(address), 0..2);
    let shared = (limit(key()), limit(key()), local(), for_all);
    let shared = shared.prop_map(|(of_service, of_route, local, for_all)| {
        let twin = |name: &str| {
            format!(
                "{{kind: Route, name: twin-{name}, api_service: twins, gateway: gw, path_prefix: /twin-{name}, \
                 methods: [GET, PUT], backend_refs: [{{backend: up}}]}}"
            )
        };
        let mut documents = vec![
            "{kind: ApiService, name: twins}".to_owned(),
            twin("a"),
            twin("b"),
            format!(
                "{{kind: Policy, name: of-twins, scope: service, api_service: twins, type: rate-limit, \
                 spec: {{shared: true, {of_service}}}}}"
            ),
            format!(
                "{{kind: Policy, name: local-of-twins, scope: service, api_service: twins, \
                 type: rate-limit, spec: {{type: Local, {local}}}}}"
            ),
            format!(
                "{{kind: Route, name: together, api_service: api, gateway: gw, path_prefix: /together, \
                 methods: [GET, PUT], backend_refs: [{{backend: up}}], rate_limit: {{shared: true, {of_route}}}}}"
            ),
        ];
        documents.extend(shared_by_all(&for_all));
        documents
    });
    prop_oneof![numbered, shared]
}

fn shared_by_all(limits: &[String]) -> impl Iterator<Item = String> {
    limits.iter().enumerate().map(|(index, limit)| {
        format!(
            "{{kind: Policy, name: of-all-{index}, scope: global, priority: {index}, type: rate-limit, \
             spec: {{shared: true, {limit}}}}}"
        )
    })
}

/// A plan without its kind and name.
fn plan() -> impl Strategy<Value = String> {
    let period = prop::sample::select(vec!["1s", "60s", "1h", "24h", "7d", "30d", "365d"]);
    let limit = (any::<u32>(), period)
        .prop_map(|(requests, period)| format!("{{requests: {requests}, period: {period}}}"));
    (limit.clone(), proptest::option::of(limit)).prop_map(|(quota, rate)| {
        let rate = rate.map(|it| format!(", rate_limit: {it}"));
        format!("quota: {quota}{}", rate.unwrap_or_default())
    })
}

/// The fields of a limit with this key and anything else that a limit can have.
pub(super) fn limit(key: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let number = (0..9_u32).prop_map(|it| format!("cost: {{request: {it}}}"));
    let response = Just("cost: {request: 0, response: {namespace: a.b, key: c}}".to_owned());
    let choice = prop::sample::select(vec!["deny", "allow", "error", "local"]);
    let fields = vec![
        (0..1_000_u32).prop_map(|it| format!("burst: {it}")).boxed(),
        prop_oneof![number, response].boxed(),
        Just("shadow: true".to_owned()).boxed(),
        choice
            .prop_map(|it| format!("on_store_failure: {it}"))
            .boxed(),
    ];
    (1..u32::MAX / 2, unit(), key, subset(fields)).prop_map(|(requests, unit, key, fields)| {
        let key = if key.is_empty() {
            key
        } else {
            format!(", {key}")
        };
        format!("requests_per_unit: {requests}, unit: {unit}{key}{fields}")
    })
}

/// The fields of a limit that each Envoy holds alone, but for its type.
fn local() -> impl Strategy<Value = String> {
    (1..=u32::MAX, unit(), key()).prop_map(|(requests, unit, key)| {
        let key = if key.is_empty() {
            key
        } else {
            format!(", {key}")
        };
        format!("requests_per_unit: {requests}, unit: {unit}{key}")
    })
}

fn key() -> impl Strategy<Value = String> {
    let keys = vec!["", "key: {by: client_ip}", "key: {by: header, name: x-u}"];
    prop::sample::select(keys).prop_map(str::to_owned)
}

fn unit() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "second", "Minute", "HOUR", "day", "week", "month", "year",
    ])
}
