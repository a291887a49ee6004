//! How documents of kind `Route` are read.

use crate::platform::HeaderValue;
use crate::platform::Method;
use crate::platform::PathMatch;
use crate::platform::QueryValue;
use crate::platform::document::tests::check;
use crate::platform::document::tests::good;
use crate::platform::document::tests::names;

#[test]
fn a_route_matches_and_leads_somewhere() {
    let platform = good(
        "kind: Route
name: r1
api_service: api
gateway: gw
listener: http
hostnames: [a.example.com, '*.example.com']
path_exact: /a%20b
methods: [GET, POST]
headers:
  - {name: x-a, value: on}
  - {name: x-b, type: Present}
  - {name: x-c, type: RegularExpression, value: '[a-z]+'}
query_params:
  - {name: q, value: '1'}
  - {name: r, type: RegularExpression, value: '\\d'}
backend_refs: [{backend: up, weight: 100}]
tags: {tier: gold}
auth_mode: none
rate_limit: {requests_per_unit: 1, unit: second}",
    );
    let route = &platform.routes[1];
    assert_eq!(route.name, "r1");
    assert_eq!(route.listener, Some(0));
    assert_eq!(route.hostnames.len(), 2);
    assert_eq!(route.path, PathMatch::Exact("/a%20b".to_owned()));
    assert_eq!(route.methods, [Method::Get, Method::Post]);
    let headers: Vec<_> = route.headers.iter().map(|it| it.value.clone()).collect();
    let expected = [
        HeaderValue::Exact("on".to_owned()),
        HeaderValue::Present,
        HeaderValue::Regex("[a-z]+".to_owned()),
    ];
    assert_eq!(headers, expected);
    let params: Vec<_> = route
        .query_params
        .iter()
        .map(|it| it.value.clone())
        .collect();
    let expected = [
        QueryValue::Exact("1".to_owned()),
        QueryValue::Regex("\\d".to_owned()),
    ];
    assert_eq!(params, expected);
    assert_eq!(route.backends[0].backend.name, "up");
    assert_eq!(route.backends[0].weight, Some(100));
    assert_eq!(route.tags["tier"], "gold");
    assert_eq!(route.rate_limit.as_ref().unwrap().requests, 1);
}

#[test]
fn a_reference_that_leads_nowhere_is_told_what_there_is() {
    check(
        "kind: Route
name: r1
api_service: apo
gateway: go
path_prefix: /
backend_refs: [{backend: down}]",
        &[
            "t.yaml:3: api_service: unknown API service `apo`: did you mean `api`?",
            "t.yaml:4: gateway: unknown gateway `go`: expected gw or gw-off",
            "t.yaml:6: backend_refs[0].backend: unknown backend `down`: expected up or up-off",
        ],
    );
    route(
        "listener: https",
        &["t.yaml:7: listener: unknown listener `https` of gateway `gw`: did you mean `http`?"],
    );
    route(
        "listener: tls",
        &["t.yaml:7: listener: listener `tls` is of protocol TLS: expected HTTP or HTTPS"],
    );
}

#[test]
fn a_reference_to_what_has_faults_is_no_second_fault() {
    check(
        "{kind: ApiService, name: bad, version: a b}
---
{kind: Backend, name: bad, scheme: ftp, endpoints: [{host: a.b, port: 1}]}
---
{kind: Route, name: r1, api_service: bad, gateway: gw, path_prefix: /, backend_refs: [{backend: bad}]}",
        &[
            "t.yaml:1: version: `a b` is not a label: at most 63 letters, digits and inner `-`, `_` and `.`",
            "t.yaml:3: scheme: unknown value `ftp`: expected http, https, grpc or grpcs",
        ],
    );
}

#[test]
fn exactly_one_kind_of_path_is_given() {
    let expected = "t.yaml:1: expected one of path_prefix, path_exact and path_regex, found";
    route(
        "path_exact: /",
        &[&format!("{expected} path_prefix and path_exact")],
    );
    check(
        "{kind: Route, name: r1, api_service: api, gateway: gw, backend_refs: [{backend: up}]}",
        &[&format!("{expected} none")],
    );
}

#[test]
fn a_path_is_one_that_gateway_api_takes() {
    for (path, must) in [
        ("x", "begin with `/`"),
        ("/a//b", "not have `//` in it"),
        ("/a/../b", "not have `/../` in it"),
        ("/a/.", "not end with a dot as its last element"),
        ("/a%2Fb", "not have `%2F` in it"),
        ("/a%4", "be percent-encoded, without query and fragment"),
        ("/a?b", "be percent-encoded, without query and fragment"),
        ("/ü", "be percent-encoded, without query and fragment"),
    ] {
        path_of(
            "path_exact",
            path,
            &format!("`{path}` is not a path: it must {must}"),
        );
    }
    let long = format!("/{}", "x".repeat(1_024));
    path_of(
        "path_exact",
        &long,
        &format!("`{long}` is not a path: it must have at most 1024 characters"),
    );
    path_of(
        "path_regex",
        "/(",
        "`/(` is not a regular expression: unclosed group",
    );
    path_of(
        "path_regex",
        "/(?=x)",
        "`/(?=x)` is not a regular expression: look-around, including look-ahead and look-behind, is not supported",
    );
}

#[test]
fn a_hostname_is_one_of_the_listeners() {
    route("hostnames: [a.example.com, '*.b.example.com']", &[]);
    route(
        "hostnames: [a.example.com, example.com, a.example.com]",
        &[
            "t.yaml:7: hostnames[2]: `a.example.com` stands here twice",
            "t.yaml:7: hostnames[1]: `example.com` is no host of gateway `gw`: did you mean `*.example.com`?",
        ],
    );
    let many: Vec<String> = (0..17).map(|n| format!("h{n}.example.com")).collect();
    route(
        &format!("hostnames: [{}]", many.join(", ")),
        &[
            "t.yaml:7: hostnames: expected at most 16 hostnames, found 17: make several routes of it, or use a wildcard",
        ],
    );
}

#[test]
fn a_gateway_without_http_takes_no_routes() {
    check(
        "{kind: Gateway, name: raw, listeners: [{name: a, port: 1, protocol: TLS, tls: {mode: Passthrough}}]}
---
{kind: Route, name: r1, api_service: api, gateway: raw, path_prefix: /, backend_refs: [{backend: up}]}",
        &["t.yaml:3: gateway `raw` has no listener of protocol HTTP or HTTPS"],
    );
}

#[test]
fn weights_share_out_the_whole() {
    let two = |a: &str, b: &str| {
        format!(
            "kind: Route
name: r1
api_service: api
gateway: gw
path_prefix: /
backend_refs: [{{backend: up{a}}}, {{backend: up2{b}}}]
---
{{kind: Backend, name: up2, scheme: http, endpoints: [{{host: a.b, port: 1}}]}}"
        )
    };
    check(&two("", ""), &[]);
    check(&two(", weight: 0", ", weight: 100"), &[]);
    check(
        &two(", weight: 50", ", weight: 49"),
        &["t.yaml:6: backend_refs: expected weights that sum to 100, found 99"],
    );
    let unknown = two(", weight: 50", ", weight: 49").replace("backend: up2,", "backend: upp2,");
    check(
        &unknown,
        &[
            "t.yaml:6: backend_refs[1].backend: unknown backend `upp2`: did you mean `up2`?",
            "t.yaml:6: backend_refs: expected weights that sum to 100, found 99",
        ],
    );
    check(
        &two(", weight: 100", ""),
        &["t.yaml:6: backend_refs: expected a weight for each backend or for none"],
    );
    check(
        &two(", weight: 101", ""),
        &["t.yaml:6: backend_refs[0].weight: expected a whole number from 0 to 100, found `101`"],
    );
}

#[test]
fn backends_stand_once_and_there_is_one() {
    let refs = |refs: &str| {
        format!(
            "kind: Route\nname: r1\napi_service: api\ngateway: gw\npath_prefix: /\nbackend_refs: {refs}"
        )
    };
    check(
        &refs("[{backend: up}, {backend: up}]"),
        &["t.yaml:6: backend_refs[1]: backend `up` stands on line 6 already"],
    );
    check(
        &refs("[]"),
        &["t.yaml:6: backend_refs: expected at least one backend"],
    );
    check(
        &refs("[{}]"),
        &["t.yaml:6: backend_refs[0]: `backend` is missing"],
    );
}

#[test]
fn a_backend_in_parts_counts_as_several() {
    let backend = |name: &str, weights: std::ops::Range<u8>| {
        let endpoints: Vec<String> = weights
            .map(|weight| format!("{{host: a.b, port: 1, weight: {weight}}}"))
            .collect();
        let endpoints = endpoints.join(", ");
        format!("{{kind: Backend, name: {name}, scheme: http, endpoints: [{endpoints}]}}\n---\n")
    };
    let route = "{kind: Route, name: r1, api_service: api, gateway: gw, path_prefix: /r1, \
                 backend_refs: [{backend: b1}, {backend: b2}]}";
    check(&(backend("b1", 1..2) + &backend("b2", 1..16) + route), &[]);
    check(
        &(backend("b1", 1..3) + &backend("b2", 1..16) + route),
        &[
            "t.yaml:5: backend_refs: expected at most 16 backends, and as many for one as it has \
             weights and sorts of endpoints, found 17: put endpoints with one weight and of one \
             sort into one backend",
        ],
    );
    let asked = "{kind: Route, name: r1, api_service: api, gateway: gw, path_prefix: /r1, \
                 backend_refs: [{backend: up}], auth_mode: apikey, auth_config: {backend: b1, header: x-k}}";
    check(&(backend("b1", 1..17) + asked), &[]);
    check(
        &(backend("b1", 1..18) + asked),
        &[
            "t.yaml:3: auth_config.backend: expected at most 16 backends, and as many for one as \
             it has weights and sorts of endpoints, found 17: put endpoints with one weight and of \
             one sort into one backend",
        ],
    );
    let primes = |name: &str, weights: [u8; 3]| {
        let endpoints = weights.map(|it| format!("{{host: a.b, port: 1, weight: {it}}}"));
        let endpoints = endpoints.join(", ");
        format!("{{kind: Backend, name: {name}, scheme: http, endpoints: [{endpoints}]}}\n---\n")
    };
    check(
        &(primes("b1", [97, 89, 83]) + &primes("b2", [97, 89, 85]) + route),
        &[],
    );
    check(
        &(primes("b1", [97, 89, 83])
            + &primes("b2", [97, 89, 85])
            + &primes("b3", [97, 89, 81])
            + &route.replace("{backend: b2}", "{backend: b2}, {backend: b3}")),
        &[
            "t.yaml:7: backend_refs: the weights of the backends and of their endpoints make \
             shares that have no common measure of at most 1000000: expected rounder weights",
        ],
    );
}

#[test]
fn an_active_route_needs_active_backends() {
    let text = |status: &str| {
        format!(
            "kind: Route\nname: r1\napi_service: api\ngateway: gw\npath_prefix: /\nbackend_refs: [{{backend: up-off}}]\nstatus: {status}"
        )
    };
    check(
        &text("active"),
        &[
            "t.yaml:6: backend_refs[0].backend: backend `up-off` is inactive, but the route is active",
        ],
    );
    check(&text("inactive"), &[]);
    check(&text("draft"), &[]);
}

#[test]
fn a_route_is_left_out_with_its_gateway_or_service() {
    for (service, gateway) in [("api-off", "gw"), ("api", "gw-off")] {
        let platform = good(&format!(
            "{{kind: Route, name: r1, api_service: {service}, gateway: {gateway}, path_prefix: /, backend_refs: [{{backend: up}}]}}"
        ));
        assert_eq!(names(&platform.routes, |it| &it.name), ["base"]);
    }
}

#[test]
fn matches_are_checked_field_by_field() {
    route(
        "methods: [get, PUT, PUT]",
        &[
            "t.yaml:7: methods[0]: unknown value `get`: did you mean `GET`?",
            "t.yaml:7: methods[2]: `PUT` stands here twice",
        ],
    );
    route(
        "headers: [{name: x-a, value: 1}, {name: X-A, value: 2}, {name: b}, {name: c, type: Present, value: x}, {name: 'a b', type: Regex, value: x}]",
        &[
            "t.yaml:7: headers[1]: header `X-A` stands here twice",
            "t.yaml:7: headers[2]: `value` is missing",
            "t.yaml:7: headers[3].value: a header of type Present has no value",
            "t.yaml:7: headers[4].name: `a b` is not the name of a header or query parameter",
            "t.yaml:7: headers[4].type: unknown value `Regex`: expected Exact, RegularExpression or Present",
        ],
    );
    route(
        "query_params: [{name: a, value: 1}, {name: a, value: 2}, {name: b, type: Present, value: x}, {name: c, type: RegularExpression, value: '['}]",
        &[
            "t.yaml:7: query_params[1]: parameter `a` stands here twice",
            "t.yaml:7: query_params[2].type: unknown value `Present`: expected Exact or RegularExpression",
            "t.yaml:7: query_params[3].value: `[` is not a regular expression: unclosed character class",
        ],
    );
}

#[track_caller]
fn path_of(kind: &str, path: &str, message: &str) {
    check(
        &format!(
            "kind: Route\nname: r1\napi_service: api\ngateway: gw\nbackend_refs: [{{backend: up}}]\n{kind}: '{path}'"
        ),
        &[&format!("t.yaml:6: {kind}: {message}")],
    );
}

/// A good route with one more line, its seventh.
#[track_caller]
fn route(line: &str, expected: &[&str]) {
    check(
        &format!(
            "kind: Route\nname: r1\napi_service: api\ngateway: gw\npath_prefix: /\nbackend_refs: [{{backend: up}}]\n{line}"
        ),
        expected,
    );
}

#[test]
fn a_header_that_authentication_sets_is_not_there_when_a_route_is_looked_for() {
    for name in ["x-imprun-plan", "X-Imprun-Consumer"] {
        let message = format!(
            "t.yaml:6: headers[0].name: `{name}` is not there yet when a route is looked for: only \
             authentication sets it, after that"
        );
        check(
            &format!(
                "kind: Route
name: r1
api_service: api
gateway: gw
path_prefix: /
headers: [{{name: {name}, type: Present}}]
backend_refs: [{{backend: up}}]"
            ),
            &[&message],
        );
    }
}
