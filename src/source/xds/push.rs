//! What an xDS server pushed → the rules that it comes to, with what is wrong with it.
//!
//! The unit of refusal is the rule: a bad one leaves what was in force at its path, and all others
//! apply.

use std::collections::HashMap;
use std::fmt;

use envoy_types::pb::google::protobuf;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::google::protobuf::Struct;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitConfig;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitUnit;
use prost::Message;
use prost::Name;

use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::Domain;
use crate::rule::Metadata;
use crate::rule::Value;
use crate::rule::limit::Limit;
use crate::rule::limit::Unit;

/// What a push comes to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Push {
    /// The rules, by domain; of a refused one those that were in force.
    pub domains: Vec<Domain>,
    /// The rules that were refused.
    pub refused: Vec<Refused>,
}

/// A rule that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    domain: String,
    path: Path,
    reason: String,
}

/// A push of which nothing can be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// A resource is of another type.
    #[error("a resource is of type `{0}`: expected `{expected}`", expected = RateLimitConfig::type_url())]
    OtherType(String),
    /// A resource does not hold what its type says.
    #[error("a resource cannot be decoded: {0}")]
    Garbage(#[from] prost::DecodeError),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}", self.domain)?;
        for (key, value) in &self.path {
            write!(f, ".{key}")?;
            if let Some(text) = value.text() {
                write!(f, "_{text}")?;
            }
        }
        write!(f, "`: {}", self.reason)
    }
}

impl Push {
    /// Reads resources, in whatever order they come. Equal domains and siblings become one where
    /// they do not contradict each other.
    ///
    /// # Errors
    ///
    /// A resource cannot be read; which rules it would have had is not known.
    pub fn read(resources: &[Any], in_force: &[Domain]) -> Result<Self, Unreadable> {
        let mut drafts: HashMap<String, Level> = HashMap::new();
        let mut refused = Vec::new();
        for resource in resources {
            let config = config(resource)?;
            let mut place = Place {
                domain: &config.domain,
                path: Vec::new(),
                refused: &mut refused,
            };
            if config.domain.is_empty() {
                place.refuse(format!("resource `{}` has no domain", config.name));
                continue;
            }
            let level = drafts.entry(config.domain.clone()).or_default();
            level.add(config.descriptors, &mut place);
        }
        let mut drafts: Vec<_> = drafts.into_iter().collect();
        drafts.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut by_path = None;
        let mut domains = Vec::with_capacity(drafts.len());
        for (name, level) in drafts {
            let mut place = Place {
                domain: &name,
                path: Vec::new(),
                refused: &mut refused,
            };
            let mut before = |domain: &str, path: &Path| {
                let by_path = by_path.get_or_insert_with(|| limited(in_force));
                let node: &Descriptor = by_path.get(&(domain, path.clone()))?;
                Some(Terms {
                    allowance: node.allowance.clone()?,
                    replaces: node.replaces.clone(),
                    metadata: node.metadata.clone(),
                    detailed_metric: node.detailed_metric,
                })
            };
            let descriptors = level.finish(&mut place, &mut before);
            domains.push(Domain { name, descriptors });
        }
        refused.sort_by_cached_key(ToString::to_string);
        Ok(Self { domains, refused })
    }
}

fn config(resource: &Any) -> Result<RateLimitConfig, Unreadable> {
    if resource.type_url != RateLimitConfig::type_url() {
        return Err(Unreadable::OtherType(resource.type_url.clone()));
    }
    Ok(RateLimitConfig::decode(resource.value.as_slice())?)
}

/// What the entries of a descriptor have to be, level by level.
type Path = Vec<(String, Value)>;

/// Where in a push something stands, and what was refused.
struct Place<'p> {
    domain: &'p str,
    path: Path,
    refused: &'p mut Vec<Refused>,
}

impl Place<'_> {
    fn refuse(&mut self, reason: String) {
        self.refused.push(Refused {
            domain: self.domain.to_owned(),
            path: self.path.clone(),
            reason,
        });
    }
}

/// Siblings, those that are equal as one.
#[derive(Debug, Default)]
struct Level {
    nodes: Vec<Draft>,
    places: HashMap<(String, Value), usize>,
}

/// What a node with a limit says.
#[derive(Clone, Debug, PartialEq)]
struct Terms {
    allowance: Allowance,
    replaces: Vec<String>,
    metadata: Metadata,
    detailed_metric: bool,
}

#[derive(Debug)]
struct Draft {
    key: String,
    value: Value,
    /// What its equal siblings say, each different thing once, or why that cannot be read.
    terms: Vec<Result<Terms, String>>,
    below: Level,
}

impl Level {
    fn add(&mut self, descriptors: Vec<RateLimitDescriptor>, place: &mut Place<'_>) {
        for mut descriptor in descriptors {
            let terms = terms(&mut descriptor).transpose();
            let below = std::mem::take(&mut descriptor.descriptors);
            let key = descriptor.key;
            if key.is_empty() {
                place.refuse("a descriptor has an empty key".to_owned());
                continue;
            }
            let value = value(descriptor.value);
            let identity = (key.clone(), value.clone());
            let index = *self.places.entry(identity.clone()).or_insert_with(|| {
                self.nodes.push(Draft {
                    key,
                    value,
                    terms: Vec::new(),
                    below: Self::default(),
                });
                self.nodes.len() - 1
            });
            let node = &mut self.nodes[index];
            // Two that differ are enough to know.
            let is_new =
                |it: &Result<Terms, String>| node.terms.len() < 2 && !node.terms.contains(it);
            if let Some(terms) = terms.filter(is_new) {
                node.terms.push(terms);
            }
            place.path.push(identity);
            node.below.add(below, place);
            place.path.pop();
        }
    }

    fn finish(
        self,
        place: &mut Place<'_>,
        before: &mut impl FnMut(&str, &Path) -> Option<Terms>,
    ) -> Vec<Descriptor> {
        let mut descriptors = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            place.path.push((node.key.clone(), node.value.clone()));
            let terms = match one(node.terms) {
                Ok(terms) => terms,
                Err(reason) => {
                    place.refuse(reason);
                    before(place.domain, &place.path)
                }
            };
            let below = node.below.finish(place, before);
            place.path.pop();
            let mut descriptor = Descriptor::new(node.key, node.value);
            descriptor.descriptors = below;
            if let Some(terms) = terms {
                descriptor.allowance = Some(terms.allowance);
                descriptor.replaces = terms.replaces;
                descriptor.metadata = terms.metadata;
                descriptor.detailed_metric = terms.detailed_metric;
            }
            descriptors.push(descriptor);
        }
        descriptors
    }
}

/// The one thing that equal siblings say.
fn one(terms: Vec<Result<Terms, String>>) -> Result<Option<Terms>, String> {
    let mut terms = terms.into_iter().collect::<Result<Vec<_>, _>>()?;
    if terms.len() > 1 {
        return Err("it stands there several times, with different limits".to_owned());
    }
    Ok(terms.pop())
}

/// The nodes with a limit that are in force, by their path.
fn limited(domains: &[Domain]) -> HashMap<(&str, Path), &Descriptor> {
    fn below<'d>(
        domain: &'d str,
        path: &mut Path,
        descriptors: &'d [Descriptor],
        all: &mut HashMap<(&'d str, Path), &'d Descriptor>,
    ) {
        for descriptor in descriptors {
            path.push((descriptor.key.clone(), descriptor.value.clone()));
            if descriptor.allowance.is_some() {
                all.insert((domain, path.clone()), descriptor);
            }
            below(domain, path, &descriptor.descriptors, all);
            path.pop();
        }
    }
    let mut all = HashMap::new();
    for domain in domains {
        below(
            &domain.name,
            &mut Path::new(),
            &domain.descriptors,
            &mut all,
        );
    }
    all
}

fn value(text: String) -> Value {
    if text.is_empty() {
        Value::Any
    } else if text.contains('*') {
        Value::Wildcard {
            pattern: text,
            share_threshold: false,
        }
    } else {
        Value::Exact(text)
    }
}

/// What a node says; none where it has no limit: modes and the like mean nothing then.
fn terms(descriptor: &mut RateLimitDescriptor) -> Result<Option<Terms>, String> {
    let Some(policy) = descriptor.rate_limit.take() else {
        return Ok(None);
    };
    let replaces: Vec<_> = policy.replaces.into_iter().map(|it| it.name).collect();
    if replaces.iter().any(String::is_empty) {
        return Err("it replaces a limit without a name".to_owned());
    }
    let unit = unit(policy.unit)?;
    let allowance = if policy.unlimited {
        if unit.is_some() {
            return Err("a unit does not go with `unlimited`".to_owned());
        }
        Allowance::Unlimited
    } else {
        let mut limit = Limit::new(
            policy.requests_per_unit,
            unit.ok_or("its limit has no unit")?,
        );
        limit.name = Some(policy.name).filter(|name| !name.is_empty());
        limit.shadow = descriptor.shadow_mode;
        limit.quota = descriptor.quota_mode;
        Allowance::Limited(limit)
    };
    let metadata = descriptor.metadata.take().unwrap_or_default();
    Ok(Some(Terms {
        allowance,
        replaces,
        metadata: fields(metadata),
        detailed_metric: descriptor.detailed_metric,
    }))
}

fn fields(data: Struct) -> Metadata {
    let fields = data.fields.into_iter();
    fields.map(|(name, value)| (name, json(value))).collect()
}

fn json(data: protobuf::Value) -> serde_json::Value {
    match data.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::NumberValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(boolean)) => boolean.into(),
        Some(Kind::StructValue(data)) => fields(data).into(),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
    }
}

fn unit(number: i32) -> Result<Option<Unit>, String> {
    let unit = RateLimitUnit::try_from(number)
        .map_err(|_| format!("unknown unit {number}: expected a number from 1 to 7"))?;
    Ok(match unit {
        RateLimitUnit::Unknown => None,
        RateLimitUnit::Second => Some(Unit::Second),
        RateLimitUnit::Minute => Some(Unit::Minute),
        RateLimitUnit::Hour => Some(Unit::Hour),
        RateLimitUnit::Day => Some(Unit::Day),
        RateLimitUnit::Week => Some(Unit::Week),
        RateLimitUnit::Month => Some(Unit::Month),
        RateLimitUnit::Year => Some(Unit::Year),
    })
}

#[cfg(test)]
mod tests;
