//! The limits that each instance of Envoy holds alone, before any other is asked.

use serde::Serialize;

use crate::manifest::explain::call;
use crate::manifest::explain::call::PassedOver;
use crate::manifest::explain::call::Written;
use crate::manifest::explain::descriptor;
use crate::manifest::explain::request::Request;
use crate::manifest::rules::chain;
use crate::manifest::rules::local;
use crate::manifest::rules::policies::Standing;
use crate::manifest::rules::selector;
use crate::rule::limit::Limit;

/// A limit that the Envoy which gets the request holds alone.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct LocalLimit {
    /// So many requests.
    pub requests: u32,
    /// What it counts apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<String>,
    /// The unit of its window.
    pub unit: &'static str,
    /// The length of its window.
    pub window_seconds: u64,
    /// Whether it refuses nothing.
    pub shadow: bool,
    /// Where it is written.
    #[serde(flatten)]
    pub at: Written,
}

/// The limits that count a request, and those that do not. The limit for every request counts only
/// what no other does.
pub(super) fn limits(
    standing: &Standing<'_>,
    request: &Request,
) -> (Vec<LocalLimit>, Vec<PassedOver>) {
    let (mut limits, mut passed_over) = (Vec::new(), Vec::new());
    let Some(policy) = local::holder(standing) else {
        return (limits, passed_over);
    };
    let mut default = None;
    for (index, rule) in local::rules(policy).iter().enumerate() {
        let Ok(entries) = selector::entries(index, &rule.client_selectors) else {
            continue;
        };
        let at = Written::at(policy, local::field(index));
        let limit = Limit::new(rule.limit.requests, chain::unit(rule.limit.unit));
        let limit = LocalLimit {
            requests: limit.requests,
            each: call::each(&entries),
            unit: limit.unit.name(),
            window_seconds: limit.window().seconds(),
            shadow: rule.shadow_mode.unwrap_or(false),
            at: at.clone(),
        };
        if rule.client_selectors.is_empty() {
            default.get_or_insert(limit);
            continue;
        }
        match descriptor::descriptors("", &entries, request) {
            Ok(_) => limits.push(limit),
            Err(reason) => passed_over.push(PassedOver { at, reason }),
        }
    }
    if let Some(default) = default {
        if limits.is_empty() {
            limits.push(default);
        } else {
            let reason = "a limit with selectors counts the request instead".to_owned();
            let at = default.at;
            passed_over.push(PassedOver { at, reason });
        }
    }
    (limits, passed_over)
}
