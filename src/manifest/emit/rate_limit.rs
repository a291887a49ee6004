//! Limits → the rules of a `BackendTrafficPolicy`.

use crate::manifest::traffic_policy;
use crate::manifest::traffic_policy::ClientSelector;
use crate::manifest::traffic_policy::CostFrom;
use crate::manifest::traffic_policy::CostSource;
use crate::manifest::traffic_policy::GlobalRateLimit;
use crate::manifest::traffic_policy::LimitUnit;
use crate::manifest::traffic_policy::LimitValue;
use crate::manifest::traffic_policy::MetadataKey;
use crate::manifest::traffic_policy::RateLimitRule;
use crate::manifest::traffic_policy::SourceCidr;
use crate::manifest::traffic_policy::SourceCidrType;
use crate::manifest::traffic_policy::ValueSelector;
use crate::manifest::traffic_policy::ValueSelectorType;
use crate::platform::Route;
use crate::platform::effective::policies::OfGateways;
use crate::platform::effective::traffic::Traffic;
use crate::platform::limit::Cost;
use crate::platform::limit::Key;
use crate::platform::limit::LocalRateLimit;
use crate::platform::limit::Metadata;
use crate::platform::limit::Plan;
use crate::platform::limit::RateLimit;
use crate::platform::security::CONSUMER;
use crate::platform::security::PLAN;
use crate::rule::limit::Unit;

/// The limits of both types.
pub(super) fn of(traffic: &Traffic<'_>, is_merged: bool) -> Option<traffic_policy::RateLimit> {
    let route = traffic.route;
    let global = traffic.rate_limit.map(|it| global_rules(route, it.spec));
    let local = traffic
        .local_rate_limit
        .map(|it| local_rules(route, it.spec));
    // With a type, Envoy Gateway looks at the limits of that type only.
    let limit_type = match (&global, &local) {
        (None, None) => return None,
        (Some(_), None) => Some("Global"),
        (None, Some(_)) => Some("Local"),
        (Some(_), Some(_)) => None,
    };
    Some(traffic_policy::RateLimit {
        limit_type: limit_type.filter(|_| !is_merged).map(str::to_owned),
        global: global.map(|rules| GlobalRateLimit { rules }),
        local: local.map(|rules| traffic_policy::LocalRateLimit { rules }),
    })
}

/// What spans all routes, with `route` as one of them.
pub(super) fn of_gateways(all: &OfGateways<'_>, route: &Route) -> traffic_policy::RateLimit {
    let limit = all.limit.map(|it| global_rules(route, it.spec));
    let plans = all.plans.iter().flat_map(|plan| plan_rules(plan));
    traffic_policy::RateLimit {
        // The policies of routes, which it is merged with, have limits of either type.
        limit_type: None,
        global: Some(GlobalRateLimit {
            rules: limit.into_iter().flatten().chain(plans).collect(),
        }),
        local: None,
    }
}

/// One rule for the rate and one for the quota, each with a bucket for each consumer.
fn plan_rules(plan: &Plan) -> impl Iterator<Item = RateLimitRule> {
    let bought = ValueSelector {
        match_type: Some(ValueSelectorType::Exact),
        name: PLAN.to_owned(),
        value: Some(plan.name.clone()),
        invert: None,
    };
    let selector = ClientSelector {
        headers: vec![bought, each_value_of(CONSUMER)],
        ..ClientSelector::default()
    };
    plan.allotments.iter().map(move |allotment| RateLimitRule {
        shared: Some(true),
        ..rule(vec![selector.clone()], allotment.requests, allotment.unit)
    })
}

fn global_rules(route: &Route, limit: &RateLimit) -> Vec<RateLimitRule> {
    let rule = |client_selectors| RateLimitRule {
        cost: cost(&limit.cost),
        shared: limit.shared.then_some(true),
        shadow_mode: limit.shadow.then_some(true),
        ..rule(client_selectors, limit.requests, limit.unit)
    };
    selectors(route, &limit.key).into_iter().map(rule).collect()
}

fn local_rules(route: &Route, limit: &LocalRateLimit) -> Vec<RateLimitRule> {
    let rule = |client_selectors| rule(client_selectors, limit.requests.get(), limit.unit);
    selectors(route, &limit.key).into_iter().map(rule).collect()
}

fn rule(client_selectors: Vec<ClientSelector>, requests: u32, per: Unit) -> RateLimitRule {
    RateLimitRule {
        client_selectors,
        limit: LimitValue {
            requests,
            unit: unit(per),
            from_metadata: None,
        },
        cost: None,
        shared: None,
        shadow_mode: None,
        x_rate_limit_headers: None,
    }
}

/// The selectors of each rule that a key needs, [`Key::rules`] of them.
fn selectors(route: &Route, key: &Key) -> Vec<Vec<ClientSelector>> {
    match key {
        Key::All => vec![Vec::new()],
        Key::ClientIp => vec![vec![addresses("0.0.0.0/0")], vec![addresses("::/0")]],
        Key::Consumer => vec![vec![values_of(CONSUMER)]],
        Key::Header(name) => vec![vec![values_of(name)]],
        Key::User(claim) => {
            let header = route.header_of(claim);
            let header = header.expect("a platform without faults has a header for each user");
            vec![vec![values_of(header)]]
        }
    }
}

fn addresses(block: &str) -> ClientSelector {
    let source_cidr = SourceCidr {
        match_type: Some(SourceCidrType::Distinct),
        value: block.to_owned(),
        invert: None,
    };
    ClientSelector {
        source_cidr: Some(source_cidr),
        ..ClientSelector::default()
    }
}

fn values_of(header: &str) -> ClientSelector {
    ClientSelector {
        headers: vec![each_value_of(header)],
        ..ClientSelector::default()
    }
}

fn each_value_of(header: &str) -> ValueSelector {
    ValueSelector {
        match_type: Some(ValueSelectorType::Distinct),
        name: header.to_owned(),
        value: None,
        invert: None,
    }
}

fn cost(cost: &Cost) -> Option<traffic_policy::Cost> {
    let request = cost.request.map(|number| CostSource {
        from: CostFrom::Number,
        number: Some(u64::from(number)),
        metadata: None,
    });
    let response = cost.response.as_ref().map(|metadata| CostSource {
        from: CostFrom::Metadata,
        number: None,
        metadata: Some(metadata_key(metadata)),
    });
    let is_default = request.is_none() && response.is_none();
    (!is_default).then_some(traffic_policy::Cost { request, response })
}

fn metadata_key(metadata: &Metadata) -> MetadataKey {
    MetadataKey {
        namespace: metadata.namespace.clone(),
        key: metadata.key.clone(),
    }
}

fn unit(unit: Unit) -> LimitUnit {
    match unit {
        Unit::Second => LimitUnit::Second,
        Unit::Minute => LimitUnit::Minute,
        Unit::Hour => LimitUnit::Hour,
        Unit::Day => LimitUnit::Day,
        Unit::Week => LimitUnit::Week,
        Unit::Month => LimitUnit::Month,
        Unit::Year => LimitUnit::Year,
    }
}
