//! What shared limits and plans ask of a platform.

use crate::platform::document::tests::check;

#[test]
fn routes_that_share_the_limit_of_their_service_have_the_same_in_force() {
    let same = route("r1", "timeout: {request_timeout: 1s}")
        + &route("r2", "timeout: {request_timeout: 1s}");
    let shared = policy("p1", "scope: service, api_service: other", "shared: true");
    check(&(same.clone() + &shared), &[]);
    let other = route(
        "r3",
        "retry: {num_retries: 1}, timeout: {request_timeout: 2s}",
    );
    check(
        &(same.clone() + &other + &shared),
        &[
            "t.yaml:9: the routes of API service `other` share this limit and with it one policy \
             of Envoy Gateway, but `r1` and `r3` differ in retry, timeout: expected the same for \
             both, or a limit that is not shared",
        ],
    );
    // A route with a limit of its own has no part in it.
    let own = policy("p2", "scope: route, route: r3", "");
    check(&(same + &other + &shared + &own), &[]);
}

#[test]
fn users_that_all_routes_share_a_limit_for_are_named_in_one_header() {
    let token = |header: &str| {
        format!(
            "auth_mode: jwt, auth_config: {{issuer: 'https://a.b', claim_to_headers: \
             [{{claim: sub, header: {header}}}]}}"
        )
    };
    let shared = |scope: &str| policy("p1", scope, "shared: true, key: {by: user}");
    let same = route("r1", &token("x-a")) + &route("r2", &token("x-a"));
    let different = route("r1", &token("x-a")) + &route("r2", &token("x-b"));
    let of_service = shared("scope: service, api_service: other");
    check(&(same.clone() + &of_service), &[]);
    check(
        &(different.clone() + &of_service),
        &[
            "t.yaml:7: the routes of API service `other` share this limit and with it one policy \
             of Envoy Gateway, but `r1` and `r2` differ in the header of the user: expected the \
             same for both, or a limit that is not shared",
        ],
    );
    let base = "base.yaml:17: the limit of policy `p1` is for each user, whom only a token names: \
                expected `auth_mode: jwt` with the claim `sub` in `auth_config.claim_to_headers`";
    let of_all = shared("scope: global");
    check(&(same + &of_all), &[base]);
    check(
        &(different + &of_all),
        &[
            base,
            "t.yaml:7: all routes share this limit for each user, whom route `r1` names in header \
             `x-a` and route `r2` in `x-b`: expected the same header",
        ],
    );
}

#[test]
fn a_shared_limit_before_those_of_all_gateways_would_split_them() {
    let routes = route("r1", "") + &route("r2", "");
    let plan = "---\n{kind: Plan, name: gold, quota: {requests: 1, period: 1d}}\n";
    let of_service = policy("p1", "scope: service, api_service: other", "shared: true");
    let of_route = policy("p2", "scope: route, route: base", "shared: true");
    let split = |line: &str, route: &str, policy: &str| {
        format!(
            "{line}: on route `{route}` plans and limits that all routes share would count apart, \
             because the limit of Policy/{policy} is shared as well: Envoy Gateway numbers the \
             shared limits of each route. Expected the same number of them on every route, or a \
             limit that is not shared"
        )
    };
    let of_others = [split("t.yaml:1", "r1", "p1"), split("t.yaml:5", "r2", "p1")];
    let of_others = of_others.each_ref().map(String::as_str);
    check(&(routes.clone() + &of_service), &[]);
    check(&(routes.clone() + &of_service + plan), &of_others);
    // All routes have one before it, so that the number is the same.
    check(&(routes.clone() + &of_service + &of_route + plan), &[]);
    let of_all = policy("p3", "scope: global", "shared: true");
    check(&(routes.clone() + &of_service + &of_all), &of_others);
    // The rules for addresses have no number.
    let by_address = policy("p3", "scope: global", "shared: true, key: {by: client_ip}");
    check(&(routes + &of_service + &by_address), &[]);
}

#[test]
fn plans_are_no_more_than_the_rules_of_a_policy() {
    let plans = |n: usize| {
        let plans = (0..n).map(|index| {
            format!(
                "{{kind: Plan, name: p{index:03}, rate_limit: {{requests: 1, period: 1s}}, \
                 quota: {{requests: 1, period: 1d}}}}\n---\n"
            )
        });
        plans.collect::<String>()
    };
    let nothing = "{kind: ApiService, name: other}";
    check(&(plans(128) + nothing), &[]);
    check(
        &(plans(130) + nothing),
        &[
            "t.yaml:257: plan `p128` is beyond the 256 rules that Envoy Gateway lets all plans and \
             the shared limit have together: expected fewer plans, or plans with a rate or a \
             quota only",
        ],
    );
}

/// A route of a service that is called `other`; the first brings it along.
fn route(name: &str, rest: &str) -> String {
    let route = format!(
        "{{kind: Route, name: {name}, api_service: other, gateway: gw, path_prefix: /{name}, \
         backend_refs: [{{backend: up}}], {rest}}}\n"
    );
    match name {
        "r1" => route + "---\n{kind: ApiService, name: other}\n",
        _ => format!("---\n{route}"),
    }
}

fn policy(name: &str, scope: &str, limit: &str) -> String {
    format!(
        "---\n{{kind: Policy, name: {name}, {scope}, type: rate-limit, \
         spec: {{requests_per_unit: 1, unit: day, {limit}}}}}\n"
    )
}
