//! What pushes come to, good, bad and in between.

use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitPolicy;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitReplace;
use envoy_types::util::pack_any;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::prop;
use proptest::proptest;

use super::*;
use crate::rule::document;

#[test]
fn a_push_becomes_rules() {
    let mut vip = limited(node("user", "vip"), RateLimitUnit::Week, 7);
    vip.shadow_mode = true;
    vip.quota_mode = true;
    let tree = under(
        node("route", "a/*"),
        vec![vip, limited(node("user", ""), RateLimitUnit::Hour, 3)],
    );
    check(
        &[config("shop", vec![tree])],
        &[],
        "domain: shop
descriptors:
- key: route
  value: a/*
  descriptors:
  - key: user
    value: vip
    shadow_mode: true
    quota_mode: true
    rate_limit:
      unit: week
      requests_per_unit: 7
  - key: user
    rate_limit:
      unit: hour
      requests_per_unit: 3
",
        &[],
    );
}

#[test]
fn what_stands_beside_a_limit_is_taken_over() {
    let mut node = limited(node("user", ""), RateLimitUnit::Week, 7);
    node.detailed_metric = true;
    let number = protobuf::Value {
        kind: Some(Kind::NumberValue(7.0)),
    };
    node.metadata = Some(Struct {
        fields: [("weight".to_owned(), number)].into(),
    });
    let replaced = RateLimitReplace {
        name: "other".to_owned(),
    };
    node.rate_limit.as_mut().unwrap().replaces = vec![replaced];
    let push = Push::read(&[config("shop", vec![node])], &[]).unwrap();
    let node = &push.domains[0].descriptors[0];
    assert!(node.detailed_metric);
    assert_eq!(node.replaces, ["other"]);
    assert_eq!(node.metadata["weight"], 7.0);
}

#[test]
fn domains_stand_in_the_order_of_their_names() {
    let push = [config("b", Vec::new()), config("a", Vec::new())];
    let read = Push::read(&push, &[]).unwrap();
    let names: Vec<_> = read.domains.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(Push::read(&[], &read.domains).unwrap(), Push::default());
}

#[test]
fn equal_siblings_that_do_not_contradict_each_other_become_one() {
    // One CIDR once exact and once distinct, in one policy.
    let exact = limited(node("masked", "10.0.0.0/8"), RateLimitUnit::Hour, 5);
    let distinct = under(
        node("masked", "10.0.0.0/8"),
        vec![limited(node("address", ""), RateLimitUnit::Hour, 2)],
    );
    let merged = "domain: shop
descriptors:
- key: masked
  value: 10.0.0.0/8
  rate_limit:
    unit: hour
    requests_per_unit: 5
  descriptors:
  - key: address
    rate_limit:
      unit: hour
      requests_per_unit: 2
";
    for nodes in [
        vec![exact.clone(), distinct.clone()],
        vec![distinct.clone(), exact.clone()],
        vec![exact.clone(), distinct.clone(), exact.clone()],
    ] {
        check(&[config("shop", nodes)], &[], merged, &[]);
    }
    // The same of two resources of one domain.
    let push = [config("shop", vec![exact]), config("shop", vec![distinct])];
    check(&push, &[], merged, &[]);
}

#[test]
fn siblings_that_contradict_each_other_leave_what_was_in_force_there() {
    let nodes = vec![
        limited(node("user", "a"), RateLimitUnit::Hour, 1),
        limited(node("user", "b"), RateLimitUnit::Hour, 1),
        limited(node("user", "b"), RateLimitUnit::Day, 9),
    ];
    let push = [config("shop", nodes)];
    let reason = "`shop.user_b`: it stands there several times, with different limits";
    let (a, b) = ("- key: user\n  value: a\n", "- key: user\n  value: b\n");
    let limit = |n| format!("  rate_limit:\n    unit: hour\n    requests_per_unit: {n}\n");
    let begin = "domain: shop\ndescriptors:\n";
    check(&push, &[], &format!("{begin}{a}{}{b}", limit(1)), &[reason]);
    let before = [config(
        "shop",
        vec![limited(node("user", "b"), RateLimitUnit::Hour, 4)],
    )];
    let before = Push::read(&before, &[]).unwrap().domains;
    let kept = format!("{begin}{a}{}{b}{}", limit(1), limit(4));
    check(&push, &before, &kept, &[reason]);
}

#[test]
fn each_bad_rule_is_named_and_the_good_ones_apply() {
    let unknown = RateLimitDescriptor {
        rate_limit: Some(RateLimitPolicy {
            unit: 9,
            ..RateLimitPolicy::default()
        }),
        ..node("unit", "")
    };
    let mut replacing = limited(node("replaces", ""), RateLimitUnit::Day, 1);
    let policy = replacing.rate_limit.as_mut().unwrap();
    policy.replaces = vec![RateLimitReplace::default()];
    let mut unlimited = limited(node("unlimited", "x"), RateLimitUnit::Day, 1);
    unlimited.rate_limit.as_mut().unwrap().unlimited = true;
    let nodes = vec![
        unknown,
        limited(node("none", ""), RateLimitUnit::Unknown, 1),
        replacing,
        unlimited,
        under(node("", "x"), vec![node("lost", "")]),
        limited(node("good", ""), RateLimitUnit::Minute, 0),
    ];
    let push = Push::read(&[config("shop", nodes), config("", Vec::new())], &[]).unwrap();
    let refused: Vec<_> = push.refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        refused,
        [
            "``: resource `` has no domain".to_owned(),
            "`shop.none`: its limit has no unit".to_owned(),
            "`shop.replaces`: it replaces a limit without a name".to_owned(),
            "`shop.unit`: unknown unit 9: expected a number from 1 to 7".to_owned(),
            "`shop.unlimited_x`: a unit does not go with `unlimited`".to_owned(),
            "`shop`: a descriptor has an empty key".to_owned(),
        ]
    );
    assert_eq!(document::count(&push.domains), 1);
}

#[test]
fn what_cannot_be_read_at_all_is_said() {
    let mut other = config("shop", Vec::new());
    other.type_url = "type.googleapis.com/envoy.config.cluster.v3.Cluster".to_owned();
    let error = Push::read(&[other], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a resource is of type `type.googleapis.com/envoy.config.cluster.v3.Cluster`: expected \
         `type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig`"
    );
}

proptest! {
    #[test]
    fn the_order_of_resources_does_not_matter(
        (sorted, shuffled) in prop::collection::vec((0..4, 0..4, 0..3_u32), 0..12).prop_flat_map(|all| {
            (Just(all.clone()), Just(all).prop_shuffle())
        }),
    ) {
        let read = |all: &[(i32, i32, u32)]| {
            let resource = |&(domain, value, n): &(i32, i32, u32)| {
                let node = node("user", &value.to_string());
                let node = if n == 0 { node } else { limited(node, RateLimitUnit::Day, n) };
                config(&format!("d{domain}"), vec![node])
            };
            let push: Vec<_> = all.iter().map(resource).collect();
            let mut push = Push::read(&push, &[]).unwrap();
            for domain in &mut push.domains {
                domain.descriptors.sort_by(|a, b| a.value.text().cmp(&b.value.text()));
            }
            push
        };
        assert_eq!(read(&sorted), read(&shuffled));
    }
}

/// What a push comes to, in the form of a rule file, and what is refused of it.
#[track_caller]
fn check(push: &[Any], before: &[Domain], rules: &str, refused: &[&str]) {
    let push = Push::read(push, before).unwrap();
    let said: Vec<_> = push.refused.iter().map(ToString::to_string).collect();
    assert_eq!(document::write(&push.domains), rules);
    assert_eq!(said, refused);
}

fn config(domain: &str, descriptors: Vec<RateLimitDescriptor>) -> Any {
    pack_any(RateLimitConfig {
        name: domain.to_owned(),
        domain: domain.to_owned(),
        descriptors,
    })
}

fn node(key: &str, value: &str) -> RateLimitDescriptor {
    RateLimitDescriptor {
        key: key.to_owned(),
        value: value.to_owned(),
        ..RateLimitDescriptor::default()
    }
}

fn limited(node: RateLimitDescriptor, unit: RateLimitUnit, requests: u32) -> RateLimitDescriptor {
    RateLimitDescriptor {
        rate_limit: Some(RateLimitPolicy {
            unit: unit.into(),
            requests_per_unit: requests,
            ..RateLimitPolicy::default()
        }),
        ..node
    }
}

fn under(node: RateLimitDescriptor, descriptors: Vec<RateLimitDescriptor>) -> RateLimitDescriptor {
    RateLimitDescriptor {
        descriptors,
        ..node
    }
}
