//! What is written, and that it reads back.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::rule::document::read;
use crate::rule::limit::Unit;

#[test]
fn only_what_differs_from_the_default_is_written() {
    let text = "\
domain: shop
descriptors:
- key: tenant
  descriptors:
  - key: path
    value: /a*
    shadow_mode: true
    share_threshold: true
    rate_limit:
      name: five
      unit: minute
      requests_per_unit: 3
      unit_multiplier: 5
      algorithm: fixed_window
      cost: report
- key: tenant
  value: \"7\"
  rate_limit:
    unlimited: true
- key: tenant
  value: free
  rate_limit:
    unit: day
    requests_per_unit: 0
---
domain: empty
";
    assert_eq!(super::domains(&good(text)), text);
    assert_eq!(super::domains(&[]), "");
}

#[test]
fn strings_that_some_reader_takes_for_something_else_are_quoted() {
    for value in [
        "on",
        "yes",
        "Yes",
        "y",
        "NO",
        "true",
        "null",
        "~",
        "1",
        "1e3",
        "0123",
        "0x1f",
        "0o17",
        "1_000",
        "1.5",
        ".inf",
        "1:30",
        "2001-01-01",
        "=",
        "<<",
        "- a",
        "a: b",
        "a #b",
        "#a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "'a'",
        "\"a\"",
        "{a}",
        "[a]",
        "a\nb",
        " a",
        "a ",
        "a\t",
        "---",
        "\u{feff}",
        "\u{85}",
        "\0",
        "ä",
    ] {
        let domain = domain(value);
        let text = super::domains(std::slice::from_ref(&domain));
        assert_eq!(good(&text), [domain], "{text}");
        if value != "ä" {
            let plain = format!("value: {value}\n");
            assert!(!text.contains(&plain), "{text}");
        }
    }
}

#[test]
fn long_strings_stay_on_one_line() {
    let long = "long words ".repeat(100).trim_end().to_owned();
    let text = super::domains(&[domain(&long)]);
    assert!(text.contains(&long), "{text}");
}

proptest! {
    #[test]
    fn what_is_written_reads_back(domains in domains(), others in domains()) {
        let text = super::domains(&domains);
        let mut faults = Vec::new();
        let read = read(&"f".into(), &text, &mut faults);
        prop_assert_eq!(&faults, &[], "{}", text);
        prop_assert_eq!(&read, &domains, "{}", text);
        prop_assert_eq!(super::domains(&others) == text, others == domains);
    }
}

#[track_caller]
fn good(text: &str) -> Vec<Domain> {
    let mut faults = Vec::new();
    let domains = read(&"f".into(), text, &mut faults);
    assert_eq!(faults, [], "{text}");
    domains
}

fn domain(value: &str) -> Domain {
    let value = match value.contains('*') {
        true => Value::Wildcard {
            pattern: value.to_owned(),
            share_threshold: false,
        },
        false => Value::Exact(value.to_owned()),
    };
    Domain {
        name: "d".to_owned(),
        descriptors: vec![Descriptor::new("k", value)],
    }
}

fn domains() -> impl Strategy<Value = Vec<Domain>> {
    prop::collection::btree_map(text(), siblings(), 0..3).prop_map(|domains| {
        let domain = |(name, descriptors)| Domain { name, descriptors };
        domains.into_iter().map(domain).collect()
    })
}

fn siblings() -> impl Strategy<Value = Vec<Descriptor>> {
    let leaf = node(Just(Vec::new()));
    let tree = leaf.prop_recursive(3, 12, 3, |below| {
        node(prop::collection::vec(below, 0..3).prop_map(distinct))
    });
    prop::collection::vec(tree, 0..3).prop_map(distinct)
}

fn distinct(mut siblings: Vec<Descriptor>) -> Vec<Descriptor> {
    let mut seen = std::collections::HashSet::new();
    siblings.retain(|it| seen.insert((it.key.clone(), it.value.text().map(str::to_owned))));
    siblings
}

fn node(below: impl Strategy<Value = Vec<Descriptor>>) -> impl Strategy<Value = Descriptor> {
    let parts = (text(), value(), prop::option::of(allowance()), below);
    let more = (names(), metadata(), any::<(bool, bool)>());
    (parts, more).prop_map(|((key, value, allowance, descriptors), more)| {
        let (replaces, metadata, (value_to_metric, detailed_metric)) = more;
        let bare = Descriptor {
            value_to_metric,
            ..Descriptor::new(key, value)
        };
        match allowance {
            None => Descriptor {
                descriptors,
                ..bare
            },
            Some(allowance) => Descriptor {
                replaces: match &allowance {
                    Allowance::Limited(limit) => others(replaces, limit.name.as_deref()),
                    Allowance::Unlimited => replaces,
                },
                allowance: Some(allowance),
                metadata,
                detailed_metric,
                descriptors,
                ..bare
            },
        }
    })
}

/// Names but a limit's own.
fn others(mut names: Vec<String>, own: Option<&str>) -> Vec<String> {
    names.retain(|name| Some(name.as_str()) != own);
    names
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..2)
}

fn metadata() -> impl Strategy<Value = Metadata> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(text(), value, 0..2).prop_map(|it| it.into_iter().collect())
}

/// Text with what is special in YAML well mixed in.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-a-z0-9:.?,\\[\\]{}&!|>'\"%@`#~ \n\t=<_ä]{1,8}",
        "\\PC{1,5}".prop_map(|text| text.replace('*', "x")),
        "[-+]?[0-9._e:]{1,5}",
        prop::sample::select(vec!["yes", "NULL", "~", "0x1", "<<", "2001-01-01"])
            .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Any),
        text().prop_map(Value::Exact),
        (text(), text(), any::<bool>()).prop_map(|(prefix, suffix, share_threshold)| {
            Value::Wildcard {
                pattern: format!("{prefix}*{suffix}"),
                share_threshold,
            }
        }),
    ]
}

fn allowance() -> impl Strategy<Value = Allowance> {
    let limit = (
        prop::option::of(text()),
        (any::<u32>(), any::<u32>()),
        prop::sample::select(Unit::ALL.to_vec()),
        1_u32..=10,
        prop::option::of(prop::sample::select(vec![
            Algorithm::FixedWindow,
            Algorithm::SlidingWindow,
        ])),
        prop::option::of(prop::sample::select(vec![Cost::Ask, Cost::Report])),
        any::<(bool, bool)>(),
    );
    let limit = limit.prop_map(
        |(name, (requests, burst), unit, unit_multiplier, algorithm, cost, (shadow, quota))| {
            let can_burst = requests > 0 && algorithm != Some(Algorithm::FixedWindow);
            Allowance::Limited(Limit {
                name,
                burst: if can_burst {
                    burst.min(u32::MAX - requests)
                } else {
                    0
                },
                unit_multiplier: NonZeroU32::new(unit_multiplier).unwrap(),
                algorithm,
                cost,
                shadow,
                quota,
                ..Limit::new(requests, unit)
            })
        },
    );
    prop_oneof![Just(Allowance::Unlimited), limit]
}
