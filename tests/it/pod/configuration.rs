//! Envoy's configuration as Envoy Gateway pushes it, as far as a client of the limiter can tell.

use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::envoy::bootstrap::Surroundings;
use crate::envoy::bootstrap::bootstrap;
use crate::envoy::translate::listeners;

/// The name that Envoy dials.
pub(crate) const SERVICE: &str = "envoy-ratelimit.envoy-gateway-system.svc.cluster.local";

/// The configuration for these manifests. Envoy's certificate lies in `certificates`.
pub(crate) fn configuration(
    manifests: &[Value],
    around: Surroundings<'_>,
    certificates: &Path,
) -> Value {
    let mut config = bootstrap(&listeners(manifests), around);
    let resources = &mut config["static_resources"];
    resources["clusters"][1] = rate_limit_cluster(certificates);
    for listener in resources["listeners"].as_array_mut().unwrap() {
        let is_quiet = listener["name"] == "default/eg/quiet";
        let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
        let filters = manager["http_filters"].as_array_mut().unwrap();
        if is_quiet {
            // Of a ClientTrafficPolicy with `disableRateLimitHeaders`.
            for filter in filters.iter_mut() {
                let config = filter["typed_config"].as_object_mut().unwrap();
                config.remove("enable_x_ratelimit_headers");
            }
        }
        filters.splice(0..0, [jwt(), metadata()]);
    }
    config
}

/// By DNS, in HTTP/2, over TLS whose name is not compared and with a certificate of Envoy's own.
fn rate_limit_cluster(certificates: &Path) -> Value {
    let file = |name: &str| json!({"filename": certificates.join(name)});
    json!({
        "name": "ratelimit_cluster",
        "cluster_type": {
            "name": "envoy.cluster.dns",
            "typed_config": {
                "@type": extension("clusters.dns.v3.DnsCluster"),
                "dns_refresh_rate": "30s",
                "dns_lookup_family": "V4_PREFERRED",
            },
        },
        "connect_timeout": "10s",
        "load_assignment": {
            "cluster_name": "ratelimit_cluster",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
                "address": SERVICE,
                "port_value": 8081,
            }}}}]}],
        },
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": extension("transport_sockets.tls.v3.UpstreamTlsContext"),
                "common_tls_context": {
                    "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
                    "tls_certificates": [{
                        "certificate_chain": file("tls.crt"),
                        "private_key": file("tls.key"),
                    }],
                    "validation_context": {"trusted_ca": file("ca.crt")},
                },
            },
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": extension("upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        },
    })
}

/// Asks requests to one host for a token, and makes a header of its claim `name`.
fn jwt() -> Value {
    let key = json!({"keys": [{"kty": "oct", "alg": "HS256", "kid": "tests", "k": KEY}]});
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": extension("filters.http.jwt_authn.v3.JwtAuthentication"),
            "providers": {"tests": {
                "local_jwks": {"inline_string": key.to_string()},
                "claim_to_headers": [{"claim_name": "name", "header_name": "x-claim-name"}],
            }},
            "rules": [{
                "match": {
                    "prefix": "/",
                    "headers": [{
                        "name": ":authority",
                        "string_match": {"exact": "jwt.example.com"},
                    }],
                },
                "requires": {"provider_name": "tests"},
            }],
        },
    })
}

/// Says that two requests an hour are allowed, as an authorization service might.
fn metadata() -> Value {
    json!({
        "name": "envoy.filters.http.set_metadata",
        "typed_config": {
            "@type": extension("filters.http.set_metadata.v3.Config"),
            "metadata": [{
                "metadata_namespace": "tests",
                "value": {"two": {"requests_per_unit": 2, "unit": "HOUR"}},
            }],
        },
    })
}

fn extension(name: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.{name}")
}

/// The key of tokens, in base64.
const KEY: &str = "YSBrZXkgdGhhdCBvbmx5IHRoZSB0ZXN0cyBrbm93LCAzMis";
