//! Which limit is in force for each route.
//!
//! Route over service over global; within one scope the higher priority, then the name that comes
//! first. A limit that is written in the route counts as a policy of scope route with priority 0
//! and the route's name, and wins over a policy of the same priority and name. The loser is
//! overridden, not added.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::platform::Platform;
use crate::platform::Policy;
use crate::platform::RateLimit;
use crate::platform::Route;
use crate::platform::Scope;

/// A limit that is in force for a route, with where it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InForce<'p> {
    /// The policy, or none when the route itself says it.
    pub policy: Option<&'p Policy>,
    /// The limit.
    pub rate_limit: &'p RateLimit,
}

/// The policies of a platform, ready to be asked route by route.
#[derive(Debug)]
pub struct Effective<'p> {
    global: Option<&'p Policy>,
    services: HashMap<&'p str, &'p Policy>,
    routes: HashMap<&'p str, &'p Policy>,
}

impl<'p> Effective<'p> {
    /// Sorts the platform's policies by what they cover.
    pub fn new(platform: &'p Platform) -> Self {
        let mut policies: Vec<&Policy> = platform.policies.iter().map(Arc::as_ref).collect();
        policies.sort_by_key(|policy| rank(policy.priority, &policy.name));
        let mut effective = Self {
            global: None,
            services: HashMap::new(),
            routes: HashMap::new(),
        };
        for policy in policies {
            match &policy.scope {
                Scope::Global => effective.global = effective.global.or(Some(policy)),
                Scope::Route(route) => {
                    effective.routes.entry(&route.name).or_insert(policy);
                }
                Scope::Service(service) => {
                    effective.services.entry(&service.name).or_insert(policy);
                }
            }
        }
        effective
    }

    /// The limit that is in force for `route`, if any is.
    pub fn rate_limit(&self, route: &'p Arc<Route>) -> Option<InForce<'p>> {
        let policy = self.routes.get(route.name.as_str()).copied();
        if let Some(rate_limit) = &route.rate_limit {
            let inline = rank(0, &route.name);
            if policy.is_none_or(|policy| inline <= rank(policy.priority, &policy.name)) {
                let policy = None;
                return Some(InForce { policy, rate_limit });
            }
        }
        let service = || self.services.get(route.api_service.name.as_str()).copied();
        let policy = policy.or_else(service).or(self.global)?;
        Some(InForce {
            policy: Some(policy),
            rate_limit: &policy.rate_limit,
        })
    }
}

/// Sorts first what wins within one scope.
fn rank(priority: u32, name: &str) -> (Reverse<u32>, &str) {
    (Reverse(priority), name)
}

#[cfg(test)]
mod tests;
