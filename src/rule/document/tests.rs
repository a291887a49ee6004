//! What is read as which rules, and every fault.

use std::num::NonZeroU32;

use super::*;
use crate::rule::Allowance;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Cost;
use crate::rule::limit::Limit;
use crate::rule::limit::Unit;

#[test]
fn a_document_is_a_domain_with_a_tree() {
    let domains = good(
        "domain: shop\n\
         descriptors:\n\
         - key: tenant\n  \
           descriptors:\n  \
           - key: path\n    \
             value: /a*\n    \
             share_threshold: true\n    \
             shadow_mode: true\n    \
             quota_mode: true\n    \
             rate_limit: {unit: MINUTE, requests_per_unit: 3, unit_multiplier: 5, name: five,\n      \
               algorithm: fixed_window, cost: report}\n\
         - {key: tenant, value: 7, rate_limit: {unlimited: true}}\n\
         ---\n\
         domain: empty\n",
    );
    let limit = Limit {
        name: Some("five".to_owned()),
        unit_multiplier: NonZeroU32::new(5).unwrap(),
        algorithm: Some(Algorithm::FixedWindow),
        cost: Some(Cost::Report),
        shadow: true,
        quota: true,
        ..Limit::new(3, Unit::Minute)
    };
    let pattern = "/a*".to_owned();
    let wildcard = Value::Wildcard {
        pattern,
        share_threshold: true,
    };
    let path = Descriptor {
        allowance: Some(Allowance::Limited(limit)),
        ..Descriptor::new("path", wildcard)
    };
    let any = Descriptor {
        descriptors: vec![path],
        ..Descriptor::new("tenant", Value::Any)
    };
    let seven = Descriptor {
        allowance: Some(Allowance::Unlimited),
        ..Descriptor::new("tenant", Value::Exact("7".to_owned()))
    };
    let shop = Domain {
        name: "shop".to_owned(),
        descriptors: vec![any, seven],
    };
    let empty = Domain {
        name: "empty".to_owned(),
        descriptors: Vec::new(),
    };
    assert_eq!(domains, [shop, empty]);
}

#[test]
fn scalars_of_any_type_are_text_as_they_are_written() {
    for (written, expected) in [
        ("0123", "0123"),
        ("true", "true"),
        ("yes", "yes"),
        ("\"1.5\"", "1.5"),
        ("1.2.3", "1.2.3"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("'~'", "~"),
    ] {
        let domains = good(&format!(
            "domain: d\ndescriptors: [{{key: a, value: {written}}}]\n"
        ));
        let value = &domains[0].descriptors[0].value;
        assert_eq!(*value, Value::Exact(expected.to_owned()));
    }
}

#[test]
fn an_empty_value_and_none_match_every_value() {
    for value in ["", ", value: ''", ", value: ", ", value: ~"] {
        let domains = good(&format!("domain: d\ndescriptors: [{{key: a{value}}}]\n"));
        assert_eq!(domains[0].descriptors[0].value, Value::Any);
    }
}

#[test]
fn what_stands_beside_unlimited_as_in_envoyproxy_ratelimit_is_read() {
    for more in ["", ", name: x", ", requests_per_unit: 5", ", unit: unknown"] {
        let limit = format!("{{unlimited: true{more}}}");
        assert_eq!(good_limit(&limit), Some(Allowance::Unlimited));
    }
    assert_eq!(good_limit("~"), None);
}

#[test]
fn unlimited_may_be_false() {
    let allowance = good_limit("{unlimited: false, unit: day, requests_per_unit: 4294967295}");
    let Some(Allowance::Limited(limit)) = allowance else {
        panic!("{allowance:?}");
    };
    assert_eq!((limit.requests, limit.unit), (u32::MAX, Unit::Day));
}

#[test]
fn the_samples_of_the_reference_are_read() {
    let text = include_str!("../../../tests/vectors/decisions/rules/match.yaml");
    assert_eq!(good(text)[0].descriptors.len(), 13);
}

#[test]
fn a_domain_has_a_name_of_its_own() {
    check("descriptors: []\n", &["f:1: `domain` is missing"]);
    check(
        "domain: ''\n",
        &["f:1: domain: expected a string that is not empty"],
    );
    check("domain:\n", &["f:1: `domain` is missing"]);
    check(
        "domain: [a]\n",
        &["f:1: domain: expected a string, found a list"],
    );
    check(
        "domain: 1.5\n",
        &["f:1: domain: `1.5` is a number here: put it in quotes"],
    );
    check(
        "domain: a\n---\ndomain: b\n---\n\ndomain: a\n",
        &["f:6: domain: domain `a` stands on line 1 already"],
    );
}

#[test]
fn a_document_is_a_mapping() {
    check("- domain: a\n", &["f:1: expected a mapping, found a list"]);
    check("text\n", &["f:1: expected a mapping, found `text`"]);
    check("domain: [\n", &["f:1: not YAML: unclosed bracket '['"]);
    check(
        "domain: a\n1: b\n[c]: d\n",
        &[
            "f:2: 1: unknown key `1`: expected domain or descriptors",
            "f:3: ?: expected a string as key, found a list",
        ],
    );
}

#[test]
fn descriptors_are_a_list_of_mappings() {
    check_descriptors(
        "{key: a}",
        &["f:2: descriptors: expected a list, found a mapping"],
    );
    check_descriptors(
        "[a, ~, [b]]",
        &[
            "f:2: descriptors[0]: expected a mapping, found `a`",
            "f:2: descriptors[1]: expected a mapping, found nothing",
            "f:2: descriptors[2]: expected a mapping, found a list",
        ],
    );
}

#[test]
fn a_descriptor_has_a_key() {
    check_descriptors("[{value: a}]", &["f:2: descriptors[0]: `key` is missing"]);
    check_descriptors(
        "[{key: ''}, {key: 1e3}]",
        &[
            "f:2: descriptors[0].key: expected a string that is not empty",
            "f:2: descriptors[1].key: `1e3` is a number here: put it in quotes",
        ],
    );
}

#[test]
fn a_value_is_text_that_every_reader_reads_alike() {
    check_descriptors(
        "[{key: a, value: 1.5}, {key: a, value: [x]}]",
        &[
            "f:2: descriptors[0].value: `1.5` is a number here: put it in quotes",
            "f:2: descriptors[1].value: expected a string, found a list",
        ],
    );
}

#[test]
fn siblings_differ_in_key_or_value() {
    check(
        "domain: d\n\
         descriptors:\n\
         - {key: a, value: x}\n\
         - {key: a}\n\
         - {key: b, value: x}\n\
         - {key: a, value: x}\n\
         - {key: a, value: ''}\n\
         - {key: a, value: x*}\n\
         - {key: a, value: x*, share_threshold: true}\n\
         - {key: a, value: y, descriptors: [{key: a, value: x}]}\n",
        &[
            "f:6: descriptors[3]: key `a` with value `x` stands on line 3 already",
            "f:7: descriptors[4]: key `a` without a value stands on line 4 already",
            "f:9: descriptors[6]: key `a` with value `x*` stands on line 8 already",
        ],
    );
}

#[test]
fn share_threshold_needs_a_wildcard() {
    check_descriptors(
        "[{key: a, value: x, share_threshold: true}, {key: b, share_threshold: true}]",
        &[
            "f:2: descriptors[0].share_threshold: expected a `value` with `*` beside it: \
             there are no values to share",
            "f:2: descriptors[1].share_threshold: expected a `value` with `*` beside it: \
             there are no values to share",
        ],
    );
    check_descriptors("[{key: a, share_threshold: false}]", &[]);
}

#[test]
fn modes_need_a_limit() {
    check_descriptors(
        "[{key: a, shadow_mode: true}, {key: b, shadow_mode: on}, {key: c, shadow_mode: false}]",
        &[
            "f:2: descriptors[0].shadow_mode: expected a `rate_limit` beside it: \
             there is no limit to apply it to",
            "f:2: descriptors[1].shadow_mode: expected true or false, found `on`",
        ],
    );
    check_descriptors(
        "[{key: a, quota_mode: true}]",
        &[
            "f:2: descriptors[0].quota_mode: expected a `rate_limit` beside it: \
             there is no limit to apply it to",
        ],
    );
    check_descriptors(
        "[{key: a, shadow_mode: true, descriptors: [{key: b, shadow_mode: true,\n  \
         rate_limit: {unit: day, requests_per_unit: 1}}]}]",
        &[],
    );
}

#[test]
fn unknown_keys_are_refused_on_every_level() {
    check(
        "domain: d\nname: x\ndescriptors:\n- {key: a, unit: day, rate_limit: {shadow_mode: true,\n  unit: day, requests_per_unit: 1}}\n",
        &[
            "f:2: name: unknown key `name`: expected domain or descriptors",
            "f:4: descriptors[0].rate_limit.shadow_mode: unknown key `shadow_mode`: expected \
             unlimited, name, replaces, unit, requests_per_unit, unit_multiplier, algorithm, burst, cost or on_store_failure",
            "f:4: descriptors[0].unit: unknown key `unit`: \
             expected key, value, share_threshold, shadow_mode, quota_mode, rate_limit, metadata, \
             value_to_metric, detailed_metric or descriptors",
        ],
    );
}

#[test]
fn an_unknown_choice_for_a_store_that_fails_is_named() {
    check_limit(
        "{unit: day, requests_per_unit: 1, on_store_failure: never}",
        &["on_store_failure: unknown value `never`: expected deny, allow, error or local"],
    );
}

#[test]
fn a_limit_replaces_others_by_name() {
    let limits = "
        {name: own, unit: day, requests_per_unit: 1, replaces: [{name: a}, {name: b}]}
        {unlimited: true, name: own, replaces: [{name: a}, {name: b}]}
    ";
    for limit in limits.lines().filter(|line| !line.trim().is_empty()) {
        let domains = good(&format!(
            "domain: d\ndescriptors: [{{key: k, rate_limit: {limit}}}]\n"
        ));
        assert_eq!(domains[0].descriptors[0].replaces, ["a", "b"]);
    }
    check_limit(
        "{unit: day, requests_per_unit: 1, name: own, replaces: [{name: own}, {name: ''}, {}, x]}",
        &[
            "replaces[0].name: `own` is the limit's own name: expected that of another",
            "replaces[1].name: expected a string that is not empty",
            "replaces[2]: `name` is missing",
            "replaces[3]: expected a mapping, found `x`",
        ],
    );
}

#[test]
fn a_burst_goes_with_a_sliding_limit_above_zero() {
    check_limit("{unit: day, requests_per_unit: 1, burst: 2}", &[]);
    check_limit(
        "{unit: day, requests_per_unit: 0, burst: 2}",
        &["burst: `burst` needs a `requests_per_unit` of at least 1"],
    );
    check_limit(
        "{unit: day, requests_per_unit: 1, burst: 2, algorithm: fixed_window}",
        &["burst: `burst` goes with `algorithm: sliding_window` only"],
    );
    check_limit(
        "{unit: day, requests_per_unit: 1, burst: 4294967295}",
        &["burst: expected a whole number from 0 to 4294967294, found `4294967295`"],
    );
}

#[test]
fn a_limit_has_a_unit_and_a_number() {
    const UNITS: &str = "expected second, minute, hour, day, week, month or year";
    check_limit("{unit: day}", &["`requests_per_unit` is missing"]);
    check_limit("{requests_per_unit: 1}", &["`unit` is missing"]);
    check_limit(
        "{}",
        &["`requests_per_unit` is missing", "`unit` is missing"],
    );
    check_limit(
        "{unit: days, requests_per_unit: 1}",
        &["unit: unknown unit `days`: did you mean `day`?"],
    );
    for unit in ["fortnight", "unknown", "''"] {
        let limit = format!("{{unit: {unit}, requests_per_unit: 1}}");
        let unit = unit.trim_matches('\'');
        check_limit(&limit, &[&format!("unit: unknown unit `{unit}`: {UNITS}")]);
    }
    for number in [
        "-1",
        "4294967296",
        "1.5",
        "1e3",
        "010",
        "0x10",
        "1_000",
        "many",
        "'5'",
    ] {
        let limit = format!("{{unit: day, requests_per_unit: {number}}}");
        let number = number.trim_matches('\'');
        let expected = "expected a whole number from 0 to 4294967295";
        check_limit(
            &limit,
            &[&format!("requests_per_unit: {expected}, found `{number}`")],
        );
    }
    check_limit("5", &["expected a mapping, found `5`"]);
    check_limit("[]", &["expected a mapping, found a list"]);
}

#[test]
fn a_window_is_at_most_ten_years() {
    let of = |unit: &str, multiplier: &str| {
        format!("{{unit: {unit}, requests_per_unit: 1, unit_multiplier: {multiplier}}}")
    };
    assert!(good_limit(&of("year", "10")).is_some());
    check_limit(
        &of("year", "11"),
        &["unit_multiplier: 11 years are more than ten years: expected at most 10"],
    );
    check_limit(
        &of("second", "4294967295"),
        &[
            "unit_multiplier: 4294967295 seconds are more than ten years: expected at most 315360000",
        ],
    );
    check_limit(
        &of("day", "0"),
        &["unit_multiplier: expected a whole number from 1 to 4294967295, found `0`"],
    );
}

#[test]
fn algorithm_and_cost_are_named() {
    check_limit(
        "{unit: day, requests_per_unit: 1, algorithm: token_bucket, cost: free, name: 1.5}",
        &[
            "algorithm: unknown value `token_bucket`: expected sliding_window or fixed_window",
            "cost: unknown value `free`: expected ask or report",
            "name: `1.5` is a number here: put it in quotes",
        ],
    );
}

#[test]
fn unlimited_goes_without_a_unit() {
    check_limit(
        "{unlimited: true, unit: day}",
        &["unit: `unit` does not go with `unlimited: true`"],
    );
    check_limit(
        "{unlimited: true, algorithm: fixed_window, cost: ask, unit_multiplier: 2}",
        &[
            "algorithm: `algorithm` does not go with `unlimited: true`",
            "cost: `cost` does not go with `unlimited: true`",
            "unit_multiplier: `unit_multiplier` does not go with `unlimited: true`",
        ],
    );
    check_limit(
        "{unlimited: yes, unit: day, requests_per_unit: 1}",
        &["unlimited: expected true or false, found `yes`"],
    );
}

#[test]
fn every_fault_is_reported_not_the_first_one_only() {
    check(
        "domain: a\ndescriptors:\n- key: ''\n- {key: b, rate_limit: {unit: moon}}\n---\ndomian: c\n",
        &[
            "f:3: descriptors[0].key: expected a string that is not empty",
            "f:4: descriptors[1].rate_limit: `requests_per_unit` is missing",
            "f:4: descriptors[1].rate_limit.unit: unknown unit `moon`: \
             expected second, minute, hour, day, week, month or year",
            "f:6: `domain` is missing",
            "f:6: domian: unknown key `domian`: did you mean `domain`?",
        ],
    );
}

#[track_caller]
fn good(text: &str) -> Vec<Domain> {
    let mut faults = Vec::new();
    let domains = read(&"f".into(), text, &mut faults);
    assert_eq!(faults, []);
    domains
}

#[track_caller]
fn good_limit(limit: &str) -> Option<Allowance> {
    let mut domains = good(&format!(
        "domain: d\ndescriptors: [{{key: a, rate_limit: {limit}}}]\n"
    ));
    domains.remove(0).descriptors.remove(0).allowance
}

/// The faults of a file.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let mut faults = Vec::new();
    read(&"f".into(), text, &mut faults);
    faults.sort();
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert_eq!(faults, expected);
}

/// The faults of `descriptors`, written on line 2.
#[track_caller]
fn check_descriptors(descriptors: &str, expected: &[&str]) {
    check(
        &format!("domain: d\ndescriptors: {descriptors}\n"),
        expected,
    );
}

/// The faults of a `rate_limit`, by their path in it.
#[track_caller]
fn check_limit(limit: &str, expected: &[&str]) {
    let is_path = |fault: &str| !fault.starts_with('`') && !fault.starts_with("expected");
    let expected: Vec<String> = expected
        .iter()
        .map(|fault| {
            let joint = if is_path(fault) { "." } else { ": " };
            format!("f:2: descriptors[0].rate_limit{joint}{fault}")
        })
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check_descriptors(&format!("[{{key: a, rate_limit: {limit}}}]"), &expected);
}
