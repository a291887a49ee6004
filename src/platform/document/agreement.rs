//! What routes and policies must agree about once all of them are known.

use crate::document::Fault;
use crate::platform::PathMatch;
use crate::platform::Platform;
use crate::platform::Policy;
use crate::platform::Route;
use crate::platform::document::entities::Entities;
use crate::platform::effective::Effective;
use crate::platform::effective::Source;
use crate::platform::effective::traffic::Traffic;
use crate::platform::filter::PathRewrite;
use crate::platform::limit::Key;
use crate::platform::order;
use crate::platform::security;
use crate::platform::security::Auth;

/// Reports the routes that cannot be had together, or not with what is in force for them.
pub(super) fn check(
    platform: &Platform,
    routes: &Entities<Route>,
    policies: &Entities<Policy>,
    faults: &mut Vec<Fault>,
) {
    let effective = Effective::new(platform);
    let is_whole = policies.are_whole();
    for route in &platform.routes {
        let mut messages = filters(&effective, route, is_whole);
        messages.extend(callers(&effective, route));
        messages.extend(backends(&effective, route));
        for message in messages {
            faults.extend(routes.fault(&route.name, message));
        }
    }
    let twins = order::twins(&platform.routes);
    for twins in &twins {
        let (first, second) = (&twins.first.name, &twins.second.name);
        let place = &twins.place;
        let message = format!(
            "route `{second}` matches the same requests as route `{first}` on {place}: \
             only one of them would get any"
        );
        faults.extend(routes.fault(second, message));
    }
    for contradiction in order::contradictions(&platform.routes) {
        let (higher, lower) = (contradiction.higher, contradiction.lower);
        let is_twin = twins.iter().any(|twins| {
            let pair = [&twins.first.name, &twins.second.name];
            pair.contains(&&higher.name) && pair.contains(&&lower.name)
        });
        if is_twin {
            continue;
        }
        let message = format!(
            "priority {} of route `{}` cannot be had over {} of route `{}`: of the two, Envoy Gateway \
             asks `{}` first, because {}",
            higher.priority.unwrap_or(0),
            higher.name,
            lower.priority.unwrap_or(0),
            lower.name,
            lower.name,
            contradiction.reason,
        );
        faults.extend(routes.fault(&higher.name, message));
    }
}

/// What is wrong with a route, given what is done to its requests.
fn filters(effective: &Effective<'_>, route: &Route, is_whole: bool) -> Vec<String> {
    let mut messages = Vec::new();
    let redirect = effective.request_redirect(route);
    let rewrite = effective.url_rewrite(route);
    if redirect.is_none() && route.backends.is_empty() && is_whole {
        messages.push("`backend_refs` is missing, and no request-redirect is in force".to_owned());
    }
    if let Some(redirect) = &redirect {
        let redirect = redirect.source.name();
        if !route.backends.is_empty() {
            messages.push(format!(
                "route `{}` has `backend_refs`, but the request-redirect `{redirect}` is in force \
                 for it: expected one of them",
                route.name
            ));
        }
        if let Some(rewrite) = &rewrite {
            messages.push(format!(
                "the request-redirect `{redirect}` and the url-rewrite `{}` are both in force for \
                 route `{}`: expected one of them",
                rewrite.source.name(),
                route.name
            ));
        }
    }
    if let Some(rewrite) = &rewrite
        && let Some(PathRewrite::Prefix(_)) = rewrite.spec.path
        && !matches!(route.path, PathMatch::Prefix(_))
    {
        messages.push(format!(
            "the url-rewrite `{}` replaces a prefix, but route `{}` has no `path_prefix`: expected \
             type ReplaceFullPath",
            rewrite.source.name(),
            route.name
        ));
    }
    messages
}

/// Limits for each caller where nobody vouches for who that is: clients would choose their own
/// bucket.
fn callers(effective: &Effective<'_>, route: &Route) -> Vec<String> {
    let global = effective.rate_limit(route);
    let local = effective.local_rate_limit(route);
    let limits = [
        effective.shared().map(|it| (it.source, &it.spec.key)),
        global.map(|it| (it.source, &it.spec.key)),
        local.map(|it| (it.source, &it.spec.key)),
    ];
    let limits = limits.into_iter().flatten();
    let fault = |(source, key): (Source<'_>, &Key)| {
        let limit = match source {
            Source::Policy(name) => format!("the limit of policy `{name}`"),
            Source::Backend(_) | Source::Plan(_) | Source::Route(_) => "the limit".to_owned(),
        };
        unknown_caller(route, key).map(|reason| format!("{limit} is for each {reason}"))
    };
    limits.filter_map(fault).collect()
}

/// What is missing for a limit with this key.
fn unknown_caller(route: &Route, key: &Key) -> Option<String> {
    match key {
        Key::All | Key::ClientIp => None,
        Key::Header(name) if security::is_vouched(name) => {
            let is_set = matches!(route.auth, Some(Auth::ApiKey(_)));
            (!is_set).then(|| format!("value of `{name}`, which only `auth_mode: apikey` sets"))
        }
        Key::Header(_) => None,
        Key::Consumer => {
            let is_named = matches!(route.auth, Some(Auth::ApiKey(_)));
            (!is_named).then(|| "consumer, whom only `auth_mode: apikey` names".to_owned())
        }
        Key::User(claim) => {
            let is_named = route.header_of(claim).is_some();
            (!is_named).then(|| {
                format!(
                    "user, whom only a token names: expected `auth_mode: jwt` with the claim \
                     `{claim}` in `auth_config.claim_to_headers`"
                )
            })
        }
    }
}

/// Backends of a route that say different things of what the route can have one of only.
fn backends(effective: &Effective<'_>, route: &Route) -> Option<String> {
    let disagreements = Traffic::of(route, effective).disagreements;
    let said = disagreements.iter().map(|it| {
        let (field, first, other) = (it.field, it.first, it.other);
        format!("`{field}` (`{first}`, `{other}`)")
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() {
        return None;
    }
    Some(format!(
        "the backends of route `{}` differ in {}, of which Envoy Gateway has one for a route: \
         expected the same in each backend, or several routes",
        route.name,
        said.join(", ")
    ))
}
