//! Tests of the metrics' text.

use crate::metrics::COUNTERS;
use crate::metrics::GAUGES;
use crate::metrics::Metrics;
use crate::metrics::reference;

#[test]
fn every_metric_has_a_help_text_and_a_type() {
    let metrics = metrics_in_use();
    let text = metrics.render();
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        let is_ours = name.starts_with("slidegate_");
        assert!(is_ours || name.starts_with("ratelimit_service_"), "{name}");
    }
    let types = text.matches("# TYPE ").count();
    // And the histogram.
    let counters = COUNTERS.len() + reference::COUNTERS.len();
    assert_eq!(types, counters + GAUGES.len() + 1, "{text}");
}

#[test]
fn a_handle_made_twice_counts_in_one_series() {
    let metrics = Metrics::new();
    metrics.rule("demo", "user").over_limit.increment(1);
    metrics.rule("demo", "user").over_limit.increment(2);
    let expected =
        r#"slidegate_rule_verdicts_total{domain="demo",rule="user",verdict="over_limit"} 3"#;
    assert!(metrics.render().contains(expected), "{}", metrics.render());
}

#[test]
fn names_from_the_configuration_are_escaped() {
    let metrics = Metrics::new();
    metrics.rule("a\"b\\c\nd", "r").within.increment(1);
    let expected = r#"domain="a\"b\\c\nd""#;
    assert!(metrics.render().contains(expected), "{}", metrics.render());
}

#[test]
fn upkeep_loses_nothing_of_a_histogram() {
    let metrics = Metrics::new();
    let store = metrics.store("redis");
    store.latency.record(0.000_15);
    metrics.upkeep();
    store.latency.record(1.0);
    let text = metrics.render();
    let bucket = r#"slidegate_store_duration_seconds_bucket{store="redis",le="0.0002"} 1"#;
    let count = r#"slidegate_store_duration_seconds_count{store="redis"} 2"#;
    assert!(text.contains(bucket) && text.contains(count), "{text}");
}

fn metrics_in_use() -> Metrics {
    let metrics = Metrics::new();
    metrics.rule("demo", "user").within.increment(1);
    metrics.store("memory").latency.record(0.001);
    metrics.source().rules.set(1.0);
    metrics.service().within.increment(1);
    metrics.fallback().local.increment(1);
    metrics.ledger().takes.increment(1);
    metrics
}
