//! How long it takes to find the rule for a descriptor among 10,000, and that nothing is allocated for it.

use std::hint::black_box;

use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use slidegate::rule::Allowance;
use slidegate::rule::Descriptor;
use slidegate::rule::Domain;
use slidegate::rule::Value;
use slidegate::rule::limit::Limit;
use slidegate::rule::limit::Unit;
use slidegate::rule::tree::RuleSet;

/// How many rules there are.
const N_RULES: usize = 10_000;

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("match among {N_RULES} rules"));
    let cases = [
        (
            "a key each, exact",
            routes(),
            vec![("rule-7999", "rule-7999")],
        ),
        (
            "one key, exact values",
            values(),
            vec![("path", "/v1/7999")],
        ),
        (
            "one key, no value fits",
            values(),
            vec![("path", "/v2/7999")],
        ),
        (
            "one key, wildcards",
            wildcards(),
            vec![("path", "/v1/7999/x")],
        ),
        (
            "three levels, the last a wildcard",
            tenants(),
            vec![
                ("tenant", "t-79"),
                ("plan", "pro"),
                ("path", "/api/v1/orders/99"),
            ],
        ),
        (
            "three levels, the last without a value",
            tenants(),
            vec![("tenant", "t-79"), ("plan", "pro"), ("user", "u-123456")],
        ),
    ];
    for (name, descriptors, entries) in cases {
        let set = RuleSet::new(vec![Domain {
            name: "bench".to_owned(),
            descriptors,
        }]);
        assert_eq!(set.rules().len(), N_RULES);
        let entries: Vec<(&str, &str)> = entries;
        let find = || {
            let tree = set.domain(black_box("bench"))?;
            tree.find(black_box(&entries).iter().copied())
        };
        let allocated = allocation_counter::measure(|| {
            black_box(find());
        });
        assert_eq!(allocated.count_total, 0, "{name} allocates");
        group.bench_function(name, |bencher| bencher.iter(find));
    }
    group.finish();
}

/// As Envoy Gateway writes routes: each with a key of its own, which is its value as well.
fn routes() -> Vec<Descriptor> {
    let route = |name: String| node(&name, Value::Exact(name.clone()), Vec::new());
    (0..N_RULES).map(|it| route(format!("rule-{it}"))).collect()
}

/// Many values of one key.
fn values() -> Vec<Descriptor> {
    let value = |it| node("path", Value::Exact(format!("/v1/{it}")), Vec::new());
    (0..N_RULES).map(value).collect()
}

/// Many wildcards of one key.
fn wildcards() -> Vec<Descriptor> {
    let wildcard = |it| Value::Wildcard {
        pattern: format!("/v1/{it}/*"),
        share_threshold: false,
    };
    (0..N_RULES)
        .map(|it| node("path", wildcard(it), Vec::new()))
        .collect()
}

/// 100 tenants, each with a plan that has 98 rules: 96 exact paths, a wildcard, and each user apart.
fn tenants() -> Vec<Descriptor> {
    let tenant = |it| {
        let mut paths: Vec<Descriptor> = (0..96)
            .map(|it| {
                node(
                    "path",
                    Value::Exact(format!("/api/v1/items/{it}")),
                    Vec::new(),
                )
            })
            .collect();
        let pattern = "/api/*/orders/*".to_owned();
        let wildcard = Value::Wildcard {
            pattern,
            share_threshold: true,
        };
        paths.push(node("path", wildcard, Vec::new()));
        paths.push(node("user", Value::Any, Vec::new()));
        let plan = node("plan", Value::Exact("pro".to_owned()), paths);
        node("tenant", Value::Exact(format!("t-{it}")), vec![plan])
    };
    (0..100).map(tenant).collect()
}

fn node(key: &str, value: Value, descriptors: Vec<Descriptor>) -> Descriptor {
    Descriptor {
        allowance: Some(Allowance::Limited(Limit::new(100, Unit::Hour))),
        descriptors,
        ..Descriptor::new(key, value)
    }
}

criterion_group!(benches, matching);
criterion_main!(benches);
