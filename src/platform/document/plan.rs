//! `kind: Plan`.

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::document::entities::Read;
use crate::platform::document::rate_limit;
use crate::platform::document::text;
use crate::platform::limit::Allotment;
use crate::platform::limit::Bought;
use crate::platform::limit::Plan;
use crate::rule::limit::Unit;

pub(super) fn read(name: &str, fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Read<Plan> {
    let is_active = text::status(fields, faults);
    let rate = fields.optional("rate_limit").map(|at| (Bought::Rate, at));
    let quota = fields.optional("quota").map(|at| (Bought::Quota, at));
    let limits: Vec<(Bought, At<'_>)> = rate.into_iter().chain(quota).collect();
    if limits.is_empty() {
        let expected = "expected at least one of rate_limit and quota";
        faults.push(fields.at().fault(expected));
    }
    let allotments = limits
        .iter()
        .map(|(bought, at)| allotment(*bought, at, faults));
    let allotments: Option<Vec<Allotment>> = allotments.collect();
    let entity = allotments.map(|allotments| Plan {
        name: name.to_owned(),
        allotments,
    });
    Read { entity, is_active }
}

fn allotment(bought: Bought, at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Allotment> {
    let mut fields = at.mapping(faults)?;
    let requests = fields.required("requests", faults);
    let requests = requests.and_then(|at| rate_limit::count(&at, faults));
    let period = fields.required("period", faults);
    let unit = period.and_then(|at| unit(&at, faults));
    fields.finish(faults);
    Some(Allotment {
        bought,
        requests: requests?,
        unit: unit?,
    })
}

/// The unit that is as long as a period: Envoy Gateway has no multiples of them.
fn unit(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Unit> {
    let text = at.text(faults)?;
    let seconds = seconds(text);
    let unit = PERIODS
        .iter()
        .find(|(_, length, _)| Some(*length) == seconds);
    if unit.is_none() {
        let periods = PERIODS.map(|(name, ..)| name);
        let [init @ .., last] = periods;
        let expected = format!("expected {} or {last}", init.join(", "));
        let reason = if seconds.is_some() {
            "a period that Envoy Gateway has"
        } else {
            "a period"
        };
        faults.push(at.fault(format!("`{text}` is not {reason}: {expected}")));
    }
    unit.map(|(.., unit)| *unit)
}

/// Each period with its length in seconds.
const PERIODS: [(&str, u64, Unit); 7] = [
    ("1s", 1, Unit::Second),
    ("1m", 60, Unit::Minute),
    ("1h", 3_600, Unit::Hour),
    ("1d", 86_400, Unit::Day),
    ("7d", 604_800, Unit::Week),
    ("30d", 2_592_000, Unit::Month),
    ("365d", 31_536_000, Unit::Year),
];

fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    number.checked_mul(unit)
}
