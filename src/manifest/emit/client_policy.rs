//! What clients may not say themselves → `ClientTrafficPolicy`, one a gateway.

use std::collections::BTreeSet;

use crate::manifest::Namespace;
use crate::manifest::Object;
use crate::manifest::client_policy::ClientTrafficPolicySpec;
use crate::manifest::client_policy::EarlyHeaders;
use crate::manifest::client_policy::HeaderSettings;
use crate::manifest::emit::metadata;
use crate::manifest::traffic_policy::TargetRef;
use crate::platform::Gateway;
use crate::platform::Platform;
use crate::platform::security::Auth;
use crate::platform::security::CONSUMER;
use crate::platform::security::PLAN;

/// The policies of the gateways at which consumers and plans mean something. Only the external
/// service that judges keys may name them: a client that could would choose whose limits it has.
pub(super) fn objects<'p>(
    platform: &'p Platform,
    namespace: &'p Namespace,
) -> impl Iterator<Item = Object<ClientTrafficPolicySpec>> + use<'p> {
    let has_plans = !platform.plans.is_empty();
    let means = |route: &Auth| matches!(route, Auth::ApiKey(_));
    let routes = platform.routes.iter();
    let routes = routes.filter(|route| has_plans || route.auth.as_ref().is_some_and(means));
    let needed: BTreeSet<&str> = routes.map(|route| route.gateway.name.as_str()).collect();
    let gateways = platform.gateways.iter();
    let gateways = gateways.filter(move |gateway| needed.contains(gateway.name.as_str()));
    gateways.map(|gateway| object(gateway, namespace))
}

fn object(gateway: &Gateway, namespace: &Namespace) -> Object<ClientTrafficPolicySpec> {
    let from = format!("Gateway/{}", gateway.name);
    let removed = EarlyHeaders {
        remove: vec![CONSUMER.to_owned(), PLAN.to_owned()],
        ..EarlyHeaders::default()
    };
    let spec = ClientTrafficPolicySpec {
        target_refs: vec![TargetRef::gateway(&gateway.name)],
        headers: Some(HeaderSettings {
            disable_rate_limit_headers: None,
            early_request_headers: Some(removed),
        }),
    };
    Object::new(metadata(&gateway.name, namespace, from), spec)
}
