//! The plain HTTP ports.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::support;
use crate::support::http::Answer;
use crate::support::http::Call;
use crate::support::service::Service;

const ALICE: &str =
    r#"{"domain": "demo", "descriptors": [{"entries": [{"key": "user", "value": "alice"}]}]}"#;

#[test]
fn json_turns_from_ok_to_over_limit() {
    let service = Service::start(&[]);
    for remaining in [2, 1, 0] {
        let answer = service.json(ALICE);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let mut status =
            json!({"code": "OK", "currentLimit": {"requestsPerUnit": 3, "unit": "MINUTE"}});
        if remaining > 0 {
            status["limitRemaining"] = json!(remaining);
        }
        assert_eq!(
            without_reset(&answer),
            json!({"overallCode": "OK", "statuses": [status]})
        );
    }
    let answer = service.json(ALICE);
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let status =
        json!({"code": "OVER_LIMIT", "currentLimit": {"requestsPerUnit": 3, "unit": "MINUTE"}});
    let expected = json!({"overallCode": "OVER_LIMIT", "statuses": [status]});
    assert_eq!(without_reset(&answer), expected);
}

#[test]
fn json_reads_both_spellings() {
    let service = Service::start(&[]);
    let camel = r#"{"domain": "demo", "hitsAddend": 2, "descriptors": [
        {"entries": [{"key": "user", "value": "camel"}]},
        {"entries": [{"key": "x", "value": "camel"}], "hitsAddend": "1",
         "limit": {"requestsPerUnit": 5, "unit": "HOUR"}}]}"#;
    let snake = r#"{"domain": "demo", "hits_addend": "2", "descriptors": [
        {"entries": [{"key": "user", "value": "snake"}]},
        {"entries": [{"key": "x", "value": "snake"}], "hits_addend": 1,
         "limit": {"requests_per_unit": 5, "unit": 3}}]}"#;
    let answer = service.json(camel);
    assert_eq!(answer.status, 200, "{answer:?}");
    let statuses = without_reset(&answer)["statuses"].clone();
    let remaining: Vec<&Value> = (0..2).map(|it| &statuses[it]["limitRemaining"]).collect();
    assert_eq!(remaining, [&json!(1), &json!(4)]);
    assert_eq!(statuses[1]["currentLimit"]["unit"], json!("HOUR"));
    assert_eq!(without_reset(&service.json(snake)), without_reset(&answer));
}

#[test]
fn json_that_cannot_be_decided_is_a_bad_request() {
    let service = Service::start(&[]);
    for (body, reason) in [
        ("", "EOF while parsing"),
        ("nonsense", "expected"),
        ("[]", "expected an object"),
        (
            r#"{"domain": "demo", "descriptor": []}"#,
            "unknown field `descriptor`",
        ),
        (
            r#"{"domain": "demo", "descriptors": [{"entry": []}]}"#,
            "unknown field `entry`",
        ),
        (
            r#"{"descriptors": [{}]}"#,
            "rate limit domain must not be empty",
        ),
        (
            r#"{"domain": "demo"}"#,
            "rate limit descriptor list must not be empty",
        ),
        (
            r#"{"domain": "demo", "descriptors": [{"limit": {"requestsPerUnit": 1, "unit": 9}}]}"#,
            "unknown unit 9",
        ),
        (
            r#"{"domain": "demo", "descriptors": [{"isNegativeHits": true}]}"#,
            "negative hits",
        ),
    ] {
        let answer = service.json(body);
        assert_eq!(answer.status, 400, "{body}");
        let kind = answer.header("content-type").unwrap();
        assert!(kind.starts_with("text/plain"), "{kind}");
        assert!(answer.body.starts_with("Bad Request\n"), "{}", answer.body);
        assert!(answer.body.contains(reason), "{body}: {}", answer.body);
    }
    let answer = Call::post("/json", b"\xff\xfe".to_vec()).send(service.http());
    assert_eq!(answer.status, 400);
    let answer = service.json(&" ".repeat(4 * 1_024 * 1_024 + 1));
    assert_eq!(answer.status, 413);
    assert_eq!(service.json(ALICE).status, 200);
}

#[test]
fn each_port_has_its_own_paths_and_no_others() {
    let service = Service::start(&[]);
    let ports = [
        (service.http(), ["/healthcheck"].as_slice()),
        (service.debug(), &["/", "/rlconfig"]),
        (service.metrics(), &["/metrics"]),
    ];
    for (port, own) in ports {
        for path in [
            "/",
            "/healthcheck",
            "/healthcheck/",
            "/rlconfig",
            "/metrics",
            "/debug/pprof/",
            "/x",
        ] {
            let expected = if own.contains(&path) { 200 } else { 404 };
            assert_eq!(Call::get(path).send(port).status, expected, "{port}{path}");
        }
    }
}

#[test]
fn rlconfig_shows_the_rules_as_the_reference_does() {
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules.yaml");
    let text = "
domain: d
descriptors:
- key: user
  rate_limit: {unit: second, requests_per_unit: 7, burst: 2}
- key: path
  value: /files/*
  shadow_mode: true
  quota_mode: true
  rate_limit: {unit: week, requests_per_unit: 0}
- key: tenant
  value: t
  descriptors:
  - key: open
    rate_limit: {unlimited: true}
  - key: slow
    rate_limit: {unit: minute, unit_multiplier: 5, requests_per_unit: 1, algorithm: fixed_window}
---
domain: a
descriptors:
- key: k
  rate_limit: {unit: year, requests_per_unit: 4294967295}
";
    fs::write(&rules, text).unwrap();
    let service = Service::start(&["--rules", rules.to_str().unwrap()]);
    let expected = "\
a.k: unit=YEAR requests_per_unit=4294967295, shadow_mode: false, quota_mode: false
d.path_/files/*: unit=WEEK requests_per_unit=0, shadow_mode: true, quota_mode: true
d.tenant_t.open: unit=UNKNOWN requests_per_unit=0, shadow_mode: false, quota_mode: false
d.tenant_t.slow: unit=MINUTE requests_per_unit=1, shadow_mode: false, quota_mode: false, \
unit_multiplier: 5, algorithm: fixed_window
d.user: unit=SECOND requests_per_unit=7, shadow_mode: false, quota_mode: false, burst: 2
";
    let answer = Call::get("/rlconfig").send(service.debug());
    assert_eq!((answer.status, &*answer.body), (200, expected));
}

#[test]
fn metrics_count_verdicts_errors_and_rules() {
    let service = Service::start(&[]);
    for _ in 0..5 {
        service.json(ALICE);
    }
    service.json("{}");
    for (series, expected) in [
        (r#"slidegate_requests_total{verdict="within"}"#, 3.0),
        (r#"slidegate_requests_total{verdict="over_limit"}"#, 2.0),
        (r#"slidegate_request_errors_total{reason="invalid"}"#, 1.0),
        (
            r#"slidegate_rule_verdicts_total{domain="demo",rule="user",verdict="within"}"#,
            3.0,
        ),
        (
            r#"slidegate_rule_verdicts_total{domain="demo",rule="user",verdict="over_limit"}"#,
            2.0,
        ),
        (
            r#"slidegate_store_duration_seconds_count{store="memory"}"#,
            5.0,
        ),
        (r#"slidegate_store_connected{store="memory"}"#, 1.0),
    ] {
        assert_eq!(service.metric(series), expected, "{series}");
    }
    let loaded = || service.metric("slidegate_config_rules");
    support::eventually("the rules are counted", || (loaded() == 9.0).then_some(()));
    assert_eq!(service.metric("slidegate_config_domains"), 1.0);
    assert!(service.metric("slidegate_config_last_load_timestamp_seconds") > 1.7e9);
}

#[test]
fn metrics_are_as_prometheus_wants_them() {
    let service = Service::start(&[]);
    service.json(ALICE);
    let answer = Call::get("/metrics").send(service.metrics());
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in answer
        .body
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
    {
        let name = line.strip_prefix("# TYPE ").unwrap();
        let is_ours = name.starts_with("slidegate_");
        assert!(is_ours || name.starts_with("ratelimit_service_"), "{line}");
    }
    let Some(promtool) = support::tool("promtool") else {
        support::skip("REQUIRE_PROMTOOL", "no promtool");
        return;
    };
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = check.stdin.take().unwrap();
    // Those of envoyproxy/ratelimit have no `_total`, which is complained of.
    let is_theirs = |line: &&str| line.contains("ratelimit_service_");
    let ours = answer
        .body
        .split_inclusive('\n')
        .filter(|it| !is_theirs(it));
    input
        .write_all(ours.collect::<String>().as_bytes())
        .unwrap();
    drop(input);
    let output = check.wait_with_output().unwrap();
    let complaints = [output.stdout, output.stderr].concat();
    let complaints = String::from_utf8_lossy(&complaints).into_owned();
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
}

/// The body, once the time until the reset has been looked at, which depends on when it is asked.
#[track_caller]
fn without_reset(answer: &Answer) -> Value {
    let mut body: Value = serde_json::from_str(&answer.body).unwrap();
    for status in body["statuses"].as_array_mut().unwrap() {
        let reset = status.as_object_mut().unwrap().remove("durationUntilReset");
        let reset = reset.unwrap();
        let seconds: u64 = reset
            .as_str()
            .unwrap()
            .strip_suffix('s')
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=3_600).contains(&seconds), "{seconds}");
    }
    body
}
