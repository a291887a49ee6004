//! How documents of kind `Backend` are read.

use crate::platform::backend::Host;
use crate::platform::backend::Scheme;
use crate::platform::backend::Trust;
use crate::platform::document::tests::check;
use crate::platform::document::tests::good;

#[test]
fn a_backend_has_a_scheme_and_endpoints() {
    let platform = good(
        "kind: Backend
name: payment
scheme: grpcs
endpoints:
  - {host: a.example.com, port: 443, zone: kr-1}
  - {host: b.example.com, port: 444}
tls: {sni: c.example.com, insecure_skip_verify: true}",
    );
    let backend = &platform.backends[0];
    let trust = Trust {
        sni: Some("c.example.com".to_owned()),
        insecure_skip_verify: true,
    };
    assert_eq!(backend.scheme, Scheme::Grpcs(trust));
    let [a, b] = backend.endpoints.as_slice() else {
        panic!("{backend:?}");
    };
    assert_eq!(a.host, Host::Name("a.example.com".to_owned()));
    assert_eq!((a.port, a.zone.as_deref()), (443, Some("kr-1")));
    assert_eq!((b.port, b.zone.as_deref()), (444, None));
}

#[test]
fn an_endpoint_is_a_name_or_an_address_that_envoy_gateway_takes() {
    endpoints(
        "- {host: 127.0.0.1, port: 80}
- {host: '::ffff:127.0.0.1', port: 80}
- {host: 0.0.0.0, port: 80}
- {host: localhost, port: 80}
- {host: a_b.example.com, port: 80}
- {port: 0}",
        &[
            "t.yaml:5: endpoints[0].host: `127.0.0.1` is a loopback address, which Envoy Gateway refuses",
            "t.yaml:6: endpoints[1].host: `::ffff:127.0.0.1` is a loopback address, which Envoy Gateway refuses",
            "t.yaml:7: endpoints[2].host: `0.0.0.0` is no address to connect to",
            "t.yaml:8: endpoints[3].host: `localhost` has one label only, which Envoy Gateway refuses: expected one such as `api.example.com`",
            "t.yaml:9: endpoints[4].host: `a_b.example.com` is neither a host name nor an address",
            "t.yaml:10: endpoints[5]: `host` is missing",
            "t.yaml:10: endpoints[5].port: expected a whole number from 1 to 65535, found `0`",
        ],
    );
    endpoints(
        " []",
        &["t.yaml:5: endpoints: expected at least one endpoint"],
    );
}

#[test]
fn either_all_endpoints_have_a_weight_or_none_has() {
    endpoints(
        "- {host: a.example.com, port: 80, weight: 100}\n- {host: 10.0.0.1, port: 80, weight: 0}",
        &[],
    );
    endpoints(
        "- {host: a.example.com, port: 80, weight: 1}\n- {host: 10.0.0.1, port: 80}",
        &["t.yaml:5: endpoints: expected a weight for each endpoint or for none"],
    );
    endpoints(
        "- {host: a.example.com, port: 80, weight: 0}",
        &["t.yaml:5: endpoints: expected at least one endpoint with a weight of more than 0"],
    );
    endpoints(
        "- {host: a.example.com, port: 80, weight: 101}",
        &["t.yaml:5: endpoints[0].weight: expected a whole number from 0 to 100, found `101`"],
    );
}

#[test]
fn tls_is_for_the_schemes_that_have_it() {
    check(
        "kind: Backend\nname: x1\nscheme: grpc\nendpoints: [{host: a.b, port: 1}]\ntls: {}",
        &["t.yaml:5: tls: scheme grpc has no TLS: expected https or grpcs"],
    );
    check(
        "kind: Backend\nname: x1\nscheme: h2\nendpoints: [{host: a.b, port: 1}]",
        &["t.yaml:3: scheme: unknown value `h2`: expected http, https, grpc or grpcs"],
    );
}

#[test]
fn the_certificate_of_an_address_needs_a_name() {
    let text = |tls: &str| {
        format!(
            "kind: Backend\nname: x1\nscheme: https\nendpoints: [{{host: 10.0.0.1, port: 1}}]\ntls: {tls}"
        )
    };
    check(
        &text("{}"),
        &["t.yaml:1: endpoints that are addresses need `tls.sni`: the name in their certificate"],
    );
    let mixed = text("{}").replace("[{", "[{host: a.b, port: 1}, {");
    check(
        &mixed,
        &["t.yaml:1: endpoints that are addresses need `tls.sni`: the name in their certificate"],
    );
    check(&text("{sni: a.b}"), &[]);
    check(&text("{insecure_skip_verify: true}"), &[]);
    check(
        &text("{sni: '*.b'}"),
        &[
            "t.yaml:1: endpoints that are addresses need `tls.sni`: the name in their certificate",
            "t.yaml:5: tls.sni: `*.b` is not a host name",
        ],
    );
}

#[track_caller]
fn endpoints(endpoints: &str, expected: &[&str]) {
    let text = format!("kind: Backend\nname: x1\nscheme: http\nendpoints:\n{endpoints}");
    check(&text, expected);
}
