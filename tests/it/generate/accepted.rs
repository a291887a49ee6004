//! What we emit against what Envoy Gateway is known to accept, resource by resource.

use std::fs;

use crate::support::crd::documents;
use crate::support::in_project;
use crate::support::service::slidegate;
use crate::support::skip;

#[test]
fn what_is_emitted_is_what_envoy_gateway_accepted() {
    let accepted = in_project("../shared/vectors/manifests/accepted.yaml");
    let Ok(accepted) = fs::read_to_string(&accepted) else {
        skip("REQUIRE_SHARED", "no ../shared/vectors to compare with");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("platform.yaml");
    fs::write(&path, PLATFORM).unwrap();
    let output = slidegate(&["generate"]).arg(&path).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8(output.stderr).unwrap()
    );
    let emitted = documents(&String::from_utf8(output.stdout).unwrap());
    let mut n_compared = 0;
    for accepted in documents(&accepted) {
        let name = &accepted["metadata"]["name"];
        // What is there for a plan stands in the policy of all gateways here, where it was recorded.
        if accepted["kind"] == "BackendTrafficPolicy" && name == "keyed" {
            continue;
        }
        let is_it = |it: &&serde_json::Value| {
            it["kind"] == accepted["kind"] && it["metadata"]["name"] == *name
        };
        let emitted = emitted.iter().find(is_it).unwrap();
        let (mut emitted, accepted) = (emitted["spec"].clone(), &accepted["spec"]);
        if name == "login" {
            // What its backend says is in force for it as well.
            let fields = emitted.as_object_mut().unwrap();
            fields.retain(|field, _| accepted.get(field).is_some());
        }
        assert_eq!(emitted, *accepted, "{name}");
        n_compared += 1;
    }
    assert_eq!(n_compared, 12);
}

const PLATFORM: &str = "
kind: Gateway
name: api-gw
listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: api.example.com}
  - {name: https, port: 443, protocol: HTTPS, hostname: api.example.com, tls: {mode: Terminate, certificate_ref: api-cert}}
---
kind: Backend
name: payment
scheme: grpcs
endpoints: [{host: payment-1.example.com, port: 443}]
tls: {sni: payment.example.com}
lb_policy: ConsistentHash
consistent_hash: {type: Header, header_name: x-user-id}
connect_timeout_ms: 1000
timeout_ms: 20000
idle_timeout_ms: 60000
health_check: {type: HTTP, interval: 10s, timeout: 2s, healthy_threshold: 2, unhealthy_threshold: 3,
               http: {path: /health, expected_statuses: [200]}}
circuit_breaker: {max_connections: 1, max_retries: 1}
retry: {num_retries: 2, retry_on: [5xx, reset, connect-failure], per_try_timeout: 5s}
---
{kind: Backend, name: authz, scheme: http, endpoints: [{host: authz.example.com, port: 8080}]}
---
{kind: ApiService, name: api}
---
kind: Route
name: get-payments
api_service: api
gateway: api-gw
listener: https
hostnames: [api.example.com]
path_prefix: /payments
methods: [GET]
headers: [{name: x-api-version, type: Exact, value: v1}]
query_params: [{name: debug, type: Exact, value: '1'}]
backend_refs: [{backend: payment, weight: 100}]
timeouts: {request: 30s, backend_request: 10s}
auth_mode: jwt
auth_config:
  issuer: https://auth.example.com
  audiences: [payment-api]
  jwks_uri: https://auth.example.com/.well-known/jwks.json
  claim_to_headers: [{claim: sub, header: x-user-id}]
rate_limit: {requests_per_unit: 100, unit: minute, key: {by: header, name: x-user-id}}
timeout: {request_timeout: 30s}
---
kind: Policy
name: again
scope: service
api_service: api
type: retry
spec:
  num_retries: 3
  retry_on: [5xx, reset, connect-failure]
  per_try_timeout: 10s
  backoff: {base_interval: 25ms, max_interval: 250ms}
---
kind: Policy
name: breaker
scope: global
type: circuit-breaker
spec: {max_connections: 1024, max_pending_requests: 1024, max_requests: 1024, max_retries: 3}
---
kind: Route
name: keyed
api_service: api
gateway: api-gw
listener: http
path_prefix: /keyed
backend_refs: [{backend: payment}]
auth_mode: apikey
auth_config: {backend: authz, header: x-api-key}
---
kind: Route
name: login
api_service: api
gateway: api-gw
listener: https
path_prefix: /login
backend_refs: [{backend: payment}]
auth_mode: oidc
auth_config:
  issuer: https://auth.example.com
  authorization_endpoint: https://auth.example.com/auth
  token_endpoint: https://auth.example.com/token
  client_id: app
  client_secret_ref: oidc-secret
  redirect_url: https://api.example.com/login/oauth2/callback
  logout_path: /login/logout
rate_limit: {requests_per_unit: 10, unit: second, type: Local}
---
{kind: Policy, name: headers, scope: route, route: get-payments, type: header-modifier, spec: {set: {x-a: '1'}}}
---
kind: Policy
name: upstream
scope: route
route: get-payments
type: url-rewrite
spec: {hostname: up.example.com, path: {type: ReplacePrefixMatch, value: /v2}}
---
kind: Policy
name: pages
scope: route
route: get-payments
type: cors
spec:
  allow_origins: ['https://app.example.com']
  allow_methods: [GET]
  allow_headers: [x-a]
  expose_headers: [x-b]
  max_age: 1h
  allow_credentials: true
";
