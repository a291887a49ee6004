//! Which entity of a platform says each limit in the policies that it becomes.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::manifest::Namespace;
use crate::manifest::Spec;
use crate::manifest::emit::traffic_policy::OF_GATEWAYS;
use crate::manifest::emit::traffic_policy::of_service;
use crate::manifest::traffic_policy::BackendTrafficPolicySpec;
use crate::platform::Platform;
use crate::platform::effective::Effective;
use crate::platform::effective::Source;
use crate::platform::effective::policies::Policies;
use crate::platform::effective::traffic::Traffic;

/// What says a limit.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Origin {
    /// The entity, as `Kind/name`.
    pub name: String,
    /// Which of the limits of a plan it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<&'static str>,
}

/// The origins of limits by the policy, as `Kind namespace/name`, and the field in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Origins(BTreeMap<(String, String), Origin>);

impl Origins {
    /// The origins of the limits that are in force on a platform.
    pub fn of(platform: &Platform, namespace: &Namespace) -> Self {
        let effective = Effective::new(platform);
        let policies = Policies::of(platform, &effective);
        let named = |name: &str| {
            let namespace = namespace.as_str();
            format!("{} {namespace}/{name}", BackendTrafficPolicySpec::KIND)
        };
        let mut origins = Self::default();
        if let Some(all) = &policies.of_gateways {
            let limit = all.limit.map(|it| (it.source, it.spec.key.rules()));
            let limit = limit
                .into_iter()
                .flat_map(|(source, n)| vec![(source, None); n]);
            let plans = all.plans.iter().flat_map(|plan| {
                let allotments = plan.allotments.iter();
                allotments.map(|it| (Source::Plan(&plan.name), Some(it.bought.name())))
            });
            origins.add(&named(OF_GATEWAYS), "global", limit.chain(plans));
        }
        for (service, together) in &policies.of_services {
            if let Some(first) = together.routes.first() {
                origins.add_traffic(&named(&of_service(service)), first);
            }
        }
        for traffic in &policies.of_routes {
            origins.add_traffic(&named(&traffic.route.name), traffic);
        }
        origins
    }

    /// What says the limit in a field of a policy.
    pub fn of_field(&self, policy: &str, field: &str) -> Option<Origin> {
        self.0.get(&(policy.to_owned(), field.to_owned())).cloned()
    }

    fn add_traffic(&mut self, policy: &str, traffic: &Traffic<'_>) {
        let global = traffic
            .rate_limit
            .map(|it| (it.source, it.spec.key.rules()));
        let local = traffic.local_rate_limit;
        let local = local.map(|it| (it.source, it.spec.key.rules()));
        for (sort, limit) in [("global", global), ("local", local)] {
            let rules = limit
                .into_iter()
                .flat_map(|(source, n)| vec![(source, None); n]);
            self.add(policy, sort, rules);
        }
    }

    fn add<'p>(
        &mut self,
        policy: &str,
        sort: &str,
        rules: impl Iterator<Item = (Source<'p>, Option<&'static str>)>,
    ) {
        for (index, (source, part)) in rules.enumerate() {
            let field = format!("spec.rateLimit.{sort}.rules[{index}]");
            let name = source.to_string();
            self.0
                .insert((policy.to_owned(), field), Origin { name, part });
        }
    }
}
