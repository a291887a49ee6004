//! A limit → the rules of a `BackendTrafficPolicy`.

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
use crate::platform::limit::Cost;
use crate::platform::limit::Key;
use crate::platform::limit::Metadata;
use crate::platform::limit::RateLimit;
use crate::platform::security::CONSUMER;
use crate::rule::limit::Unit;

pub(super) fn of(limit: &RateLimit) -> traffic_policy::RateLimit {
    let selectors = match &limit.key {
        Key::All => vec![None],
        // Envoy matches an address against blocks of its own family only.
        Key::ClientIp => vec![Some(addresses("0.0.0.0/0")), Some(addresses("::/0"))],
        Key::Consumer => vec![Some(values_of(CONSUMER))],
        Key::Header(name) => vec![Some(values_of(name))],
    };
    let rule = |selector: Option<ClientSelector>| RateLimitRule {
        client_selectors: selector.into_iter().collect(),
        limit: LimitValue {
            requests: limit.requests,
            unit: unit(limit.unit),
            from_metadata: None,
        },
        cost: cost(&limit.cost),
        shared: None,
        shadow_mode: limit.shadow.then_some(true),
        x_rate_limit_headers: None,
    };
    let rules = selectors.into_iter().map(rule).collect();
    traffic_policy::RateLimit {
        limit_type: Some("Global".to_owned()),
        global: Some(GlobalRateLimit { rules }),
        local: None,
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
    let header = ValueSelector {
        match_type: Some(ValueSelectorType::Distinct),
        name: header.to_owned(),
        value: None,
        invert: None,
    };
    ClientSelector {
        headers: vec![header],
        ..ClientSelector::default()
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
