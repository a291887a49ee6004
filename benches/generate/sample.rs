//! A platform of many routes, each with a limit of its own, and authentication and CORS for many.

use std::fmt::Write;

/// A YAML stream with so many routes, and as many policies and more for them.
pub(crate) fn platform(n_routes: usize) -> String {
    let mut text = GATEWAY.to_owned();
    for backend in 0..n_routes.div_ceil(10) {
        write!(
            text,
            "---\nkind: Backend\nname: backend-{backend}\nscheme: http\n\
             endpoints: [{{host: b{backend}.example.com, port: 8080}}]\n"
        )
        .unwrap();
    }
    for service in 0..n_routes.div_ceil(20) {
        write!(
            text,
            "---\nkind: ApiService\nname: service-{service}\nversion: v1\n---\nkind: Policy\n\
             name: cors-{service}\nscope: service\napi_service: service-{service}\ntype: cors\n\
             spec: {{allow_origins: ['https://www.example.com'], max_age: 60s}}\n"
        )
        .unwrap();
    }
    for route in 0..n_routes {
        let auth = if route % 4 == 0 { JWT } else { "" };
        let (service, backend, host) = (route / 20, route / 10, route % n_routes.div_ceil(100));
        let requests = route + 1;
        write!(
            text,
            "---\nkind: Route\nname: route-{route}\napi_service: service-{service}\n\
             gateway: api-gw\nhostnames: [h{host}.example.com]\npath_prefix: /v1/things-{route}\n\
             methods: [GET]\nheaders: [{{name: x-api-version, type: Exact, value: v1}}]\n\
             backend_refs: [{{backend: backend-{backend}}}]\npriority: {route}\n{auth}\
             ---\nkind: Policy\nname: limit-{route}\nscope: route\nroute: route-{route}\n\
             type: rate-limit\nspec: {{requests_per_unit: {requests}, unit: minute, \
             key: {{by: header, name: x-user-id}}}}\n"
        )
        .unwrap();
    }
    text
}

const GATEWAY: &str = "kind: Gateway
name: api-gw
listeners:
- {name: http, port: 80, protocol: HTTP}
- {name: https, port: 443, protocol: HTTPS, tls: {mode: Terminate, certificate_ref: cert}}
";

const JWT: &str = "auth_mode: jwt
auth_config:
  issuer: https://auth.example.com
  jwks_uri: https://auth.example.com/jwks
  claim_to_headers: [{claim: sub, header: x-user-id}]
";
