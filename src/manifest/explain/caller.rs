//! What authentication adds to a request.

use crate::manifest::Manifest;
use crate::manifest::explain::request::Request;
use crate::manifest::explain::routing::Met;
use crate::manifest::explain::target;
use crate::manifest::explain::target::Place;
use crate::manifest::rules::identity;
use crate::manifest::security_policy::SecurityPolicySpec;

/// Adds the headers of authentication in place of what a client has sent; those that nothing in force
/// for the route sets are left out, and named.
pub(super) fn authenticate(
    manifests: &[Manifest],
    met: &Met<'_, '_>,
    request: &mut Request,
) -> Vec<String> {
    let policies = manifests.iter().filter_map(|manifest| match manifest {
        Manifest::SecurityPolicy(policy) => Some(policy),
        _ => None,
    });
    let route = met.attached.route;
    let place = Place {
        kind: &route.kind,
        identity: identity(&route.metadata),
        section: None,
    };
    let of_rule = met.rule.name.as_deref().map(|name| Place {
        section: Some(name),
        ..place
    });
    let of_listener = Place::of_listener(&met.attached.attachment);
    let places: Vec<Place<'_>> = of_rule
        .into_iter()
        .chain([place])
        .chain(of_listener)
        .collect();
    let policy =
        target::most_specific(&policies.collect::<Vec<_>>(), |it| &it.target_refs, &places);
    let mut left_out = Vec::new();
    for (name, value) in std::mem::take(&mut request.auth_headers) {
        if !policy.is_some_and(|it| sets(&it.spec, &name)) {
            left_out.push(name);
            continue;
        }
        let headers = &mut request.headers;
        headers.retain(|(it, _)| !it.eq_ignore_ascii_case(&name));
        headers.push((name, value));
    }
    left_out
}

/// Whether a policy can set a header: a token for a claim, an external service as it likes if it
/// speaks gRPC, else if the policy lets it.
fn sets(policy: &SecurityPolicySpec, name: &str) -> bool {
    let is_it = |it: &str| it.eq_ignore_ascii_case(name);
    let mut providers = policy.jwt.iter().flat_map(|jwt| &jwt.providers);
    let of_token = providers.any(|it| it.claim_to_headers.iter().any(|it| is_it(&it.header)));
    let of_service = policy.ext_auth.as_ref().is_some_and(|service| {
        let http = service.http.as_ref();
        service.grpc.is_some()
            || http.is_some_and(|it| it.headers_to_backend.iter().any(|it| is_it(it)))
    });
    of_token || of_service
}
