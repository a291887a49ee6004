//! Policies of the types `header-modifier`, `url-rewrite` and `request-redirect`.

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::document::text;
use crate::platform::filter::Header;
use crate::platform::filter::HeaderModifier;
use crate::platform::filter::PathRewrite;
use crate::platform::filter::RequestRedirect;
use crate::platform::filter::UrlRewrite;
use crate::platform::hostname::is_dns_name;

pub(super) fn header_modifier(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<HeaderModifier> {
    let mut fields = at.mapping(faults)?;
    let mut seen = Vec::new();
    let add = headers("add", &mut seen, &mut fields, faults);
    let set = headers("set", &mut seen, &mut fields, faults);
    let remove = removed(&mut seen, &mut fields, faults);
    fields.finish(faults);
    let modifier = HeaderModifier {
        add: add?,
        set: set?,
        remove: remove?,
    };
    if modifier == HeaderModifier::default() {
        faults.push(at.fault("expected at least one of add, set and remove"));
        return None;
    }
    Some(modifier)
}

/// Headers with values: a mapping, or a list of `name` and `value`.
fn headers(
    key: &'static str,
    seen: &mut Vec<String>,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Vec<Header>> {
    let Some(at) = fields.optional(key) else {
        return Some(Vec::new());
    };
    let mut headers = Vec::new();
    let n_headers;
    if at.is_mapping() {
        let entries: Vec<_> = at.mapping(faults)?.into_entries().collect();
        n_headers = entries.len();
        for (name, value) in entries {
            let name = if text::is_token(name) {
                Some(name.to_owned())
            } else {
                faults.push(value.fault(format!("`{name}` is not the name of a header")));
                None
            };
            headers.extend(header(
                name,
                header_value(&value, faults),
                &value,
                seen,
                faults,
            ));
        }
    } else {
        let items = at.items(faults);
        n_headers = items.len();
        for item in items {
            let Some(mut fields) = item.mapping(faults) else {
                continue;
            };
            let name = fields.required("name", faults);
            let name = name.and_then(|at| text::token(&at, faults));
            let value = fields.required("value", faults);
            let value = value.and_then(|at| header_value(&at, faults));
            fields.finish(faults);
            headers.extend(header(name, value, &item, seen, faults));
        }
    }
    text::at_most(MAX_HEADERS, "headers", FEWER, &at, n_headers, faults);
    (headers.len() == n_headers).then_some(headers)
}

/// How many headers Gateway API lets each list have.
const MAX_HEADERS: usize = 16;
const FEWER: &str = "change fewer, and let the backend see to the others";

fn header(
    name: Option<String>,
    value: Option<String>,
    at: &At<'_>,
    seen: &mut Vec<String>,
    faults: &mut Vec<Fault>,
) -> Option<Header> {
    let (name, value) = (name?, value?);
    is_free(&name, at, seen, faults).then_some(Header { name, value })
}

fn header_value(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let is_value =
        |text: &str| (1..=4_096).contains(&text.len()) && !text.chars().any(char::is_control);
    text::checked(at, faults, "a value of 1 to 4096 characters", is_value)
}

fn removed(
    seen: &mut Vec<String>,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Vec<String>> {
    let Some(at) = fields.optional("remove") else {
        return Some(Vec::new());
    };
    let items = at.items(faults);
    text::at_most(MAX_HEADERS, "headers", FEWER, &at, items.len(), faults);
    let mut names = Vec::with_capacity(items.len());
    for item in &items {
        let name = text::token(item, faults);
        names.extend(name.filter(|name| is_free(name, item, seen, faults)));
    }
    (names.len() == items.len()).then_some(names)
}

/// Whether a header may be changed here, and has not been already.
fn is_free(name: &str, at: &At<'_>, seen: &mut Vec<String>, faults: &mut Vec<Fault>) -> bool {
    let lower = name.to_ascii_lowercase();
    if lower == "host" {
        faults.push(at.fault("the host is for a policy of type url-rewrite, with `hostname`"));
        return false;
    }
    if seen.contains(&lower) {
        faults.push(at.fault(format!("header `{name}` stands in this policy twice")));
        return false;
    }
    seen.push(lower);
    true
}

pub(super) fn url_rewrite(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<UrlRewrite> {
    let mut fields = at.mapping(faults)?;
    let hostname = hostname(&mut fields, faults);
    let path = match fields.optional("path") {
        None => Some(None),
        Some(at) => path(&at, faults).map(Some),
    };
    fields.finish(faults);
    let rewrite = UrlRewrite {
        hostname: hostname?,
        path: path?,
    };
    if rewrite.hostname.is_none() && rewrite.path.is_none() {
        faults.push(at.fault("expected `hostname`, `path` or both"));
        return None;
    }
    Some(rewrite)
}

fn path(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<PathRewrite> {
    let mut fields = at.mapping(faults)?;
    let kind = fields.required("type", faults);
    let names = [("ReplacePrefixMatch", true), ("ReplaceFullPath", false)];
    let is_prefix = kind.and_then(|at| at.one_of(&names, faults));
    let value = fields.required("value", faults);
    let value = value.and_then(|at| text::path(&at, faults));
    fields.finish(faults);
    let value = value?;
    Some(if is_prefix? {
        PathRewrite::Prefix(value)
    } else {
        PathRewrite::Full(value)
    })
}

pub(super) fn request_redirect(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<RequestRedirect> {
    let n_faults = faults.len();
    let mut fields = at.mapping(faults)?;
    let schemes = [("http", "http"), ("https", "https")];
    let scheme = fields.optional("scheme");
    let scheme = scheme.and_then(|at| at.one_of(&schemes, faults));
    let hostname = hostname(&mut fields, faults);
    let port = fields.optional("port");
    let port = port.and_then(|at| text::port(&at, faults));
    let status = fields.optional("status_code");
    let statuses = RequestRedirect::STATUSES.map(|status| (status.to_string(), status));
    let statuses = statuses
        .each_ref()
        .map(|(text, status)| (text.as_str(), *status));
    let status_code = status.and_then(|at| at.one_of(&statuses, faults));
    fields.finish(faults);
    let redirect = RequestRedirect {
        scheme,
        hostname: hostname?,
        port,
        status_code,
    };
    if faults.len() > n_faults {
        return None;
    }
    if redirect.scheme.is_none() && redirect.hostname.is_none() && redirect.port.is_none() {
        faults.push(at.fault("expected at least one of scheme, hostname and port"));
        return None;
    }
    Some(redirect)
}

/// A host without a wildcard, or none; nothing at all when it has faults.
fn hostname(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Option<String>> {
    match fields.optional("hostname") {
        None => Some(None),
        Some(at) => {
            let expected = "a host name without a wildcard";
            text::checked(&at, faults, expected, is_dns_name).map(Some)
        }
    }
}
