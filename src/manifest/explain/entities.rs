//! What of a platform is behind the manifests that an explanation names.

use serde::Serialize;

use crate::manifest::Namespace;
use crate::manifest::explain::Explanation;
use crate::manifest::origin::Origins;
use crate::platform::Platform;
use crate::platform::effective::contest;

/// What a platform has in force for a route.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Entities {
    /// Of each type of policy the one in force.
    pub policies: Vec<InForce>,
    /// The plan by which the request is counted, as `Plan/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
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

// === impl Entities ===

impl Entities {
    /// Says what of a platform is behind an explanation: what is in force for its route, and what
    /// each limit comes from.
    pub fn name_in(met: &mut Explanation, platform: &Platform, namespace: &Namespace) {
        let origins = Origins::of(platform, namespace);
        let sent = met.calls.iter_mut().flat_map(|call| &mut call.descriptors);
        let mut plan = None;
        for at in sent.map(|sent| &mut sent.at) {
            at.entity = origins.of_field(&at.policy, &at.field);
            let entity = at.entity.as_ref();
            plan = plan.or(entity
                .filter(|it| it.part.is_some())
                .map(|it| it.name.clone()));
        }
        let passed_over = met.passed_over.iter_mut().map(|it| &mut it.at);
        for at in met.local.iter_mut().map(|it| &mut it.at).chain(passed_over) {
            at.entity = origins.of_field(&at.policy, &at.field);
        }
        let name = met.route.rsplit('/').next();
        let mut routes = platform.routes.iter();
        let route = routes.find(|route| Some(route.name.as_str()) == name);
        let contests = route.map(|route| contest::contests(platform, route));
        let policies = contests.into_iter().flatten().map(|it| InForce {
            kind: it.kind,
            in_force: it.in_force.to_string(),
            overridden: it.overridden.iter().map(ToString::to_string).collect(),
        });
        met.entities = Some(Self {
            policies: policies.collect(),
            plan,
        });
    }
}
