//! Who has a traffic policy: each route its own, the routes of a service that share a limit one
//! together, and all gateways one with what spans all routes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::platform::Gateway;
use crate::platform::Platform;
use crate::platform::PolicySpec;
use crate::platform::Scope;
use crate::platform::effective::Effective;
use crate::platform::effective::InForce;
use crate::platform::effective::Source;
use crate::platform::effective::traffic::Traffic;
use crate::platform::limit::Plan;
use crate::platform::limit::RateLimit;

/// The traffic policies that a platform needs.
#[derive(Clone, Debug)]
pub struct Policies<'p> {
    /// What spans all routes, if anything does.
    pub of_gateways: Option<OfGateways<'p>>,
    /// What the routes of a service have together, by the service's name.
    pub of_services: BTreeMap<&'p str, OfService<'p>>,
    /// What each other route has alone, which may be nothing.
    pub of_routes: Vec<Traffic<'p>>,
}

/// What holds for all routes besides what each of them has.
#[derive(Clone, Debug)]
pub struct OfGateways<'p> {
    /// The gateways.
    pub gateways: &'p [Arc<Gateway>],
    /// The limit that all share.
    pub limit: Option<InForce<'p, RateLimit>>,
    /// The plans.
    pub plans: &'p [Arc<Plan>],
}

/// What the routes have that share the limit of their service.
#[derive(Clone, Debug)]
pub struct OfService<'p> {
    /// The name of the policy with the limit.
    pub policy: &'p str,
    /// What each of them has: the same, but for where it is written. At least one.
    pub routes: Vec<Traffic<'p>>,
}

impl<'p> Policies<'p> {
    /// The policies of a platform.
    pub fn of(platform: &'p Platform, effective: &Effective<'p>) -> Self {
        let limit = effective.shared();
        // Without routes there is nothing to limit.
        let is_needed =
            !platform.routes.is_empty() && (limit.is_some() || !platform.plans.is_empty());
        let of_gateways = is_needed.then_some(OfGateways {
            gateways: &platform.gateways,
            limit,
            plans: &platform.plans,
        });
        let shared = shared_by_services(platform);
        let mut of_services: BTreeMap<&str, OfService<'_>> = BTreeMap::new();
        let mut of_routes = Vec::new();
        for route in &platform.routes {
            let traffic = Traffic::of(route, effective);
            let policy = traffic.rate_limit.and_then(|it| match it.source {
                Source::Policy(name) if shared.contains(&name) => Some(name),
                _ => None,
            });
            let Some(policy) = policy else {
                of_routes.push(traffic);
                continue;
            };
            let service = of_services.entry(&route.api_service.name);
            let new = || OfService {
                policy,
                routes: Vec::new(),
            };
            service.or_insert_with(new).routes.push(traffic);
        }
        Self {
            of_gateways,
            of_services,
            of_routes,
        }
    }
}

/// The names of the policies whose limit the routes of a service share.
fn shared_by_services(platform: &Platform) -> BTreeSet<&str> {
    let policies = platform.policies.iter().filter(|policy| {
        let is_shared = matches!(&policy.spec, PolicySpec::RateLimit(limit) if limit.shared);
        is_shared && matches!(policy.scope, Scope::Service(_))
    });
    policies.map(|policy| policy.name.as_str()).collect()
}
