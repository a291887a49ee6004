//! Which endpoint gets a request: `lb_policy` and `consistent_hash` of a backend.

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::document::text;
use crate::platform::traffic::Hash;
use crate::platform::traffic::LoadBalancer;

#[derive(Clone, Copy)]
enum Policy {
    ConsistentHash,
    LeastRequest,
    Random,
    RoundRobin,
}

pub(in crate::platform::document) fn read(
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<LoadBalancer> {
    let names = [
        ("RoundRobin", Policy::RoundRobin),
        ("LeastRequest", Policy::LeastRequest),
        ("Random", Policy::Random),
        ("ConsistentHash", Policy::ConsistentHash),
    ];
    let policy_at = fields.optional("lb_policy");
    let hash = fields.optional("consistent_hash");
    let policy = match &policy_at {
        None => None,
        Some(at) => Some(at.one_of(&names, faults)?),
    };
    let plain = match (policy, &hash) {
        (Some(Policy::ConsistentHash), Some(at)) => {
            return hash_of(at, faults).map(LoadBalancer::ConsistentHash);
        }
        (Some(Policy::ConsistentHash), None) => {
            let at = policy_at.as_ref().unwrap_or(fields.at());
            faults.push(at.fault("lb_policy ConsistentHash needs a `consistent_hash`"));
            return None;
        }
        (None, _) => None,
        (Some(Policy::LeastRequest), _) => Some(LoadBalancer::LeastRequest),
        (Some(Policy::Random), _) => Some(LoadBalancer::Random),
        (Some(Policy::RoundRobin), _) => Some(LoadBalancer::RoundRobin),
    };
    if let Some(at) = hash {
        faults.push(at.fault("`consistent_hash` is for lb_policy ConsistentHash"));
        return None;
    }
    plain
}

#[derive(Clone, Copy)]
enum Type {
    Cookie,
    Header,
    SourceIp,
}

fn hash_of(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Hash> {
    let mut fields = at.mapping(faults)?;
    let names = [
        ("SourceIP", Type::SourceIp),
        ("Header", Type::Header),
        ("Cookie", Type::Cookie),
    ];
    let hash_type = fields.required("type", faults);
    let Some(hash_type) = hash_type.and_then(|at| at.one_of(&names, faults)) else {
        // What they would be for is unknown, so they are not judged.
        for key in ["header_name", "name", "ttl"] {
            fields.optional(key);
        }
        fields.finish(faults);
        return None;
    };
    let hash = match hash_type {
        Type::SourceIp => Some(Hash::SourceIp),
        Type::Header => {
            let name = fields.required("header_name", faults);
            let name = name.and_then(|at| text::token(&at, faults));
            name.map(Hash::Header)
        }
        Type::Cookie => {
            let name = fields.required("name", faults);
            let name = name
                .and_then(|at| text::checked(&at, faults, "the name of a cookie", text::is_token));
            let ttl = fields.optional("ttl");
            let ttl = ttl.and_then(|at| text::span(&at, faults));
            name.map(|name| Hash::Cookie { name, ttl })
        }
    };
    fields.finish(faults);
    hash
}
