//! How documents of kind `Plan` are read.

use crate::platform::document::tests::check;
use crate::platform::document::tests::good;
use crate::platform::document::tests::names;
use crate::platform::limit::Allotment;
use crate::platform::limit::Bought;
use crate::rule::limit::Unit;

#[test]
fn a_plan_has_a_rate_and_a_quota() {
    let platform = good(
        "kind: Plan
name: gold
quota: {requests: 1000000, period: 30d}
rate_limit: {requests: 1000, period: 1m}",
    );
    let allotments = [
        (Bought::Rate, 1_000, Unit::Minute),
        (Bought::Quota, 1_000_000, Unit::Month),
    ];
    let allotments = allotments.map(|(bought, requests, unit)| Allotment {
        bought,
        requests,
        unit,
    });
    assert_eq!(platform.plans[0].allotments, allotments);
}

#[test]
fn one_of_them_is_enough_and_the_inactive_are_left_out() {
    let platform = good(
        "{kind: Plan, name: p1, quota: {requests: 0, period: 1w}}
---
{kind: Plan, name: p2, status: inactive, rate_limit: {requests: 1, period: 1s}}",
    );
    assert_eq!(names(&platform.plans, |it| &it.name), ["p1"]);
    check(
        "kind: Plan\nname: p1",
        &["t.yaml:1: expected at least one of rate_limit and quota"],
    );
}

#[test]
fn a_period_is_as_long_as_a_unit() {
    for (period, unit) in [
        ("1s", Unit::Second),
        ("60s", Unit::Minute),
        ("60m", Unit::Hour),
        ("24h", Unit::Day),
        ("1w", Unit::Week),
        ("30d", Unit::Month),
        ("365d", Unit::Year),
    ] {
        let platform = good(&plan(period));
        assert_eq!(platform.plans[0].allotments[0].unit, unit, "{period}");
    }
    let expected = "expected 1s, 1m, 1h, 1d, 7d, 30d or 365d";
    for period in ["5m", "0s", "31d", "99999999999999999999d"] {
        let reason = if period.len() > 10 {
            "a period"
        } else {
            "a period that Envoy Gateway has"
        };
        refused(period, reason, expected);
    }
    for period in ["''", "m", "1", "1.5h", "+1m", "1 m", "1é"] {
        refused(period, "a period", expected);
    }
}

#[test]
fn a_plan_is_checked_field_by_field() {
    check(
        "kind: Plan
name: p1
rate_limit: {requests: -1, per: 1m}
burst: 1",
        &[
            "t.yaml:3: rate_limit.requests: expected a whole number from 0 to 4294967295, found `-1`",
            "t.yaml:3: rate_limit: `period` is missing",
            "t.yaml:3: rate_limit.per: unknown key `per`: did you mean `period`?",
            "t.yaml:4: burst: unknown key `burst`: expected kind, name, status, rate_limit or quota",
        ],
    );
}

fn plan(period: &str) -> String {
    format!("kind: Plan\nname: p1\nrate_limit: {{requests: 1, period: {period}}}")
}

#[track_caller]
fn refused(period: &str, reason: &str, expected: &str) {
    let written = period.trim_matches('\'');
    check(
        &plan(period),
        &[&format!(
            "t.yaml:3: rate_limit.period: `{written}` is not {reason}: {expected}"
        )],
    );
}
