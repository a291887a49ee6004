//! The `rate_limit` of a descriptor.

use std::num::NonZeroU32;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::document::near;
use crate::document::quoted;
use crate::rule::Allowance;
use crate::rule::document::Modes;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Cost;
use crate::rule::limit::Limit;
use crate::rule::limit::OnStoreFailure;
use crate::rule::limit::Unit;
use crate::rule::limit::Window;

/// What a `rate_limit` says.
#[derive(Debug, Default)]
pub(super) struct RateLimit {
    /// None if it has a fault.
    pub(super) allowance: Option<Allowance>,
    pub(super) replaces: Vec<String>,
}

/// Reads a `rate_limit`.
pub(super) fn rate_limit(at: &At<'_>, modes: Modes, faults: &mut Vec<Fault>) -> RateLimit {
    let Some(mut fields) = at.mapping(faults) else {
        return RateLimit::default();
    };
    let unlimited = fields.optional("unlimited");
    let is_unlimited = unlimited.and_then(|at| at.boolean(faults)) == Some(true);
    let name = fields.optional("name").map(|at| super::text(&at, faults));
    let replaces = replaces(&mut fields, name.flatten(), faults);
    let allowance = if is_unlimited {
        unlimited_fields(&mut fields, faults);
        Some(Allowance::Unlimited)
    } else {
        limit(&mut fields, name, modes, faults).map(Allowance::Limited)
    };
    fields.finish(faults);
    RateLimit {
        allowance,
        replaces,
    }
}

/// The names under `replaces`; a limit does not replace itself.
fn replaces(
    fields: &mut Mapping<'_>,
    own_name: Option<&str>,
    faults: &mut Vec<Fault>,
) -> Vec<String> {
    let Some(list) = fields.optional("replaces") else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for item in list.items(faults) {
        let Some(mut fields) = item.mapping(faults) else {
            continue;
        };
        let at = fields.required("name", faults);
        let name = at.as_ref().and_then(|at| super::name(at, faults));
        fields.finish(faults);
        let (Some(at), Some(name)) = (at, name) else {
            continue;
        };
        if Some(name) == own_name {
            let message = format!("{} is the limit's own name", quoted(name));
            faults.push(at.fault(format!("{message}: expected that of another")));
            continue;
        }
        names.push(name.to_owned());
    }
    names
}

fn limit(
    fields: &mut Mapping<'_>,
    name: Option<Option<&str>>,
    modes: Modes,
    faults: &mut Vec<Fault>,
) -> Option<Limit> {
    let unit_at = fields.required("unit", faults);
    let unit = unit_at.as_ref().and_then(|at| unit(at, faults));
    let requests = fields.required("requests_per_unit", faults);
    let requests = requests.and_then(|at| number(&at, 0, faults));
    let multiplier = fields.optional("unit_multiplier");
    let unit_multiplier = match &multiplier {
        Some(at) => number(at, 1, faults).and_then(NonZeroU32::new),
        None => Some(NonZeroU32::MIN),
    };
    let algorithm = fields.optional("algorithm");
    let algorithm = algorithm.map(|at| at.one_of(&Algorithm::NAMES, faults));
    let burst = fields.optional("burst").map(|at| {
        let most = u32::MAX - requests.unwrap_or(0);
        if algorithm == Some(Some(Algorithm::FixedWindow)) {
            faults.push(at.fault("`burst` goes with `algorithm: sliding_window` only"));
        }
        if requests == Some(0) {
            faults.push(at.fault("`burst` needs a `requests_per_unit` of at least 1"));
        }
        at.number(0, most.into(), faults)
    });
    let cost = fields.optional("cost");
    let cost = cost.map(|at| at.one_of(&Cost::NAMES, faults));
    let on_store_failure = fields.optional("on_store_failure");
    let on_store_failure = on_store_failure.map(|at| at.one_of(&OnStoreFailure::NAMES, faults));

    let (unit, unit_multiplier) = (unit?, unit_multiplier?);
    if Window::of(unit, unit_multiplier).is_none() {
        let most = Window::MAX_SECONDS / unit.seconds();
        let at = multiplier.as_ref().unwrap_or(fields.at());
        faults.push(at.fault(format!(
            "{unit_multiplier} {}s are more than ten years: expected at most {most}",
            unit.name()
        )));
        return None;
    }
    let name = match name {
        Some(name) => Some(name?).filter(|name| !name.is_empty()),
        None => None,
    };
    Some(Limit {
        name: name.map(str::to_owned),
        requests: requests?,
        burst: match burst {
            Some(burst) => u32::try_from(burst?).ok()?,
            None => 0,
        },
        unit,
        unit_multiplier,
        algorithm: match algorithm {
            Some(algorithm) => Some(algorithm?),
            None => None,
        },
        cost: match cost {
            Some(cost) => Some(cost?),
            None => None,
        },
        shadow: modes.shadow,
        quota: modes.quota,
        on_store_failure: match on_store_failure {
            Some(choice) => Some(choice?),
            None => None,
        },
    })
}

/// What may stand beside `unlimited: true`, as in envoyproxy/ratelimit.
fn unlimited_fields(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) {
    if let Some(at) = fields.optional("requests_per_unit") {
        number(&at, 0, faults);
    }
    for key in [
        "unit",
        "unit_multiplier",
        "burst",
        "algorithm",
        "cost",
        "on_store_failure",
    ] {
        let Some(at) = fields.optional(key) else {
            continue;
        };
        let is_unknown = |text: &str| text.eq_ignore_ascii_case("unknown");
        if key == "unit" && at.text(faults).is_none_or(is_unknown) {
            continue;
        }
        faults.push(at.fault(format!("`{key}` does not go with `unlimited: true`")));
    }
}

fn unit(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Unit> {
    let text = at.text(faults)?;
    let unit = Unit::named(text);
    if unit.is_none() {
        let instead = near::instead(text, &Unit::ALL.map(Unit::name), "");
        faults.push(at.fault(format!("unknown unit {}: {instead}", quoted(text))));
    }
    unit
}

fn number(at: &At<'_>, min: u32, faults: &mut Vec<Fault>) -> Option<u32> {
    let number = at.number(min.into(), u32::MAX.into(), faults)?;
    u32::try_from(number).ok()
}
