//! How `auth_mode`, `auth_config`, `timeouts` and policies of type `cors` are read.

use crate::platform::PolicySpec;
use crate::platform::document::tests::check;
use crate::platform::document::tests::good;
use crate::platform::security::Auth;

#[test]
fn a_key_is_judged_by_a_backend() {
    for mode in ["apikey", "api-key"] {
        let auth = auth(mode, "backend: up, header: x-api-key");
        let Auth::ApiKey(key) = auth else {
            panic!("{auth:?}");
        };
        assert_eq!(
            (key.backend.name.as_str(), key.header.as_str()),
            ("up", "x-api-key")
        );
    }
    bad(
        "apikey",
        "{}",
        &[
            "auth_config: `backend` is missing",
            "auth_config: `header` is missing",
        ],
    );
    bad(
        "apikey",
        "{backend: authz, header: x-api-key}",
        &["auth_config.backend: unknown backend `authz`: expected up or up-off"],
    );
    bad(
        "apikey",
        "{backend: up-off, header: x-api-key}",
        &["auth_config.backend: backend `up-off` is inactive, but the route is active"],
    );
}

#[test]
fn a_token_has_an_issuer_or_a_place_of_keys() {
    let Auth::Jwt(token) = auth(
        "jwt",
        "issuer: https://a.example.com, audiences: [x, y], jwks_uri: https://a.example.com/keys, \
         claim_to_headers: [{claim: sub, header: x-user-id}]",
    ) else {
        panic!("no token");
    };
    assert_eq!(token.jwks_uri, "https://a.example.com/keys");
    assert_eq!(token.audiences, ["x", "y"]);
    assert_eq!(token.claim_to_headers[0].header, "x-user-id");

    let config = "issuer: https://a.example.com/, audience: x, scopes: [read, write]";
    let Auth::Jwt(token) = auth("oauth2", config) else {
        panic!("no token");
    };
    assert_eq!(
        token.jwks_uri,
        "https://a.example.com/.well-known/jwks.json"
    );
    assert_eq!(
        (token.audiences, token.scopes.len()),
        (vec!["x".to_owned()], 2)
    );
}

#[test]
fn a_token_is_checked_field_by_field() {
    bad("jwt", "{}", &["auth_config: `jwks_uri` is missing"]);
    bad(
        "jwt",
        "{issuer: me}",
        &["auth_config: `jwks_uri` is missing, and `issuer` is no URL that would lead to the keys"],
    );
    bad(
        "jwt",
        "{jwks_uri: a.example.com/keys, audiences: [x, x], audience: y, scopes: ['a b'], claim_to_headers: [{claim: sub, header: x}, {claim: aud, header: X}], leeway: 1}",
        &[
            "auth_config.audience: expected one of `audiences` and `audience`, found both",
            "auth_config.jwks_uri: `a.example.com/keys` is not a URL of at most 253 characters, such as `https://auth.example.com`",
            "auth_config.scopes[0]: `a b` is not a scope",
            "auth_config.claim_to_headers[1]: header `X` stands here twice",
            "auth_config.leeway: unknown key `leeway`: expected issuer, audiences, audience, jwks_uri, scopes or claim_to_headers",
        ],
    );
    bad(
        "jwt",
        "{jwks_uri: 'https://a.b/k', audiences: [a, b, c, d, e, f, g, h, i]}",
        &[
            "auth_config.audiences: expected at most 8 audiences, found 9: make several routes of it",
        ],
    );
}

#[test]
fn a_login_refers_to_its_secret() {
    let config = "issuer: https://a.example.com, client_id: app, client_secret_ref: oidc-secret, \
                  redirect_url: https://api.example.com/login/back, logout_path: /out, scopes: [openid]";
    let Auth::Oidc(login) = auth("oidc", config) else {
        panic!("no login");
    };
    assert_eq!(login.client_secret_ref, "oidc-secret");
    assert_eq!(login.endpoints, None);
    bad(
        "oidc",
        "{issuer: a, token_endpoint: 'https://10.0.0.1/token', redirect_url: 'https://a.b', logout_path: out}",
        &[
            "auth_config.issuer: `a` is not a URL, such as `https://auth.example.com`",
            "auth_config: `client_id` is missing",
            "auth_config: `client_secret_ref` is missing",
            "auth_config.redirect_url: `https://a.b` is not a URL with a path, such as `https://api.example.com/oauth2/callback`",
            "auth_config.logout_path: `out` is not a path that begins with `/`",
            "auth_config.token_endpoint: expected both `authorization_endpoint` and `token_endpoint`, or none",
        ],
    );
    bad(
        "oidc",
        "{issuer: 'https://a.b', client_id: x, client_secret_ref: s, authorization_endpoint: 'https://a.b/auth', token_endpoint: 'https://10.0.0.1/token'}",
        &[
            "auth_config.token_endpoint: `https://10.0.0.1/token` is not a URL with a host name, such as `https://auth.example.com/token`",
        ],
    );
}

#[test]
fn a_secret_in_a_document_is_a_fault_that_does_not_repeat_it() {
    for mode in ["oidc", "jwt"] {
        bad(
            mode,
            "{issuer: 'https://a.b', client_id: x, client_secret: hunter2}",
            &[
                "auth_config.client_secret: a secret does not belong in a document: put it into a Kubernetes secret under the key `client-secret`, and name that in `client_secret_ref`",
                "auth_config.client_id: unknown key `client_id`: expected issuer, audiences, audience, jwks_uri, scopes or claim_to_headers",
            ][..if mode == "oidc" { 1 } else { 2 }],
        );
    }
}

#[test]
fn a_mode_and_its_config_go_together() {
    route(
        "auth_config: {}",
        &["auth_config: `auth_config` needs an `auth_mode` of apikey, jwt or oidc"],
    );
    route(
        "auth_mode: jwt",
        &["auth_mode: this `auth_mode` needs an `auth_config`"],
    );
    route(
        "auth_mode: oicd",
        &["auth_mode: unknown value `oicd`: did you mean `oidc`?"],
    );
    route(
        "auth_mode: saml",
        &["auth_mode: unknown value `saml`: expected none, apikey, jwt, oidc, api-key or oauth2"],
    );
}

#[test]
fn an_attempt_takes_no_longer_than_the_request() {
    route("timeouts: {request: 30s, backend_request: 30s}", &[]);
    route("timeouts: {request: 0s, backend_request: 1h}", &[]);
    route(
        "timeouts: {request: 30s, backend_request: 1m}",
        &["timeouts.backend_request: `1m` is longer than the whole request may take: `30s`"],
    );
    route(
        "timeouts: {request: 30, idle: 1m}",
        &[
            "timeouts.request: `30` is not a length of time: expected one such as `30s`, `1h30m` or `250ms`",
            "timeouts.idle: unknown key `idle`: expected request or backend_request",
        ],
    );
}

#[test]
fn origins_are_named() {
    let platform = good(&cors(
        "allow_origins: ['https://app.example.com', 'https://*.example.com:8443', 'http://*', 'capacitor://localhost'], \
         allow_methods: [GET, '*'], allow_headers: [x-a], expose_headers: ['*'], max_age: 1h, allow_credentials: true",
    ));
    let PolicySpec::Cors(cors) = &platform.policies[0].spec else {
        panic!("{:?}", platform.policies);
    };
    assert_eq!(cors.allow_origins.len(), 4);
    assert_eq!(cors.allow_credentials, Some(true));
}

#[test]
fn origins_are_checked() {
    let expected = |found: &str| {
        format!(
            "t.yaml:1: spec.allow_origins[0]: `{found}` is not an origin: `*` or one such as `https://app.example.com`"
        )
    };
    for origin in [
        "app.example.com",
        "https://a.b/",
        "https://a.b:x",
        "://a",
        "https://a.*.b",
    ] {
        check(
            &cors(&format!("allow_origins: ['{origin}']")),
            &[&expected(origin)],
        );
    }
    check(
        &cors("allow_origins: []"),
        &["t.yaml:1: spec.allow_origins: expected at least one origin"],
    );
    check(
        &cors(
            "allow_methods: [get], allow_headers: ['a b'], max_age: 3600, allow_credential: true",
        ),
        &[
            "t.yaml:1: spec: `allow_origins` is missing",
            "t.yaml:1: spec.allow_methods[0]: unknown value `get`: did you mean `GET`?",
            "t.yaml:1: spec.allow_headers[0]: `a b` is not the name of a header",
            "t.yaml:1: spec.max_age: `3600` is not a length of time: expected one such as `30s`, `1h30m` or `250ms`",
            "t.yaml:1: spec.allow_credential: unknown key `allow_credential`: did you mean `allow_credentials`?",
        ],
    );
}

fn cors(spec: &str) -> String {
    format!("{{kind: Policy, name: p1, scope: global, type: cors, spec: {{{spec}}}}}")
}

fn text(line: &str) -> String {
    format!(
        "{{kind: Route, name: r1, api_service: api, gateway: gw, path_prefix: /r1, backend_refs: [{{backend: up}}], {line}}}"
    )
}

fn auth(mode: &str, config: &str) -> Auth {
    let platform = good(&text(&format!(
        "auth_mode: {mode}, auth_config: {{{config}}}"
    )));
    platform.routes[1].auth.clone().unwrap()
}

#[track_caller]
fn bad(mode: &str, config: &str, expected: &[&str]) {
    route(
        &format!("auth_mode: {mode}, auth_config: {config}"),
        expected,
    );
}

#[track_caller]
fn route(line: &str, expected: &[&str]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|it| format!("t.yaml:1: {it}"))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&text(line), &expected);
}
