//! A policy of type `cors`.

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::Method;
use crate::platform::document::text;
use crate::platform::hostname::is_dns_name;
use crate::platform::security::Cors;
use crate::platform::security::CorsMethod;

pub(super) fn read(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Cors> {
    let mut fields = at.mapping(faults)?;
    let origins_at = fields.required("allow_origins", faults);
    let expected = "an origin: `*` or one such as `https://app.example.com`";
    let origins = origins_at
        .as_ref()
        .and_then(|at| text::list(at, expected, is_origin, faults));
    if let (Some(at), Some([])) = (&origins_at, origins.as_deref()) {
        faults.push(at.fault("expected at least one origin"));
    }
    let methods = methods(&mut fields, faults);
    let allow_headers = headers("allow_headers", &mut fields, faults);
    let expose_headers = headers("expose_headers", &mut fields, faults);
    let max_age = fields.optional("max_age");
    let max_age = max_age.and_then(|at| text::span(&at, faults));
    let credentials = fields.optional("allow_credentials");
    let credentials = credentials.and_then(|at| at.boolean(faults));
    fields.finish(faults);
    Some(Cors {
        allow_origins: origins?,
        allow_methods: methods?,
        allow_headers: allow_headers?,
        expose_headers: expose_headers?,
        max_age,
        allow_credentials: credentials,
    })
}

fn methods(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Vec<CorsMethod>> {
    let Some(at) = fields.optional("allow_methods") else {
        return Some(Vec::new());
    };
    let named = Method::NAMES.map(|(name, method)| (name, CorsMethod::Only(method)));
    let names: Vec<_> = named.into_iter().chain([("*", CorsMethod::Any)]).collect();
    let items = at.items(faults);
    let mut methods = Vec::with_capacity(items.len());
    for item in &items {
        let Some(method) = item.one_of(&names, faults) else {
            continue;
        };
        if methods.contains(&method) {
            faults.push(item.fault("this method stands here twice"));
        }
        methods.push(method);
    }
    (methods.len() == items.len()).then_some(methods)
}

fn headers(
    key: &'static str,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Vec<String>> {
    match fields.optional(key) {
        None => Some(Vec::new()),
        Some(at) => text::list(&at, "the name of a header", text::is_token, faults),
    }
}

/// Whether a text is an origin as the CRD has it, which may have a wildcard in place of the host
/// or of its first label.
fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    let has_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(is_inner);
    let host = match host.rsplit_once(':') {
        None => host,
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        Some(_) => return false,
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    has_scheme && text.len() <= MAX_ORIGIN && (host == "*" || is_dns_name(name))
}

const MAX_ORIGIN: usize = 253;
