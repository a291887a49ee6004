//! What becomes of the headers that a client sends before anything else looks at them.

use serde::Serialize;

use crate::manifest::Manifest;
use crate::manifest::Object;
use crate::manifest::client_policy::ClientTrafficPolicySpec;
use crate::manifest::client_policy::EarlyHeaders;
use crate::manifest::client_policy::NameMatch;
use crate::manifest::client_policy::NameMatchType;
use crate::manifest::explain::expression;
use crate::manifest::explain::request::Request;
use crate::manifest::explain::target;
use crate::manifest::explain::target::Place;
use crate::manifest::filter::Header;
use crate::manifest::rules::attachment::Attachment;
use crate::manifest::rules::remark::named;

/// A header that a client sent and that nothing sees.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Removed {
    /// Its name.
    pub header: String,
    /// The policy that removes it.
    pub policy: String,
}

/// The policy for the clients of a listener.
pub(super) fn policy<'m>(
    manifests: &'m [Manifest],
    attachment: &Attachment<'_>,
) -> Option<&'m Object<ClientTrafficPolicySpec>> {
    let policies = manifests.iter().filter_map(|manifest| match manifest {
        Manifest::ClientTrafficPolicy(policy) => Some(policy),
        _ => None,
    });
    let places = Place::of_listener(attachment);
    target::most_specific(&policies.collect::<Vec<_>>(), |it| &it.target_refs, &places)
}

/// Changes a request as the policy says, and tells which of its headers go.
pub(super) fn change(
    policy: &Object<ClientTrafficPolicySpec>,
    request: &mut Request,
) -> Vec<Removed> {
    let headers = policy.spec.headers.as_ref();
    let Some(early) = headers.and_then(|it| it.early_request_headers.as_ref()) else {
        return Vec::new();
    };
    let is_of = |name: &str| {
        let name = name.to_owned();
        move |(it, _): &(String, String)| it.eq_ignore_ascii_case(&name)
    };
    let pair = |header: &Header| (header.name.clone(), header.value.clone());
    let headers = &mut request.headers;
    headers.extend(early.add.iter().map(pair));
    for header in &early.add_if_absent {
        if !headers.iter().any(is_of(&header.name)) {
            headers.push(pair(header));
        }
    }
    for header in &early.set {
        let is_of = is_of(&header.name);
        headers.retain(|it| !is_of(it));
        headers.push(pair(header));
    }
    let mut removed: Vec<Removed> = Vec::new();
    headers.retain(|(name, _)| {
        let is_kept = !removes(early, name);
        if !is_kept
            && !removed
                .iter()
                .any(|it| it.header.eq_ignore_ascii_case(name))
        {
            removed.push(Removed {
                header: name.clone(),
                policy: named(policy),
            });
        }
        is_kept
    });
    removed
}

/// Whether answers do not say what is left of limits.
pub(super) fn hides_limits(policy: &Object<ClientTrafficPolicySpec>) -> bool {
    let headers = policy.spec.headers.as_ref();
    headers.and_then(|it| it.disable_rate_limit_headers) == Some(true)
}

fn removes(early: &EarlyHeaders, name: &str) -> bool {
    let is_named = early.remove.iter().any(|it| it.eq_ignore_ascii_case(name));
    is_named || early.remove_on_match.iter().any(|it| looks_so(it, name))
}

fn looks_so(wanted: &NameMatch, name: &str) -> bool {
    let (value, name) = (wanted.value.to_ascii_lowercase(), name.to_ascii_lowercase());
    match wanted.match_type.unwrap_or_default() {
        NameMatchType::Exact => name == value,
        NameMatchType::Prefix => name.starts_with(&value),
        NameMatchType::RegularExpression => expression::fits(&wanted.value, &name),
        NameMatchType::Suffix => name.ends_with(&value),
    }
}
