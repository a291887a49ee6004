//! The limits that each instance of Envoy holds alone: no rule comes of them, but a policy can be
//! refused for them.

use crate::manifest::rules::chain;
use crate::manifest::rules::policies::Policy;
use crate::manifest::rules::policies::Standing;
use crate::manifest::rules::remark::Remarks;
use crate::manifest::rules::selector;
use crate::manifest::traffic_policy::RateLimitRule;
use crate::rule::limit::Limit;

/// The policy whose local limits hold: the most specific one, or else the one that it is merged with.
pub(in crate::manifest) fn holder<'m>(standing: &Standing<'m>) -> Option<&'m Policy> {
    let mut both = [Some(standing.own), standing.parent].into_iter().flatten();
    both.find(|policy| !rules(policy).is_empty())
}

/// The local limits of a policy.
pub(in crate::manifest) fn rules(policy: &Policy) -> &[RateLimitRule] {
    let limits = policy.spec.rate_limit.as_ref();
    let limits = limits.filter(|it| it.limit_type.as_deref() != Some("Global"));
    let local = limits.and_then(|it| it.local.as_ref());
    local.map_or(&[], |local| &local.rules)
}

/// The field that a local limit stands in.
pub(in crate::manifest) fn field(index: usize) -> String {
    format!("spec.rateLimit.local.rules[{index}]")
}

/// Refuses what makes Envoy Gateway answer 500 for all routes of a policy, or Envoy refuse all of it.
pub(super) fn check(policy: &Policy, remarks: &mut Remarks) {
    let rules = rules(policy);
    let seconds = |rule: &RateLimitRule| {
        let limit = Limit::new(rule.limit.requests, chain::unit(rule.limit.unit));
        limit.window().seconds()
    };
    let is_default = |rule: &&RateLimitRule| rule.client_selectors.is_empty();
    let default = rules.iter().find(is_default);
    let mut n_defaults = 0;
    for (index, rule) in rules.iter().enumerate() {
        if let Err((below, reason)) = selector::entries(index, &rule.client_selectors) {
            remarks.refuse(policy, &format!("{}.{below}", field(index)), reason);
        }
        n_defaults += usize::from(is_default(&rule));
        if is_default(&rule) && n_defaults > 1 {
            let reason = "a second limit without selectors: expected one at most";
            remarks.refuse(policy, &field(index), reason);
        }
        if rule.limit.requests == 0 {
            let reason = "0 is refused by Envoy in a local limit: expected at least 1";
            remarks.refuse(policy, &format!("{}.limit.requests", field(index)), reason);
        }
        if let Some(default) = default
            && !seconds(rule).is_multiple_of(seconds(default))
        {
            let reason = format!(
                "{:?} is no multiple of {:?}, the unit of the limit without selectors",
                rule.limit.unit, default.limit.unit
            );
            remarks.refuse(policy, &format!("{}.limit.unit", field(index)), reason);
        }
    }
}
