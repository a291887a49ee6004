//! How it is read what backends, routes and policies say of the way to backends.

use crate::platform::PolicySpec;
use crate::platform::document::tests::check;
use crate::platform::document::tests::good;
use crate::platform::span::Span;
use crate::platform::traffic::Backoff;
use crate::platform::traffic::CircuitBreaker;
use crate::platform::traffic::Hash;
use crate::platform::traffic::HealthCheck;
use crate::platform::traffic::LoadBalancer;
use crate::platform::traffic::Probe;
use crate::platform::traffic::Retry;
use crate::platform::traffic::RetryOn;
use crate::platform::traffic::Timeout;

#[test]
fn a_backend_says_how_it_is_reached() {
    let platform = good(&backend(
        "lb_policy: ConsistentHash
consistent_hash: {type: Header, header_name: x-user-id}
connect_timeout_ms: 1000
timeout_ms: 30000
idle_timeout_ms: 1500
health_check: {type: HTTP, interval: 10s, timeout: 2s, healthy_threshold: 2,
               unhealthy_threshold: 3, http: {path: '/health?deep=1', expected_statuses: [200, 204]}}
circuit_breaker: {max_connections: 1, max_pending_requests: 2, max_requests: 0, max_retries: 4294967295}
retry: {num_retries: 2, retry_on: [5xx, reset, 503], per_try_timeout: 5s}",
    ));
    let backend = platform.backends.iter().find(|it| it.name == "x1").unwrap();
    let hash = Hash::Header("x-user-id".to_owned());
    assert_eq!(
        backend.load_balancer,
        Some(LoadBalancer::ConsistentHash(hash))
    );
    let timeout = Timeout {
        request: Some(span("30s")),
        idle: Some(span("1500ms")),
        connect: Some(span("1s")),
    };
    assert_eq!(backend.timeout, timeout);
    let check = HealthCheck {
        interval: Some(span("10s")),
        timeout: Some(span("2s")),
        healthy_threshold: Some(2),
        unhealthy_threshold: Some(3),
        probe: Probe::Http {
            path: "/health?deep=1".to_owned(),
            expected_statuses: vec![200, 204],
        },
    };
    assert_eq!(backend.health_check, Some(check));
    let breaker = CircuitBreaker {
        max_connections: Some(1),
        max_pending_requests: Some(2),
        max_requests: Some(0),
        max_retries: Some(u32::MAX),
    };
    assert_eq!(backend.circuit_breaker, Some(breaker));
    let retry = Retry {
        num_retries: Some(2),
        retry_on: vec![
            RetryOn::Trigger("5xx"),
            RetryOn::Trigger("reset"),
            RetryOn::Status(503),
        ],
        per_try_timeout: Some(span("5s")),
        backoff: None,
    };
    assert_eq!(backend.retry, Some(retry));
}

#[test]
fn a_route_and_a_policy_say_it_as_well() {
    let route = "{kind: Route, name: r1, api_service: api, gateway: gw, path_prefix: /r1, backend_refs: [{backend: up}],
 retry: {backoff: {base_interval: 25ms, max_interval: 250ms}}, timeout: {request_timeout: 0s}}";
    let platform = good(&format!(
        "{route}\n---\n{}\n---\n{}\n---\n{}",
        policy("p1", "retry", "{num_retries: 0}"),
        policy("p2", "timeout", "{idle_timeout: 1h, connect_timeout: 1s}"),
        policy("p3", "circuit-breaker", "{max_retries: 3}"),
    ));
    let route = platform.routes.iter().find(|it| it.name == "r1").unwrap();
    let backoff = Backoff {
        base_interval: span("25ms"),
        max_interval: Some(span("250ms")),
    };
    let retry = Retry {
        backoff: Some(backoff),
        ..Retry::default()
    };
    assert_eq!(route.retry, Some(retry));
    let timeout = Timeout {
        request: Some(span("0s")),
        ..Timeout::default()
    };
    assert_eq!(route.timeout, timeout);
    let specs: Vec<_> = platform.policies.iter().map(|it| &it.spec).collect();
    let retry = Retry {
        num_retries: Some(0),
        ..Retry::default()
    };
    let timeout = Timeout {
        idle: Some(span("1h")),
        connect: Some(span("1s")),
        ..Timeout::default()
    };
    let breaker = CircuitBreaker {
        max_retries: Some(3),
        ..CircuitBreaker::default()
    };
    let expected = [
        &PolicySpec::Retry(retry),
        &PolicySpec::Timeout(timeout),
        &PolicySpec::CircuitBreaker(breaker),
    ];
    assert_eq!(specs, expected);
}

#[test]
fn a_retry_is_checked_field_by_field() {
    check(
        &policy(
            "p1",
            "retry",
            "{num_retries: -1, retry_on: [5xy, 5xx, 5xx, 600, 503, 503, retriable-status-codes], \
             per_try_timeout: 5, backoff: {base_interval: 0s, max: 1s}, times: 2}",
        ),
        &[
            "t.yaml:1: spec.num_retries: expected a whole number from 0 to 2147483647, found `-1`",
            "t.yaml:1: spec.retry_on[0]: unknown failure `5xy`: did you mean `5xx`?",
            "t.yaml:1: spec.retry_on[2]: `5xx` stands here twice",
            "t.yaml:1: spec.retry_on[3]: expected a whole number from 100 to 599, found `600`",
            "t.yaml:1: spec.retry_on[5]: `503` stands here twice",
            "t.yaml:1: spec.retry_on[6]: `retriable-status-codes` has no codes: expected the codes \
             in its place, such as `503`",
            "t.yaml:1: spec.per_try_timeout: `5` is not a length of time: expected one such as \
             `30s`, `1h30m` or `250ms`",
            "t.yaml:1: spec.backoff.base_interval: `0s` is no time at all: expected more",
            "t.yaml:1: spec.backoff.max: unknown key `max`: did you mean `max_interval`?",
            "t.yaml:1: spec.times: unknown key `times`: expected num_retries, retry_on, \
             per_try_timeout or backoff",
        ],
    );
    check(
        &policy(
            "p1",
            "retry",
            "{retry_on: [], backoff: {base_interval: 1s, max_interval: 999ms}}",
        ),
        &[
            "t.yaml:1: spec.retry_on: expected at least one failure, such as `5xx`, `reset` or `503`",
            "t.yaml:1: spec.backoff.max_interval: `999ms` is less than `base_interval`: `1s`",
        ],
    );
    check(
        &policy("p1", "retry", "{backoff: {max_interval: 1s}}"),
        &["t.yaml:1: spec.backoff: `base_interval` is missing"],
    );
}

#[test]
fn timeouts_and_circuit_breakers_say_something() {
    check(
        &policy("p1", "timeout", "{}"),
        &[
            "t.yaml:1: spec: expected at least one of request_timeout, idle_timeout and connect_timeout",
        ],
    );
    check(
        &policy("p1", "timeout", "{connect_timeout: 0ms}"),
        &["t.yaml:1: spec.connect_timeout: `0ms` is no time at all: expected more"],
    );
    check(
        &policy("p1", "circuit-breaker", "{max_retryes: 1}"),
        &[
            "t.yaml:1: spec: expected at least one of max_connections, max_pending_requests, \
             max_requests and max_retries",
            "t.yaml:1: spec.max_retryes: unknown key `max_retryes`: did you mean `max_retries`?",
        ],
    );
    check(
        &policy("p1", "circuit-breaker", "{max_retries: 4294967296}"),
        &[
            "t.yaml:1: spec.max_retries: expected a whole number from 0 to 4294967295, found `4294967296`",
        ],
    );
    check(
        "{kind: Route, name: r1, api_service: api, gateway: gw, path_prefix: /r1, backend_refs: [{backend: up}],
 timeouts: {request: 10s}, timeout: {request_timeout: 30s}}",
        &[
            "t.yaml:2: timeout: `request_timeout` is `30s`, but `timeouts.request` is `10s`: \
             expected one of them",
        ],
    );
}

#[test]
fn what_is_hashed_belongs_to_the_policy_that_hashes() {
    for (fields, expected) in [
        (
            "lb_policy: ConsistentHash",
            "lb_policy: lb_policy ConsistentHash needs a `consistent_hash`",
        ),
        (
            "lb_policy: Random, consistent_hash: {type: SourceIP}",
            "consistent_hash: `consistent_hash` is for lb_policy ConsistentHash",
        ),
        (
            "consistent_hash: {type: SourceIP}",
            "consistent_hash: `consistent_hash` is for lb_policy ConsistentHash",
        ),
        (
            "lb_policy: LeastRequests",
            "lb_policy: unknown value `LeastRequests`: did you mean `LeastRequest`?",
        ),
        (
            "lb_policy: ConsistentHash, consistent_hash: {type: Header}",
            "consistent_hash: `header_name` is missing",
        ),
        (
            "lb_policy: ConsistentHash, consistent_hash: {type: Cookie, name: a, ttl: 1, header_name: x}",
            "consistent_hash.header_name: unknown key `header_name`: expected type, name or ttl|\
             consistent_hash.ttl: `1` is not a length of time: expected one such as `30s`, \
             `1h30m` or `250ms`",
        ),
        (
            "lb_policy: ConsistentHash, consistent_hash: {type: Path, name: a}",
            "consistent_hash.type: unknown value `Path`: expected SourceIP, Header or Cookie",
        ),
    ] {
        faults(fields, expected);
    }
    let platform = good(&backend(
        "lb_policy: ConsistentHash\nconsistent_hash: {type: Cookie, name: a, ttl: 0s}",
    ));
    let backend = platform.backends.iter().find(|it| it.name == "x1").unwrap();
    let hash = Hash::Cookie {
        name: "a".to_owned(),
        ttl: Some(span("0s")),
    };
    assert_eq!(
        backend.load_balancer,
        Some(LoadBalancer::ConsistentHash(hash))
    );
}

#[test]
fn a_health_check_asks_in_the_language_of_its_type() {
    for (fields, expected) in [
        (
            "health_check: {type: HTTP}",
            "health_check: a health check of type HTTP needs `http`",
        ),
        (
            "health_check: {type: TCP, http: {path: /}}",
            "health_check.http: `http` is for type HTTP",
        ),
        (
            "health_check: {type: HTTP, http: {path: x}, grpc: {}}",
            "health_check.grpc: `grpc` is for type GRPC|\
             health_check.http.path: `x` is not a path that begins with `/`",
        ),
        (
            "health_check: {type: HTTP, interval: 0s, healthy_threshold: 0, http: {path: /, expected_statuses: [99, 200, 200]}}",
            "health_check.healthy_threshold: expected a whole number from 1 to 2147483647, found `0`|\
             health_check.http.expected_statuses[0]: expected a whole number from 100 to 599, found `99`|\
             health_check.http.expected_statuses[2]: `200` stands here twice|\
             health_check.interval: `0s` is no time at all: expected more",
        ),
        (
            "health_check: {type: PING}",
            "health_check.type: unknown value `PING`: expected HTTP, TCP or GRPC",
        ),
    ] {
        faults(fields, expected);
    }
    let platform = good(&backend(
        "health_check: {type: GRPC, grpc: {service: chat}}",
    ));
    let backend = platform.backends.iter().find(|it| it.name == "x1").unwrap();
    let probe = Probe::Grpc {
        service: Some("chat".to_owned()),
    };
    assert_eq!(backend.health_check.as_ref().unwrap().probe, probe);
}

#[test]
fn the_backends_of_a_route_agree_about_what_it_has_one_of() {
    let backends = |first: &str, second: &str, rest: &str| {
        format!(
            "{{kind: Backend, name: b1, scheme: http, endpoints: [{{host: a.b, port: 1}}], {first}}}
---
{{kind: Backend, name: b2, scheme: http, endpoints: [{{host: a.b, port: 1}}], {second}}}
---
{{kind: Route, name: rt, api_service: api, gateway: gw, path_prefix: /rt, {rest}
  backend_refs: [{{backend: b1}}, {{backend: b2}}]}}"
        )
    };
    let all = "lb_policy: Random, retry: {num_retries: 1}, timeout_ms: 1, idle_timeout_ms: 1, \
               connect_timeout_ms: 1, circuit_breaker: {max_retries: 1}, health_check: {type: TCP}";
    check(&backends(all, all, ""), &[]);
    check(
        &backends(all, "timeout_ms: 1", ""),
        &[
            "t.yaml:5: the backends of route `rt` differ in `retry` (`b1`, `b2`), \
             `idle_timeout_ms` (`b1`, `b2`), `connect_timeout_ms` (`b1`, `b2`), \
             `circuit_breaker` (`b1`, `b2`), `lb_policy` (`b1`, `b2`), `health_check` (`b1`, \
             `b2`), of which Envoy Gateway has one for a route: expected the same in each \
             backend, or several routes",
        ],
    );
    // Where a policy or the route says it, nobody asks them.
    let (first, second) = (
        "timeout_ms: 1, retry: {num_retries: 1}, circuit_breaker: {max_retries: 1}",
        "timeout_ms: 2",
    );
    let text = backends(
        first,
        second,
        "timeout: {request_timeout: 1s}, retry: {num_retries: 2},",
    ) + "\n---\n"
        + &policy("p1", "circuit-breaker", "{max_retries: 3}");
    check(&text, &[]);
}

fn span(text: &str) -> Span {
    Span::try_from(text).unwrap()
}

/// A backend with more fields, one a line.
fn backend(fields: &str) -> String {
    format!("kind: Backend\nname: x1\nscheme: http\nendpoints: [{{host: a.b, port: 1}}]\n{fields}")
}

fn policy(name: &str, policy_type: &str, spec: &str) -> String {
    format!("{{kind: Policy, name: {name}, scope: global, type: {policy_type}, spec: {spec}}}")
}

/// A backend with more fields in one line has these faults, in any order.
#[track_caller]
fn faults(fields: &str, expected: &str) {
    let text = format!(
        "{{kind: Backend, name: x1, scheme: http, endpoints: [{{host: a.b, port: 1}}], {fields}}}"
    );
    let mut actual = crate::platform::document::tests::platform(&text).1;
    actual.sort();
    let expected: Vec<String> = expected
        .split('|')
        .map(|it| format!("t.yaml:1: {it}"))
        .collect();
    assert_eq!(actual, expected);
}
