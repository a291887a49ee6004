//! Who may call a route → `SecurityPolicy`, one a route.

use crate::manifest::Namespace;
use crate::manifest::Object;
use crate::manifest::cluster::ClusterSettings;
use crate::manifest::emit::cluster;
use crate::manifest::emit::from_all;
use crate::manifest::emit::metadata;
use crate::manifest::emit::service_labels;
use crate::manifest::gateway::SecretRef;
use crate::manifest::route::BackendRef;
use crate::manifest::security_policy;
use crate::manifest::security_policy::Action;
use crate::manifest::security_policy::Authorization;
use crate::manifest::security_policy::AuthorizationRule;
use crate::manifest::security_policy::ClaimToHeader;
use crate::manifest::security_policy::ExtAuth;
use crate::manifest::security_policy::GrpcAuth;
use crate::manifest::security_policy::HttpAuth;
use crate::manifest::security_policy::JwtPrincipal;
use crate::manifest::security_policy::JwtProvider;
use crate::manifest::security_policy::OidcProvider;
use crate::manifest::security_policy::Principal;
use crate::manifest::security_policy::RemoteJwks;
use crate::manifest::security_policy::SecurityPolicySpec;
use crate::manifest::traffic_policy::TargetRef;
use crate::platform::Route;
use crate::platform::backend::Backend;
use crate::platform::backend::Scheme;
use crate::platform::effective::Effective;
use crate::platform::effective::Source;
use crate::platform::security::ApiKey;
use crate::platform::security::Auth;
use crate::platform::security::CONSUMER;
use crate::platform::security::ClaimHeader;
use crate::platform::security::Cors;
use crate::platform::security::CorsMethod;
use crate::platform::security::Jwt;
use crate::platform::security::Oidc;
use crate::platform::security::PLAN;
use crate::platform::share::Part;

/// The policy, unless anybody may call from anywhere.
pub(super) fn object(
    route: &Route,
    effective: &Effective<'_>,
    namespace: &Namespace,
) -> Option<Object<SecurityPolicySpec>> {
    let cors = effective.cors(route);
    if cors.is_none() && route.auth.is_none() {
        return None;
    }
    let own = route.auth.is_some().then_some(Source::Route(&route.name));
    let from = from_all([own, cors.map(|it| it.source)].into_iter().flatten());
    let mut metadata = metadata(&route.name, namespace, from);
    metadata.labels.extend(service_labels(&route.api_service));
    let mut spec = SecurityPolicySpec {
        target_refs: vec![TargetRef::http_route(&route.name)],
        cors: cors.map(|it| Box::new(cors_of(it.spec))),
        jwt: None,
        oidc: None,
        ext_auth: None,
        authorization: None,
    };
    match &route.auth {
        None => {}
        Some(Auth::ApiKey(key)) => spec.ext_auth = Some(Box::new(ext_auth(key))),
        Some(Auth::Jwt(token)) => {
            spec.jwt = Some(jwt(token));
            spec.authorization = authorization(token);
        }
        Some(Auth::Oidc(login)) => spec.oidc = Some(Box::new(oidc(login))),
    }
    Some(Object::new(metadata, spec))
}

fn cors_of(cors: &Cors) -> security_policy::Cors {
    let method = |method: &CorsMethod| match method {
        CorsMethod::Any => "*".to_owned(),
        CorsMethod::Only(method) => method.name().to_owned(),
    };
    security_policy::Cors {
        allow_origins: cors.allow_origins.clone(),
        allow_methods: cors.allow_methods.iter().map(method).collect(),
        allow_headers: cors.allow_headers.clone(),
        expose_headers: cors.expose_headers.clone(),
        max_age: cors.max_age.as_ref().map(ToString::to_string),
        allow_credentials: cors.allow_credentials,
    }
}

/// A service that speaks gRPC sets headers itself; of one that speaks HTTP they must be named.
fn ext_auth(key: &ApiKey) -> ExtAuth {
    let backend_refs = auth_backends(&key.backend);
    let backend_settings = settings(&key.backend);
    let headers_to_ext_auth = vec![key.header.clone()];
    match &key.backend.scheme {
        Scheme::Grpc | Scheme::Grpcs(_) => ExtAuth {
            headers_to_ext_auth,
            grpc: Some(GrpcAuth {
                backend_refs,
                backend_settings,
            }),
            http: None,
        },
        Scheme::Http | Scheme::Https(_) => ExtAuth {
            headers_to_ext_auth,
            grpc: None,
            http: Some(HttpAuth {
                backend_refs,
                headers_to_backend: vec![CONSUMER.to_owned(), PLAN.to_owned()],
                backend_settings,
            }),
        },
    }
}

fn auth_backends(backend: &Backend) -> Vec<BackendRef> {
    let parts = backend.parts();
    let is_whole = parts.len() == 1;
    let backend_ref = |part: &Part<'_>| {
        let port = part.endpoints.first().map(|first| first.port);
        let is_one = part.endpoints.iter().all(|it| Some(it.port) == port);
        BackendRef {
            port: port.filter(|_| is_one),
            weight: (!is_whole).then_some(part.weight),
            ..BackendRef::backend(&part.name)
        }
    };
    parts.iter().map(backend_ref).collect()
}

/// What a backend says of the way to it, which no route is asked about here.
fn settings(backend: &Backend) -> Option<Box<ClusterSettings>> {
    let timeout = &backend.timeout;
    let settings = ClusterSettings {
        retry: backend.retry.as_ref().map(cluster::retry),
        timeout: cluster::timeout(
            timeout.request.as_ref(),
            timeout.idle.as_ref(),
            timeout.connect.as_ref(),
        ),
        circuit_breaker: backend
            .circuit_breaker
            .as_ref()
            .map(cluster::circuit_breaker),
        load_balancer: backend.load_balancer.as_ref().map(cluster::load_balancer),
        health_check: backend.health_check.as_ref().map(cluster::health_check),
    };
    (settings != ClusterSettings::default()).then(|| Box::new(settings))
}

fn jwt(token: &Jwt) -> security_policy::Jwt {
    let claim = |it: &ClaimHeader| ClaimToHeader {
        header: it.header.clone(),
        claim: it.claim.clone(),
    };
    let provider = JwtProvider {
        name: PROVIDER.to_owned(),
        issuer: token.issuer.clone(),
        audiences: token.audiences.clone(),
        remote_jwks: Some(RemoteJwks {
            uri: token.jwks_uri.clone(),
        }),
        claim_to_headers: token.claim_to_headers.iter().map(claim).collect(),
    };
    security_policy::Jwt {
        providers: vec![provider],
    }
}

/// The name of the one issuer of a policy.
const PROVIDER: &str = "imprun";

/// A token without the scopes passes the check of its signature, so what it allows is checked too.
fn authorization(token: &Jwt) -> Option<Authorization> {
    if token.scopes.is_empty() {
        return None;
    }
    let jwt = JwtPrincipal {
        provider: PROVIDER.to_owned(),
        scopes: token.scopes.clone(),
    };
    let rule = AuthorizationRule {
        action: Action::Allow,
        principal: Principal { jwt: Some(jwt) },
    };
    Some(Authorization {
        default_action: Some(Action::Deny),
        rules: vec![rule],
    })
}

fn oidc(login: &Oidc) -> security_policy::Oidc {
    let endpoints = login.endpoints.as_ref();
    security_policy::Oidc {
        provider: OidcProvider {
            issuer: login.issuer.clone(),
            authorization_endpoint: endpoints.map(|it| it.authorization.clone()),
            token_endpoint: endpoints.map(|it| it.token.clone()),
        },
        client_id: Some(login.client_id.clone()),
        client_secret: SecretRef {
            name: login.client_secret_ref.clone(),
        },
        redirect_url: login.redirect_url.clone(),
        logout_path: login.logout_path.clone(),
        scopes: login.scopes.clone(),
    }
}
