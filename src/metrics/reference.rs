//! Hits by rule under the names of envoyproxy/ratelimit, as Envoy Gateway maps them for Prometheus.

use std::sync::LazyLock;

use metrics::Counter;
use regex::Captures;
use regex::Regex;

use crate::metrics::series::Counters;
use crate::metrics::series::Series;
use crate::metrics::timer::Timer;

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
    /// The handles of one rule. Prometheus sees the sum of rules that differ below their second
    /// level only.
    pub(super) fn new(counters: &Counters, domain: &str, rule: &str) -> Self {
        let rule = sanitised(&format!("{domain}.{rule}"));
        let labels = labels(&rule);
        let counter = |name: &'static str| {
            let kind = name.trim_start_matches("ratelimit_service_rate_limit_");
            counters.counter(Series {
                name,
                labels: labels.clone(),
                path: Some(format!("ratelimit.service.rate_limit.{rule}.{kind}")),
            })
        };
        Self {
            total: counter(TOTAL),
            within: counter(WITHIN),
            near_limit: counter(NEAR_LIMIT),
            over_limit: counter(OVER_LIMIT),
            shadow: counter(SHADOW),
        }
    }
}

/// What is counted of requests as a whole.
#[derive(Clone, Debug)]
pub(super) enum Whole {
    /// A configuration was refused.
    LoadError,
    /// A configuration was put in force.
    LoadSuccess,
    /// A request could not be decided: `redis_error` or `service_error`.
    Error(&'static str),
    /// A request came over gRPC.
    Request,
    /// A request passed only because everything is in shadow mode.
    ShadowMode,
}

impl Whole {
    pub(super) fn counter(self, counters: &Counters) -> Counter {
        let (name, label, path) = match self {
            Self::LoadError => (LOAD_ERROR, None, "ratelimit.service.config_load_error"),
            Self::LoadSuccess => (LOAD_SUCCESS, None, "ratelimit.service.config_load_success"),
            Self::Error(kind) => (ERRORS, Some(("err_type", kind)), ERRORS_PATH),
            Self::Request => (REQUESTS, Some(METHOD), REQUESTS_PATH),
            Self::ShadowMode => (GLOBAL_SHADOW, None, "ratelimit.service.global_shadow_mode"),
        };
        let path = match self {
            Self::Error(kind) => format!("{path}.{kind}"),
            Self::LoadError | Self::LoadSuccess | Self::Request | Self::ShadowMode => {
                path.to_owned()
            }
        };
        let labels = label
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()));
        counters.counter(Series {
            name,
            labels: labels.collect(),
            path: Some(path),
        })
    }
}

/// How long requests took, in Prometheus' text format.
pub(super) fn render_seconds(timer: &Timer) -> String {
    let mut text = format!("# HELP {SECONDS} {SECONDS_HELP}\n# TYPE {SECONDS} histogram\n");
    let (label, value) = METHOD;
    timer.render(&mut text, SECONDS, &format!("{label}=\"{value}\""));
    text
}

/// A name without what statsd gives a meaning: colons, bars, and the dots of addresses.
fn sanitised(name: &str) -> String {
    let name = name.replace([':', '|'], "_");
    let name = ADDRESS.replace_all(&name, |address: &Captures<'_>| address[0].replace('.', "_"));
    name.into_owned()
}

/// The first three of what dots part.
fn labels(name: &str) -> Vec<(&'static str, String)> {
    let parts = name.split('.').map(str::to_owned);
    ["domain", "key1", "key2"].into_iter().zip(parts).collect()
}

static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d+\.\d+\.\d+\.\d+").expect("the expression is a literal"));

const ERRORS: &str = "ratelimit_service_should_rate_limit_error";
const ERRORS_PATH: &str = "ratelimit.service.call.should_rate_limit";
const GLOBAL_SHADOW: &str = "ratelimit_service_global_shadow_mode";
const LOAD_ERROR: &str = "ratelimit_service_config_load_error";
const LOAD_SUCCESS: &str = "ratelimit_service_config_load_success";
const METHOD: (&str, &str) = ("grpc_method", "ShouldRateLimit");
const NEAR_LIMIT: &str = "ratelimit_service_rate_limit_near_limit";
const OVER_LIMIT: &str = "ratelimit_service_rate_limit_over_limit";
const REQUESTS: &str = "ratelimit_service_total_requests";
const REQUESTS_PATH: &str = "ratelimit_server.ShouldRateLimit.total_requests";
const SECONDS: &str = "ratelimit_service_response_time_seconds";
const SECONDS_HELP: &str = "Time from a request over gRPC to its answer.";
const SHADOW: &str = "ratelimit_service_rate_limit_shadow_mode";
const TOTAL: &str = "ratelimit_service_rate_limit_total_hits";
const WITHIN: &str = "ratelimit_service_rate_limit_within_limit";

/// The counters with their help texts.
pub(super) const COUNTERS: [(&str, &str); 10] = [
    (
        ERRORS,
        "Requests that were answered with an error, by whose fault it was.",
    ),
    (
        GLOBAL_SHADOW,
        "Requests that passed only because everything is in shadow mode.",
    ),
    (
        LOAD_ERROR,
        "Changes of the configuration that were refused.",
    ),
    (
        LOAD_SUCCESS,
        "Changes of the configuration that were put in force.",
    ),
    (REQUESTS, "Requests over gRPC, by method."),
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
        let labels = labels(&sanitised(&format!("{domain}.{rule}")));
        let values: Vec<&str> = labels.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, expected);
    }
}
