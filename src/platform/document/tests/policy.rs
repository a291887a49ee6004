//! How documents of kind `Policy` are read.

use std::num::NonZeroU32;

use crate::platform::PolicySpec;
use crate::platform::Scope;
use crate::platform::document::tests::check;
use crate::platform::document::tests::good;
use crate::platform::limit::Cost;
use crate::platform::limit::Key;
use crate::platform::limit::LocalRateLimit;
use crate::platform::limit::Metadata;
use crate::platform::limit::RateLimit;
use crate::rule::limit::OnStoreFailure;
use crate::rule::limit::Unit;

#[test]
fn a_policy_has_a_scope_and_a_limit() {
    let platform = good(
        "kind: Policy
name: p1
scope: route
route: base
type: rate-limit
enabled: true
priority: 10
spec:
  requests_per_unit: 100
  unit: Minute
  burst: 20
  type: Global
  key: {by: header, name: x-user-id}
  shared: false
  shadow: true
  on_store_failure: allow
  cost: {request: 0, response: {namespace: ns, key: tokens}}",
    );
    let policy = &platform.policies[0];
    assert_eq!((&*policy.name, policy.priority), ("p1", 10));
    assert!(matches!(&policy.scope, Scope::Route(route) if route.name == "base"));
    let response = Metadata {
        namespace: "ns".to_owned(),
        key: "tokens".to_owned(),
    };
    let expected = RateLimit {
        requests: 100,
        burst: 20,
        unit: Unit::Minute,
        key: Key::Header("x-user-id".to_owned()),
        shared: false,
        shadow: true,
        cost: Cost {
            request: Some(0),
            response: Some(response),
        },
        on_store_failure: Some(OnStoreFailure::Allow),
    };
    assert_eq!(policy.spec, PolicySpec::RateLimit(expected));
}

#[test]
fn little_has_to_be_said() {
    let platform = good(&policy("requests_per_unit: 0, unit: year"));
    let policy = &platform.policies[0];
    assert_eq!((policy.priority, &policy.scope), (0, &Scope::Global));
    let PolicySpec::RateLimit(limit) = &policy.spec else {
        panic!("{policy:?}");
    };
    assert_eq!((&limit.key, limit.shadow), (&Key::All, false));
    assert_eq!(limit.burst, 0);
    assert_eq!(limit.cost, Cost::default());
}

#[test]
fn the_scope_says_what_is_named() {
    scope(
        "scope: planet",
        &["t.yaml:3: scope: unknown value `planet`: expected global, service or route"],
    );
    scope(
        "scope: global\nroute: base\napi_service: api",
        &[
            "t.yaml:4: route: `route` is for scope route",
            "t.yaml:5: api_service: `api_service` is for scope service",
        ],
    );
    scope(
        "scope: service\nroute: base",
        &[
            "t.yaml:1: `api_service` is missing",
            "t.yaml:4: route: `route` is for scope route",
        ],
    );
    scope(
        "scope: route\nroute: bose",
        &["t.yaml:4: route: unknown route `bose`: did you mean `base`?"],
    );
    scope(
        "scope: service\napi_service: apo",
        &["t.yaml:4: api_service: unknown API service `apo`: did you mean `api`?"],
    );
}

#[test]
fn what_is_disabled_or_for_something_inactive_limits_nothing() {
    let rest = "type: rate-limit, spec: {requests_per_unit: 1, unit: day}";
    for target in [
        "scope: global, enabled: false",
        "scope: service, api_service: api-off",
    ] {
        let platform = good(&format!("{{kind: Policy, name: p1, {target}, {rest}}}"));
        assert_eq!(platform.policies, [], "{target}");
    }
    let platform = good(&format!(
        "{{kind: Policy, name: p1, scope: route, route: draft, {rest}}}
---
{{kind: Route, name: draft, status: draft, api_service: api, gateway: gw, path_prefix: /, backend_refs: [{{backend: up}}]}}"
    ));
    assert_eq!(platform.policies, []);
}

#[test]
fn a_mistyped_type_is_told_the_types() {
    check(
        "kind: Policy\nname: p1\nscope: global\ntype: ratelimit\nspec: {}",
        &["t.yaml:4: type: unknown value `ratelimit`: did you mean `rate-limit`?"],
    );
}

#[test]
fn a_mistyped_unit_is_told_the_units() {
    spec(
        "requests_per_unit: 1, unit: hours",
        &["spec.unit: unknown unit `hours`: did you mean `hour`?"],
    );
}

#[test]
fn a_limit_is_checked_field_by_field() {
    spec(
        "requests_per_unit: -1, unit: day, per: x",
        &[
            "spec.requests_per_unit: expected a whole number from 0 to 4294967295, found `-1`",
            "spec.per: unknown key `per`: expected type, requests_per_unit, burst, unit, key, shared, shadow, \
             cost or on_store_failure",
        ],
    );
    spec(
        "priority: 1",
        &[
            "spec: `requests_per_unit` is missing",
            "spec: `unit` is missing",
            "spec.priority: unknown key `priority`: expected type, requests_per_unit, burst, unit, key, shared, shadow, \
             cost or on_store_failure",
        ],
    );
    limit("key: {by: header}", &["spec.key: `name` is missing"]);
    limit(
        "key: {by: header, name: 'x y'}",
        &["spec.key.name: `x y` is not the name of a header or query parameter"],
    );
    limit(
        "key: {by: client_ip, name: x}",
        &["spec.key.name: unknown key `name`: expected by"],
    );
    limit(
        "key: {by: moon, name: x}",
        &["spec.key.by: unknown value `moon`: expected client_ip, header, user or consumer"],
    );
    limit(
        "cost: {request: a, response: {namespace: '', value: x}, x: y}",
        &[
            "spec.cost.request: expected a whole number from 0 to 4294967295, found `a`",
            "spec.cost.response.namespace: `` is not a name",
            "spec.cost.response: `key` is missing",
            "spec.cost.response.value: unknown key `value`: expected namespace or key",
            "spec.cost.x: unknown key `x`: expected request or response",
        ],
    );
    limit(
        "shadow: on",
        &["spec.shadow: expected true or false, found `on`"],
    );
}

#[test]
fn a_limit_at_each_envoy_says_no_more_than_envoy_gateway_takes() {
    let platform = good(&policy(
        "requests_per_unit: 10, unit: second, type: Local, key: {by: client_ip}",
    ));
    let expected = LocalRateLimit {
        requests: NonZeroU32::new(10).unwrap(),
        unit: Unit::Second,
        key: Key::ClientIp,
    };
    let spec = &platform.policies[0].spec;
    assert_eq!(*spec, PolicySpec::LocalRateLimit(expected));
    let refused = |name: &str| {
        format!(
            "spec.{name}: a limit of type Local has no `{name}`: Envoy Gateway has it for limits \
             of type Global only"
        )
    };
    let refused = ["burst", "shared", "shadow", "cost"].map(refused);
    limit(
        "type: Local, burst: 1, shared: true, shadow: true, cost: {request: 1}",
        &refused.each_ref().map(String::as_str),
    );
    limit(
        "type: Locals",
        &["spec.type: unknown value `Locals`: did you mean `Local`?"],
    );
    self::spec(
        "requests_per_unit: 0, unit: day, type: Local",
        &["spec.requests_per_unit: expected a whole number from 1 to 4294967295, found `0`"],
    );
}

#[test]
fn a_burst_goes_with_a_limit_above_zero() {
    limit("burst: 4294967294", &[]);
    limit(
        "burst: 4294967295",
        &["spec.burst: expected a whole number from 0 to 4294967294, found `4294967295`"],
    );
    spec(
        "requests_per_unit: 0, unit: day, burst: 1",
        &["spec.burst: `burst` needs a `requests_per_unit` of at least 1"],
    );
    spec(
        "requests_per_unit: x, unit: day, burst: 1",
        &["spec.requests_per_unit: expected a whole number from 0 to 4294967295, found `x`"],
    );
}

#[test]
fn nobody_but_authentication_names_a_consumer_or_a_plan() {
    for name in ["X-Imprun-Consumer", "x-imprun-plan"] {
        let message = format!(
            "base.yaml:17: the limit of policy `p1` is for each value of `{name}`, which only \
             `auth_mode: apikey` sets"
        );
        let key = format!("requests_per_unit: 1, unit: day, key: {{by: header, name: {name}}}");
        check(&policy(&key), &[&message]);
    }
}

#[test]
fn a_consumer_is_named_by_the_authentication_of_the_route() {
    const UNKNOWN: &str = "base.yaml:17: the limit of policy `p1` is for each consumer, whom only \
                           `auth_mode: apikey` names";
    check(
        &policy("requests_per_unit: 1, unit: day, key: {by: consumer}"),
        &[UNKNOWN],
    );
    check(
        &policy("requests_per_unit: 1, unit: day, key: {by: consumer, name: x}"),
        &[
            UNKNOWN,
            "t.yaml:1: spec.key.name: unknown key `name`: expected by",
        ],
    );
}

#[test]
fn a_user_is_named_by_the_token_of_the_route() {
    let route = |auth: &str| {
        format!(
            "{{kind: Route, name: r1, api_service: api, gateway: gw, path_prefix: /r1, \
             backend_refs: [{{backend: up}}], rate_limit: {{requests_per_unit: 1, unit: day, \
             key: {{by: user}}}}, {auth}}}"
        )
    };
    let token = |claim: &str| {
        route(&format!(
            "auth_mode: jwt, auth_config: {{issuer: 'https://a.b', claim_to_headers: \
             [{{claim: {claim}, header: x-u}}]}}"
        ))
    };
    let platform = good(&token("sub"));
    let found = platform.routes.iter().find(|it| it.name == "r1").unwrap();
    let limit = found.rate_limit.as_ref().unwrap();
    assert_eq!(limit.key, Key::User("sub".to_owned()));
    assert_eq!(found.header_of("sub"), Some("x-u"));
    let unknown = |claim: &str| {
        format!(
            "t.yaml:1: the limit is for each user, whom only a token names: expected \
             `auth_mode: jwt` with the claim `{claim}` in `auth_config.claim_to_headers`"
        )
    };
    check(&token("email"), &[&unknown("sub")]);
    check(&route("auth_mode: none"), &[&unknown("sub")]);
    let text = |claim: &str| token("sub").replace("by: user", &format!("by: user, claim: {claim}"));
    check(&text("email"), &[&unknown("email")]);
    check(&text("sub"), &[]);
    check(
        &text("''"),
        &["t.yaml:1: rate_limit.key.claim: `` is not a claim"],
    );
}

fn policy(spec: &str) -> String {
    format!("{{kind: Policy, name: p1, scope: global, type: rate-limit, spec: {{{spec}}}}}")
}

#[track_caller]
fn scope(scope: &str, expected: &[&str]) {
    let rest = "type: rate-limit\nspec: {requests_per_unit: 1, unit: day}";
    check(
        &format!("kind: Policy\nname: p1\n{scope}\n{rest}"),
        expected,
    );
}

#[track_caller]
fn limit(field: &str, expected: &[&str]) {
    spec(
        &format!("requests_per_unit: 1, unit: day, {field}"),
        expected,
    );
}

#[track_caller]
fn spec(spec: &str, expected: &[&str]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|it| format!("t.yaml:1: {it}"))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&policy(spec), &expected);
}
