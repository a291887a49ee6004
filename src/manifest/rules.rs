//! Manifests → rules, as Envoy Gateway translates them.
//!
//! Envoy Gateway makes one domain of each listener and, in it, one bucket of each rule × match ×
//! hostname of a route; its names for them are what Envoy sends. What it would translate and we do
//! not yet is an error: rules that are silently missing would let everything through.

mod attachment;
mod selector;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use crate::manifest::Manifest;
use crate::manifest::Metadata;
use crate::manifest::Object;
use crate::manifest::Spec;
use crate::manifest::route::HttpRouteSpec;
use crate::manifest::rules::attachment::Gateways;
use crate::manifest::rules::selector::Entry;
use crate::manifest::traffic_policy;
use crate::manifest::traffic_policy::BackendTrafficPolicySpec;
use crate::manifest::traffic_policy::LimitUnit;
use crate::manifest::traffic_policy::RateLimitRule;
use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::Domain;
use crate::rule::Value;
use crate::rule::limit::Cost;
use crate::rule::limit::Limit;
use crate::rule::limit::Unit;

/// A manifest that Envoy Gateway refuses, or that we do not translate yet.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{manifest}: {field}: {reason}")]
pub struct Untranslatable {
    /// The manifest, as `Kind namespace/name`.
    pub manifest: String,
    /// The field in it.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Every manifest that is in the way of a translation; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Untranslatables(Vec<Untranslatable>);

/// The domains that Envoy Gateway derives, sorted by name, their routes by key.
///
/// # Errors
///
/// All that cannot be translated, with the manifest and the field.
pub fn domains(manifests: &[Manifest]) -> Result<Vec<Domain>, Untranslatables> {
    let mut translation = Translation::default();
    let gateways = Gateways::of(manifests);
    let policies = translation.policies(manifests);
    for manifest in manifests {
        let Manifest::HttpRoute(route) = manifest else {
            continue;
        };
        if let Some(policy) = policies.get(&identity(&route.metadata)) {
            translation.route(&gateways, route, policy);
        }
    }
    translation.finish()
}

/// The namespace and name of a resource.
type Identity<'m> = (&'m str, &'m str);

fn identity(metadata: &Metadata) -> Identity<'_> {
    (metadata.namespace(), &metadata.name)
}

/// What has been translated so far.
#[derive(Debug, Default)]
struct Translation {
    /// The buckets of each domain by the key of their route.
    domains: BTreeMap<String, BTreeMap<String, Vec<Descriptor>>>,
    errors: Vec<Untranslatable>,
}

// === impl Untranslatables ===

impl IntoIterator for Untranslatables {
    type Item = Untranslatable;
    type IntoIter = std::vec::IntoIter<Untranslatable>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Untranslatables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Untranslatables {}

// === impl Translation ===

impl Translation {
    /// The policies that limit, by the route that they are for.
    fn policies<'m>(
        &mut self,
        manifests: &'m [Manifest],
    ) -> BTreeMap<Identity<'m>, &'m Object<BackendTrafficPolicySpec>> {
        let mut policies = BTreeMap::new();
        for manifest in manifests {
            let Manifest::BackendTrafficPolicy(policy) = manifest else {
                continue;
            };
            if global_rules(policy).is_empty() {
                continue;
            }
            if policy.spec.merge_type.is_some() {
                self.refuse(policy, "spec.mergeType", "is not supported yet");
            }
            if policy.spec.target_refs.is_empty() {
                self.refuse(policy, "spec.targetRefs", "is missing");
            }
            for (index, target) in policy.spec.target_refs.iter().enumerate() {
                let field = format!("spec.targetRefs[{index}]");
                if target.kind != HttpRouteSpec::KIND {
                    let reason = format!("a target of kind `{}` is not supported yet", target.kind);
                    self.refuse(policy, &field, &reason);
                } else if target.section_name.is_some() {
                    let field = format!("{field}.sectionName");
                    self.refuse(policy, &field, "is not supported yet");
                } else if let Some(other) =
                    policies.insert((policy.metadata.namespace(), target.name.as_str()), policy)
                {
                    let other = &other.metadata.name;
                    let reason = format!("`{}` has the policy `{other}` already", target.name);
                    self.refuse(policy, &field, &reason);
                }
            }
        }
        policies
    }

    /// Adds the buckets of a route.
    fn route(
        &mut self,
        gateways: &Gateways<'_>,
        route: &Object<HttpRouteSpec>,
        policy: &Object<BackendTrafficPolicySpec>,
    ) {
        let Some(buckets) = self.buckets(policy) else {
            return;
        };
        let attachments = match gateways.attachments(route) {
            Ok(attachments) => attachments,
            Err((field, reason)) => return self.refuse(route, &field, &reason),
        };
        for attachment in attachments {
            let domain = self.domains.entry(attachment.domain).or_default();
            for (rule, spec) in route.spec.rules.iter().enumerate() {
                // Without matches the API server puts in one for the prefix `/`.
                for m in 0..spec.matches.len().max(1) {
                    for hostname in &attachment.hostnames {
                        let (namespace, name) = identity(&route.metadata);
                        let hostname = hostname.replace('.', "_");
                        let key = format!(
                            "httproute/{namespace}/{name}/rule/{rule}/match/{m}/{hostname}"
                        );
                        domain.insert(key, buckets.clone());
                    }
                }
            }
        }
    }

    /// The tree that a policy puts below each of its buckets.
    fn buckets(&mut self, policy: &Object<BackendTrafficPolicySpec>) -> Option<Vec<Descriptor>> {
        let n_errors = self.errors.len();
        let mut descriptors = Vec::new();
        for (index, rule) in global_rules(policy).iter().enumerate() {
            let field = format!("spec.rateLimit.global.rules[{index}]");
            if rule.shared == Some(true) {
                let field = format!("{field}.shared");
                self.refuse(policy, &field, "is not supported yet");
                continue;
            }
            match selector::entries(index, &rule.client_selectors) {
                Ok(entries) => insert(&mut descriptors, &entries, &limit(rule)),
                Err((below, reason)) => self.refuse(policy, &format!("{field}.{below}"), &reason),
            }
        }
        (self.errors.len() == n_errors).then_some(descriptors)
    }

    fn refuse<S: Spec>(&mut self, object: &Object<S>, field: &str, reason: &str) {
        let (namespace, name) = identity(&object.metadata);
        self.errors.push(Untranslatable {
            manifest: format!("{} {namespace}/{name}", S::KIND),
            field: field.to_owned(),
            reason: reason.to_owned(),
        });
    }

    fn finish(self) -> Result<Vec<Domain>, Untranslatables> {
        if !self.errors.is_empty() {
            return Err(Untranslatables(self.errors));
        }
        let domains = self.domains.into_iter().map(|(name, routes)| Domain {
            name,
            descriptors: routes.into_iter().map(route_descriptor).collect(),
        });
        Ok(domains.collect())
    }
}

fn global_rules(policy: &Object<BackendTrafficPolicySpec>) -> &[RateLimitRule] {
    let global = policy
        .spec
        .rate_limit
        .as_ref()
        .and_then(|it| it.global.as_ref());
    global.map_or(&[], |global| &global.rules)
}

fn route_descriptor((key, descriptors): (String, Vec<Descriptor>)) -> Descriptor {
    Descriptor {
        value: value(&key),
        key,
        allowance: None,
        descriptors,
    }
}

/// Adds a chain of entries with a limit at its end.
///
/// Chains meet where they are equal. Of two that are equal to their ends Envoy Gateway keeps the
/// first, whatever their limits say.
fn insert(siblings: &mut Vec<Descriptor>, entries: &[Entry], limit: &Limit) {
    let [entry, below @ ..] = entries else {
        return;
    };
    let value = entry.value.as_deref().map_or(Value::Any, value);
    let is_same = |it: &Descriptor| it.key == entry.key && it.value == value;
    let index = siblings.iter().position(is_same).unwrap_or_else(|| {
        siblings.push(Descriptor {
            key: entry.key.clone(),
            value,
            allowance: None,
            descriptors: Vec::new(),
        });
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

fn limit(rule: &RateLimitRule) -> Limit {
    Limit {
        name: None,
        requests: rule.limit.requests,
        burst: 0,
        unit: unit(rule.limit.unit),
        unit_multiplier: NonZeroU32::MIN,
        algorithm: None,
        cost: rule.cost.as_ref().and_then(cost),
        shadow: rule.shadow_mode.unwrap_or(false),
    }
}

/// What a response says comes after the work, what a request says before it.
fn cost(cost: &traffic_policy::Cost) -> Option<Cost> {
    if cost.response.is_some() {
        return Some(Cost::Report);
    }
    cost.request.as_ref().map(|_| Cost::Ask)
}

fn unit(unit: LimitUnit) -> Unit {
    match unit {
        LimitUnit::Second => Unit::Second,
        LimitUnit::Minute => Unit::Minute,
        LimitUnit::Hour => Unit::Hour,
        LimitUnit::Day => Unit::Day,
        LimitUnit::Week => Unit::Week,
        LimitUnit::Month => Unit::Month,
        LimitUnit::Year => Unit::Year,
    }
}

#[cfg(test)]
mod tests;
