//! What is in force for routes → `BackendTrafficPolicy`.

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
use crate::platform::effective::Effective;
use crate::platform::effective::Source;
use crate::platform::effective::policies::OfGateways;
use crate::platform::effective::policies::Policies;
use crate::platform::effective::traffic::Traffic;

/// The policies of a platform.
pub(super) fn objects(
    platform: &Platform,
    effective: &Effective<'_>,
    namespace: &Namespace,
) -> Vec<Object<BackendTrafficPolicySpec>> {
    let policies = Policies::of(platform, effective);
    let of_gateways = policies.of_gateways.as_ref();
    let is_merged = of_gateways.is_some();
    let mut objects = Vec::new();
    for (all, route) in of_gateways.into_iter().zip(&platform.routes) {
        objects.push(for_gateways(all, route, namespace));
    }
    for (service, together) in &policies.of_services {
        let routes: Vec<&Traffic<'_>> = together.routes.iter().collect();
        objects.extend(for_routes(
            &of_service(service),
            &routes,
            is_merged,
            namespace,
        ));
    }
    for traffic in &policies.of_routes {
        let name = &traffic.route.name;
        objects.extend(for_routes(name, &[traffic], is_merged, namespace));
    }
    objects
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
    routes: &[&Traffic<'_>],
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
