//! Which of two routes gets a request that both match.
//!
//! Envoy Gateway decides that, not imprun: the more specific host; then an exact path before an
//! expression before a prefix, of two of a kind the longer; then more headers, of which a method is one,
//! and more of them compared whole; the same for query parameters; and at last the name.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use crate::platform::HeaderMatch;
use crate::platform::HeaderValue;
use crate::platform::Listener;
use crate::platform::PathMatch;
use crate::platform::QueryMatch;
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

/// The routes whose priorities cannot be had, each pair once, and of those of one route with earlier
/// ones the first few. Routes that say no priority are not compared. Whether two expressions fit one
/// path is not known, so it is taken to be so.
pub fn contradictions(routes: &[Arc<Route>]) -> Vec<Contradiction<'_>> {
    let mut hosts: HashMap<Place<'_>, Paths<'_>> = HashMap::new();
    let mut found = Vec::new();
    for route in routes.iter().filter(|route| route.priority.is_some()) {
        let gateway = route.gateway.name.as_str();
        let (places, narrow) = places(route);
        // A route that is for many hosts meets all of its gateway; one for a few, those of these.
        let wide = [Place::All(gateway)];
        let met_at = if narrow { places.as_slice() } else { &wide };
        let open = narrow.then_some(Place::Open(gateway));
        let mut seen = HashSet::new();
        let met = met_at.iter().chain(&open);
        let met = met.filter_map(|place| hosts.get(place));
        let met = met.flat_map(|paths| paths.meeting(route));
        let met = met.filter(|other| seen.insert(other.name.as_str()));
        let met = met.filter_map(|other| contradiction(other, route));
        found.extend(met.take(MAX_TOLD));
        for place in places.into_iter().chain(wide) {
            hosts.entry(place).or_default().add(route);
        }
    }
    found
}

/// How many contradictions of one route with earlier ones are told.
const MAX_TOLD: usize = 8;

/// Where routes can meet.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Place<'p> {
    /// At any host of a gateway.
    All(&'p str),
    /// At a host of a gateway.
    Host(&'p str, Hostname),
    /// At hosts of a gateway that no name is a whole of.
    Open(&'p str),
}

/// The places of a route, and whether they are single hosts.
fn places(route: &Route) -> (Vec<Place<'_>>, bool) {
    let gateway = route.gateway.name.as_str();
    let hosts = route
        .listeners()
        .flat_map(|listener| hosts(route, listener));
    let hosts: HashSet<Option<Hostname>> = hosts.collect();
    let is_single = |host: &Hostname| !host.as_str().starts_with('*');
    let single: Option<Vec<_>> = hosts
        .into_iter()
        .map(|host| {
            host.filter(is_single)
                .map(|host| Place::Host(gateway, host))
        })
        .collect();
    match single {
        Some(places) => (places, true),
        None => (vec![Place::Open(gateway)], false),
    }
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
        PathMatch::Exact(path) | PathMatch::Prefix(path) | PathMatch::Regex(path) => path.len(),
    };
    let n_methods = |route: &Route| usize::from(!route.methods.is_empty());
    let n_headers = |route: &Route| route.headers.len() + n_methods(route);
    let n_whole_headers = |route: &Route| {
        let is_whole = |it: &&HeaderMatch| matches!(it.value, HeaderValue::Exact(_));
        route.headers.iter().filter(is_whole).count() + n_methods(route)
    };
    let n_whole_params = |route: &Route| {
        let is_whole = |it: &&QueryMatch| matches!(it.value, QueryValue::Exact(_));
        route.query_params.iter().filter(is_whole).count()
    };
    let steps = [
        (
            kind(a).cmp(&kind(b)),
            "an exact path comes before an expression before a prefix",
        ),
        (length(a).cmp(&length(b)), "its path is longer"),
        (
            n_headers(a).cmp(&n_headers(b)),
            "it names more headers, of which a method is one",
        ),
        (
            n_whole_headers(a).cmp(&n_whole_headers(b)),
            "it names more headers with a whole value, or a method",
        ),
        (
            a.query_params.len().cmp(&b.query_params.len()),
            "it names more query parameters",
        ),
        (
            n_whole_params(a).cmp(&n_whole_params(b)),
            "it names more query parameters with a whole value",
        ),
    ];
    let decided = steps.into_iter().find(|(order, _)| order.is_ne());
    // The name stands before a slash where it is compared.
    let name = |route: &Route| format!("{}/", route.name);
    let by_name = name(b).cmp(&name(a));
    decided.unwrap_or((by_name, "all else being equal, its name comes first"))
}

#[cfg(test)]
mod tests;
