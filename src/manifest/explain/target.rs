//! Which of several policies is for a place.

use crate::manifest::Object;
use crate::manifest::Spec;
use crate::manifest::gateway::GatewaySpec;
use crate::manifest::rules::Identity;
use crate::manifest::rules::attachment::Attachment;
use crate::manifest::rules::identity;
use crate::manifest::traffic_policy::TargetRef;

/// A resource that policies can be for, or a part of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub kind: &'a str,
    pub identity: Identity<'a>,
    pub section: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// A listener, and then its gateway.
    pub(super) fn of_listener(attachment: &Attachment<'a>) -> [Self; 2] {
        let gateway = Self {
            kind: GatewaySpec::KIND,
            identity: identity(&attachment.gateway.metadata),
            section: None,
        };
        let section = Some(attachment.listener.name.as_str());
        [Self { section, ..gateway }, gateway]
    }

    fn is_target<S>(&self, policy: &Object<S>, target: &TargetRef) -> bool {
        target.kind == self.kind
            && (policy.metadata.namespace(), target.name.as_str()) == self.identity
            && target.section_name.as_deref() == self.section
    }
}

/// The policy for the first of some places for which there is one; of several for one place Envoy
/// Gateway takes the oldest, and of equally old ones the first by name.
pub(super) fn most_specific<'m, S>(
    policies: &[&'m Object<S>],
    targets: impl Fn(&'m S) -> &'m [TargetRef],
    places: &[Place<'_>],
) -> Option<&'m Object<S>> {
    places.iter().find_map(|place| {
        let is_for = |policy: &&'m Object<S>| {
            let mut targets = targets(&policy.spec).iter();
            targets.any(|target| place.is_target(policy, target))
        };
        let policies = policies.iter().copied();
        policies.filter(is_for).min_by_key(|policy| {
            let metadata = &policy.metadata;
            (&metadata.creation_timestamp, identity(metadata))
        })
    })
}
