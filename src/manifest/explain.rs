//! What becomes of a request: its route, the policies in force, what Envoy asks, which limits hold.
//!
//! What has been counted before is not known here: answers are those to a first request.

mod descriptor;
mod expression;
pub mod request;
mod routing;

use serde::Serialize;

use crate::manifest::Manifest;
use crate::manifest::Object;
use crate::manifest::explain::descriptor::Pairs;
use crate::manifest::explain::request::Request;
use crate::manifest::explain::routing::Attached;
use crate::manifest::explain::routing::Met;
use crate::manifest::gateway::GatewaySpec;
use crate::manifest::gateway::Protocol;
use crate::manifest::rules;
use crate::manifest::rules::attachment::Gateways;
use crate::manifest::rules::chain;
use crate::manifest::rules::chain::Chain;
use crate::manifest::rules::identity;
use crate::manifest::rules::policies::Policies;
use crate::manifest::rules::policies::Standing;
use crate::manifest::rules::remark::Remarks;
use crate::manifest::rules::remark::Untranslatables;
use crate::manifest::rules::remark::named;
use crate::manifest::traffic_policy::CostFrom;
use crate::manifest::traffic_policy::CostSource;
use crate::platform::Platform;
use crate::platform::effective::contest;
use crate::rule::Allowance;
use crate::rule::limit::Limit;
use crate::rule::tree::RuleSet;

/// What becomes of a request at a port of a gateway.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// The gateway, as `namespace/name`.
    pub gateway: String,
    /// The port.
    pub port: u16,
    /// What the request meets there; nothing means that it is answered with 404.
    pub met: Option<Explanation>,
}

/// What a request meets, and what follows.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Explanation {
    /// The listener.
    pub listener: String,
    /// The host that fits best; `*` stands for all.
    pub hostname: String,
    /// The route, as `HTTPRoute namespace/name`.
    pub route: String,
    /// The index of its rule.
    pub rule: usize,
    /// The name of its rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_name: Option<String>,
    /// The index of the match.
    #[serde(rename = "match")]
    pub match_index: usize,
    /// What is in force on the platform that the manifests come from, if they come from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entities: Option<Entities>,
    /// The policies in force, the most specific one first.
    pub policies: Vec<String>,
    /// The policies that do not hold because the first one does.
    pub overridden: Vec<String>,
    /// What Envoy asks, in this order, until an answer is a refusal.
    pub calls: Vec<Call>,
    /// The limits that do not count the request.
    pub passed_over: Vec<PassedOver>,
    /// The headers of the answer, when nothing has been counted before.
    pub headers: Vec<(String, String)>,
}

/// What a platform has in force for a route.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Entities {
    /// Of each type of policy the one in force.
    pub policies: Vec<InForce>,
}

/// A policy of a platform that is in force.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct InForce {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The policy, or the route that says it itself, as `Kind/name`.
    pub in_force: String,
    /// Those that are not because this one is, the next in line first.
    pub overridden: Vec<String>,
}

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
    /// The policy that it comes from.
    pub policy: String,
    /// The field of the policy.
    pub field: String,
    /// Whether the answer's headers leave it out.
    #[serde(skip)]
    is_hidden: bool,
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

/// A limit that does not count a request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PassedOver {
    /// The policy that it stands in.
    pub policy: String,
    /// The field of the policy.
    pub field: String,
    /// Why Envoy does not ask for it.
    pub reason: String,
}

/// Explains a request at each port of each gateway that it can come to.
///
/// # Errors
///
/// All that cannot be translated, with the manifest and the field.
pub fn explain(
    manifests: &[Manifest],
    rules: &RuleSet,
    request: &Request,
) -> Result<Vec<Answer>, Untranslatables> {
    // What is in the way of a translation is in the way here, in the same words.
    rules::translate(manifests)?;
    let gateways = Gateways::of(manifests);
    let policies = Policies::of(manifests, &gateways, &mut Remarks::default());
    let mut attached = Vec::new();
    for manifest in manifests {
        if let Manifest::HttpRoute(route) = manifest
            && let Ok(attachments) = gateways.attachments(route)
        {
            let with_route = |attachment| Attached { route, attachment };
            attached.extend(attachments.into_iter().map(with_route));
        }
    }
    let mut answers = Vec::new();
    for manifest in manifests {
        let Manifest::Gateway(gateway) = manifest else {
            continue;
        };
        for port in ports(gateway) {
            if request.port.is_some_and(|wanted| wanted != port) {
                continue;
            }
            let met = routing::meet(&attached, gateway, port, request);
            let (namespace, name) = identity(&gateway.metadata);
            answers.push(Answer {
                gateway: format!("{namespace}/{name}"),
                port,
                met: met.map(|met| Explanation::of(&met, &policies, rules, request)),
            });
        }
    }
    Ok(answers)
}

/// The ports on which HTTP is spoken, in the order of the listeners.
fn ports(gateway: &Object<GatewaySpec>) -> Vec<u16> {
    let mut ports = Vec::new();
    for listener in &gateway.spec.listeners {
        let is_http = matches!(listener.protocol, Protocol::Http | Protocol::Https);
        if is_http && !ports.contains(&listener.port) {
            ports.push(listener.port);
        }
    }
    ports
}

// === impl Entities ===

impl Entities {
    /// What is in force for the route that became a manifest, given as `Kind namespace/name`.
    pub fn of(platform: &Platform, manifest: &str) -> Self {
        let name = manifest.rsplit('/').next();
        let mut routes = platform.routes.iter();
        let route = routes.find(|route| Some(route.name.as_str()) == name);
        let contests = route.map(|route| contest::contests(platform, route));
        let policies = contests.into_iter().flatten().map(|it| InForce {
            kind: it.kind,
            in_force: it.in_force.to_string(),
            overridden: it.overridden.iter().map(ToString::to_string).collect(),
        });
        Self {
            policies: policies.collect(),
        }
    }
}

// === impl Explanation ===

impl Explanation {
    fn of<'m>(
        met: &Met<'m, '_>,
        policies: &Policies<'m>,
        rules: &RuleSet,
        request: &Request,
    ) -> Self {
        let (route, attachment) = (met.attached.route, &met.attached.attachment);
        let standing = policies.standing(route, met.rule, attachment);
        let mut explanation = Self {
            listener: attachment.listener.name.clone(),
            hostname: met.hostname.to_owned(),
            route: named(route),
            rule: met.rule_index,
            rule_name: met.rule.name.clone(),
            match_index: met.match_index,
            entities: None,
            policies: Vec::new(),
            overridden: Vec::new(),
            calls: Vec::new(),
            passed_over: Vec::new(),
            headers: Vec::new(),
        };
        let Some(standing) = standing else {
            return explanation;
        };
        let in_force = std::iter::once(standing.own).chain(standing.parent);
        explanation.policies = in_force.map(named).collect();
        explanation.overridden = standing.overridden.iter().map(|it| named(*it)).collect();
        let bucket = rules::bucket(route, met.rule_index, met.match_index, met.hostname);
        explanation.ask(&standing, &attachment.domain(), &bucket, rules, request);
        explanation.headers = headers(&explanation.calls);
        explanation
    }

    /// Finds out what Envoy asks: first in the listener's domain, then in those of shared limits,
    /// by name; costs of the response come after it.
    fn ask(
        &mut self,
        standing: &Standing<'_>,
        domain: &str,
        bucket: &str,
        rules: &RuleSet,
        request: &Request,
    ) {
        for chain in chain::chains(standing) {
            let (domain, bucket) = match &chain.shared {
                Some(shared) => (shared.domain.as_str(), shared.key.as_str()),
                None => (domain, bucket),
            };
            match descriptor::descriptors(bucket, &chain.entries, request) {
                Ok(descriptors) => {
                    for entries in descriptors {
                        self.send(&chain, domain, entries, rules);
                    }
                }
                Err(reason) => self.passed_over.push(PassedOver {
                    policy: named(chain.policy),
                    field: chain.field(),
                    reason,
                }),
            }
        }
        self.calls.sort_by_key(|call| {
            let is_shared = call.domain != domain;
            (call.after_response, is_shared, call.domain.clone())
        });
    }

    /// Puts a descriptor into the calls that it belongs to.
    fn send(&mut self, chain: &Chain<'_>, domain: &str, entries: Pairs, rules: &RuleSet) {
        let cost = chain.rule.cost.as_ref();
        let at_request = cost.and_then(|it| it.request.as_ref());
        let sent = Sent {
            hits: at_request.map_or(Hits::Number(1), hits),
            limit: applied(chain, domain, &entries, rules),
            entries,
            policy: named(chain.policy),
            field: chain.field(),
            is_hidden: chain.rule.x_rate_limit_headers.as_deref() == Some("Off"),
        };
        if let Some(cost) = cost.and_then(|it| it.response.as_ref()) {
            let hits = hits(cost);
            self.call(domain, true).push(Sent {
                hits,
                ..sent.clone()
            });
        }
        self.call(domain, false).push(sent);
    }

    /// The descriptors of a call, which is added if there is none yet.
    fn call(&mut self, domain: &str, after_response: bool) -> &mut Vec<Sent> {
        let is_call = |it: &Call| it.domain == domain && it.after_response == after_response;
        let index = self.calls.iter().position(is_call).unwrap_or_else(|| {
            self.calls.push(Call {
                domain: domain.to_owned(),
                after_response,
                descriptors: Vec::new(),
            });
            self.calls.len() - 1
        });
        &mut self.calls[index].descriptors
    }
}

fn hits(cost: &CostSource) -> Hits {
    match (cost.from, &cost.metadata) {
        (CostFrom::Metadata, Some(it)) => Hits::Metadata(format!("{}:{}", it.namespace, it.key)),
        _ => Hits::Number(cost.number.unwrap_or(1)),
    }
}

/// The limit that the service finds for a descriptor.
fn applied(
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
        ..Applied::from(limit)
    })
}

impl From<&Limit> for Applied {
    fn from(limit: &Limit) -> Self {
        Self {
            requests: limit.requests,
            unit: limit.unit.name(),
            window_seconds: limit.window().seconds(),
            burst: limit.burst,
            shadow: limit.shadow,
            from_metadata: None,
        }
    }
}

/// The headers that Envoy adds. Each filter writes them, and the one of the first call last: the
/// limit that has least left comes first, then all limits with their windows.
fn headers(calls: &[Call]) -> Vec<(String, String)> {
    let limits = |call: &Call| -> Vec<(u64, Applied)> {
        let shown = call.descriptors.iter().filter(|sent| !sent.is_hidden);
        let left = |sent: &Sent| {
            let limit = sent.limit.clone()?;
            let hits = match sent.hits {
                Hits::Number(hits) => hits,
                Hits::Metadata(_) => 0,
            };
            let most = u64::from(limit.requests) + u64::from(limit.burst);
            let left = most.saturating_sub(hits);
            Some((left, limit))
        };
        shown.filter_map(left).collect()
    };
    let at_request = calls.iter().filter(|call| !call.after_response);
    let Some(limits) = at_request.map(limits).find(|limits| !limits.is_empty()) else {
        return Vec::new();
    };
    // Of those with as little left, the first.
    let least = limits.iter().min_by_key(|(left, _)| *left);
    let Some((left, least)) = least else {
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

#[cfg(test)]
mod tests;
