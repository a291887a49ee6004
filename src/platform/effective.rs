//! Which policies are in force for each route.
//!
//! Of each type one is: route over service over global; within one scope the higher priority, then
//! the name that comes first. What is written in the route counts as a policy of scope route with
//! priority 0 and the route's name, and wins over a policy of the same priority and name. The loser
//! is overridden, not added. But a limit of scope global that is shared is one limit over all routes:
//! it overrides only its like, and holds besides the limit of each route.

pub mod contest;
pub mod idle;
pub mod policies;
pub mod traffic;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::mem::discriminant;
use std::sync::Arc;

use crate::platform::Platform;
use crate::platform::Policy;
use crate::platform::PolicySpec;
use crate::platform::Route;
use crate::platform::Scope;
use crate::platform::filter::HeaderModifier;
use crate::platform::filter::RequestRedirect;
use crate::platform::filter::UrlRewrite;
use crate::platform::limit::LocalRateLimit;
use crate::platform::limit::RateLimit;
use crate::platform::security::Cors;

/// What is in force for a route, with where it is written.
#[derive(Debug, Eq, PartialEq)]
pub struct InForce<'p, T> {
    /// The entity that says it.
    pub source: Source<'p>,
    /// What it says.
    pub spec: &'p T,
}

/// An entity that something is written in, by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source<'p> {
    /// A backend.
    Backend(&'p str),
    /// A plan.
    Plan(&'p str),
    /// A policy.
    Policy(&'p str),
    /// A route.
    Route(&'p str),
}

/// The policies of a platform, ready to be asked route by route.
#[derive(Debug)]
pub struct Effective<'p> {
    /// Of each type at most one.
    winners: HashMap<Covered<'p>, Vec<&'p Policy>>,
    /// The limit that all routes share, with its policy.
    shared: Option<InForce<'p, RateLimit>>,
}

/// What a policy covers, by name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Covered<'p> {
    Global,
    Route(&'p str),
    Service(&'p str),
}

impl<'p> Effective<'p> {
    /// Sorts the platform's policies by what they cover.
    pub fn new(platform: &'p Platform) -> Self {
        let mut policies: Vec<&Policy> = platform.policies.iter().map(Arc::as_ref).collect();
        policies.sort_by_key(|policy| rank(policy.priority, &policy.name));
        let mut winners: HashMap<Covered<'p>, Vec<&Policy>> = HashMap::new();
        let mut shared = None;
        for policy in policies {
            if let (Scope::Global, PolicySpec::RateLimit(limit)) = (&policy.scope, &policy.spec)
                && limit.shared
            {
                shared.get_or_insert(InForce::new(Source::Policy(&policy.name), limit));
                continue;
            }
            let covered = match &policy.scope {
                Scope::Global => Covered::Global,
                Scope::Route(route) => Covered::Route(&route.name),
                Scope::Service(service) => Covered::Service(&service.name),
            };
            let winners = winners.entry(covered).or_default();
            let kind = discriminant(&policy.spec);
            if winners.iter().all(|it| discriminant(&it.spec) != kind) {
                winners.push(policy);
            }
        }
        Self { winners, shared }
    }

    /// The limit that all routes share, which holds besides what is in force for each of them.
    pub fn shared(&self) -> Option<InForce<'p, RateLimit>> {
        self.shared
    }

    /// The limit that is in force for `route`, if any is.
    pub fn rate_limit(&self, route: &'p Route) -> Option<InForce<'p, RateLimit>> {
        self.in_force(route, route.rate_limit.as_ref(), |spec| match spec {
            PolicySpec::RateLimit(rate_limit) => Some(rate_limit),
            _ => None,
        })
    }

    /// The limit for each instance of Envoy that is in force for `route`, if any is.
    pub fn local_rate_limit(&self, route: &'p Route) -> Option<InForce<'p, LocalRateLimit>> {
        self.in_force(route, route.local_rate_limit.as_ref(), |spec| match spec {
            PolicySpec::LocalRateLimit(rate_limit) => Some(rate_limit),
            _ => None,
        })
    }

    /// What pages of other origins may do at `route`, if anything says so.
    pub fn cors(&self, route: &'p Route) -> Option<InForce<'p, Cors>> {
        self.in_force(route, None, |spec| match spec {
            PolicySpec::Cors(cors) => Some(cors),
            _ => None,
        })
    }

    /// The changes to the headers of the requests of `route`, if there are any.
    pub fn header_modifier(&self, route: &'p Route) -> Option<InForce<'p, HeaderModifier>> {
        self.in_force(route, None, |spec| match spec {
            PolicySpec::HeaderModifier(modifier) => Some(modifier),
            _ => None,
        })
    }

    /// The host or path that the backends of `route` get, if it is another.
    pub fn url_rewrite(&self, route: &'p Route) -> Option<InForce<'p, UrlRewrite>> {
        self.in_force(route, None, |spec| match spec {
            PolicySpec::UrlRewrite(rewrite) => Some(rewrite),
            _ => None,
        })
    }

    /// Where the clients of `route` are sent, if they are.
    pub fn request_redirect(&self, route: &'p Route) -> Option<InForce<'p, RequestRedirect>> {
        self.in_force(route, None, |spec| match spec {
            PolicySpec::RequestRedirect(redirect) => Some(redirect),
            _ => None,
        })
    }

    /// What is in force of one type, which `pick` picks out; `inline` is what the route itself says.
    fn in_force<T>(
        &self,
        route: &'p Route,
        inline: Option<&'p T>,
        pick: impl Fn(&'p PolicySpec) -> Option<&'p T>,
    ) -> Option<InForce<'p, T>> {
        let winner = |covered: Covered<'p>| {
            let mut winners = self.winners.get(&covered)?.iter();
            winners.find_map(|policy| Some((*policy, pick(&policy.spec)?)))
        };
        let own = winner(Covered::Route(&route.name));
        if let Some(spec) = inline {
            let rank_of_inline = rank(0, &route.name);
            if own.is_none_or(|(own, _)| rank_of_inline <= rank(own.priority, &own.name)) {
                return Some(InForce::new(Source::Route(&route.name), spec));
            }
        }
        let service = || winner(Covered::Service(&route.api_service.name));
        let (policy, spec) = own.or_else(service).or_else(|| winner(Covered::Global))?;
        Some(InForce::new(Source::Policy(&policy.name), spec))
    }
}

// === impl InForce ===

impl<'p, T> InForce<'p, T> {
    fn new(source: Source<'p>, spec: &'p T) -> Self {
        Self { source, spec }
    }
}

impl<T> Clone for InForce<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for InForce<'_, T> {}

// === impl Source ===

impl<'p> Source<'p> {
    /// The name of the entity.
    pub fn name(self) -> &'p str {
        let (Self::Backend(name) | Self::Plan(name) | Self::Policy(name) | Self::Route(name)) =
            self;
        name
    }
}

/// As `Kind/name`.
impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Backend(_) => "Backend",
            Self::Plan(_) => "Plan",
            Self::Policy(_) => "Policy",
            Self::Route(_) => "Route",
        };
        write!(f, "{kind}/{}", self.name())
    }
}

/// Sorts first what wins within one scope.
fn rank(priority: u32, name: &str) -> (Reverse<u32>, &str) {
    (Reverse(priority), name)
}

#[cfg(test)]
mod tests;
