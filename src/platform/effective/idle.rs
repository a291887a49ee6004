//! What a platform has that holds for no request.

use std::collections::BTreeSet;

use crate::platform::Platform;
use crate::platform::Policy;
use crate::platform::Route;
use crate::platform::Scope;
use crate::platform::effective::Effective;
use crate::platform::effective::Source;
use crate::platform::effective::traffic::Traffic;
use crate::platform::security::Auth;

/// The policies and plans that hold for no request, each with the reason.
pub fn idle<'p>(
    platform: &'p Platform,
    effective: &Effective<'p>,
) -> Vec<(Source<'p>, &'static str)> {
    let mut idle = Vec::new();
    let in_force = in_force(platform, effective);
    for policy in &platform.policies {
        if in_force.contains(policy.name.as_str()) {
            continue;
        }
        let reason = if platform.routes.iter().any(|it| covers(policy, it)) {
            "is in force nowhere: each route that it covers has another of its type"
        } else {
            "is in force nowhere: it covers no active route"
        };
        idle.push((Source::Policy(&policy.name), reason));
    }
    let names_consumers = |route: &Route| matches!(route.auth, Some(Auth::ApiKey(_)));
    if !platform.routes.iter().any(|it| names_consumers(it)) {
        let reason = "holds for nobody: no active route has `auth_mode: apikey`, which names the \
                      consumers with a plan";
        let plans = platform.plans.iter();
        idle.extend(plans.map(|plan| (Source::Plan(&plan.name), reason)));
    }
    idle
}

/// The names of the policies that are in force for a route at least.
fn in_force<'p>(platform: &'p Platform, effective: &Effective<'p>) -> BTreeSet<&'p str> {
    let mut names = BTreeSet::new();
    for route in &platform.routes {
        let traffic = Traffic::of(route, effective);
        let others = [
            effective.shared().map(|it| it.source),
            effective.cors(route).map(|it| it.source),
            effective.header_modifier(route).map(|it| it.source),
            effective.request_redirect(route).map(|it| it.source),
            effective.url_rewrite(route).map(|it| it.source),
        ];
        let all = traffic.sources().chain(others.into_iter().flatten());
        names.extend(all.filter_map(|source| match source {
            Source::Policy(name) => Some(name),
            Source::Backend(_) | Source::Plan(_) | Source::Route(_) => None,
        }));
    }
    names
}

fn covers(policy: &Policy, route: &Route) -> bool {
    match &policy.scope {
        Scope::Global => true,
        Scope::Route(it) => it.name == route.name,
        Scope::Service(it) => it.name == route.api_service.name,
    }
}
