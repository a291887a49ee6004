//! Documents with faults, each named with its place, and what good ones become.

mod backend;
mod filter;
mod gateway;
mod plan;
mod policy;
mod route;
mod security;
mod sharing;
mod traffic;

use std::sync::Arc;

use crate::document::node;
use crate::platform::Platform;
use crate::platform::document::read;

#[test]
fn a_document_says_what_it_is() {
    check("name: x", &["t.yaml:1: `kind` is missing"]);
    check("[]", &["t.yaml:1: expected a mapping, found a list"]);
    check(
        "kind: Rout\nname: x",
        &["t.yaml:1: kind: unknown value `Rout`: did you mean `Route`?"],
    );
}

#[test]
fn a_name_is_a_label_of_two_to_sixty_three_characters() {
    let long = "x".repeat(64);
    for name in ["x", "X1", "-x", "x_y", "x.y", &long] {
        let expected = "is not a name: 2 to 63 of a-z, 0-9 and inner hyphens";
        check(
            &format!("kind: ApiService\nname: {name}"),
            &[&format!("t.yaml:2: name: `{name}` {expected}")],
        );
    }
    check("kind: ApiService", &["t.yaml:1: `name` is missing"]);
    check("kind: ApiService\nname: 0123", &[]);
}

#[test]
fn a_name_stands_once_in_its_kind() {
    check(
        "kind: ApiService\nname: api",
        &["t.yaml:2: name: API service `api` stands in base.yaml:14 already"],
    );
    check("kind: ApiService\nname: gw", &[]);
}

#[test]
fn every_fault_is_reported() {
    check(
        "kind: ApiService\nname: x\nversion: a b\nstatus: on\nbackends: []",
        &[
            "t.yaml:2: name: `x` is not a name: 2 to 63 of a-z, 0-9 and inner hyphens",
            "t.yaml:3: version: `a b` is not a label: at most 63 letters, digits and inner `-`, \
             `_` and `.`",
            "t.yaml:4: status: unknown value `on`: expected active or inactive",
            "t.yaml:5: backends: unknown key `backends`: expected kind, name, version or status",
        ],
    );
}

#[test]
fn faults_stand_in_the_order_of_their_lines() {
    check(
        "{kind: Policy, name: p}
---
{kind: ApiService, name: a}
---
{kind: Gateway, name: gx}",
        &[
            "t.yaml:1: name: `p` is not a name: 2 to 63 of a-z, 0-9 and inner hyphens",
            "t.yaml:1: `scope` is missing",
            "t.yaml:1: `type` is missing",
            "t.yaml:1: `spec` is missing",
            "t.yaml:3: name: `a` is not a name: 2 to 63 of a-z, 0-9 and inner hyphens",
            "t.yaml:5: `listeners` is missing",
        ],
    );
}

#[test]
fn what_is_inactive_is_left_out() {
    let text = "{kind: ApiService, name: off, status: inactive}";
    let platform = good(text);
    assert_eq!(names(&platform.api_services, |it| &it.name), ["api"]);
}

/// What the documents under test refer to.
const BASE: &str = "\
kind: Gateway
name: gw
listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: '*.example.com'}
  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}
---
kind: Backend
name: up
scheme: http
endpoints:
  - {host: up.example.com, port: 80}
---
kind: ApiService
name: api
---
kind: Route
name: base
api_service: api
gateway: gw
path_prefix: /base
backend_refs: [{backend: up}]
---
{kind: Gateway, name: gw-off, status: inactive, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
{kind: Backend, name: up-off, status: inactive, scheme: http, endpoints: [{host: a.b, port: 1}]}
---
{kind: ApiService, name: api-off, status: inactive}
";

/// Reads a document beside the base; its faults are exactly these.
#[track_caller]
pub(super) fn check(text: &str, expected: &[&str]) {
    let (_, faults) = platform(text);
    assert_eq!(faults, expected);
}

/// Reads a document beside the base, without faults.
#[track_caller]
pub(super) fn good(text: &str) -> Platform {
    let (platform, faults) = platform(text);
    assert_eq!(faults, [""; 0]);
    platform
}

pub(super) fn names<T>(entities: &[Arc<T>], name: impl Fn(&T) -> &str) -> Vec<&str> {
    entities.iter().map(|entity| name(entity)).collect()
}

fn platform(text: &str) -> (Platform, Vec<String>) {
    let mut faults = Vec::new();
    let files = [("base.yaml", BASE), ("t.yaml", text)].map(|(name, text)| {
        let name = Arc::from(name);
        let nodes = node::parse(&name, text).unwrap();
        (name, nodes)
    });
    let platform = read(&files, &mut faults);
    (platform, faults.iter().map(ToString::to_string).collect())
}
