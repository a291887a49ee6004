//! What is in force for a route → `BackendTrafficPolicy`.

use crate::manifest::Namespace;
use crate::manifest::Object;
use crate::manifest::emit::cluster;
use crate::manifest::emit::from_all;
use crate::manifest::emit::metadata;
use crate::manifest::emit::rate_limit;
use crate::manifest::emit::service_labels;
use crate::manifest::traffic_policy::BackendTrafficPolicySpec;
use crate::manifest::traffic_policy::TargetRef;
use crate::platform::Route;
use crate::platform::effective::Effective;
use crate::platform::effective::traffic::Traffic;

/// The policy, unless nothing is in force.
pub(super) fn object(
    route: &Route,
    effective: &Effective<'_>,
    namespace: &Namespace,
) -> Option<Object<BackendTrafficPolicySpec>> {
    let traffic = Traffic::of(route, effective);
    traffic.sources().next()?;
    let from = from_all(traffic.sources());
    let mut metadata = metadata(&route.name, namespace, from);
    metadata.labels.extend(service_labels(&route.api_service));
    let spec = BackendTrafficPolicySpec {
        target_refs: vec![TargetRef::http_route(&route.name)],
        ..spec(route, &traffic)
    };
    Some(Object::new(metadata, spec))
}

/// All but what it is for.
fn spec(route: &Route, traffic: &Traffic<'_>) -> BackendTrafficPolicySpec {
    let (global, local) = (traffic.rate_limit, traffic.local_rate_limit);
    let limit = rate_limit::of(route, global.map(|it| it.spec), local.map(|it| it.spec));
    BackendTrafficPolicySpec {
        target_refs: Vec::new(),
        merge_type: None,
        rate_limit: limit,
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
    }
}
