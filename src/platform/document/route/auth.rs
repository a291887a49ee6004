//! `auth_mode` and `auth_config` of a route.

use std::sync::Arc;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::backend::Backend;
use crate::platform::document::entities::Entities;
use crate::platform::document::route::backends;
use crate::platform::document::text;
use crate::platform::document::text::at_most;
use crate::platform::document::text::is_word;
use crate::platform::hostname::is_dns_name;
use crate::platform::security::ApiKey;
use crate::platform::security::Auth;
use crate::platform::security::ClaimHeader;
use crate::platform::security::Jwt;
use crate::platform::security::Oidc;
use crate::platform::security::OidcEndpoints;

#[derive(Clone, Copy)]
enum Mode {
    ApiKey,
    Jwt,
    None,
    Oidc,
}

/// The authentication, or none when there is none; nothing at all when it has faults.
pub(super) fn read(
    entities: &Entities<Backend>,
    is_active: bool,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Option<Auth>> {
    let mode_at = fields.optional("auth_mode");
    let config_at = fields.optional("auth_config");
    let mode = match &mode_at {
        None => Mode::None,
        Some(at) => mode(at, faults)?,
    };
    let config = match (mode, mode_at, config_at) {
        (Mode::None, _, None) => return Some(None),
        (Mode::None, _, Some(at)) => {
            faults.push(at.fault("`auth_config` needs an `auth_mode` of apikey, jwt or oidc"));
            return None;
        }
        (_, _, Some(at)) => at,
        (_, at, None) => {
            let at = at.as_ref().unwrap_or(fields.at());
            faults.push(at.fault("this `auth_mode` needs an `auth_config`"));
            return None;
        }
    };
    let mut config = config.mapping(faults)?;
    let has_secret = secret(&mut config, faults);
    let auth = match mode {
        Mode::ApiKey => api_key(entities, is_active, &mut config, faults).map(Auth::ApiKey),
        Mode::Jwt => jwt(&mut config, faults).map(Auth::Jwt),
        Mode::Oidc => oidc(&mut config, has_secret, faults).map(Auth::Oidc),
        Mode::None => None,
    };
    config.finish(faults);
    auth.map(Some)
}

fn mode(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Mode> {
    let names = [
        ("none", Mode::None),
        ("apikey", Mode::ApiKey),
        ("jwt", Mode::Jwt),
        ("oidc", Mode::Oidc),
        ("api-key", Mode::ApiKey),
        ("oauth2", Mode::Jwt),
    ];
    at.one_of(&names, faults)
}

/// Reports a secret that stands in the document, without repeating it.
fn secret(config: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> bool {
    let found = config.forbidden("client_secret");
    if let Some(at) = &found {
        let message = "a secret does not belong in a document: put it into a Kubernetes secret \
                       under the key `client-secret`, and name that in `client_secret_ref`";
        faults.push(at.fault(message));
    }
    found.is_some()
}

fn api_key(
    entities: &Entities<Backend>,
    is_active: bool,
    config: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<ApiKey> {
    let at = config.required("backend", faults);
    let backend = at
        .as_ref()
        .and_then(|at| backends::resolve(entities, is_active, at, faults));
    if let (Some(at), Some(backend)) = (&at, backend.and_then(|it| it.entity.as_ref())) {
        backends::at_most_parts(backend.parts().len(), at, faults);
    }
    let header = config.required("header", faults);
    let header = header.and_then(|at| text::token(&at, faults));
    Some(ApiKey {
        backend: Arc::clone(backend?.entity.as_ref()?),
        header: header?,
    })
}

fn jwt(config: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Jwt> {
    let issuer = config.optional("issuer");
    let expected = format!("an issuer of 1 to {MAX_ISSUER} characters");
    let is_issuer = |text: &str| (1..=MAX_ISSUER).contains(&text.len());
    let issuer = issuer.map(|at| text::checked(&at, faults, &expected, is_issuer));
    let audiences = audiences(config, faults);
    let uri = match config.optional("jwks_uri") {
        Some(at) => url(&at, MAX_URI, faults),
        None => match &issuer {
            Some(issuer) => issuer.as_ref().and_then(|it| keys_of(it, config, faults)),
            None => {
                config.required("jwks_uri", faults);
                None
            }
        },
    };
    let scopes_at = config.optional("scopes");
    let scopes = list(scopes_at.as_ref(), "a scope", is_word, faults);
    if let (Some(at), Some(scopes)) = (&scopes_at, &scopes) {
        let instead = "ask for a scope that stands for several";
        at_most(MAX_SCOPES, "scopes", instead, at, scopes.len(), faults);
    }
    let claims = claims(config, faults);
    let issuer = match issuer {
        None => None,
        Some(issuer) => Some(issuer?),
    };
    Some(Jwt {
        issuer,
        audiences: audiences?,
        jwks_uri: uri?,
        scopes: scopes?,
        claim_to_headers: claims?,
    })
}

/// What the CRD lets these have.
const MAX_AUDIENCES: usize = 8;
const MAX_ISSUER: usize = 253;
const MAX_SCOPES: usize = 16;
const MAX_URI: usize = 253;

/// Where an issuer keeps its keys when nothing else is said.
fn keys_of(issuer: &str, config: &Mapping<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let uri = format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'));
    if is_url(&uri) && uri.len() <= MAX_URI {
        return Some(uri);
    }
    let message = "`jwks_uri` is missing, and `issuer` is no URL that would lead to the keys";
    faults.push(config.at().fault(message));
    None
}

/// `audiences`, or the one `audience` of a mode `oauth2`.
fn audiences(config: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Vec<String>> {
    let many = config.optional("audiences");
    let one = config.optional("audience");
    if let (Some(_), Some(at)) = (&many, &one) {
        faults.push(at.fault("expected one of `audiences` and `audience`, found both"));
        return None;
    }
    let is_audience = |text: &str| !text.is_empty();
    if let Some(at) = one {
        return Some(vec![text::checked(
            &at,
            faults,
            "an audience",
            is_audience,
        )?]);
    }
    let audiences = list(many.as_ref(), "an audience", is_audience, faults)?;
    if let Some(at) = many {
        let instead = "make several routes of it";
        at_most(
            MAX_AUDIENCES,
            "audiences",
            instead,
            &at,
            audiences.len(),
            faults,
        );
    }
    Some(audiences)
}

fn claims(config: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Vec<ClaimHeader>> {
    let Some(at) = config.optional("claim_to_headers") else {
        return Some(Vec::new());
    };
    let items = at.items(faults);
    let n_items = items.len();
    let mut claims: Vec<ClaimHeader> = Vec::with_capacity(n_items);
    for item in items {
        let Some(mut fields) = item.mapping(faults) else {
            continue;
        };
        let claim = fields.required("claim", faults);
        let claim = claim.and_then(|at| text::checked(&at, faults, "a claim", is_word));
        let header = fields.required("header", faults);
        let header = header.and_then(|at| text::token(&at, faults));
        fields.finish(faults);
        let (Some(claim), Some(header)) = (claim, header) else {
            continue;
        };
        if claims
            .iter()
            .any(|it| it.header.eq_ignore_ascii_case(&header))
        {
            faults.push(item.fault(format!("header `{header}` stands here twice")));
        }
        claims.push(ClaimHeader { claim, header });
    }
    (claims.len() == n_items).then_some(claims)
}

fn oidc(config: &mut Mapping<'_>, has_secret: bool, faults: &mut Vec<Fault>) -> Option<Oidc> {
    let issuer = config.required("issuer", faults);
    let issuer = issuer.and_then(|at| url(&at, usize::MAX, faults));
    let client_id = config.required("client_id", faults);
    let client_id = client_id.and_then(|at| text::checked(&at, faults, "a client id", is_word));
    let secret_ref = if has_secret {
        config.optional("client_secret_ref")
    } else {
        config.required("client_secret_ref", faults)
    };
    let expected = "the name of a secret";
    let secret_ref = secret_ref.and_then(|at| text::checked(&at, faults, expected, is_dns_name));
    let redirect_url = match config.optional("redirect_url") {
        None => Some(None),
        Some(at) => redirect_url(&at, faults).map(Some),
    };
    let logout_path = match config.optional("logout_path") {
        None => Some(None),
        Some(at) => {
            let is_path = |text: &str| text.starts_with('/') && is_word(text);
            text::checked(&at, faults, "a path that begins with `/`", is_path).map(Some)
        }
    };
    let scopes = list(
        config.optional("scopes").as_ref(),
        "a scope",
        is_word,
        faults,
    );
    let endpoints = endpoints(config, faults);
    Some(Oidc {
        issuer: issuer?,
        endpoints: endpoints?,
        client_id: client_id?,
        client_secret_ref: secret_ref?,
        redirect_url: redirect_url?,
        logout_path: logout_path?,
        scopes: scopes?,
    })
}

/// Both endpoints or none, and nothing at all when they have faults.
fn endpoints(config: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Option<OidcEndpoints>> {
    let authorization = config.optional("authorization_endpoint");
    let token = config.optional("token_endpoint");
    match (authorization, token) {
        (None, None) => Some(None),
        (Some(authorization), Some(token)) => {
            let authorization = url(&authorization, usize::MAX, faults);
            let is_named = |text: &str| is_url(text) && host(text).is_some_and(is_dns_name_only);
            let expected = "a URL with a host name, such as `https://auth.example.com/token`";
            let token = text::checked(&token, faults, expected, is_named);
            Some(Some(OidcEndpoints {
                authorization: authorization?,
                token: token?,
            }))
        }
        (Some(at), None) | (None, Some(at)) => {
            let message = "expected both `authorization_endpoint` and `token_endpoint`, or none";
            faults.push(at.fault(message));
            None
        }
    }
}

fn redirect_url(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let has_path = |text: &str| {
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        is_url(text)
            && rest
                .split_once('/')
                .is_some_and(|(_, path)| !path.is_empty())
    };
    let expected = "a URL with a path, such as `https://api.example.com/oauth2/callback`";
    text::checked(at, faults, expected, has_path)
}

fn url(at: &At<'_>, max: usize, faults: &mut Vec<Fault>) -> Option<String> {
    let expected = if max == usize::MAX {
        "a URL, such as `https://auth.example.com`".to_owned()
    } else {
        format!("a URL of at most {max} characters, such as `https://auth.example.com`")
    };
    text::checked(at, faults, &expected, |text| {
        text.len() <= max && is_url(text)
    })
}

/// Whether a text is an absolute URL of HTTP without user and fragment.
fn is_url(text: &str) -> bool {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    is_plain && host(text).is_some_and(|it| is_dns_name_only(it) || it.parse::<IpHost>().is_ok())
}

/// What may stand in a URL in place of a name.
type IpHost = std::net::Ipv4Addr;

fn is_dns_name_only(host: &str) -> bool {
    is_dns_name(&host.to_ascii_lowercase()) && host.parse::<IpHost>().is_err()
}

/// The host of a URL whose port, if it has one, is one.
fn host(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..end].split_once(':') {
        None => Some(&rest[..end]),
        Some((host, port)) => port
            .parse::<u16>()
            .is_ok_and(|port| port > 0)
            .then_some(host),
    }
}

/// A list of texts of one kind, each of them once; nothing at all when it has faults.
fn list(
    at: Option<&At<'_>>,
    expected: &str,
    holds: impl Fn(&str) -> bool,
    faults: &mut Vec<Fault>,
) -> Option<Vec<String>> {
    match at {
        None => Some(Vec::new()),
        Some(at) => text::list(at, expected, holds, faults),
    }
}
