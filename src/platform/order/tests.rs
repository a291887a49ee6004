//! Which routes cannot be had together.

use std::sync::Arc;

use crate::document::node;
use crate::platform::Platform;
use crate::platform::document;

#[test]
fn two_routes_with_the_same_match_are_told() {
    let told = "route `r2` matches the same requests as route `r1` on listener `gw/http` for host \
                `*.example.com`: only one of them would get any";
    check(&["path_prefix: /a", "path_prefix: /a/"], &[told]);
    check(
        &[
            "path_prefix: /a, methods: [GET, PUT]",
            "path_prefix: /a, methods: [PUT]",
        ],
        &[told],
    );
    check(
        &[
            "path_exact: /, headers: [{name: A, value: x}, {name: b, type: Present}]",
            "path_exact: /, headers: [{name: b, type: Present}, {name: a, value: x}]",
        ],
        &[told],
    );
}

#[test]
fn routes_that_differ_in_anything_are_no_twins() {
    check(&["path_prefix: /a", "path_exact: /a"], &[]);
    check(&["path_prefix: /a", "path_prefix: /a, methods: [GET]"], &[]);
    check(&["path_exact: /a", "path_exact: /a/"], &[]);
    check(
        &[
            "path_prefix: /, listener: http",
            "path_prefix: /, listener: other",
        ],
        &[],
    );
    check(
        &[
            "path_prefix: /, hostnames: [a.example.com]",
            "path_prefix: /, hostnames: [b.example.com]",
        ],
        &[],
    );
    check(
        &[
            "path_prefix: /, query_params: [{name: q, value: '1'}]",
            "path_prefix: /, query_params: [{name: Q, value: '1'}]",
        ],
        &[],
    );
}

#[test]
fn a_priority_that_follows_the_order_is_fine() {
    check(
        &["path_exact: /a, priority: 2", "path_prefix: /, priority: 1"],
        &[],
    );
    check(
        &[
            "path_prefix: /a/b, priority: 2",
            "path_prefix: /a, priority: 1",
        ],
        &[],
    );
    check(
        &[
            "path_prefix: /, priority: 1",
            "path_prefix: /, methods: [GET], priority: 2",
        ],
        &[],
    );
    check(
        &[
            "path_prefix: /a, priority: 1",
            "path_prefix: /, priority: 1",
        ],
        &[],
    );
    check(&["path_prefix: /a", "path_prefix: /, priority: 9"], &[]);
}

#[test]
fn a_priority_against_the_order_names_both_routes() {
    contradicts("path_prefix: /", "path_prefix: /a", "its path is longer");
    contradicts(
        "path_prefix: /a",
        "path_exact: /a/b",
        "an exact path comes before an expression before a prefix",
    );
    contradicts(
        "path_prefix: /a",
        "path_regex: /.*",
        "an exact path comes before an expression before a prefix",
    );
    contradicts(
        "path_exact: /",
        "path_exact: /, methods: [GET]",
        "it names more headers, of which a method is one",
    );
    contradicts(
        "path_exact: /, methods: [GET]",
        "path_exact: /, headers: [{name: a, value: x}, {name: b, value: x}]",
        "it names more headers, of which a method is one",
    );
    contradicts(
        "path_exact: /, headers: [{name: b, type: Present}]",
        "path_exact: /, methods: [GET]",
        "it names more headers with a whole value, or a method",
    );
    contradicts(
        "path_exact: /, query_params: [{name: a, type: RegularExpression, value: x}]",
        "path_exact: /, query_params: [{name: b, value: x}]",
        "it names more query parameters with a whole value",
    );
    contradicts(
        "path_exact: /, headers: [{name: a, value: x}]",
        "path_exact: /, headers: [{name: a, value: x}, {name: b, value: x}]",
        "it names more headers, of which a method is one",
    );
    contradicts(
        "path_exact: /",
        "path_exact: /, query_params: [{name: a, value: x}]",
        "it names more query parameters",
    );
    contradicts(
        "path_exact: /a",
        "path_prefix: /, hostnames: [a.example.com]",
        "its host is more specific",
    );
}

#[test]
fn routes_that_cannot_meet_have_any_priority() {
    for (higher, lower) in [
        ("path_prefix: /a", "path_prefix: /ab/c"),
        (
            "path_prefix: /, methods: [GET]",
            "path_prefix: /a, methods: [PUT]",
        ),
        (
            "path_prefix: /, headers: [{name: a, value: x}]",
            "path_prefix: /a, headers: [{name: A, value: y}]",
        ),
        (
            "path_prefix: /, query_params: [{name: a, value: x}]",
            "path_prefix: /a, query_params: [{name: a, value: y}]",
        ),
        (
            "path_prefix: /, hostnames: [a.example.com]",
            "path_prefix: /a, hostnames: [b.example.com]",
        ),
        (
            "path_prefix: /, listener: http",
            "path_prefix: /a, listener: other",
        ),
    ] {
        check(
            &[
                &format!("{higher}, priority: 2"),
                &format!("{lower}, priority: 1"),
            ],
            &[],
        );
    }
}

#[test]
fn each_pair_is_told_once_however_many_hosts_it_meets_at() {
    contradicts(
        "path_prefix: /, hostnames: [a.example.com, b.example.com]",
        "path_prefix: /a, hostnames: [a.example.com, b.example.com, '*.example.com']",
        "its path is longer",
    );
    contradicts(
        "path_prefix: /, hostnames: ['*.example.com']",
        "path_prefix: /, hostnames: [b.example.com]",
        "its host is more specific",
    );
}

#[test]
fn the_host_that_counts_is_the_most_specific_of_each_route() {
    // For a.example.com both say that name, so the longer path decides.
    check(
        &[
            "path_prefix: /a, hostnames: ['*.example.com', a.example.com], priority: 2",
            "path_prefix: /, hostnames: [a.example.com], priority: 1",
        ],
        &[],
    );
}

/// `r1` is meant to come before `r2`, and cannot.
#[track_caller]
fn contradicts(higher: &str, lower: &str, reason: &str) {
    let told = format!(
        "priority 2 of route `r1` cannot be had over 1 of route `r2`: of the two, Envoy Gateway asks \
         `r2` first, because {reason}"
    );
    let (higher, lower) = (
        format!("{higher}, priority: 2"),
        format!("{lower}, priority: 1"),
    );
    check(&[&higher, &lower], &[&told]);
}

/// The routes `r1`, `r2` and so on, in either order of documents, have exactly these faults.
#[track_caller]
fn check(routes: &[&str], expected: &[&str]) {
    let mut documents: Vec<String> = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        let name = index + 1;
        documents.push(format!(
            "{{kind: Route, name: r{name}, api_service: api, gateway: gw, {route}, \
             backend_refs: [{{backend: up}}]}}"
        ));
    }
    for _ in 0..2 {
        let (_, faults) = read(&format!("{BASE}{}", documents.join("\n---\n")));
        assert_eq!(faults, expected);
        documents.reverse();
    }
}

const BASE: &str = "
{kind: Gateway, name: gw, listeners: [{name: http, port: 80, protocol: HTTP, hostname: '*.example.com'}, {name: other, port: 81, protocol: HTTP}]}
---
{kind: Backend, name: up, scheme: http, endpoints: [{host: a.b, port: 1}]}
---
{kind: ApiService, name: api}
---
";

fn read(text: &str) -> (Platform, Vec<String>) {
    let file = Arc::from("t.yaml");
    let nodes = node::parse(&file, text).unwrap();
    let mut faults = Vec::new();
    let platform = document::read(&[(file, nodes)], &mut faults);
    (
        platform,
        faults.into_iter().map(|fault| fault.message).collect(),
    )
}
