//! Manifests → rules, as Envoy Gateway translates them.
//!
//! Envoy Gateway makes one domain of each listener and, in it, one bucket of each rule × match ×
//! hostname of a route, and one domain of each policy with shared limits; its names for them are
//! what Envoy sends. What it would translate and we do not is an error: rules that are silently
//! missing would let everything through.

pub(in crate::manifest) mod attachment;
pub(in crate::manifest) mod chain;
pub(in crate::manifest) mod local;
pub(in crate::manifest) mod policies;
pub mod remark;
pub(in crate::manifest) mod selector;

use std::collections::BTreeMap;

use crate::manifest::Manifest;
use crate::manifest::Metadata;
use crate::manifest::Object;
use crate::manifest::grpc_route;
use crate::manifest::route::HttpRouteSpec;
use crate::manifest::rules::attachment::Attachment;
use crate::manifest::rules::attachment::Gateways;
use crate::manifest::rules::chain::Chain;
use crate::manifest::rules::policies::Policies;
use crate::manifest::rules::remark::Remark;
use crate::manifest::rules::remark::Remarks;
use crate::manifest::rules::remark::Untranslatables;
use crate::manifest::rules::selector::Entry;
use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::Domain;
use crate::rule::Value;
use crate::rule::limit::Limit;

/// What manifests come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Translation {
    /// The domains that Envoy Gateway derives, sorted by name, their buckets by key.
    pub domains: Vec<Domain>,
    /// What it drops or merges without a word.
    pub warnings: Vec<Remark>,
}

/// The domains that Envoy Gateway derives, sorted by name, their buckets by key.
///
/// # Errors
///
/// All that cannot be translated, with the manifest and the field.
pub fn domains(manifests: &[Manifest]) -> Result<Vec<Domain>, Untranslatables> {
    translate(manifests).map(|translation| translation.domains)
}

/// Translates manifests.
///
/// # Errors
///
/// All that cannot be translated, with the manifest and the field.
pub fn translate(manifests: &[Manifest]) -> Result<Translation, Untranslatables> {
    let mut remarks = Remarks::default();
    let mut domains = Domains::default();
    let gateways = Gateways::of(manifests);
    let policies = Policies::of(manifests, &gateways, &mut remarks);
    for manifest in manifests {
        let Manifest::HttpRoute(route) = manifest else {
            continue;
        };
        match gateways.attachments(route) {
            Ok(attachments) => {
                if attachments.is_empty() {
                    let reason = "no listener takes this route: it gets no requests";
                    remarks.warn(route, "spec.parentRefs", reason);
                }
                for attachment in &attachments {
                    domains.add(route, attachment, &policies, &mut remarks);
                }
            }
            Err((field, reason)) => remarks.refuse(route, &field, reason),
        }
    }
    let warnings = remarks.finish()?;
    Ok(Translation {
        domains: domains.finish(),
        warnings,
    })
}

/// The namespace and name of a resource.
pub(in crate::manifest) type Identity<'m> = (&'m str, &'m str);

pub(in crate::manifest) fn identity(metadata: &Metadata) -> Identity<'_> {
    (metadata.namespace(), &metadata.name)
}

/// The key and value of the first entry of what a route sends where nothing is shared.
pub(in crate::manifest) fn bucket(
    route: &Object<HttpRouteSpec>,
    rule: usize,
    matched: usize,
    hostname: &str,
) -> String {
    let (namespace, name) = identity(&route.metadata);
    let hostname = hostname.replace('.', "_");
    let kind = route.kind.to_ascii_lowercase();
    // Without matches the API server puts one into an `HTTPRoute`, for the prefix `/`, and none into
    // a `GRPCRoute`.
    let is_all = route.kind == grpc_route::KIND && route.spec.rules[rule].matches.is_empty();
    let matched = match is_all {
        true => "-1".to_owned(),
        false => matched.to_string(),
    };
    format!("{kind}/{namespace}/{name}/rule/{rule}/match/{matched}/{hostname}")
}

/// The buckets of each domain, each with what is below it.
#[derive(Debug, Default)]
struct Domains(BTreeMap<String, BTreeMap<String, Vec<Descriptor>>>);

// === impl Domains ===

impl Domains {
    /// Adds the buckets of a route at a listener.
    fn add<'m>(
        &mut self,
        route: &'m Object<HttpRouteSpec>,
        attachment: &Attachment<'m>,
        policies: &Policies<'m>,
        remarks: &mut Remarks,
    ) {
        for (index, rule) in route.spec.rules.iter().enumerate() {
            let Some(standing) = policies.standing(route, rule, attachment) else {
                continue;
            };
            standing.warn(remarks);
            let chains = chain::chains(&standing);
            chain::warn(&chains, remarks);
            let mut own = Vec::new();
            for chain in &chains {
                match &chain.shared {
                    Some(shared) => {
                        let domain = self.0.entry(shared.domain.clone()).or_default();
                        let descriptors = domain.entry(shared.key.clone()).or_default();
                        warn_of_split(chain, descriptors, remarks);
                        insert(descriptors, &chain.entries, &chain.limit());
                    }
                    None => insert(&mut own, &chain.entries, &chain.limit()),
                }
            }
            if own.is_empty() {
                continue;
            }
            let domain = self.0.entry(attachment.domain()).or_default();
            for matched in 0..rule.matches.len().max(1) {
                for hostname in &attachment.hostnames {
                    domain.insert(bucket(route, index, matched, hostname), own.clone());
                }
            }
        }
    }

    fn finish(self) -> Vec<Domain> {
        let domains = self.0.into_iter().map(|(name, buckets)| Domain {
            name,
            descriptors: buckets.into_iter().map(bucket_descriptor).collect(),
        });
        domains.collect()
    }
}

/// Warns of a shared limit whose number differs between routes, so that they share nothing.
fn warn_of_split(chain: &Chain<'_>, descriptors: &[Descriptor], remarks: &mut Remarks) {
    let Some((first, entry)) = descriptors.first().zip(chain.entries.first()) else {
        return;
    };
    if first.key != entry.key {
        let reason = "counts apart on routes that have other shared limits before it: \
                      Envoy Gateway numbers the shared limits of each route";
        remarks.warn(chain.policy, &chain.field(), reason);
    }
}

fn bucket_descriptor((key, descriptors): (String, Vec<Descriptor>)) -> Descriptor {
    let value = value(&key);
    Descriptor {
        descriptors,
        ..Descriptor::new(key, value)
    }
}

/// Adds a chain of entries with a limit at its end.
///
/// Chains meet where they are equal. Of two that are equal to their ends Envoy Gateway keeps the
/// first, whatever their limits say.
fn insert(siblings: &mut Vec<Descriptor>, entries: &[Entry<'_>], limit: &Limit) {
    let [entry, below @ ..] = entries else {
        return;
    };
    let value = entry.value.as_deref().map_or(Value::Any, value);
    let is_same = |it: &Descriptor| it.key == entry.key && it.value == value;
    let index = siblings.iter().position(is_same).unwrap_or_else(|| {
        siblings.push(Descriptor::new(entry.key.clone(), value));
        siblings.len() - 1
    });
    let node = &mut siblings[index];
    if below.is_empty() {
        node.allowance
            .get_or_insert(Allowance::Limited(limit.clone()));
    } else {
        insert(&mut node.descriptors, below, limit);
    }
}

/// A value as the service takes it: `*`, as in the name of a route for all hosts, is a wildcard.
fn value(text: &str) -> Value {
    if text.contains('*') {
        return Value::Wildcard {
            pattern: text.to_owned(),
            share_threshold: false,
        };
    }
    Value::Exact(text.to_owned())
}

#[cfg(test)]
mod tests;
