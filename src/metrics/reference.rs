//! Hits by rule under the names of envoyproxy/ratelimit, as Envoy Gateway maps them for Prometheus.

use std::sync::LazyLock;

use metrics::Counter;
use regex::Captures;
use regex::Regex;

use crate::metrics::Metrics;

/// What became of the hits of the descriptors that matched one rule.
#[derive(Clone, Debug)]
pub struct HitMetrics {
    /// Hits that were charged or refused.
    pub total: Counter,
    /// Hits that passed.
    pub within: Counter,
    /// Hits that passed above the near-limit threshold.
    pub near_limit: Counter,
    /// Hits that did not fit.
    pub over_limit: Counter,
    /// Hits that did not fit and passed, because the rule is in shadow mode.
    pub shadow: Counter,
}

impl HitMetrics {
    /// The handles of one rule. Rules that differ below their second level only have the same.
    pub(super) fn new(metrics: &Metrics, domain: &str, rule: &str) -> Self {
        let labels = labels(domain, rule);
        let counter = |name| metrics.counter(name, &labels);
        Self {
            total: counter(TOTAL),
            within: counter(WITHIN),
            near_limit: counter(NEAR_LIMIT),
            over_limit: counter(OVER_LIMIT),
            shadow: counter(SHADOW),
        }
    }
}

/// The first three of what dots part, once those of addresses are replaced.
fn labels(domain: &str, rule: &str) -> Vec<(&'static str, String)> {
    let name = format!("{domain}.{rule}").replace([':', '|'], "_");
    let name = ADDRESS.replace_all(&name, |address: &Captures<'_>| address[0].replace('.', "_"));
    let parts = name.split('.').map(str::to_owned);
    ["domain", "key1", "key2"].into_iter().zip(parts).collect()
}

static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d+\.\d+\.\d+\.\d+").expect("the expression is a literal"));

const NEAR_LIMIT: &str = "ratelimit_service_rate_limit_near_limit";
const OVER_LIMIT: &str = "ratelimit_service_rate_limit_over_limit";
const SHADOW: &str = "ratelimit_service_rate_limit_shadow_mode";
const TOTAL: &str = "ratelimit_service_rate_limit_total_hits";
const WITHIN: &str = "ratelimit_service_rate_limit_within_limit";

/// The counters with their help texts.
pub(super) const COUNTERS: [(&str, &str); 5] = [
    (
        NEAR_LIMIT,
        "Hits that passed above the near-limit threshold, by rule.",
    ),
    (OVER_LIMIT, "Hits that did not fit, by rule."),
    (
        SHADOW,
        "Hits that did not fit and passed because of shadow mode, by rule.",
    ),
    (TOTAL, "Hits that were charged or refused, by rule."),
    (WITHIN, "Hits that passed, by rule."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_told_by_its_domain_and_its_first_two_levels() {
        check("default/eg/http", "user", &["default/eg/http", "user"]);
        check("d", "a_1.b_2.c_3", &["d", "a_1", "b_2"]);
    }

    #[test]
    fn what_statsd_cannot_name_is_replaced() {
        let cidr = "route.masked_remote_address_0.0.0.0/0";
        check(
            "d",
            cidr,
            &["d", "route", "masked_remote_address_0_0_0_0/0"],
        );
        let inverted = "route.masked_remote_address_invert:192.0.2.0/24";
        let expected = "masked_remote_address_invert_192_0_2_0/24";
        check("d", inverted, &["d", "route", expected]);
        check("a|b", "c", &["a_b", "c"]);
    }

    #[test]
    fn other_dots_part_levels_as_in_the_reference() {
        check("d", "host_a.example", &["d", "host_a", "example"]);
    }

    #[track_caller]
    fn check(domain: &str, rule: &str, expected: &[&str]) {
        let labels = labels(domain, rule);
        let values: Vec<&str> = labels.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, expected);
    }
}
