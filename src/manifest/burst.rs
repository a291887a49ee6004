//! The bursts of a platform's limits, which manifests have no place for.
//!
//! They are carried beside the manifests and joined to the rules that follow from these, by domain
//! and by the route in the first entry of a descriptor.

use std::collections::BTreeMap;

use crate::manifest::Namespace;
use crate::platform::Platform;
use crate::platform::effective::Effective;
use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::Domain;

/// The bursts by the domain and the route that they are for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bursts(BTreeMap<(String, String), u32>);

impl Bursts {
    /// The bursts that are in force on a platform.
    pub fn of(platform: &Platform, namespace: &Namespace) -> Self {
        let effective = Effective::new(platform);
        let namespace = namespace.as_str();
        let mut bursts = BTreeMap::new();
        for route in &platform.routes {
            let limit = effective.rate_limit(route);
            let Some(limit) = limit.filter(|limit| limit.spec.burst > 0) else {
                continue;
            };
            for listener in route.listeners() {
                let domain = format!("{namespace}/{}/{}", route.gateway.name, listener.name);
                let bucket = format!("httproute/{namespace}/{}", route.name);
                bursts.insert((domain, bucket), limit.spec.burst);
            }
        }
        Self(bursts)
    }

    /// Gives the rules that follow from the platform's manifests their bursts.
    pub fn add_to(&self, domains: &mut [Domain]) {
        if self.0.is_empty() {
            return;
        }
        for domain in domains {
            for bucket in &mut domain.descriptors {
                let Some(route) = route(&bucket.key) else {
                    continue;
                };
                let key = (domain.name.clone(), route.to_owned());
                if let Some(burst) = self.0.get(&key) {
                    add(*burst, bucket);
                }
            }
        }
    }
}

/// The kind, namespace and name of the route at the start of a bucket's key.
fn route(key: &str) -> Option<&str> {
    let (end, _) = key.match_indices('/').nth(2)?;
    Some(&key[..end])
}

fn add(burst: u32, descriptor: &mut Descriptor) {
    if let Some(Allowance::Limited(limit)) = &mut descriptor.allowance {
        limit.burst = burst;
    }
    for below in &mut descriptor.descriptors {
        add(burst, below);
    }
}

#[cfg(test)]
mod tests;
