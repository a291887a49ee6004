//! What a route matches: paths, methods, headers, query parameters.

use regex_syntax::ast;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::HeaderMatch;
use crate::platform::HeaderValue;
use crate::platform::Method;
use crate::platform::PathMatch;
use crate::platform::QueryMatch;
use crate::platform::QueryValue;
use crate::platform::document::text;
use crate::platform::document::text::at_most;
use crate::platform::security;

/// The path, of which there must be exactly one kind.
pub(super) fn path(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<PathMatch> {
    let prefix = fields.optional("path_prefix");
    let exact = fields.optional("path_exact");
    let regex = fields.optional("path_regex");
    match (prefix, exact, regex) {
        (Some(at), None, None) => text::path(&at, faults).map(PathMatch::Prefix),
        (None, Some(at), None) => text::path(&at, faults).map(PathMatch::Exact),
        (None, None, Some(at)) => regex_of(&at, text::MAX_PATH, faults).map(PathMatch::Regex),
        (prefix, exact, regex) => {
            let names = ["path_prefix", "path_exact", "path_regex"];
            let has = [prefix.is_some(), exact.is_some(), regex.is_some()];
            let found = names
                .iter()
                .zip(has)
                .filter_map(|(name, has)| has.then_some(*name));
            let found: Vec<&str> = found.collect();
            let found = match found.as_slice() {
                [] => "none".to_owned(),
                found => found.join(" and "),
            };
            let expected = "expected one of path_prefix, path_exact and path_regex";
            faults.push(fields.at().fault(format!("{expected}, found {found}")));
            None
        }
    }
}

pub(super) fn methods(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Vec<Method> {
    let Some(at) = fields.optional("methods") else {
        return Vec::new();
    };
    let mut methods = Vec::new();
    for item in at.items(faults) {
        let Some(method) = item.one_of(&Method::NAMES, faults) else {
            continue;
        };
        if methods.contains(&method) {
            faults.push(item.fault(format!("`{}` stands here twice", method.name())));
        }
        methods.push(method);
    }
    methods
}

#[derive(Clone, Copy)]
enum Comparison {
    Exact,
    Present,
    Regex,
}

pub(super) fn headers(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Vec<HeaderMatch> {
    let is_same = |a: &HeaderMatch, b: &HeaderMatch| a.name.eq_ignore_ascii_case(&b.name);
    let named = |it: &HeaderMatch| format!("header `{}`", it.name);
    distinct(
        fields.optional("headers"),
        "headers",
        header,
        is_same,
        named,
        faults,
    )
}

/// The name of a header that a request can have when its route is looked for.
fn header_name(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let name = text::token(at, faults)?;
    if security::is_vouched(&name) {
        faults.push(at.fault(format!(
            "`{name}` is not there yet when a route is looked for: only authentication sets it, after that"
        )));
        return None;
    }
    Some(name)
}

fn header(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<HeaderMatch> {
    let mut fields = at.mapping(faults)?;
    let name = fields.required("name", faults);
    let name = name.and_then(|at| header_name(&at, faults));
    let names = [
        ("Exact", Comparison::Exact),
        ("RegularExpression", Comparison::Regex),
        ("Present", Comparison::Present),
    ];
    let value = match comparison(&names, &mut fields, faults) {
        None => {
            fields.optional("value");
            None
        }
        Some(Comparison::Exact) => {
            let at = fields.required("value", faults);
            let value = at.and_then(|at| value(&at, MAX_HEADER_VALUE, faults));
            value.map(HeaderValue::Exact)
        }
        Some(Comparison::Regex) => {
            let at = fields.required("value", faults);
            let value = at.and_then(|at| regex_of(&at, MAX_HEADER_VALUE, faults));
            value.map(HeaderValue::Regex)
        }
        Some(Comparison::Present) => {
            if let Some(at) = fields.optional("value") {
                faults.push(at.fault("a header of type Present has no value"));
            }
            Some(HeaderValue::Present)
        }
    };
    fields.finish(faults);
    Some(HeaderMatch {
        name: name?,
        value: value?,
    })
}

/// How many headers and query parameters Gateway API lets a match have.
const MAX_HEADERS: usize = 16;
const MAX_HEADER_VALUE: usize = 4_096;
const MAX_QUERY_VALUE: usize = 1_024;

pub(super) fn query_params(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Vec<QueryMatch> {
    let is_same = |a: &QueryMatch, b: &QueryMatch| a.name == b.name;
    let named = |it: &QueryMatch| format!("parameter `{}`", it.name);
    let at = fields.optional("query_params");
    distinct(at, "query parameters", query_param, is_same, named, faults)
}

/// What a request must have of one sort, each by its name once.
fn distinct<'n, T>(
    at: Option<At<'n>>,
    what: &str,
    read: impl Fn(&At<'n>, &mut Vec<Fault>) -> Option<T>,
    is_same: impl Fn(&T, &T) -> bool,
    named: impl Fn(&T) -> String,
    faults: &mut Vec<Fault>,
) -> Vec<T> {
    let Some(at) = at else {
        return Vec::new();
    };
    let items = at.items(faults);
    let instead = "match fewer, and let the backend look at the others";
    at_most(MAX_HEADERS, what, instead, &at, items.len(), faults);
    let mut matches: Vec<T> = Vec::with_capacity(items.len());
    for item in items {
        let Some(read) = read(&item, faults) else {
            continue;
        };
        if matches.iter().any(|seen| is_same(seen, &read)) {
            faults.push(item.fault(format!("{} stands here twice", named(&read))));
        }
        matches.push(read);
    }
    matches
}

fn query_param(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<QueryMatch> {
    let mut fields = at.mapping(faults)?;
    let name = fields.required("name", faults);
    let name = name.and_then(|at| text::token(&at, faults));
    let names = [
        ("Exact", Comparison::Exact),
        ("RegularExpression", Comparison::Regex),
    ];
    let comparison = comparison(&names, &mut fields, faults);
    let at = fields.required("value", faults);
    fields.finish(faults);
    let at = at?;
    let value = match comparison? {
        Comparison::Regex => QueryValue::Regex(regex_of(&at, MAX_QUERY_VALUE, faults)?),
        _ => QueryValue::Exact(value(&at, MAX_QUERY_VALUE, faults)?),
    };
    Some(QueryMatch { name: name?, value })
}

/// How values are compared: exactly, unless `type` says otherwise.
fn comparison(
    names: &[(&str, Comparison)],
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Comparison> {
    match fields.optional("type") {
        None => Some(Comparison::Exact),
        Some(at) => at.one_of(names, faults),
    }
}

fn value(at: &At<'_>, max: usize, faults: &mut Vec<Fault>) -> Option<String> {
    let expected = format!("a value of 1 to {max} characters");
    text::checked(at, faults, &expected, |text| {
        (1..=max).contains(&text.len())
    })
}

/// An expression that Envoy, too, can read.
fn regex_of(at: &At<'_>, max: usize, faults: &mut Vec<Fault>) -> Option<String> {
    let text = value(at, max, faults)?;
    if let Err(error) = ast::parse::Parser::new().parse(&text) {
        let message = format!("`{text}` is not a regular expression: {}", error.kind());
        faults.push(at.fault(message));
        return None;
    }
    Some(text)
}
