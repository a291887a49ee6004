//! What Envoy asks the rate-limit service for a request, and which limits apply.

use serde::Serialize;

use crate::manifest::origin::Origin;
use crate::manifest::rules::chain::Chain;
use crate::manifest::rules::policies::Policy;
use crate::manifest::rules::remark::named;
use crate::manifest::rules::selector::Entry;
use crate::manifest::rules::selector::Source;
use crate::manifest::traffic_policy::CostFrom;
use crate::manifest::traffic_policy::CostSource;
use crate::platform::security::CONSUMER;
use crate::rule::Allowance;
use crate::rule::limit::Limit;
use crate::rule::tree::RuleSet;

/// A call of the rate-limit service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Call {
    /// The domain.
    pub domain: String,
    /// Whether it comes after the response, to book what that cost.
    pub after_response: bool,
    /// What is asked; a refusal of one refuses the request.
    pub descriptors: Vec<Sent>,
}

/// A descriptor that Envoy sends.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Sent {
    /// Its entries.
    pub entries: Vec<(String, String)>,
    /// What it costs.
    pub hits: Hits,
    /// The limit that applies to it.
    pub limit: Option<Applied>,
    /// Where the limit is written.
    #[serde(flatten)]
    pub at: Written,
    /// Whether the answer's headers leave it out.
    #[serde(skip)]
    pub(super) is_hidden: bool,
}

/// What a descriptor costs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hits {
    /// So many hits; none only asks whether one is left.
    Number(u64),
    /// What stands in the request's metadata, as `namespace:key`; without it nothing is asked.
    Metadata(String),
}

/// A limit that applies to a descriptor.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Applied {
    /// So many hits.
    pub requests: u32,
    /// What it counts apart, such as each consumer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<String>,
    /// The unit of its window.
    pub unit: &'static str,
    /// The length of its window.
    pub window_seconds: u64,
    /// How many hits more one window may hold.
    #[serde(skip_serializing_if = "is_zero")]
    pub burst: u32,
    /// Whether it refuses nothing.
    pub shadow: bool,
    /// Where a request's own limit stands, as `namespace:key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_metadata: Option<String>,
}

/// Where a limit is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Written {
    /// The policy.
    pub policy: String,
    /// The field of the policy.
    pub field: String,
    /// What says it on the platform that the policy comes from, if it comes from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<Origin>,
}

impl Written {
    /// In a field of a policy, of which nothing else is known.
    pub(super) fn at(policy: &Policy, field: String) -> Self {
        Self {
            policy: named(policy),
            field,
            entity: None,
        }
    }
}

/// A limit that does not count a request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PassedOver {
    /// Where it is written.
    #[serde(flatten)]
    pub at: Written,
    /// Why Envoy does not ask for it.
    pub reason: String,
}

pub(super) fn hits(cost: &CostSource) -> Hits {
    match (cost.from, &cost.metadata) {
        (CostFrom::Metadata, Some(it)) => Hits::Metadata(format!("{}:{}", it.namespace, it.key)),
        _ => Hits::Number(cost.number.unwrap_or(1)),
    }
}

/// The limit that the service finds for a descriptor.
pub(super) fn applied(
    chain: &Chain<'_>,
    domain: &str,
    entries: &[(String, String)],
    rules: &RuleSet,
) -> Option<Applied> {
    let entries = entries
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    let rule = rules.rule(rules.domain(domain)?.find(entries)?);
    let Allowance::Limited(limit) = &rule.allowance else {
        return None;
    };
    let metadata = chain.rule.limit.from_metadata.as_ref();
    let from_metadata = metadata.map(|it| format!("{}:{}", it.namespace, it.key));
    Some(Applied {
        from_metadata,
        each: each(&chain.entries),
        ..Applied::from(limit)
    })
}

/// What entries count apart.
pub(super) fn each(entries: &[Entry<'_>]) -> Vec<String> {
    let of_entry = |entry: &Entry<'_>| match (&entry.source, &entry.value) {
        (_, Some(_)) => None,
        (Source::Address, None) => Some("client address".to_owned()),
        (Source::Header(header), None) if header.name.eq_ignore_ascii_case(CONSUMER) => {
            Some("consumer".to_owned())
        }
        (Source::Header(header), None) => Some(format!("value of header `{}`", header.name)),
        (Source::QueryParam(param), None) => {
            Some(format!("value of query parameter `{}`", param.name))
        }
        (Source::Always | Source::Block(_) | Source::Method(_) | Source::Path(_), None) => None,
    };
    entries.iter().filter_map(of_entry).collect()
}

impl From<&Limit> for Applied {
    fn from(limit: &Limit) -> Self {
        Self {
            requests: limit.requests,
            each: Vec::new(),
            unit: limit.unit.name(),
            window_seconds: limit.window().seconds(),
            burst: limit.burst,
            shadow: limit.shadow,
            from_metadata: None,
        }
    }
}

/// The headers that Envoy adds. Each filter adds its own, the one of the first call last.
pub(super) fn headers(calls: &[Call]) -> Vec<(String, String)> {
    let at_request = calls.iter().rev().filter(|call| !call.after_response);
    at_request.flat_map(headers_of).collect()
}

/// The headers of a filter: the limit that has least left, and after it all of them with their windows.
fn headers_of(call: &Call) -> Vec<(String, String)> {
    let shown = call.descriptors.iter().filter(|sent| !sent.is_hidden);
    let left = |sent: &Sent| {
        let limit = sent.limit.clone()?;
        let hits = match sent.hits {
            Hits::Number(hits) => hits,
            Hits::Metadata(_) => 0,
        };
        let most = u64::from(limit.requests) + u64::from(limit.burst);
        Some((most.saturating_sub(hits), limit))
    };
    let limits: Vec<(u64, Applied)> = shown.filter_map(left).collect();
    // Of those with as little left, the first.
    let Some((left, least)) = limits.iter().min_by_key(|(left, _)| *left) else {
        return Vec::new();
    };
    let mut text = least.requests.to_string();
    for (_, limit) in &limits {
        text.push_str(&format!(", {};w={}", limit.requests, limit.window_seconds));
    }
    vec![
        ("x-ratelimit-limit".to_owned(), text),
        ("x-ratelimit-remaining".to_owned(), left.to_string()),
    ]
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
