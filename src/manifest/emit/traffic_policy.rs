//! What is in force for routes → `BackendTrafficPolicy`.

use std::slice;

use crate::manifest::Namespace;
use crate::manifest::Object;
use crate::manifest::emit::cluster;
use crate::manifest::emit::from_all;
use crate::manifest::emit::metadata;
use crate::manifest::emit::rate_limit;
use crate::manifest::emit::service_labels;
use crate::manifest::traffic_policy::BackendTrafficPolicySpec;
use crate::manifest::traffic_policy::TargetRef;
use crate::platform::Platform;
use crate::platform::Route;
use crate::platform::effective::Source;
use crate::platform::effective::policies::OfGateways;
use crate::platform::effective::policies::Policies;
use crate::platform::effective::traffic::Traffic;

/// The policies of a platform, by name.
pub(super) fn objects<'p>(
    platform: &'p Platform,
    policies: &'p Policies<'p>,
    namespace: &'p Namespace,
) -> impl Iterator<Item = Object<BackendTrafficPolicySpec>> + use<'p> {
    let is_merged = policies.of_gateways.is_some();
    let all = policies.of_gateways.iter().zip(&platform.routes);
    let all = all.map(|(all, route)| (OF_GATEWAYS.to_owned(), For::Gateways(all, route)));
    let services = policies.of_services.iter();
    let services = services.map(|(service, it)| (of_service(service), For::Routes(&it.routes)));
    let routes = policies.of_routes.iter();
    let routes = routes.map(|it| (it.route.name.clone(), For::Routes(slice::from_ref(it))));
    let mut named: Vec<_> = all.chain(services).chain(routes).collect();
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    let named = named.into_iter();
    named.filter_map(move |(name, it)| match it {
        For::Gateways(all, route) => Some(for_gateways(all, route, namespace)),
        For::Routes(routes) => for_routes(&name, routes, is_merged, namespace),
    })
}

/// What a policy is for.
enum For<'p> {
    /// All gateways, with one of the routes.
    Gateways(&'p OfGateways<'p>, &'p Route),
    /// Routes that have the same in force.
    Routes(&'p [Traffic<'p>]),
}

/// The name of the policy for all gateways: no entity has a dot in its name.
pub(in crate::manifest) const OF_GATEWAYS: &str = "platform.gateways";

/// The name of the policy of the routes that share the limit of their service.
pub(in crate::manifest) fn of_service(service: &str) -> String {
    format!("service.{service}")
}

/// The policy for what spans all routes. Those of routes are merged with it.
fn for_gateways(
    all: &OfGateways<'_>,
    route: &Route,
    namespace: &Namespace,
) -> Object<BackendTrafficPolicySpec> {
    let limit = all.limit.map(|it| it.source);
    let plans = all.plans.iter().map(|it| Source::Plan(&it.name));
    let from = from_all(limit.into_iter().chain(plans));
    let targets = all.gateways.iter().map(|it| TargetRef::gateway(&it.name));
    let spec = BackendTrafficPolicySpec {
        target_refs: targets.collect(),
        rate_limit: Some(rate_limit::of_gateways(all, route)),
        ..BackendTrafficPolicySpec::default()
    };
    Object::new(metadata(OF_GATEWAYS, namespace, from), spec)
}

/// The policy for routes that have the same in force, unless that is nothing.
fn for_routes(
    name: &str,
    routes: &[Traffic<'_>],
    is_merged: bool,
    namespace: &Namespace,
) -> Option<Object<BackendTrafficPolicySpec>> {
    let [first, ..] = routes else {
        return None;
    };
    first.sources().next()?;
    let from = from_all(routes.iter().flat_map(|it| it.sources()));
    let mut metadata = metadata(name, namespace, from);
    let service = &first.route.api_service;
    metadata.labels.extend(service_labels(service));
    let targets = routes
        .iter()
        .map(|it| TargetRef::http_route(&it.route.name));
    let spec = BackendTrafficPolicySpec {
        target_refs: targets.collect(),
        merge_type: is_merged.then(|| "StrategicMerge".to_owned()),
        ..spec(first, is_merged)
    };
    Some(Object::new(metadata, spec))
}

/// All but what it is for.
fn spec(traffic: &Traffic<'_>, is_merged: bool) -> BackendTrafficPolicySpec {
    BackendTrafficPolicySpec {
        rate_limit: rate_limit::of(traffic, is_merged),
        retry: traffic.retry.map(|it| Box::new(cluster::retry(it.spec))),
        timeout: cluster::timeout(
            traffic.timeout.request.map(|it| it.spec),
            traffic.timeout.idle.map(|it| it.spec),
            traffic.timeout.connect.map(|it| it.spec),
        ),
        circuit_breaker: traffic
            .circuit_breaker
            .map(|it| cluster::circuit_breaker(it.spec)),
        load_balancer: traffic
            .load_balancer
            .map(|it| Box::new(cluster::load_balancer(it.spec))),
        health_check: traffic
            .health_check
            .map(|it| Box::new(cluster::health_check(it.spec))),
        ..BackendTrafficPolicySpec::default()
    }
}
