//! Rules as Envoy Gateway pushes them.

use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitConfig;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitPolicy;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitUnit;
use envoy_types::util::pack_any;
use slidegate::rule::Allowance;
use slidegate::rule::Descriptor;
use slidegate::rule::Domain;

/// One resource a domain, with what its message has room for.
pub(crate) fn resources(domains: &[Domain]) -> Vec<Any> {
    let resource = |domain: &Domain| {
        pack_any(RateLimitConfig {
            name: domain.name.clone(),
            domain: domain.name.clone(),
            descriptors: domain.descriptors.iter().map(descriptor).collect(),
        })
    };
    domains.iter().map(resource).collect()
}

fn descriptor(node: &Descriptor) -> RateLimitDescriptor {
    let mut message = RateLimitDescriptor {
        key: node.key.clone(),
        value: node.value.text().unwrap_or_default().to_owned(),
        descriptors: node.descriptors.iter().map(descriptor).collect(),
        ..RateLimitDescriptor::default()
    };
    if let Some(Allowance::Limited(limit)) = &node.allowance {
        let unit = limit.unit.name().to_ascii_uppercase();
        message.shadow_mode = limit.shadow;
        message.rate_limit = Some(RateLimitPolicy {
            unit: RateLimitUnit::from_str_name(&unit).unwrap().into(),
            requests_per_unit: limit.requests,
            ..RateLimitPolicy::default()
        });
    }
    message
}
