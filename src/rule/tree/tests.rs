//! Which rule a descriptor finds.

use super::*;
use crate::rule::document;
use crate::rule::limit::Limit;
use crate::rule::limit::Unit;

#[test]
fn the_most_exact_node_of_a_level_is_taken() {
    check(&[("user", "a")], Some("user"));
    check(&[("user", "")], Some("user"));
    check(&[("user", "vip")], Some("user_vip"));
    check(&[("user", "banned")], Some("user_banned"));
    check(&[("path", "/files/exact")], Some("path_/files/exact"));
    check(&[("path", "/files/1")], Some("path_/files/*"));
    check(&[("path", "/other")], None);
}

#[test]
fn the_first_declared_wildcard_is_taken() {
    check(&[("path", "/files/1/raw")], Some("path_/files/*"));
}

#[test]
fn a_pattern_that_a_request_brings_literally_is_exact() {
    check(&[("path", "/files/*")], Some("path_/files/*"));
    check(&[("path", "/files/*/raw")], Some("path_/files/*/raw"));
}

#[test]
fn only_the_node_of_the_last_entry_counts() {
    check(&[("tenant", "t1")], None);
    check(
        &[("tenant", "t1"), ("plan", "pro")],
        Some("tenant.plan_pro"),
    );
    check(
        &[("tenant", "t2"), ("plan", "pro")],
        Some("tenant.plan_pro"),
    );
    check(&[("tenant", "t1"), ("plan", "basic")], None);
    check(
        &[("tenant", "t1"), ("plan", "pro"), ("op", "read")],
        Some("tenant.plan_pro.op"),
    );
    check(&[("user", "a"), ("more", "1")], None);
    check(&[("plan", "pro"), ("tenant", "t1")], None);
    check(&[], None);
}

#[test]
fn a_node_without_an_allowance_hides_the_value_less_one() {
    check(&[("user", "guest")], None);
}

#[test]
fn a_node_taken_is_not_left_again_when_the_next_entry_misses() {
    let tree = "domain: d\ndescriptors:\n\
        - {key: a, value: x, descriptors: [{key: b, value: y, rate_limit: {unlimited: true}}]}\n\
        - {key: a, descriptors: [{key: b, rate_limit: {unlimited: true}}]}\n";
    let set = set(tree);
    let found = set.domain("d").unwrap().find([("a", "x"), ("b", "z")]);
    assert_eq!(found, None);
}

#[test]
fn keys_and_values_are_compared_as_parts() {
    check(&[("a_b", "c")], Some("a_b"));
    check(&[("a", "b")], None);
    check(&[("user_vip", "")], None);
}

#[test]
fn a_key_without_rules_and_an_unknown_domain_find_nothing() {
    check(&[("nothing", "1")], None);
    assert!(set(MATCH).domain("elsewhere").is_none());
}

#[test]
fn a_rule_says_which_values_are_counted_together() {
    let set = set(MATCH);
    let tree = set.domain("match").unwrap();
    let id = tree.find([("route", "tree7")]).unwrap();
    let rule = set.rule(id);
    let segment = Segment {
        key: "route".to_owned(),
        value: Value::Wildcard {
            pattern: "tree*".to_owned(),
            share_threshold: true,
        },
        value_to_metric: false,
    };
    assert_eq!(rule.path, [segment]);
    assert_eq!(&*rule.domain, "match");
    assert_eq!(rule.label(), "route_tree*");
    assert_eq!(set.rules()[id.index()], *rule);
}

#[test]
fn rules_come_in_the_order_of_the_documents() {
    let set = set(MATCH);
    let labels: Vec<String> = set.rules().iter().map(Rule::label).collect();
    assert_eq!(
        labels,
        [
            "user",
            "user_vip",
            "user_banned",
            "user_free",
            "path_/files/*",
            "path_/files/*/raw",
            "path_/files/exact",
            "tenant.plan_pro",
            "tenant.plan_pro.op",
            "a_b",
            "week",
            "shadow",
            "route_tree*",
        ]
    );
    assert_eq!(set.n_domains(), 1);
    assert!(!set.is_empty());
    assert!(RuleSet::default().is_empty());
}

#[test]
fn of_equals_the_first_stands() {
    let wildcard = |share_threshold| Value::Wildcard {
        pattern: "x*".to_owned(),
        share_threshold,
    };
    let descriptors = vec![
        descriptor("a", Value::Any, 1),
        descriptor("a", Value::Any, 2),
        descriptor("a", Value::Exact("x".to_owned()), 3),
        descriptor("a", Value::Exact("x".to_owned()), 4),
        descriptor("a", wildcard(false), 5),
        descriptor("a", wildcard(true), 6),
    ];
    let domain = |descriptors| Domain {
        name: "d".to_owned(),
        descriptors,
    };
    let second = domain(vec![descriptor("b", Value::Any, 7)]);
    let set = RuleSet::new(vec![domain(descriptors), second]);
    let tree = set.domain("d").unwrap();
    let requests = |key, value| match &set.rule(tree.find([(key, value)])?).allowance {
        Allowance::Limited(limit) => Some(limit.requests),
        Allowance::Unlimited => None,
    };
    assert_eq!(requests("a", "z"), Some(1));
    assert_eq!(requests("a", "x"), Some(3));
    assert_eq!(requests("a", "xy"), Some(5));
    assert_eq!(requests("b", "z"), None);
    assert_eq!(set.rules().len(), 3);
}

/// Finds a rule among those of the recorded decisions.
#[track_caller]
fn check(entries: &[(&str, &str)], expected: Option<&str>) {
    let set = set(MATCH);
    let tree = set.domain("match").unwrap();
    let found = tree.find(entries.iter().copied());
    assert_eq!(found.map(|id| set.rule(id).label()).as_deref(), expected);
}

fn set(text: &str) -> RuleSet {
    let mut faults = Vec::new();
    let domains = document::read(&"match.yaml".into(), text, &mut faults);
    assert_eq!(faults, []);
    RuleSet::new(domains)
}

fn descriptor(key: &str, value: Value, requests: u32) -> Descriptor {
    Descriptor {
        allowance: Some(Allowance::Limited(Limit::new(requests, Unit::Hour))),
        ..Descriptor::new(key, value)
    }
}

const MATCH: &str = include_str!("../../../tests/vectors/decisions/rules/match.yaml");
