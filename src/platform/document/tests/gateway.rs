//! How documents of kind `Gateway` are read.

use crate::platform::Certificate;
use crate::platform::Protocol;
use crate::platform::document::tests::check;
use crate::platform::document::tests::good;

#[test]
fn a_gateway_has_a_class_listeners_and_labels() {
    let platform = good(
        "kind: Gateway
name: edge
gateway_class: other
listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, hostname: a.b, tls: {certificate_ref: cert}}
  - {name: raw, port: 444, protocol: TLS, tls: {mode: Terminate, certificate_ref: cert}}
labels: {env: prod, team.example.com/name: ''}",
    );
    let edge = &platform.gateways[0];
    assert_eq!((&*edge.name, &*edge.gateway_class), ("edge", "other"));
    let protocols = edge.listeners.iter().map(|it| it.protocol.clone());
    let certificate = Certificate("cert".to_owned());
    let expected = [
        Protocol::Http,
        Protocol::Https(certificate.clone()),
        Protocol::Tls(certificate),
    ];
    assert!(protocols.eq(expected));
    assert_eq!(edge.labels["env"], "prod");
    assert_eq!(edge.labels["team.example.com/name"], "");
}

#[test]
fn the_class_has_a_default() {
    let platform =
        good("{kind: Gateway, name: edge, listeners: [{name: a, port: 1, protocol: HTTP}]}");
    assert_eq!(platform.gateways[0].gateway_class, "envoy-gateway");
}

#[test]
fn names_and_ports_stand_once() {
    listeners(
        "- {name: a, port: 80, protocol: HTTP}
- {name: a, port: 81, protocol: HTTP}
- {name: b, port: 80, protocol: HTTP}",
        &[
            "t.yaml:5: listeners[1]: listener `a` stands on line 4 already",
            "t.yaml:6: listeners[2]: port 80 stands on line 4 already",
        ],
    );
}

#[test]
fn listeners_clash_whatever_else_is_wrong_with_them() {
    listeners(
        "- {name: a, port: 80, protocol: HTTP}
- {name: a, port: 80, protocol: HTTPS}",
        &[
            "t.yaml:5: listeners[1].protocol: a listener of protocol HTTPS needs `tls`",
            "t.yaml:5: listeners[1]: listener `a` stands on line 4 already",
            "t.yaml:5: listeners[1]: port 80 stands on line 4 already",
        ],
    );
}

#[test]
fn tls_is_for_the_protocols_that_have_it() {
    listeners(
        "- {name: a, port: 80, protocol: HTTP, tls: {certificate_ref: c}}
- {name: b, port: 81, protocol: HTTPS}
- {name: c, port: 82, protocol: TLS}
- {name: d, port: 83, protocol: HTTPS, tls: {mode: Passthrough}}
- {name: e, port: 84, protocol: HTTPS, tls: {mode: Terminate}}
- {name: f, port: 85, protocol: TLS, tls: {mode: Passthrough, certificate_ref: c}}
- {name: g, port: 86, protocol: TLS, tls: {mode: Off}}",
        &[
            "t.yaml:4: listeners[0].tls: a listener of protocol HTTP has no `tls`",
            "t.yaml:5: listeners[1].protocol: a listener of protocol HTTPS needs `tls`",
            "t.yaml:6: listeners[2].protocol: a listener of protocol TLS needs `tls`",
            "t.yaml:7: listeners[3].tls: mode Passthrough is for protocol TLS, HTTPS needs Terminate",
            "t.yaml:8: listeners[4].tls: `certificate_ref` is missing",
            "t.yaml:9: listeners[5].tls.certificate_ref: mode Passthrough has no certificate",
            "t.yaml:10: listeners[6].tls.mode: unknown value `Off`: expected Terminate or Passthrough",
        ],
    );
}

#[test]
fn a_listener_is_checked_field_by_field() {
    listeners(
        "- {name: A, port: 0, protocol: http, hostname: a_b, host: x}
- {port: 65536, protocol: TCP}",
        &[
            "t.yaml:4: listeners[0].name: `A` is not a name: 1 to 63 of a-z, 0-9 and inner hyphens",
            "t.yaml:4: listeners[0].port: expected a whole number from 1 to 65535, found `0`",
            "t.yaml:4: listeners[0].protocol: unknown value `http`: did you mean `HTTP`?",
            "t.yaml:4: listeners[0].hostname: `a_b` is not a host name: expected one such as `api.example.com` or `*.example.com`",
            "t.yaml:4: listeners[0].host: unknown key `host`: did you mean `hostname`?",
            "t.yaml:5: listeners[1]: `name` is missing",
            "t.yaml:5: listeners[1].port: expected a whole number from 1 to 65535, found `65536`",
            "t.yaml:5: listeners[1].protocol: `TCP` is not supported yet",
        ],
    );
    listeners(
        " []",
        &["t.yaml:4: listeners: expected at least one listener"],
    );
}

#[test]
fn labels_are_labels_and_ours_are_ours() {
    check(
        "kind: Gateway
name: edge
listeners: [{name: a, port: 1, protocol: HTTP}]
labels:
  app.kubernetes.io/managed-by: me
  -x: y
  x: -y",
        &[
            "t.yaml:5: labels.app.kubernetes.io/managed-by: `app.kubernetes.io/managed-by` is not free: slidegate sets labels of that kind",
            "t.yaml:6: labels.-x: `-x` is not the key of a Kubernetes label",
            "t.yaml:7: labels.x: `-y` is not a label: at most 63 letters, digits and inner `-`, `_` and `.`",
        ],
    );
}

#[track_caller]
fn listeners(listeners: &str, expected: &[&str]) {
    check(
        &format!("kind: Gateway\nname: edge\nlisteners:\n{listeners}"),
        expected,
    );
}

#[test]
fn more_listeners_than_a_gateway_takes_make_several_gateways() {
    let listeners = |n: u32| {
        let listener = |n| format!("{{name: l{n}, port: {}, protocol: HTTP}}", 1_000 + n);
        let listeners: Vec<String> = (0..n).map(listener).collect();
        format!(
            "{{kind: Gateway, name: many, listeners: [{}]}}",
            listeners.join(", ")
        )
    };
    check(&listeners(64), &[]);
    check(
        &listeners(65),
        &[
            "t.yaml:1: listeners: expected at most 64 listeners, found 65: make several gateways of it",
        ],
    );
}
