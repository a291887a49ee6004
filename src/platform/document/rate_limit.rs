//! A rate limit: the `spec` of a policy, or `rate_limit` of a route.

use std::num::NonZeroU32;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::document::near;
use crate::document::quoted;
use crate::platform::document::text;
use crate::platform::limit::Cost;
use crate::platform::limit::Key;
use crate::platform::limit::Limit;
use crate::platform::limit::LocalRateLimit;
use crate::platform::limit::Metadata;
use crate::platform::limit::RateLimit;
use crate::rule::limit::OnStoreFailure;
use crate::rule::limit::Unit;

pub(super) fn read(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Limit> {
    let mut fields = at.mapping(faults)?;
    let limit_type = match fields.optional("type") {
        None => Some(Type::Global),
        Some(at) => at.one_of(&[("Global", Type::Global), ("Local", Type::Local)], faults),
    };
    let limit = match limit_type {
        // Most fields are those of either.
        None | Some(Type::Global) => global(&mut fields, faults).map(Limit::Global),
        Some(Type::Local) => local(&mut fields, faults).map(Limit::Local),
    };
    fields.finish(faults);
    limit_type.and(limit)
}

#[derive(Clone, Copy)]
enum Type {
    Global,
    Local,
}

fn global(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<RateLimit> {
    let requests = fields.required("requests_per_unit", faults);
    let requests = requests.and_then(|at| count(&at, faults));
    let burst = fields.optional("burst");
    let burst = burst.map(|at| burst_over(requests, &at, faults));
    let (unit, key) = (unit(fields, faults), key(fields, faults));
    let shared = fields.optional("shared");
    let shared = shared.and_then(|at| at.boolean(faults));
    let shadow = fields.optional("shadow");
    let shadow = shadow.and_then(|at| at.boolean(faults));
    let cost = fields.optional("cost");
    let cost = cost.and_then(|at| cost_of(&at, faults));
    let on_store_failure = fields.optional("on_store_failure");
    let on_store_failure = on_store_failure.map(|at| at.one_of(&OnStoreFailure::NAMES, faults));
    Some(RateLimit {
        requests: requests?,
        burst: match burst {
            Some(burst) => burst?,
            None => 0,
        },
        unit: unit?,
        key: key?,
        shared: shared.unwrap_or(false),
        shadow: shadow.unwrap_or(false),
        cost: cost.unwrap_or_default(),
        on_store_failure: match on_store_failure {
            Some(choice) => Some(choice?),
            None => None,
        },
    })
}

/// A limit that each instance of Envoy holds alone, of which Envoy Gateway lets less be said.
fn local(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<LocalRateLimit> {
    let requests = fields.required("requests_per_unit", faults);
    let requests = requests.and_then(|at| at.number(1, u64::from(u32::MAX), faults));
    let (unit, key) = (unit(fields, faults), key(fields, faults));
    for name in ["burst", "shared", "shadow", "cost", "on_store_failure"] {
        if let Some(at) = fields.optional(name) {
            let reason = "Envoy Gateway has it for limits of type Global only";
            faults.push(at.fault(format!("a limit of type Local has no `{name}`: {reason}")));
        }
    }
    let requests = u32::try_from(requests?).ok()?;
    Some(LocalRateLimit {
        requests: NonZeroU32::new(requests)?,
        unit: unit?,
        key: key?,
    })
}

fn unit(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Unit> {
    let at = fields.required("unit", faults)?;
    unit_named(&at, faults)
}

fn unit_named(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Unit> {
    let name = at.text(faults)?;
    let unit = Unit::named(name);
    if unit.is_none() {
        let instead = near::instead(name, &Unit::ALL.map(Unit::name), "");
        faults.push(at.fault(format!("unknown unit {}: {instead}", quoted(name))));
    }
    unit
}

pub(super) fn count(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<u32> {
    let number = at.number(0, u64::from(u32::MAX), faults)?;
    u32::try_from(number).ok()
}

/// The burst over a limit of so many requests; together they are no more than a count can be.
fn burst_over(requests: Option<u32>, at: &At<'_>, faults: &mut Vec<Fault>) -> Option<u32> {
    let requests = requests?;
    if requests == 0 {
        faults.push(at.fault("`burst` needs a `requests_per_unit` of at least 1"));
        return None;
    }
    let number = at.number(0, u64::from(u32::MAX - requests), faults)?;
    u32::try_from(number).ok()
}

#[derive(Clone, Copy)]
enum By {
    ClientIp,
    Consumer,
    Header,
    User,
}

fn key(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Key> {
    let Some(at) = fields.optional("key") else {
        return Some(Key::All);
    };
    let mut fields = at.mapping(faults)?;
    let names = [
        ("client_ip", By::ClientIp),
        ("header", By::Header),
        ("user", By::User),
        ("consumer", By::Consumer),
    ];
    let by = fields.required("by", faults);
    let key = match by.and_then(|at| at.one_of(&names, faults)) {
        None => {
            // What they would be for is unknown, so they are not judged.
            for key in ["name", "claim"] {
                fields.optional(key);
            }
            None
        }
        Some(By::ClientIp) => Some(Key::ClientIp),
        Some(By::Consumer) => Some(Key::Consumer),
        Some(By::Header) => header(&mut fields, faults),
        Some(By::User) => user(&mut fields, faults),
    };
    fields.finish(faults);
    key
}

fn header(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Key> {
    let at = fields.required("name", faults)?;
    text::token(&at, faults).map(Key::Header)
}

/// The user of a token is its subject, unless another claim is named.
fn user(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Key> {
    let Some(at) = fields.optional("claim") else {
        return Some(Key::User("sub".to_owned()));
    };
    text::checked(&at, faults, "a claim", text::is_word).map(Key::User)
}

fn cost_of(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Cost> {
    let mut fields = at.mapping(faults)?;
    let request = fields.optional("request");
    let request = request.and_then(|at| count(&at, faults));
    let response = fields.optional("response");
    let response = response.and_then(|at| metadata(&at, faults));
    fields.finish(faults);
    Some(Cost { request, response })
}

fn metadata(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Metadata> {
    let mut fields = at.mapping(faults)?;
    let mut text = |key, faults: &mut Vec<Fault>| {
        let at = fields.required(key, faults)?;
        text::checked(&at, faults, "a name", |text| !text.is_empty())
    };
    let (namespace, key) = (text("namespace", faults), text("key", faults));
    fields.finish(faults);
    Some(Metadata {
        namespace: namespace?,
        key: key?,
    })
}
