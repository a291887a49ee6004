//! What becomes of a request: its route, the policies in force, what Envoy asks, which limits hold.
//!
//! What has been counted before is not known here: answers are those to a first request.

pub mod call;
mod caller;
pub mod client;
mod descriptor;
pub mod entities;
mod expression;
pub mod local;
pub mod request;
mod routing;
mod target;

use serde::Serialize;

use crate::manifest::Manifest;
use crate::manifest::Object;
use crate::manifest::explain::call::Call;
use crate::manifest::explain::call::Hits;
use crate::manifest::explain::call::PassedOver;
use crate::manifest::explain::call::Sent;
use crate::manifest::explain::call::Written;
use crate::manifest::explain::client::Removed;
use crate::manifest::explain::descriptor::Pairs;
use crate::manifest::explain::entities::Entities;
use crate::manifest::explain::local::LocalLimit;
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
    /// The headers that the client sent and that nothing sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Removed>,
    /// The headers that authentication would add, if any that is in force did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_added: Vec<String>,
    /// The limits that Envoy holds alone, before it asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local: Vec<LocalLimit>,
    /// What Envoy asks, in this order, until an answer is a refusal.
    pub calls: Vec<Call>,
    /// The limits that do not count the request.
    pub passed_over: Vec<PassedOver>,
    /// The headers of the answer, when nothing has been counted before; some stand there once a call.
    pub headers: Vec<(String, String)>,
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
            let met = routing::meet(&attached, gateway, port, request, |attachment, request| {
                let policy = client::policy(manifests, attachment);
                policy.map(|policy| client::change(policy, request))
            });
            let (namespace, name) = identity(&gateway.metadata);
            answers.push(Answer {
                gateway: format!("{namespace}/{name}"),
                port,
                met: met.map(|met| Explanation::of(met, manifests, &policies, rules)),
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

// === impl Explanation ===

impl Explanation {
    fn of<'m>(
        mut met: Met<'m, '_>,
        manifests: &'m [Manifest],
        policies: &Policies<'m>,
        rules: &RuleSet,
    ) -> Self {
        let (route, attachment) = (met.attached.route, &met.attached.attachment);
        let mut request = met.request.clone();
        let not_added = caller::authenticate(manifests, &met, &mut request);
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
            removed: std::mem::take(&mut met.removed),
            not_added,
            local: Vec::new(),
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
        (explanation.local, explanation.passed_over) = local::limits(&standing, &request);
        explanation.ask(&standing, &attachment.domain(), &bucket, rules, &request);
        let clients = client::policy(manifests, attachment);
        if !clients.is_some_and(client::hides_limits) {
            explanation.headers = call::headers(&explanation.calls);
        }
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
                    at: Written::at(chain.policy, chain.field()),
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
            hits: at_request.map_or(Hits::Number(1), call::hits),
            limit: call::applied(chain, domain, &entries, rules),
            entries,
            at: Written::at(chain.policy, chain.field()),
            is_hidden: chain.rule.x_rate_limit_headers.as_deref() == Some("Off"),
        };
        if let Some(cost) = cost.and_then(|it| it.response.as_ref()) {
            let hits = call::hits(cost);
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

#[cfg(test)]
mod tests;
