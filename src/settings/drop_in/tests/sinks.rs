//! Where metrics and spans go.

use super::*;
use crate::settings::stats::StatsdProtocol;

#[test]
fn metrics_go_to_statsd_unless_they_go_elsewhere_or_nowhere() {
    for (values, is_served, expected) in [
        (
            &[][..],
            false,
            Some(("localhost:8125", StatsdProtocol::Tcp)),
        ),
        (&[("USE_STATSD", "false")], false, None),
        (&[("USE_PROMETHEUS", "true")], true, None),
        (
            &[
                ("USE_PROMETHEUS", "true"),
                ("USE_STATSD", "true"),
                ("STATSD_HOST", "a"),
            ],
            true,
            Some(("a:8125", StatsdProtocol::Tcp)),
        ),
        (
            &[("USE_DOG_STATSD", "true"), ("STATSD_PORT", "9")],
            false,
            Some(("localhost:9", StatsdProtocol::Dog)),
        ),
        (
            &[("STATSD_PROTOCOL", "udp")],
            false,
            Some(("localhost:8125", StatsdProtocol::Udp)),
        ),
        (
            &[("USE_PROMETHEUS", "true"), ("DISABLE_STATS", "true")],
            false,
            None,
        ),
    ] {
        let serve = applied(&[&REDIS, values].concat()).unwrap();
        let stats = serve.stats;
        let server = stats.statsd_addr.as_deref();
        let found = server.map(|server| (server, stats.statsd_protocol));
        assert_eq!(
            (serve.has_metrics, found),
            (is_served, expected),
            "{values:?}"
        );
    }
}

#[test]
fn a_mogrifier_has_a_pattern_a_name_and_tags() {
    let mut values = vec![
        ("USE_DOG_STATSD", "true"),
        ("USE_DOG_STATSD_MOGRIFIERS", "one,Two"),
        ("DOG_STATSD_MOGRIFIER_ONE_PATTERN", r"^a\.(.*)$"),
        ("DOG_STATSD_MOGRIFIER_ONE_NAME", "b"),
        ("DOG_STATSD_MOGRIFIER_ONE_TAGS", "rest:$1"),
        ("DOG_STATSD_MOGRIFIER_TWO_PATTERN", "("),
        ("DOG_STATSD_MOGRIFIER_TWO_TAGS", "x"),
    ];
    let faults = applied(&values).unwrap_err().to_string();
    let expected = "DOG_STATSD_MOGRIFIER_TWO_NAME=: expected what names become
DOG_STATSD_MOGRIFIER_TWO_TAGS=x: expected pairs such as key:value,other:value";
    assert_eq!(faults, expected);
    values[1].1 = "one";
    let renames = applied(&[&REDIS[..], &values].concat())
        .unwrap()
        .stats
        .renames;
    assert_eq!((renames.len(), renames[0].name.as_str()), (1, "b"));
    assert_eq!(renames[0].tags, [("rest".to_owned(), "$1".to_owned())]);
}

#[test]
fn spans_go_where_opentelemetry_says() {
    for (values, expected) in [
        (&[][..], "http://localhost:4318/v1/traces"),
        (
            &[("TRACING_EXPORTER_PROTOCOL", "grpc")],
            "http://localhost:4317",
        ),
        (
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a:1/b/")],
            "https://a:1/b/v1/traces",
        ),
        (
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1"),
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:2/t"),
            ],
            "http://b:2/t",
        ),
    ] {
        let serve = applied(&[&REDIS[..], &[("TRACING_ENABLED", "t")], values].concat());
        assert_eq!(serve.unwrap().tracing.url().as_deref(), Some(expected));
        let serve = applied(&[&REDIS, values].concat());
        assert_eq!(serve.unwrap().tracing.url(), None, "nobody asked for it");
    }
    let tracing = applied(&[
        ("TRACING_ENABLED", "true"),
        ("TRACING_SAMPLING_RATE", "0.6"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
    ]);
    let tracing = tracing.unwrap().tracing;
    assert_eq!(
        (tracing.trace_ratio, tracing.trace_service.as_str()),
        (0.6, "RateLimit")
    );
    assert_eq!(tracing.otlp_timeout, Duration::from_millis(250));
    let faults = applied(&[
        ("TRACING_ENABLED", "true"),
        ("TRACING_EXPORTER_PROTOCOL", "udp"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
    ]);
    assert_eq!(
        faults.unwrap_err().to_string(),
        "TRACING_EXPORTER_PROTOCOL=udp: expected http or grpc
OTEL_EXPORTER_OTLP_HEADERS=…: expected headers such as name=value,other=value
OTEL_EXPORTER_OTLP_COMPRESSION=zip: expected gzip or none"
    );
}
