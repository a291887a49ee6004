//! Which policies meet at a route, type by type: the one in force and those that it overrides.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::platform::Platform;
use crate::platform::PolicySpec;
use crate::platform::Route;
use crate::platform::Scope;
use crate::platform::effective::Source;

/// The policies of one type that cover a route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contest<'p> {
    /// The type, as documents have it.
    pub kind: &'static str,
    /// What is in force.
    pub in_force: Source<'p>,
    /// What is not, the next in line first.
    pub overridden: Vec<Source<'p>>,
}

/// Where something comes in line: by its scope, then its priority, then its name; what a route says
/// itself before a policy of the same priority and name.
type Place<'p> = (ScopeRank, Reverse<u32>, &'p str, bool);

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum ScopeRank {
    Route,
    Service,
    Global,
    /// What a route says where no policy does.
    Unasked,
}

/// What meets at `route`, by type.
pub fn contests<'p>(platform: &'p Platform, route: &'p Route) -> Vec<Contest<'p>> {
    let mut met: BTreeMap<&'static str, Vec<(Place<'p>, Source<'p>)>> = BTreeMap::new();
    for policy in &platform.policies {
        let scope = match &policy.scope {
            Scope::Global => ScopeRank::Global,
            Scope::Route(it) if it.name == route.name => ScopeRank::Route,
            Scope::Service(it) if it.name == route.api_service.name => ScopeRank::Service,
            Scope::Route(_) | Scope::Service(_) => continue,
        };
        let place = (scope, Reverse(policy.priority), policy.name.as_str(), true);
        // What all routes share holds beside what each of them has.
        let is_beside = matches!(&policy.spec, PolicySpec::RateLimit(limit) if limit.shared)
            && matches!(policy.scope, Scope::Global);
        let kind = if is_beside {
            SHARED_RATE_LIMIT
        } else {
            kind(&policy.spec)
        };
        let of_kind = met.entry(kind).or_default();
        of_kind.push((place, Source::Policy(&policy.name)));
    }
    let own = [
        (RATE_LIMIT, ScopeRank::Route, route.rate_limit.is_some()),
        (
            LOCAL_RATE_LIMIT,
            ScopeRank::Route,
            route.local_rate_limit.is_some(),
        ),
        ("retry", ScopeRank::Unasked, route.retry.is_some()),
    ];
    for (kind, scope, _) in own.into_iter().filter(|(.., is_there)| *is_there) {
        let place = (scope, Reverse(0), route.name.as_str(), false);
        let of_kind = met.entry(kind).or_default();
        of_kind.push((place, Source::Route(&route.name)));
    }
    let contest = |(kind, mut all): (&'static str, Vec<(Place<'p>, Source<'p>)>)| {
        all.sort_by_key(|(place, _)| *place);
        let mut all = all.into_iter().map(|(_, source)| source);
        Some(Contest {
            kind,
            in_force: all.next()?,
            overridden: all.collect(),
        })
    };
    met.into_iter().filter_map(contest).collect()
}

fn kind(spec: &PolicySpec) -> &'static str {
    match spec {
        PolicySpec::CircuitBreaker(_) => "circuit-breaker",
        PolicySpec::Cors(_) => "cors",
        PolicySpec::HeaderModifier(_) => "header-modifier",
        PolicySpec::LocalRateLimit(_) => LOCAL_RATE_LIMIT,
        PolicySpec::RateLimit(_) => RATE_LIMIT,
        PolicySpec::RequestRedirect(_) => "request-redirect",
        PolicySpec::Retry(_) => "retry",
        PolicySpec::Timeout(_) => "timeout",
        PolicySpec::UrlRewrite(_) => "url-rewrite",
    }
}

const RATE_LIMIT: &str = "rate-limit";

/// Both sorts of limits can be in force for one route.
const LOCAL_RATE_LIMIT: &str = "rate-limit (Local)";

const SHARED_RATE_LIMIT: &str = "rate-limit (shared by all routes)";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::document::node;
    use crate::platform::document;
    use crate::platform::effective::Effective;

    #[test]
    fn what_is_in_force_is_what_wins_and_the_rest_is_in_line() {
        let limit = "type: rate-limit, spec: {requests_per_unit: 1, unit: hour}";
        let policy =
            |name: &str, more: &str| format!("---\n{{kind: Policy, name: {name}, {more}}}\n");
        let text = [
            BASE.to_owned(),
            policy("glob", &format!("scope: global, priority: 9, {limit}")),
            policy(
                "of-api",
                &format!("scope: service, api_service: api, {limit}"),
            ),
            policy("early", &format!("scope: route, route: rt, {limit}")),
            policy(
                "late",
                &format!("scope: route, route: rt, priority: 1, {limit}"),
            ),
            policy("elsewhere", &format!("scope: route, route: other, {limit}")),
            policy(
                "tries",
                "scope: global, type: retry, spec: {num_retries: 1}",
            ),
        ]
        .concat();
        let platform = platform(&text);
        let route = platform.routes.iter().find(|it| it.name == "rt").unwrap();
        let contests = contests(&platform, route);
        let told: Vec<String> = contests
            .iter()
            .map(|it| {
                let overridden: Vec<String> = it.overridden.iter().map(Source::to_string).collect();
                format!("{}: {} over {}", it.kind, it.in_force, overridden.join(" "))
            })
            .collect();
        assert_eq!(
            told,
            [
                "rate-limit: Policy/late over Policy/early Route/rt Policy/of-api Policy/glob",
                "retry: Policy/tries over ",
            ]
        );
        let effective = Effective::new(&platform);
        assert_eq!(
            effective.rate_limit(route).unwrap().source,
            contests[0].in_force
        );
    }

    const BASE: &str = "
{kind: Gateway, name: gw, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
{kind: Backend, name: up, scheme: http, endpoints: [{host: a.b, port: 1}]}
---
{kind: ApiService, name: api}
---
{kind: Route, name: rt, api_service: api, gateway: gw, path_prefix: /, backend_refs: [{backend: up}], rate_limit: {requests_per_unit: 1, unit: hour}}
---
{kind: Route, name: other, api_service: api, gateway: gw, path_prefix: /b, backend_refs: [{backend: up}]}
";

    fn platform(text: &str) -> Platform {
        let file = Arc::from("t.yaml");
        let nodes = node::parse(&file, text).unwrap();
        let mut faults = Vec::new();
        let platform = document::read(&[(file, nodes)], &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        platform
    }
}
