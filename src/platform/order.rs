//! Which of two routes gets a request that both match.
//!
//! Gateway API decides that, not imprun: the more specific host; then an exact path before an
//! expression before a prefix, of two of a kind the longer; then a method, more headers, more query
//! parameters; then the older resource, and of two of one age the name that comes first.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::platform::HeaderValue;
use crate::platform::Listener;
use crate::platform::PathMatch;
use crate::platform::QueryValue;
use crate::platform::Route;
use crate::platform::hostname::Hostname;

/// Two routes that match the same requests, of which only one would get them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Twins<'p> {
    /// The one whose name comes first.
    pub first: &'p Route,
    /// The other.
    pub second: &'p Route,
    /// The listener and host where they meet.
    pub place: String,
}

/// A route that is meant to come before another, but does not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contradiction<'p> {
    /// The route with the higher priority.
    pub higher: &'p Route,
    /// The route that comes first.
    pub lower: &'p Route,
    /// Why it does.
    pub reason: &'static str,
}

/// The pairs of routes with a match in common, each pair once. Routes are in the order of names.
pub fn twins(routes: &[Arc<Route>]) -> Vec<Twins<'_>> {
    let mut seen: HashMap<String, &Route> = HashMap::new();
    let mut pairs = BTreeSet::new();
    let mut twins = Vec::new();
    for route in routes {
        for listener in route.listeners() {
            for host in hosts(route, listener) {
                let host = host.as_ref().map_or("*", Hostname::as_str);
                for key in matches(route) {
                    let listener = format!("{}/{}", route.gateway.name, listener.name);
                    let key = format!("{listener:?} {host:?} {key}");
                    let Some(first) = seen.get(&key).copied() else {
                        seen.insert(key, route);
                        continue;
                    };
                    if first.name != route.name && pairs.insert((&first.name, &route.name)) {
                        let place = format!("listener `{listener}` for host `{host}`");
                        twins.push(Twins {
                            first,
                            second: route,
                            place,
                        });
                    }
                }
            }
        }
    }
    twins
}

/// Each match of a route as a text that is the same for the same match.
fn matches(route: &Route) -> Vec<String> {
    let path = match &route.path {
        // A prefix means the same with and without a slash at its end.
        PathMatch::Prefix(path) => PathMatch::Prefix(path.trim_end_matches('/').to_owned()),
        path => path.clone(),
    };
    let headers = route.headers.iter();
    let headers: BTreeMap<_, _> = headers
        .map(|it| (it.name.to_ascii_lowercase(), format!("{:?}", it.value)))
        .collect();
    let params = route.query_params.iter();
    let params: BTreeMap<_, _> = params
        .map(|it| (&it.name, format!("{:?}", it.value)))
        .collect();
    let rest = format!("{path:?} {headers:?} {params:?}");
    if route.methods.is_empty() {
        return vec![format!("- {rest}")];
    }
    let methods = route.methods.iter();
    methods
        .map(|method| format!("{} {rest}", method.name()))
        .collect()
}

/// The routes whose priorities cannot be had, each pair once. Routes that say no priority are not
/// compared. Whether two expressions fit one path is not known, so it is taken to be so.
pub fn contradictions(routes: &[Arc<Route>]) -> Vec<Contradiction<'_>> {
    let mut paths = Paths::default();
    let mut found = Vec::new();
    for route in routes.iter().filter(|route| route.priority.is_some()) {
        let met = paths.meeting(route);
        found.extend(
            met.into_iter()
                .filter_map(|other| contradiction(other, route)),
        );
        paths.add(route);
    }
    found
}

/// Routes by their paths, so that those that cannot meet need not be compared.
#[derive(Debug, Default)]
struct Paths<'p> {
    /// By the prefix or exact path, without a slash at the end.
    at: BTreeMap<&'p str, Vec<&'p Route>>,
    regexes: Vec<&'p Route>,
}

impl<'p> Paths<'p> {
    /// The routes whose paths may be those of `route`.
    fn meeting(&self, route: &Route) -> Vec<&'p Route> {
        let Some(path) = literal(&route.path) else {
            let literals = self.at.values().flatten().copied();
            return literals.chain(self.regexes.iter().copied()).collect();
        };
        let mut met = self.regexes.clone();
        let ancestors = path.char_indices().filter(|(_, c)| *c == '/');
        for ancestor in ancestors
            .map(|(end, _)| &path[..end])
            .filter(|it| *it != path)
        {
            let routes = self.at.get(ancestor).into_iter().flatten();
            met.extend(routes.filter(|it| matches!(it.path, PathMatch::Prefix(_))));
        }
        met.extend(self.at.get(path).into_iter().flatten());
        if let PathMatch::Prefix(_) = route.path {
            let below = format!("{path}/");
            let begin = (Bound::Included(below.as_str()), Bound::Unbounded);
            let rest = self.at.range::<str, _>(begin);
            let inside = rest.take_while(|(it, _)| it.starts_with(&below));
            met.extend(inside.flat_map(|(_, routes)| routes));
        }
        met
    }

    fn add(&mut self, route: &'p Route) {
        match literal(&route.path) {
            Some(path) => self.at.entry(path).or_default().push(route),
            None => self.regexes.push(route),
        }
    }
}

/// A path that is no expression.
fn literal(path: &PathMatch) -> Option<&str> {
    match path {
        PathMatch::Exact(path) if path == "/" => Some(""),
        PathMatch::Exact(path) => Some(path),
        PathMatch::Prefix(path) => Some(path.trim_end_matches('/')),
        PathMatch::Regex(_) => None,
    }
}

fn contradiction<'p>(a: &'p Route, b: &'p Route) -> Option<Contradiction<'p>> {
    let (higher, lower) = match a.priority.cmp(&b.priority) {
        Ordering::Equal => return None,
        Ordering::Greater => (a, b),
        Ordering::Less => (b, a),
    };
    if a.gateway.name != b.gateway.name || !values_meet(a, b) {
        return None;
    }
    let others: Vec<&Listener> = lower.listeners().collect();
    for listener in higher.listeners().filter(|it| others.contains(it)) {
        let (of_higher, of_lower) = (hosts(higher, listener), hosts(lower, listener));
        for (x, y) in of_higher
            .iter()
            .flat_map(|x| of_lower.iter().map(move |y| (x, y)))
        {
            let Some(host) = meeting(x.as_ref(), y.as_ref()) else {
                continue;
            };
            let by_host = narrowest(&of_higher, host).cmp(&narrowest(&of_lower, host));
            let (order, reason) = match by_host {
                Ordering::Equal => by_match(higher, lower),
                order => (order, "its host is more specific"),
            };
            if order == Ordering::Less {
                return Some(Contradiction {
                    higher,
                    lower,
                    reason,
                });
            }
        }
    }
    None
}

/// The hosts of a route at a listener; none stands for all.
fn hosts(route: &Route, listener: &Listener) -> Vec<Option<Hostname>> {
    match &listener.hostname {
        own if route.hostnames.is_empty() => vec![own.clone()],
        None => route.hostnames.iter().cloned().map(Some).collect(),
        Some(own) => {
            let hosts = route.hostnames.iter();
            hosts
                .filter_map(|it| it.intersection(own))
                .map(Some)
                .collect()
        }
    }
}

/// The hosts that two names have in common.
fn meeting<'h>(a: Option<&'h Hostname>, b: Option<&'h Hostname>) -> Option<Option<&'h Hostname>> {
    match (a, b) {
        (None, other) | (other, None) => Some(other),
        (Some(a), Some(b)) if a.covers(b) => Some(Some(b)),
        (Some(a), Some(b)) => b.covers(a).then_some(Some(a)),
    }
}

/// How specific the most specific of some names is that covers a host: the greater, the more.
fn narrowest(hosts: &[Option<Hostname>], host: Option<&Hostname>) -> (bool, usize) {
    let covers = |it: &&Option<Hostname>| match (it, host) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(it), Some(host)) => it.covers(host),
    };
    let specific = hosts.iter().filter(covers).map(|it| match it {
        None => (false, 0),
        Some(it) => (!it.as_str().starts_with('*'), it.as_str().len()),
    });
    specific.max().unwrap_or_default()
}

/// Whether a request can have the methods, headers and parameters that both routes want.
fn values_meet(a: &Route, b: &Route) -> bool {
    let is_exact = |path: &PathMatch| matches!(path, PathMatch::Exact(_));
    let differ = is_exact(&a.path) && is_exact(&b.path) && a.path != b.path;
    let any = a.methods.is_empty() || b.methods.is_empty();
    let has_method = any || a.methods.iter().any(|it| b.methods.contains(it));
    let header_differs = a.headers.iter().any(|x| {
        let mut others = b
            .headers
            .iter()
            .filter(|y| y.name.eq_ignore_ascii_case(&x.name));
        others.any(|y| match (&x.value, &y.value) {
            (HeaderValue::Exact(x), HeaderValue::Exact(y)) => x != y,
            _ => false,
        })
    });
    let param_differs = a.query_params.iter().any(|x| {
        let mut others = b.query_params.iter().filter(|y| y.name == x.name);
        others.any(|y| match (&x.value, &y.value) {
            (QueryValue::Exact(x), QueryValue::Exact(y)) => x != y,
            _ => false,
        })
    });
    !differ && has_method && !header_differs && !param_differs
}

/// Which of two routes for one host comes first, and why: `Greater` when it is `a`.
fn by_match(a: &Route, b: &Route) -> (Ordering, &'static str) {
    let kind = |route: &Route| match route.path {
        PathMatch::Exact(_) => 2,
        PathMatch::Regex(_) => 1,
        PathMatch::Prefix(_) => 0,
    };
    let length = |route: &Route| match &route.path {
        PathMatch::Exact(path) | PathMatch::Regex(path) => path.len(),
        PathMatch::Prefix(path) => path.trim_end_matches('/').len(),
    };
    let has_method = |route: &Route| !route.methods.is_empty();
    let steps = [
        (
            kind(a).cmp(&kind(b)),
            "an exact path comes before an expression before a prefix",
        ),
        (length(a).cmp(&length(b)), "its path is longer"),
        (has_method(a).cmp(&has_method(b)), "it names methods"),
        (
            a.headers.len().cmp(&b.headers.len()),
            "it names more headers",
        ),
        (
            a.query_params.len().cmp(&b.query_params.len()),
            "it names more query parameters",
        ),
    ];
    let decided = steps.into_iter().find(|(order, _)| order.is_ne());
    let by_name = b.name.cmp(&a.name);
    decided.unwrap_or((by_name, "all else being equal, its name comes first"))
}

#[cfg(test)]
mod tests;
