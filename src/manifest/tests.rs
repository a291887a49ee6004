//! Manifests as text: what is written is safe to read, and what is no manifest is named.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::node;
use crate::document::node::Kind;
use crate::document::node::Node;
use crate::manifest::Manifest;
use crate::manifest::Metadata;
use crate::manifest::Namespace;
use crate::manifest::Object;
use crate::manifest::gateway::GatewayClassSpec;
use crate::manifest::read;
use crate::manifest::write;

#[test]
fn what_is_written_reads_back() {
    let manifests = [class(&[
        "a",
        "it's",
        "two\nlines",
        "tab\t",
        "ü",
        &"long ".repeat(50),
    ])];
    let text = write(&manifests);
    assert_eq!(read::read(&Arc::from("t.yaml"), &text).unwrap(), manifests);
}

#[test]
fn what_older_readers_take_for_something_else_is_quoted() {
    let values = [
        "on",
        "off",
        "yes",
        "No",
        "y",
        "n",
        "true",
        "null",
        "~",
        "",
        "1",
        "0123",
        "0x1f",
        "0o7",
        "1e3",
        "1_000",
        "1.5",
        ".5",
        ".inf",
        "12:30:45",
        "2026-11-23",
        "=",
        "<<",
        "- a",
        "a: b",
        "a #b",
        "*",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{",
        "[",
        "|",
        ">",
        "?",
        "::/0",
        " a",
        "a ",
    ];
    let text = write(&[class(&values)]);
    let documents = node::parse(&Arc::from("t.yaml"), &text).unwrap();
    let annotations = below(below(&documents[0], "metadata"), "annotations");
    let Kind::Mapping(entries) = &annotations.kind else {
        panic!("{text}");
    };
    assert_eq!(entries.len(), values.len());
    for ((_, node), expected) in entries.iter().zip(values) {
        let Kind::Scalar(scalar) = &node.kind else {
            panic!("{expected} is written as something else:\n{text}");
        };
        assert_eq!(scalar.text, expected);
        assert!(!scalar.plain, "{expected} is written without quotes");
    }
}

#[test]
fn an_unknown_kind_or_version_is_named_with_what_was_meant() {
    check(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRout\nmetadata: {name: a}",
        &[
            "t.yaml:2: kind: unknown kind `HTTPRout` of gateway.networking.k8s.io: did you mean `HTTPRoute`?",
        ],
    );
    check(
        "# nothing\n---\napiVersion: gateway.networking.k8s.io/v2\nkind: Gateway",
        &[
            "t.yaml:3: apiVersion: unknown version `v2` of gateway.networking.k8s.io: expected v1 or v1beta1",
        ],
    );
    check("apiVersion: v1", &["t.yaml:1: `kind` is missing"]);
}

#[test]
fn every_fault_of_a_manifest_is_named_with_its_line() {
    let good = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n\
                metadata: {name: eg}\nspec: {controllerName: c}\n";
    let bad = good
        .replace("controllerName", "controlerName")
        .replace("name: eg", "name: 1, lables: {}");
    check(
        &format!("{good}{bad}{good}"),
        &[
            "t.yaml:9: metadata.lables: unknown field `lables`: did you mean `labels`?",
            "t.yaml:9: metadata.name: expected a string, found `1`: put it in quotes",
            "t.yaml:10: spec: `controllerName` is missing",
            "t.yaml:10: spec.controlerName: unknown field `controlerName`: did you mean `controllerName`?",
        ],
    );
    let listeners = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\n\
                     spec:\n  gatewayClassName: eg\n  listeners: LISTENERS\n";
    let listeners = |text: &str| listeners.replace("LISTENERS", text);
    check(
        &listeners(
            "[{name: a, port: 65536, protocol: HTTP}, {name: '', port: on, protocol: QUIC}, 5]",
        ),
        &[
            "t.yaml:6: spec.listeners[0].port: expected a whole number from 0 to 65535, found `65536`",
            "t.yaml:6: spec.listeners[1].port: expected a whole number from 0 to 65535, found `on`",
            "t.yaml:6: spec.listeners[1].protocol: unknown value `QUIC`: expected HTTP, HTTPS, TCP, TLS or UDP",
            "t.yaml:6: spec.listeners[2]: expected a mapping, found `5`",
        ],
    );
    check(
        &listeners("{a: 1}"),
        &["t.yaml:6: spec.listeners: expected a list, found a mapping"],
    );
}

#[test]
fn a_field_that_nobody_knows_is_a_fault_where_all_fields_decide_about_limits() {
    let policy = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: p}\n\
                  spec:\n  dns: {respectDnsTtl: true}\n  targetRefs: [{group: g, kind: Gateway, name: a}]\n\
                  \u{20} rateLimit: {global: {rules: [{limit: {requests: 1, unit: Hour}MORE}]}}\n";
    let policy = |more: &str| policy.replace("MORE", more);
    assert!(read::read(&Arc::from("t.yaml"), &policy("")).is_ok());
    check(
        &policy(", weight: 3"),
        &[
            "t.yaml:7: spec.rateLimit.global.rules[0].weight: unknown field `weight`: expected clientSelectors, limit, cost, shared, shadowMode or xRateLimitHeaders",
        ],
    );
}

#[test]
fn what_a_cluster_adds_is_read_and_lists_are_taken_apart() {
    let text = "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n\
                - apiVersion: gateway.networking.k8s.io/v1beta1\n  kind: HTTPRoute\n\
                \u{20} metadata: {name: a, uid: x, generation: 3, creationTimestamp: '2026-01-01T00:00:00Z', managedFields: [{}]}\n\
                \u{20} spec: {parentRefs: null, rules: [{sessionPersistence: {type: Cookie}, matches: [{path: {value: /a}}]}]}\n\
                \u{20} status: {parents: []}\n\
                - {apiVersion: apps/v1, kind: Deployment, metadata: {name: b}}\n";
    let manifests = read::read(&Arc::from("t.yaml"), text).unwrap();
    let [Manifest::HttpRoute(route)] = manifests.as_slice() else {
        panic!("{manifests:?}");
    };
    assert_eq!(route.spec.rules[0].matches.len(), 1);
}

#[test]
fn the_older_form_of_one_target_is_read() {
    let text = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: p}\n\
                spec: {targetRef: {group: g, kind: HTTPRoute, name: a}, compressor: [{type: Gzip}]}\n";
    let manifests = read::read(&Arc::from("t.yaml"), text).unwrap();
    let [Manifest::BackendTrafficPolicy(policy)] = manifests.as_slice() else {
        panic!("{manifests:?}");
    };
    assert_eq!(policy.spec.target_refs[0].name, "a");
    check(
        &text.replace(
            "targetRef: {group: g, kind: HTTPRoute, name: a}",
            "targetSelectors: [{kind: HTTPRoute}]",
        ),
        &["t.yaml:4: spec.targetSelectors: targets selected by label are not supported yet"],
    );
}

#[test]
fn documents_begin_at_their_markers_and_may_be_empty() {
    let class = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n\
                 metadata:\n  name: eg\n  annotations:\n    a: |\n      ---x\n      --- \n    b: '---'\n\
                 spec: {controllerName: c}\n";
    let text = format!("---\n---\n{class}...\n--- # another\n{class}---\n");
    let manifests = read::read(&Arc::from("t.yaml"), &text).unwrap();
    assert_eq!(manifests.len(), 2);
    assert_eq!(manifests[0].metadata().annotations["a"], "---x\n--- \n");
}

#[test]
fn a_namespace_is_a_label() {
    assert_eq!(Namespace::try_from("imprun").unwrap().as_str(), "imprun");
    let error = Namespace::try_from("a.b").unwrap_err().to_string();
    assert_eq!(
        error,
        "`a.b` is not a namespace: expected at most 63 of a-z, 0-9 and inner hyphens"
    );
}

/// A manifest with these values in it.
fn class(values: &[&str]) -> Manifest {
    let annotation = |(index, value): (usize, &&str)| (format!("k{index:03}"), (*value).to_owned());
    let metadata = Metadata {
        name: "eg".to_owned(),
        namespace: None,
        creation_timestamp: None,
        labels: BTreeMap::new(),
        annotations: values.iter().enumerate().map(annotation).collect(),
    };
    let controller_name = "example.com/controller".to_owned();
    Manifest::GatewayClass(Object::new(metadata, GatewayClassSpec { controller_name }))
}

fn below<'n>(node: &'n Node, name: &str) -> &'n Node {
    let Kind::Mapping(entries) = &node.kind else {
        panic!("no mapping: {node:?}");
    };
    let is_named = |key: &Node| matches!(&key.kind, Kind::Scalar(key) if key.text == name);
    let found = entries.iter().find(|(key, _)| is_named(key));
    &found.expect("the key is there").1
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let faults = read::read(&Arc::from("t.yaml"), text).unwrap_err();
    let faults: Vec<String> = faults.into_iter().map(|fault| fault.to_string()).collect();
    assert_eq!(faults, expected);
}
