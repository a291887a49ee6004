//! What Envoy sends for a limit: the entries that a request gives it, or why there are none.

use crate::manifest::explain::expression;
use crate::manifest::explain::request::Request;
use crate::manifest::rules::selector::Entry;
use crate::manifest::rules::selector::Source;
use crate::manifest::traffic_policy::MethodSelector;
use crate::manifest::traffic_policy::PathSelector;
use crate::manifest::traffic_policy::ValueSelector;
use crate::manifest::traffic_policy::ValueSelectorType;

/// The entries of a descriptor.
pub(super) type Pairs = Vec<(String, String)>;

/// The descriptors of a chain of entries below a bucket, mostly one: several methods that fit a
/// request make one each.
///
/// # Errors
///
/// Why Envoy sends none.
pub(super) fn descriptors(
    bucket: &str,
    entries: &[Entry<'_>],
    request: &Request,
) -> Result<Vec<Pairs>, String> {
    let mut pairs = vec![(bucket.to_owned(), bucket.to_owned())];
    let mut times = 1;
    for entry in entries {
        let found = match &entry.source {
            Source::Always => None,
            Source::Address => Some(address(request)?.to_string()),
            Source::Block(block) => {
                let address = address(request)?;
                if !block.selects(address) {
                    let blocks = entry.value.as_deref().unwrap_or_default();
                    return Err(format!("the address {address} is not in {blocks}"));
                }
                None
            }
            Source::Header(header) => {
                let values = request.header(&header.name);
                let first = values.first().map(|value| (*value).to_owned());
                let joined = (!values.is_empty()).then(|| values.join(","));
                value(
                    &format!("header `{}`", header.name),
                    header,
                    joined.as_deref(),
                    first,
                )?
            }
            Source::QueryParam(param) => {
                let sent = request.decoded_query_param(&param.name);
                let what = format!("query parameter `{}`", param.name);
                value(&what, param, sent.clone().as_deref(), sent)?
            }
            Source::Method(methods) => {
                times = fitting(methods, request)?;
                None
            }
            Source::Path(path) => {
                check_path(path, request)?;
                None
            }
        };
        let fixed = || entry.value.clone().unwrap_or_default();
        pairs.push((entry.key.clone(), found.unwrap_or_else(fixed)));
    }
    Ok(vec![pairs; times])
}

fn address(request: &Request) -> Result<std::net::IpAddr, String> {
    let missing = || "the client's address is not given".to_owned();
    request.address.ok_or_else(missing)
}

/// The value that counts apart, if any does; `whole` is compared, `first` is sent.
fn value(
    what: &str,
    selector: &ValueSelector,
    whole: Option<&str>,
    first: Option<String>,
) -> Result<Option<String>, String> {
    let wanted = selector.value.as_deref().unwrap_or_default();
    let is_fit = |expression: bool| {
        whole.is_some_and(|value| match expression {
            false => value == wanted,
            true => expression::fits(wanted, value),
        })
    };
    let fits = match selector.match_type.unwrap_or_default() {
        ValueSelectorType::Distinct => {
            return first.map(Some).ok_or_else(|| format!("{what} is absent"));
        }
        ValueSelectorType::Exact => is_fit(false),
        ValueSelectorType::RegularExpression => is_fit(true),
    };
    let invert = selector.invert == Some(true);
    match (fits, invert, whole) {
        (true, false, _) | (false, true, _) => Ok(None),
        (true, true, _) => Err(format!("{what} fits `{wanted}`, but others are meant")),
        (false, false, None) => Err(format!("{what} is absent")),
        (false, false, Some(value)) => Err(format!(
            "{what} is `{value}`, which does not fit `{wanted}`"
        )),
    }
}

/// How many of the methods fit.
fn fitting(methods: &[&MethodSelector], request: &Request) -> Result<usize, String> {
    let fits = |it: &&&MethodSelector| (it.value == request.method) != (it.invert == Some(true));
    match methods.iter().filter(fits).count() {
        0 => Err(format!("the method {} is not meant", request.method)),
        times => Ok(times),
    }
}

/// Paths are compared with their query.
fn check_path(selector: &PathSelector, request: &Request) -> Result<(), String> {
    let (wanted, path) = (selector.value.as_str(), request.path.as_str());
    let fits = match selector.match_type.as_deref() {
        Some("Exact") => path == wanted,
        Some("RegularExpression") => expression::fits(wanted, path),
        _ if wanted == "/" => path.starts_with('/'),
        _ => {
            let rest = path.strip_prefix(wanted);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#', ';']))
        }
    };
    if fits == (selector.invert == Some(true)) {
        return Err(format!("the path `{path}` does not fit `{wanted}`"));
    }
    Ok(())
}
