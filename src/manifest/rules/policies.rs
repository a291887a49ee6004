//! Which policy holds for a rule of a route at a listener.
//!
//! The most specific one replaces all others, unless it says that it is merged: then the policy of
//! the listener, or else of the gateway, holds as well. A route's policy is never merged with one
//! of its rule.

use std::collections::BTreeMap;

use crate::manifest::Manifest;
use crate::manifest::Object;
use crate::manifest::Spec;
use crate::manifest::gateway::GatewaySpec;
use crate::manifest::grpc_route;
use crate::manifest::route::HttpRouteSpec;
use crate::manifest::route::RouteRule;
use crate::manifest::rules::Identity;
use crate::manifest::rules::attachment::Attachment;
use crate::manifest::rules::attachment::Gateways;
use crate::manifest::rules::identity;
use crate::manifest::rules::local;
use crate::manifest::rules::remark::Remarks;
use crate::manifest::rules::selector;
use crate::manifest::traffic_policy::BackendTrafficPolicySpec;
use crate::manifest::traffic_policy::RateLimitRule;
use crate::manifest::traffic_policy::TargetRef;

/// A policy for traffic.
pub(in crate::manifest) type Policy = Object<BackendTrafficPolicySpec>;

/// The policies by what they are for.
#[derive(Debug)]
pub(in crate::manifest) struct Policies<'m>(BTreeMap<Target<'m>, &'m Policy>);

/// What a policy is for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Target<'m> {
    Gateway(Identity<'m>),
    Listener(Identity<'m>, &'m str),
    Route(RouteIdentity<'m>),
    Rule(RouteIdentity<'m>, &'m str),
}

/// The kind, namespace and name of a route.
type RouteIdentity<'m> = (&'m str, Identity<'m>);

fn route_identity(route: &Object<HttpRouteSpec>) -> RouteIdentity<'_> {
    (&route.kind, identity(&route.metadata))
}

/// The policies that meet at a rule of a route at a listener.
#[derive(Debug)]
pub(in crate::manifest) struct Standing<'m> {
    /// The most specific one.
    pub own: &'m Policy,
    /// The one that it is merged with.
    pub parent: Option<&'m Policy>,
    /// Those that do not hold because it does, most specific first.
    pub overridden: Vec<&'m Policy>,
}

// === impl Policies ===

impl<'m> Policies<'m> {
    /// The policies among manifests, with remarks on those that Envoy Gateway would not accept.
    pub(in crate::manifest) fn of(
        manifests: &'m [Manifest],
        gateways: &Gateways<'m>,
        remarks: &mut Remarks,
    ) -> Self {
        let routes = manifests.iter().filter_map(|manifest| match manifest {
            Manifest::HttpRoute(route) => Some((route_identity(route), route)),
            _ => None,
        });
        let routes: BTreeMap<_, _> = routes.collect();
        let mut policies = Self(BTreeMap::new());
        for manifest in manifests {
            let Manifest::BackendTrafficPolicy(policy) = manifest else {
                continue;
            };
            check_limits(policy, remarks);
            local::check(policy, remarks);
            if policy.spec.target_refs.is_empty() {
                remarks.refuse(policy, "spec.targetRefs", "is missing");
            }
            for (index, target) in policy.spec.target_refs.iter().enumerate() {
                let field = format!("spec.targetRefs[{index}]");
                match found(policy, target, gateways, &routes) {
                    Ok(target) => policies.insert(target, policy, &field, remarks),
                    Err(Missing::Kind) if global_rules(policy).is_empty() => {}
                    Err(Missing::Kind) => {
                        let reason =
                            format!("a target of kind `{}` is not supported yet", target.kind);
                        remarks.refuse(policy, &field, reason);
                    }
                    Err(Missing::Resource) => {
                        let (kind, name) = (&target.kind, &target.name);
                        let reason = format!(
                            "{kind} `{name}` is not given: Envoy Gateway ignores the target"
                        );
                        remarks.warn(policy, &field, reason);
                    }
                    Err(Missing::Section(section)) => {
                        let field = format!("{field}.sectionName");
                        let (kind, name) = (&target.kind, &target.name);
                        let reason = format!("{kind} `{name}` has nothing of the name `{section}`");
                        remarks.refuse(policy, &field, reason);
                    }
                }
            }
        }
        policies
    }

    fn insert(
        &mut self,
        target: Target<'m>,
        policy: &'m Policy,
        field: &str,
        remarks: &mut Remarks,
    ) {
        let is_for_routes = matches!(target, Target::Route(_) | Target::Rule(..));
        if policy.spec.merge_type.is_some() && !is_for_routes {
            let reason = "is for policies of routes only: this one is for a gateway";
            remarks.refuse(policy, "spec.mergeType", reason);
        }
        let Some(other) = self.0.insert(target, policy) else {
            return;
        };
        // Envoy Gateway takes the older one, and only a cluster knows which that is.
        let age = |it: &'m Policy| it.metadata.creation_timestamp.as_ref();
        let name = target.name();
        let Some((own, its)) = age(policy).zip(age(other)) else {
            self.0.insert(target, other);
            let other = &other.metadata.name;
            let reason = format!("`{name}` has the policy `{other}` already");
            remarks.refuse(policy, field, reason);
            return;
        };
        let is_newer = (own, &policy.metadata.name) > (its, &other.metadata.name);
        let (older, newer) = if is_newer {
            (other, policy)
        } else {
            (policy, other)
        };
        self.0.insert(target, older);
        let older = &older.metadata.name;
        let reason = format!(
            "`{name}` has the older policy `{older}`: Envoy Gateway leaves this one out there"
        );
        remarks.warn(newer, "spec.targetRefs", reason);
    }

    /// The policies for a rule of a route where it attaches; none if nothing is said for it.
    pub(in crate::manifest) fn standing(
        &self,
        route: &'m Object<HttpRouteSpec>,
        rule: &'m RouteRule,
        attachment: &Attachment<'m>,
    ) -> Option<Standing<'m>> {
        let gateway = identity(&attachment.gateway.metadata);
        let route = route_identity(route);
        let rule = rule.name.as_deref();
        let of_rule = rule.and_then(|name| self.of_target(Target::Rule(route, name)));
        let of_route = self.of_target(Target::Route(route));
        let of_listener = self.of_target(Target::Listener(gateway, &attachment.listener.name));
        let of_gateway = self.of_target(Target::Gateway(gateway));
        let mut all = [of_rule, of_route, of_listener, of_gateway]
            .into_iter()
            .flatten();
        let own = all.next()?;
        let parent = of_listener
            .or(of_gateway)
            .filter(|_| own.spec.merge_type.is_some());
        let holds = |policy: &Policy| {
            let of = |other: &Policy| identity(&other.metadata) == identity(&policy.metadata);
            of(own) || parent.is_some_and(of)
        };
        let overridden = all.filter(|policy| !holds(policy)).collect();
        Some(Standing {
            own,
            parent,
            overridden,
        })
    }

    fn of_target(&self, target: Target<'_>) -> Option<&'m Policy> {
        self.0.get(&target).copied()
    }
}

// === impl Target ===

impl<'m> Target<'m> {
    /// The name of the resource or, in front of it, of the part of it.
    fn name(&self) -> String {
        match self {
            Self::Gateway((_, name)) | Self::Route((_, (_, name))) => (*name).to_owned(),
            Self::Listener((_, name), section) | Self::Rule((_, (_, name)), section) => {
                format!("{section}` of `{name}")
            }
        }
    }
}

// === impl Standing ===

impl<'m> Standing<'m> {
    /// The limits in force, each with its policy and its index there.
    pub(in crate::manifest) fn limits(
        &self,
    ) -> impl Iterator<Item = (&'m Policy, usize, &'m RateLimitRule)> + use<'m> {
        let own = limits(self.own);
        // Merging as JSON replaces lists, and a list without elements is none.
        let is_replaced = self.own.spec.merge_type.as_deref() == Some("JSONMerge")
            && own.clone().next().is_some();
        let parent = self.parent.filter(|_| !is_replaced);
        own.chain(parent.into_iter().flat_map(limits))
    }

    /// Warns of limits that do not hold because of a more specific policy.
    pub(super) fn warn(&self, remarks: &mut Remarks) {
        for policy in &self.overridden {
            if !global_rules(policy).is_empty() {
                remarks.give_way(policy, self.own, "replaces the less specific policies");
            }
        }
        let Some(parent) = self.parent.filter(|it| !global_rules(it).is_empty()) else {
            return;
        };
        let of_parent = |it: &Policy| identity(&it.metadata) == identity(&parent.metadata);
        if !self.limits().any(|(policy, ..)| of_parent(policy)) {
            remarks.give_way(parent, self.own, "replaces lists (JSONMerge)");
        }
    }
}

fn limits<'m>(
    policy: &'m Policy,
) -> impl Iterator<Item = (&'m Policy, usize, &'m RateLimitRule)> + Clone + use<'m> {
    let numbered = global_rules(policy).iter().enumerate();
    numbered.map(move |(index, rule)| (policy, index, rule))
}

fn global_rules(policy: &Policy) -> &[RateLimitRule] {
    let limits = policy.spec.rate_limit.as_ref();
    let limits = limits.filter(|it| it.limit_type.as_deref() != Some(LOCAL));
    let global = limits.and_then(|it| it.global.as_ref());
    global.map_or(&[], |global| &global.rules)
}

/// The type of limits that leaves the global ones out.
const LOCAL: &str = "Local";

/// Refuses what makes Envoy Gateway answer 500 for all routes of a policy.
fn check_limits(policy: &Policy, remarks: &mut Remarks) {
    let limits = policy.spec.rate_limit.as_ref();
    let is_local = limits.is_some_and(|it| it.limit_type.as_deref() == Some(LOCAL));
    if is_local && limits.is_some_and(|it| it.global.is_some()) {
        let reason = "is Local: Envoy Gateway does not look at the global limits";
        remarks.warn(policy, "spec.rateLimit.type", reason);
    }
    for (index, rule) in global_rules(policy).iter().enumerate() {
        if let Err((below, reason)) = selector::entries(index, &rule.client_selectors) {
            let field = format!("spec.rateLimit.global.rules[{index}].{below}");
            remarks.refuse(policy, &field, reason);
        }
    }
    if let Some(other) = policy.spec.merge_type.as_deref()
        && !["StrategicMerge", "JSONMerge"].contains(&other)
    {
        let reason = format!("unknown merge type `{other}`: expected StrategicMerge or JSONMerge");
        remarks.refuse(policy, "spec.mergeType", reason);
    }
}

/// What is missing of a target.
enum Missing<'m> {
    Kind,
    Resource,
    Section(&'m str),
}

fn found<'m>(
    policy: &'m Policy,
    target: &'m TargetRef,
    gateways: &Gateways<'m>,
    routes: &BTreeMap<RouteIdentity<'m>, &'m Object<HttpRouteSpec>>,
) -> Result<Target<'m>, Missing<'m>> {
    let identity = (policy.metadata.namespace(), target.name.as_str());
    let section = target.section_name.as_deref();
    if target.kind == GatewaySpec::KIND {
        let gateway = gateways.named(identity).ok_or(Missing::Resource)?;
        let Some(section) = section else {
            return Ok(Target::Gateway(identity));
        };
        let mut listeners = gateway.spec.listeners.iter();
        let is_there = listeners.any(|listener| listener.name == section);
        return is_there
            .then_some(Target::Listener(identity, section))
            .ok_or(Missing::Section(section));
    }
    if ![HttpRouteSpec::KIND, grpc_route::KIND].contains(&target.kind.as_str()) {
        return Err(Missing::Kind);
    }
    let identity = (target.kind.as_str(), identity);
    let route = routes.get(&identity).ok_or(Missing::Resource)?;
    let Some(section) = section else {
        return Ok(Target::Route(identity));
    };
    let mut rules = route.spec.rules.iter();
    let is_there = rules.any(|rule| rule.name.as_deref() == Some(section));
    is_there
        .then_some(Target::Rule(identity, section))
        .ok_or(Missing::Section(section))
}
