//! Says which limits are in force.

use tracing::info;
use tracing::warn;

use crate::rule::Allowance;
use crate::rule::Domain;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Limit;
use crate::rule::tree::RuleSet;
use crate::settings::Serve;

/// Logs the limits, one a line, or the first of them when there are many.
pub(super) fn rules(domains: &[Domain], default_algorithm: Algorithm) {
    let rules = RuleSet::new(domains.to_vec());
    for rule in rules.rules().iter().take(MAX_LINES) {
        let limit = match &rule.allowance {
            Allowance::Limited(limit) => in_words(limit, default_algorithm),
            Allowance::Unlimited => "unlimited".to_owned(),
        };
        info!(
            domain = &*rule.domain,
            rule = rule.label(),
            limit,
            "in force"
        );
    }
    let more = rules.rules().len().saturating_sub(MAX_LINES);
    if more > 0 {
        info!(
            more,
            "limits are in force too; /rlconfig on the debug port lists all"
        );
    }
    if rules.rules().is_empty() {
        warn!("no limit is in force: everything passes");
    }
}

/// Warns of modes in which less is refused than the rules say.
pub(super) fn modes(settings: &Serve) {
    if settings.shadow_mode {
        warn!("shadow mode: no request is refused");
    }
    if settings.quota_mode {
        warn!("quota mode: a request is refused only when all its limits refuse it");
    }
}

/// A limit as people say it: `3 per 5 minutes, sliding_window`.
fn in_words(limit: &Limit, default_algorithm: Algorithm) -> String {
    let (requests, unit) = (limit.requests, limit.unit.name());
    let algorithm = limit.algorithm_or(default_algorithm);
    let named = Algorithm::NAMES.iter().find(|(_, it)| *it == algorithm);
    let algorithm = named.map_or("", |(name, _)| name);
    let burst = match limit.burst {
        0 => String::new(),
        burst => format!(" and a burst of {burst}"),
    };
    let shadow = if limit.shadow { ", shadow mode" } else { "" };
    let quota = if limit.quota { ", quota mode" } else { "" };
    let window = match limit.unit_multiplier.get() {
        1 => unit.to_owned(),
        many => format!("{many} {unit}s"),
    };
    format!("{requests} per {window}{burst}, {algorithm}{shadow}{quota}")
}

const MAX_LINES: usize = 20;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use crate::rule::limit::Unit;

    use super::*;

    #[test]
    fn a_limit_is_put_into_words() {
        let mut limit = Limit::new(3, Unit::Minute);
        let words = |limit: &Limit| in_words(limit, Algorithm::SlidingWindow);
        assert_eq!(words(&limit), "3 per minute, sliding_window");
        limit.burst = 2;
        assert_eq!(
            words(&limit),
            "3 per minute and a burst of 2, sliding_window"
        );
        limit.burst = 0;
        limit.unit_multiplier = NonZeroU32::new(5).unwrap();
        limit.algorithm = Some(Algorithm::FixedWindow);
        limit.shadow = true;
        assert_eq!(words(&limit), "3 per 5 minutes, fixed_window, shadow mode");
        limit.shadow = false;
        limit.quota = true;
        assert_eq!(words(&limit), "3 per 5 minutes, fixed_window, quota mode");
    }
}
