//! The limits in force for a rule of a route, each with the entries that lead to it.

use crate::manifest::rules::identity;
use crate::manifest::rules::policies::Policy;
use crate::manifest::rules::policies::Standing;
use crate::manifest::rules::remark::Remarks;
use crate::manifest::rules::remark::named;
use crate::manifest::rules::selector;
use crate::manifest::rules::selector::Entry;
use crate::manifest::traffic_policy;
use crate::manifest::traffic_policy::LimitUnit;
use crate::manifest::traffic_policy::RateLimitRule;
use crate::rule::limit::Cost;
use crate::rule::limit::Limit;
use crate::rule::limit::Unit;

/// A limit in force.
#[derive(Debug)]
pub(in crate::manifest) struct Chain<'m> {
    /// The policy that it stands in.
    pub policy: &'m Policy,
    /// Its index there.
    pub index: usize,
    /// As it stands there.
    pub rule: &'m RateLimitRule,
    /// Where it is counted, unless that is the bucket of the route at its listener.
    pub shared: Option<Shared>,
    /// What leads to it, below the bucket.
    pub entries: Vec<Entry<'m>>,
}

/// A bucket that the targets of a policy share.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::manifest) struct Shared {
    /// Its domain.
    pub domain: String,
    /// The key and value of its first entry.
    pub key: String,
}

/// The limits in force, in the order in which Envoy asks for them.
///
/// Keys are numbered among the shared limits and among the others. Limits that cannot be
/// translated are left out: the policies have been looked at, and are refused for them.
pub(in crate::manifest) fn chains<'m>(standing: &Standing<'m>) -> Vec<Chain<'m>> {
    let (mut n_shared, mut n_own) = (0, 0);
    let mut chains = Vec::new();
    for (policy, index, rule) in standing.limits() {
        let (namespace, name) = identity(&policy.metadata);
        let shared = (rule.shared == Some(true)).then(|| Shared {
            domain: format!("{namespace}/{name}"),
            key: format!("{namespace}/{name}/rule/{index}"),
        });
        let number = match shared {
            Some(_) => &mut n_shared,
            None => &mut n_own,
        };
        if let Ok(entries) = selector::entries(*number, &rule.client_selectors) {
            chains.push(Chain {
                policy,
                index,
                rule,
                shared,
                entries,
            });
        }
        *number += 1;
    }
    chains
}

impl Chain<'_> {
    /// The limit as a rule has it.
    pub(super) fn limit(&self) -> Limit {
        let rule = self.rule;
        Limit {
            cost: rule.cost.as_ref().and_then(cost),
            shadow: rule.shadow_mode.unwrap_or(false),
            ..Limit::new(rule.limit.requests, unit(rule.limit.unit))
        }
    }

    /// The field of the policy that the limit stands in.
    pub(in crate::manifest) fn field(&self) -> String {
        format!("spec.rateLimit.global.rules[{}]", self.index)
    }
}

/// Warns of limits that come too near to each other.
pub(super) fn warn(chains: &[Chain<'_>], remarks: &mut Remarks) {
    for (index, chain) in chains.iter().enumerate() {
        let mut before = chains[..index].iter();
        let meets = |other: &&Chain<'_>| {
            other.shared == chain.shared && other.entries.first() == chain.entries.first()
        };
        let Some(other) = before.find(meets) else {
            continue;
        };
        let place = format!("{} of `{}`", other.field(), named(other.policy));
        let reason = if other.entries == chain.entries {
            format!(
                "selects requests by the same entries as {place}: Envoy Gateway drops this limit, \
                 and requests count twice"
            )
        } else {
            format!(
                "begins with the same block of addresses as {place}: envoyproxy/ratelimit refuses \
                 all limits of all gateways for that, slidegate does not"
            )
        };
        remarks.warn(chain.policy, &chain.field(), reason);
    }
}

/// What a response says comes after the work, what a request says before it.
fn cost(cost: &traffic_policy::Cost) -> Option<Cost> {
    if cost.response.is_some() {
        return Some(Cost::Report);
    }
    cost.request.as_ref().map(|_| Cost::Ask)
}

/// The unit of rules.
pub(in crate::manifest) fn unit(unit: LimitUnit) -> Unit {
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
