//! The bursts of a platform's limits and their choices for when the store does not answer, which
//! manifests have no place for.
//!
//! They are carried beside the manifests and joined to the rules that follow from these, by domain
//! and by the route or the shared rule in the first entry of a descriptor.

use std::collections::BTreeMap;

use crate::manifest::Namespace;
use crate::manifest::emit::traffic_policy::OF_GATEWAYS;
use crate::manifest::emit::traffic_policy::of_service;
use crate::platform::Platform;
use crate::platform::Route;
use crate::platform::effective::Effective;
use crate::platform::effective::policies::Policies;
use crate::platform::limit::RateLimit;
use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::Domain;
use crate::rule::limit::OnStoreFailure;

/// Bursts and choices by domain and bucket: all that a route has at a listener, or a shared rule.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bursts(BTreeMap<(String, String), Beside>);

/// What a limit has beside its manifest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Beside {
    burst: u32,
    on_store_failure: Option<OnStoreFailure>,
}

impl Beside {
    fn of(limit: &RateLimit) -> Option<Self> {
        let (burst, on_store_failure) = (limit.burst, limit.on_store_failure);
        (burst > 0 || on_store_failure.is_some()).then_some(Self {
            burst,
            on_store_failure,
        })
    }
}

impl Bursts {
    /// The bursts and choices that are in force on a platform.
    pub fn of(platform: &Platform, namespace: &Namespace) -> Self {
        let effective = Effective::new(platform);
        let policies = Policies::of(platform, &effective);
        let namespace = namespace.as_str();
        let mut bursts = Self::default();
        if let Some(limit) = policies.of_gateways.and_then(|it| it.limit) {
            bursts.of_shared(namespace, OF_GATEWAYS, limit.spec);
        }
        for (service, together) in &policies.of_services {
            let limit = together.routes.first().and_then(|it| it.rate_limit);
            if let Some(limit) = limit {
                bursts.of_shared(namespace, &of_service(service), limit.spec);
            }
        }
        for traffic in &policies.of_routes {
            let (route, limit) = (traffic.route, traffic.rate_limit);
            match limit.map(|it| it.spec) {
                Some(limit) if limit.shared => bursts.of_shared(namespace, &route.name, limit),
                Some(limit) => bursts.of_route(namespace, route, limit),
                None => {}
            }
        }
        bursts
    }

    fn of_shared(&mut self, namespace: &str, policy: &str, limit: &RateLimit) {
        let Some(beside) = Beside::of(limit) else {
            return;
        };
        let domain = format!("{namespace}/{policy}");
        // It is the first that stands in the policy.
        for rule in 0..limit.key.rules() {
            let bucket = format!("{domain}/rule/{rule}");
            self.0.insert((domain.clone(), bucket), beside);
        }
    }

    fn of_route(&mut self, namespace: &str, route: &Route, limit: &RateLimit) {
        let Some(beside) = Beside::of(limit) else {
            return;
        };
        for listener in route.listeners() {
            let domain = format!("{namespace}/{}/{}", route.gateway.name, listener.name);
            let bucket = format!("httproute/{namespace}/{}", route.name);
            self.0.insert((domain, bucket), beside);
        }
    }

    /// Gives the rules that follow from the platform's manifests their bursts and choices.
    pub fn add_to(&self, domains: &mut [Domain]) {
        if self.0.is_empty() {
            return;
        }
        for domain in domains {
            for bucket in &mut domain.descriptors {
                if let Some(beside) = self.of_bucket(&domain.name, &bucket.key) {
                    add(beside, bucket);
                }
            }
        }
    }

    fn of_bucket(&self, domain: &str, key: &str) -> Option<Beside> {
        let beside = |bucket: &str| self.0.get(&(domain.to_owned(), bucket.to_owned()));
        let beside = beside(key).or_else(|| beside(route(key)?));
        beside.copied()
    }
}

/// The kind, namespace and name of the route at the start of a bucket's key.
fn route(key: &str) -> Option<&str> {
    let (end, _) = key.match_indices('/').nth(2)?;
    Some(&key[..end])
}

fn add(beside: Beside, descriptor: &mut Descriptor) {
    if let Some(Allowance::Limited(limit)) = &mut descriptor.allowance {
        limit.burst = beside.burst;
        limit.on_store_failure = beside.on_store_failure;
    }
    for below in &mut descriptor.descriptors {
        add(beside, below);
    }
}

#[cfg(test)]
mod tests;
