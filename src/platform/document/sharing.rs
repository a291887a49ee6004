//! What shared limits and plans ask of the platform as a whole, once all of it is known.

use crate::document::Fault;
use crate::platform::Platform;
use crate::platform::Policy;
use crate::platform::Route;
use crate::platform::document::entities::Entities;
use crate::platform::effective::Effective;
use crate::platform::effective::policies::OfGateways;
use crate::platform::effective::policies::Policies;
use crate::platform::effective::traffic::Traffic;
use crate::platform::limit::Key;
use crate::platform::limit::Plan;
use crate::platform::limit::RateLimit;

/// Reports limits that cannot be shared as they are meant.
pub(super) fn check(
    platform: &Platform,
    routes: &Entities<Route>,
    policies: &Entities<Policy>,
    plans: &Entities<Plan>,
    faults: &mut Vec<Fault>,
) {
    let effective = Effective::new(platform);
    let needed = Policies::of(platform, &effective);
    for (service, together) in &needed.of_services {
        let [first, others @ ..] = together.routes.as_slice() else {
            continue;
        };
        for other in others {
            let differences = first.differences(other);
            if differences.is_empty() {
                continue;
            }
            let message = format!(
                "the routes of API service `{service}` share this limit and with it one policy of \
                 Envoy Gateway, but `{}` and `{}` differ in {}: expected the same for both, or a \
                 limit that is not shared",
                first.route.name,
                other.route.name,
                differences.join(", ")
            );
            faults.extend(policies.fault(together.policy, message));
        }
    }
    let Some(of_gateways) = &needed.of_gateways else {
        return;
    };
    users(platform, of_gateways, policies, faults);
    rules(of_gateways, plans, faults);
    let of_services = needed.of_services.values();
    let all = of_services
        .flat_map(|it| &it.routes)
        .chain(&needed.of_routes);
    numbers(of_gateways, &all.collect::<Vec<_>>(), routes, faults);
}

/// A limit for each user over all routes needs the user in one header.
fn users(
    platform: &Platform,
    of_gateways: &OfGateways<'_>,
    policies: &Entities<Policy>,
    faults: &mut Vec<Fault>,
) {
    let Some(limit) = of_gateways.limit else {
        return;
    };
    let Key::User(claim) = &limit.spec.key else {
        return;
    };
    // Where there is none, that is said of the route.
    let mut named = platform
        .routes
        .iter()
        .filter_map(|route| Some((&route.name, route.header_of(claim)?)));
    let Some((first, header)) = named.next() else {
        return;
    };
    if let Some((other, another)) = named.find(|(_, another)| *another != header) {
        let message = format!(
            "all routes share this limit for each user, whom route `{first}` names in header \
             `{header}` and route `{other}` in `{another}`: expected the same header"
        );
        faults.extend(policies.fault(limit.source.name(), message));
    }
}

/// More rules than a policy of Envoy Gateway can have.
fn rules(of_gateways: &OfGateways<'_>, plans: &Entities<Plan>, faults: &mut Vec<Fault>) {
    let mut n_rules = of_gateways.limit.map_or(0, |it| it.spec.key.rules());
    for plan in of_gateways.plans {
        n_rules += plan.allotments.len();
        if n_rules > MAX_RULES {
            let message = format!(
                "plan `{}` is beyond the {MAX_RULES} rules that Envoy Gateway lets all plans and the \
                 shared limit have together: expected fewer plans, or plans with a rate or a quota \
                 only",
                plan.name
            );
            faults.extend(plans.fault(&plan.name, message));
            return;
        }
    }
}

/// How many rules for all instances of Envoy a policy of Envoy Gateway can have.
const MAX_RULES: usize = 256;

/// Routes on which the shared limits of all gateways would count apart. Envoy Gateway numbers the
/// shared limits route by route, its own first, and the numbers stand in the keys of counters.
fn numbers(
    of_gateways: &OfGateways<'_>,
    routes: &[&Traffic<'_>],
    entities: &Entities<Route>,
    faults: &mut Vec<Fault>,
) {
    let has_number = |limit: &RateLimit| limit.key != Key::ClientIp;
    let is_numbered =
        !of_gateways.plans.is_empty() || of_gateways.limit.is_some_and(|it| has_number(it.spec));
    if !is_numbered {
        return;
    }
    let n_own = |traffic: &Traffic<'_>| {
        let limit = traffic.rate_limit.filter(|it| it.spec.shared);
        limit.map_or(0, |it| it.spec.key.rules())
    };
    let fewest = routes.iter().map(|it| n_own(it)).min().unwrap_or(0);
    for traffic in routes {
        let Some(limit) = traffic.rate_limit.filter(|_| n_own(traffic) > fewest) else {
            continue;
        };
        let route = &traffic.route.name;
        let message = format!(
            "on route `{route}` plans and limits that all routes share would count apart, because \
             the limit of {} is shared as well: Envoy Gateway numbers the shared limits of each \
             route. Expected the same number of them on every route, or a limit that is not shared",
            limit.source
        );
        faults.extend(entities.fault(route, message));
    }
}
