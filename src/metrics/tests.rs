//! Tests of the metrics' text.

use crate::metrics::Metrics;
use crate::metrics::name::COUNTERS;
use crate::metrics::name::GAUGES;
use crate::metrics::name::RULE_COUNTERS;
use crate::metrics::reference;

#[test]
fn every_metric_has_a_help_text_and_a_type() {
    let metrics = Metrics::new();
    let rule = metrics.rule("demo", "user");
    let (source, service) = (metrics.source(), metrics.service());
    metrics.store("memory").latency.record(0.001);
    metrics.fallback().local.increment(1);
    metrics.ledger().takes.increment(1);
    let text = metrics.render();
    drop((rule, source, service));
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        let is_ours = name.starts_with("slidegate_");
        assert!(is_ours || name.starts_with("ratelimit_service_"), "{name}");
    }
    let types = text.matches("# TYPE ").count();
    // And the histograms.
    let counters = COUNTERS.len() + RULE_COUNTERS.len() + reference::COUNTERS.len();
    assert_eq!(types, counters + GAUGES.len() + 2, "{text}");
}

#[test]
fn a_handle_made_twice_counts_in_one_series() {
    let metrics = Metrics::new();
    let handles = [metrics.rule("demo", "user"), metrics.rule("demo", "user")];
    for (handle, by) in handles.iter().zip(1..) {
        handle.over_limit.increment(by);
    }
    let expected =
        r#"slidegate_rule_verdicts_total{domain="demo",rule="user",verdict="over_limit"} 3"#;
    assert!(metrics.render().contains(expected), "{}", metrics.render());
}

#[test]
fn names_from_the_configuration_are_escaped() {
    let metrics = Metrics::new();
    let _rule = metrics.rule("a\"b\\\\c\nd", "r");
    let expected = r#"domain="a\"b\\\\c\nd""#;
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

#[test]
fn series_of_rules_end_when_nobody_counts_in_them_any_more() {
    let metrics = Metrics::new();
    let [kept, gone] = ["kept", "gone"].map(|rule| metrics.rule("demo", rule));
    gone.hits.total.increment(7);
    assert_eq!(metrics.render().matches("gone").count(), 9);
    drop(gone);
    let text = metrics.render();
    assert!(text.contains("kept") && !text.contains("gone"), "{text}");
    let again = metrics.rule("demo", "gone");
    let series = r#"ratelimit_service_rate_limit_total_hits{domain="demo",key1="gone"} 0"#;
    assert!(metrics.render().contains(series));
    drop((kept, again));
}

#[test]
fn prometheus_sees_the_sum_of_rules_that_differ_on_deeper_levels() {
    let metrics = Metrics::new();
    let rules = ["a.b.c", "a.b.d"].map(|rule| metrics.rule("demo", rule));
    for rule in &rules {
        rule.hits.within.increment(2);
    }
    let series = r#"ratelimit_service_rate_limit_within_limit{domain="demo",key1="a",key2="b"} 4"#;
    let text = metrics.render();
    assert!(text.contains(series), "{text}");
}
