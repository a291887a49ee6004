//! The configuration that Envoy Gateway would push, as a static one.

use std::net::SocketAddr;

use serde_json::Value;
use serde_json::json;

use crate::envoy::backend;
use crate::envoy::translate::JUDGE;
use crate::envoy::translate::Listener;
use crate::support::certificates::Authority;
use crate::support::certificates::Pair;

/// What Envoy talks to, and what it does when the service does not answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    /// The replicas of the service.
    pub(crate) services: &'a [SocketAddr],
    /// The one backend behind all routes.
    pub(crate) backend: SocketAddr,
    /// Who issues the certificates of listeners.
    pub(crate) authority: &'a Authority,
    /// Whether requests are refused (500) when the service does not answer.
    pub(crate) fail_closed: bool,
}

/// Envoy's bootstrap: the listeners on free ports.
pub(crate) fn bootstrap(listeners: &[Listener], around: Surroundings<'_>) -> Value {
    json!({
        "admin": {"address": address("127.0.0.1:0".parse().unwrap())},
        "static_resources": {
            "listeners": listeners.iter().map(|it| listener(it, around)).collect::<Vec<_>>(),
            "clusters": [
                cluster("backend", &[around.backend], &json!({"http_protocol_options": {}})),
                cluster(
                    "ratelimit_cluster",
                    around.services,
                    &json!({"http2_protocol_options": {}}),
                ),
            ],
        },
    })
}

fn listener(listener: &Listener, around: Surroundings<'_>) -> Value {
    let mut filters = vec![judge(around), tokens_to_metadata()];
    filters.push(rate_limit("", &listener.domain, around));
    for domain in &listener.shared_domains {
        filters.push(rate_limit(&format!("/{domain}"), domain, around));
    }
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": extension("filters.http.router.v3.Router")},
    }));
    let mut manager = json!({
        "@type": extension(
            "filters.network.http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": "http",
        "use_remote_address": true,
        "route_config": {"name": listener.domain, "virtual_hosts": listener.virtual_hosts},
        "http_filters": filters,
    });
    if !listener.removed_early.is_empty() {
        let removed = listener.removed_early.iter();
        let mutations: Vec<Value> = removed.map(|name| json!({"remove": name})).collect();
        manager["early_header_mutation_extensions"] = json!([{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {
                "@type": extension("http.early_header_mutation.header_mutation.v3.HeaderMutation"),
                "mutations": mutations,
            },
        }]);
    }
    let mut chain = json!({"filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager,
    }]});
    if let Some(name) = &listener.secured {
        chain["transport_socket"] = secured(&around.authority.issue(&[name]));
    }
    json!({
        "name": listener.domain,
        "address": address("127.0.0.1:0".parse().unwrap()),
        "filter_chains": [chain],
    })
}

/// TLS that ends at the listener.
fn secured(pair: &Pair) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": extension("transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {"tls_certificates": [{
                "certificate_chain": {"inline_string": pair.certificate},
                "private_key": {"inline_string": pair.key},
            }]},
        },
    })
}

/// Asks the server behind all routes about keys, and takes the consumer and the plan from it.
fn judge(around: Surroundings<'_>) -> Value {
    let taken = ["x-imprun-consumer", "x-imprun-plan"].map(|name| json!({"exact": name}));
    json!({
        "name": JUDGE,
        "typed_config": {
            "@type": extension("filters.http.ext_authz.v3.ExtAuthz"),
            "transport_api_version": "V3",
            "http_service": {
                "server_uri": {
                    "uri": format!("http://{}", around.backend),
                    "cluster": "backend",
                    "timeout": "10s",
                },
                "authorization_response": {"allowed_upstream_headers": {"patterns": taken}},
            },
            "allowed_headers": {"patterns": [{"exact": backend::KEY}]},
        },
    })
}

fn rate_limit(suffix: &str, domain: &str, around: Surroundings<'_>) -> Value {
    let mut config = json!({
        "@type": extension("filters.http.ratelimit.v3.RateLimit"),
        "domain": domain,
        "disable_x_envoy_ratelimited_header": true,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        // Instead of Envoy's 20 ms: a busy machine is no reason to let a request pass.
        "timeout": "10s",
        "rate_limit_service": {
            "grpc_service": {"envoy_grpc": {"cluster_name": "ratelimit_cluster"}},
            "transport_api_version": "V3",
        },
    });
    if around.fail_closed {
        config["failure_mode_deny"] = json!(true);
    }
    json!({"name": format!("envoy.filters.http.ratelimit{suffix}"), "typed_config": config})
}

/// Stands for the filters that learn from a response what a request has used.
fn tokens_to_metadata() -> Value {
    json!({
        "name": "envoy.filters.http.header_to_metadata",
        "typed_config": {
            "@type": extension("filters.http.header_to_metadata.v3.Config"),
            "response_rules": [{
                "header": backend::USED,
                "on_header_present": {
                    "metadata_namespace": "io.envoy.ai_gateway",
                    "key": "llm_total_token",
                    "type": "NUMBER",
                },
            }],
        },
    })
}

fn cluster(name: &str, endpoints: &[SocketAddr], protocol: &Value) -> Value {
    let endpoint = |it: &SocketAddr| json!({"endpoint": {"address": address(*it)}});
    let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": extension("upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": protocol,
            },
        },
    })
}

fn address(address: SocketAddr) -> Value {
    json!({"socket_address": {
        "address": address.ip().to_string(),
        "port_value": address.port(),
    }})
}

fn extension(name: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.{name}")
}
