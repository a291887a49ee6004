//! Which listener and which match of a route a request meets.
//!
//! Envoy Gateway follows Gateway API but for this: a method counts as one header more, not more than all
//! of them, and of two equal matches the name decides, not the age.

use std::cmp::Reverse;

use crate::manifest::Object;
use crate::manifest::explain::client::Removed;
use crate::manifest::explain::expression;
use crate::manifest::explain::request::Request;
use crate::manifest::gateway::GatewaySpec;
use crate::manifest::route::HttpRouteSpec;
use crate::manifest::route::PathMatch;
use crate::manifest::route::PathMatchType;
use crate::manifest::route::RouteMatch;
use crate::manifest::route::RouteRule;
use crate::manifest::route::ValueMatch;
use crate::manifest::route::ValueMatchType;
use crate::manifest::rules;
use crate::manifest::rules::attachment::Attachment;
use crate::manifest::rules::identity;

/// A route with a listener that it attaches to.
#[derive(Debug)]
pub(super) struct Attached<'m> {
    pub route: &'m Object<HttpRouteSpec>,
    pub attachment: Attachment<'m>,
}

/// What a request meets.
#[derive(Debug)]
pub(super) struct Met<'m, 'a> {
    pub attached: &'a Attached<'m>,
    /// The host of the listener and the route that fits best.
    pub hostname: &'a str,
    pub rule: &'m RouteRule,
    pub rule_index: usize,
    pub match_index: usize,
    /// The request as routes see it.
    pub request: Request,
    /// The headers that were taken out of it.
    pub removed: Vec<Removed>,
}

/// What a request meets at a port of a gateway.
///
/// The host is chosen first, and then `change` does with the request what is done for its listener. When no match of the routes for it fits, those for less specific
/// hosts are not asked: the answer is a 404.
pub(super) fn meet<'m, 'a>(
    all: &'a [Attached<'m>],
    gateway: &Object<GatewaySpec>,
    port: u16,
    request: &Request,
    change: impl FnOnce(&Attachment<'m>, &mut Request) -> Option<Vec<Removed>>,
) -> Option<Met<'m, 'a>> {
    let host = request.hostname();
    let is_here = |it: &&Attached<'_>| {
        let attachment = &it.attachment;
        identity(&attachment.gateway.metadata) == identity(&gateway.metadata)
            && attachment.listener.port == port
    };
    let hosts = all.iter().filter(is_here).flat_map(|attached| {
        let hostnames = attached.attachment.hostnames.iter();
        hostnames.map(move |hostname| (attached, hostname.as_str()))
    });
    let place = |(attached, hostname): &(&'a Attached<'m>, &str)| {
        let listener = attached.attachment.listener;
        let of_listener = fit(listener.hostname.as_deref().unwrap_or("*"), &host);
        Some((fit(hostname, &host)?, of_listener, Reverse(&listener.name)))
    };
    let hosts: Vec<_> = hosts.collect();
    let best = hosts.iter().filter_map(place).max()?;
    let mut candidates = hosts.iter().filter(|it| place(it).as_ref() == Some(&best));
    let (first, _) = candidates.clone().next()?;
    let mut request = request.clone();
    let removed = change(&first.attachment, &mut request).unwrap_or_default();
    let met = candidates
        .by_ref()
        .flat_map(|(attached, hostname)| matches(attached, hostname, &request));
    let (_, fit) = met.max_by(|(a, _), (b, _)| a.cmp(b))?;
    Some(Met {
        attached: fit.attached,
        hostname: fit.hostname,
        rule: fit.rule,
        rule_index: fit.rule_index,
        match_index: fit.match_index,
        request,
        removed,
    })
}

/// A match that a request fits.
struct Fit<'m, 'a> {
    attached: &'a Attached<'m>,
    hostname: &'a str,
    rule: &'m RouteRule,
    rule_index: usize,
    match_index: usize,
}

/// How well a host fits a name: exactly, by so much of its end, or because the name is for all.
fn fit(name: &str, host: &str) -> Option<(u8, usize)> {
    if name == "*" {
        return Some((0, 0));
    }
    match name.strip_prefix('*') {
        Some(end) => (host.len() > end.len() && host.ends_with(end)).then_some((1, end.len())),
        None => (name == host).then_some((2, name.len())),
    }
}

/// What comes first, the greatest, as Envoy Gateway sorts: path; headers, of which the method is one;
/// those compared whole; query parameters; those compared whole; the name of the bucket as text, so that
/// rule 10 comes before rule 2.
type Rank = ((u8, usize), usize, usize, usize, usize, Reverse<String>);

fn matches<'m, 'a>(
    attached: &'a Attached<'m>,
    hostname: &'a str,
    request: &Request,
) -> impl Iterator<Item = (Rank, Fit<'m, 'a>)> {
    let rules = attached.route.spec.rules.iter().enumerate();
    rules.flat_map(move |(rule_index, rule)| {
        let count = rule.matches.len().max(1);
        (0..count).filter_map(move |match_index| {
            let wanted = rule.matches.get(match_index);
            if !wanted.is_none_or(|wanted| fits(wanted, request)) {
                return None;
            }
            let n_methods = usize::from(wanted.is_some_and(|it| it.method.is_some()));
            let headers = wanted.map_or(&[][..], |it| &it.headers);
            let params = wanted.map_or(&[][..], |it| &it.query_params);
            let name = rules::bucket(attached.route, rule_index, match_index, hostname);
            let rank = (
                rank_of_path(wanted.and_then(|it| it.path.as_ref())),
                headers.len() + n_methods,
                n_exact(headers) + n_methods,
                params.len(),
                n_exact(params),
                Reverse(name),
            );
            let fit = Fit {
                attached,
                hostname,
                rule,
                rule_index,
                match_index,
            };
            Some((rank, fit))
        })
    })
}

fn n_exact(matches: &[ValueMatch]) -> usize {
    let is_exact = |it: &&ValueMatch| it.match_type != Some(ValueMatchType::RegularExpression);
    matches.iter().filter(is_exact).count()
}

/// Exact paths come first, then expressions as in Envoy Gateway, then prefixes; longer ones first.
fn rank_of_path(path: Option<&PathMatch>) -> (u8, usize) {
    let kind = match kind_of(path) {
        PathMatchType::Exact => 2,
        PathMatchType::RegularExpression => 1,
        PathMatchType::PathPrefix => 0,
    };
    (kind, value_of(path).len())
}

fn kind_of(path: Option<&PathMatch>) -> PathMatchType {
    path.and_then(|it| it.match_type)
        .unwrap_or(PathMatchType::PathPrefix)
}

fn value_of(path: Option<&PathMatch>) -> &str {
    path.and_then(|it| it.value.as_deref()).unwrap_or("/")
}

fn fits(wanted: &RouteMatch, request: &Request) -> bool {
    let has_method = wanted
        .method
        .as_ref()
        .is_none_or(|method| *method == request.method);
    let header = |it: &ValueMatch| {
        let values = request.header(&it.name);
        !values.is_empty() && value_fits(it, &values.join(","))
    };
    let param = |it: &ValueMatch| {
        let value = request.query_param(&it.name);
        value.is_some_and(|value| value_fits(it, value))
    };
    has_method
        && path_fits(wanted.path.as_ref(), request.bare_path())
        && wanted.headers.iter().all(header)
        && wanted.query_params.iter().all(param)
}

fn path_fits(wanted: Option<&PathMatch>, path: &str) -> bool {
    let value = value_of(wanted);
    match kind_of(wanted) {
        PathMatchType::Exact => path == value,
        PathMatchType::RegularExpression => expression::fits(value, path),
        PathMatchType::PathPrefix => {
            let rest = path.strip_prefix(value.strip_suffix('/').unwrap_or(value));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

fn value_fits(wanted: &ValueMatch, value: &str) -> bool {
    match wanted.match_type.unwrap_or(ValueMatchType::Exact) {
        ValueMatchType::Exact => wanted.value == value,
        ValueMatchType::RegularExpression => expression::fits(&wanted.value, value),
    }
}
