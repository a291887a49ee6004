//! What answers carry beside the codes, when the settings ask for it.

use std::fs;

use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::support::process::Process;
use crate::support::rls::request;
use crate::support::service::Service;
use crate::support::service::slidegate;

const RULES: &str = "
domain: d
descriptors:
- key: day
  metadata: {pool: days, nested: {a: 1, same: day}}
  rate_limit: {unit: day, requests_per_unit: 3, name: days}
- key: hour
  metadata: {pool: hours, nested: {b: [true, ~], same: hour}}
  rate_limit: {unit: hour, requests_per_unit: 2}
- key: none
  metadata: {pool: none}
  rate_limit: {unit: hour, requests_per_unit: 0}
- key: free
  metadata: {pool: free}
  rate_limit: {unlimited: true}
";

#[tokio::test]
async fn headers_tell_of_the_limit_that_is_nearest_to_its_end() {
    for (algorithm, of_a_day) in [("sliding_window", 86_400), ("fixed_window", 1)] {
        let (service, _folder) = start(&["--limit-headers", "--algorithm", algorithm]);
        let mut rls = service.rls().await;
        let both = request("d", &[&[("day", "x")], &[("hour", "x")]]);
        let response = rls.ask(both.clone()).await.unwrap();
        assert_eq!(
            headers(&response)[..2],
            ["RateLimit-Limit: 2", "RateLimit-Remaining: 1"]
        );
        let reset = reset(&response);
        assert!((of_a_day.min(3_600)..=3_600).contains(&reset), "{reset}");
        assert_eq!(Some(reset), until_reset(&response, 1));

        let response = rls
            .ask(request("d", &[&[("free", "x")], &[("other", "x")]]))
            .await;
        assert_eq!(headers(&response.unwrap()), [""; 0]);
        let response = rls
            .ask(request("d", &[&[("none", "x")], &[("hour", "x")]]))
            .await;
        let headers = headers(&response.unwrap());
        assert_eq!(
            headers[..2],
            ["RateLimit-Limit: 0", "RateLimit-Remaining: 0"]
        );
    }
}

#[tokio::test]
async fn the_same_headers_may_go_to_the_backend_under_other_names() {
    let (service, _folder) = start(&["--limit-request-headers"]);
    let ask = async |service: &Service| {
        let mut rls = service.rls().await;
        rls.ask(request("d", &[&[("day", "x")]])).await.unwrap()
    };
    let response = ask(&service).await;
    assert_eq!(headers(&response), [""; 0]);
    let text = |it: &HeaderValue| format!("{}: {}", it.key, it.value);
    let added = |response: &RateLimitResponse| {
        let added = response.request_headers_to_add.iter().map(text);
        added.collect::<Vec<_>>()
    };
    let expected = [
        "RateLimit-Limit: 3",
        "RateLimit-Remaining: 2",
        "RateLimit-Reset: 86400",
    ];
    assert_eq!(added(&response), expected);

    let folder = rules();
    let mut command = slidegate(&["serve", "--drop-in", "--grpc-addr", "127.0.0.1:0"]);
    command.args(["--http-addr", "127.0.0.1:0", "--debug-addr", "127.0.0.1:0"]);
    command.arg("--rules").arg(folder.path()).envs([
        ("SLIDEGATE_STORE", "memory"),
        ("USE_STATSD", "false"),
        ("LOG_LEVEL", "info"),
        ("LIMIT_REQUEST_HEADERS_ENABLED", "true"),
        ("LIMIT_REQUEST_LIMIT_HEADER", "X-Limit"),
        ("LIMIT_RESPONSE_HEADERS_ENABLED", "true"),
    ]);
    let response = ask(&Service::of(Process::start(&mut command))).await;
    assert_eq!(
        added(&response)[..2],
        ["X-Limit: 3", "RateLimit-Remaining: 2"]
    );
    assert_eq!(headers(&response)[0], "RateLimit-Limit: 3");
}

#[tokio::test]
async fn headers_have_the_names_that_are_asked_for() {
    let names = ["--limit-header", "X-Limit", "--remaining-header", "X-Left"];
    let arguments = [
        &names[..],
        &["--reset-header", "X-Reset", "--limit-headers"],
    ]
    .concat();
    let (service, _folder) = start(&arguments);
    let response = service
        .rls()
        .await
        .ask(request("d", &[&[("day", "x")]]))
        .await;
    let headers = headers(&response.unwrap());
    assert_eq!(headers, ["X-Limit: 3", "X-Left: 2", "X-Reset: 86400"]);
}

#[test]
fn a_name_that_no_header_can_have_is_refused() {
    let mut process = Process::start(&mut slidegate(&["serve", "--limit-header", "a b"]));
    assert!(process.line_with("expected the name of a header").is_some());
    assert_eq!(process.wait().code(), Some(2));
}

#[test]
fn without_settings_answers_carry_nothing_more() {
    let (service, _folder) = start(&[]);
    let body = ask(
        &service,
        &json!([{"entries": [{"key": "day", "value": "x"}]}]),
        0,
    );
    let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["overallCode", "statuses"]);
}

#[test]
fn metadata_says_what_was_asked_and_joins_that_of_the_rules_that_pass() {
    let (service, _folder) = start(&["--response-metadata", "--limit-headers"]);
    let descriptors = json!([
        {"entries": [{"key": "free", "value": "x"}]},
        {"entries": [{"key": "day", "value": "x"}], "hitsAddend": 0},
        {"entries": [{"key": "none", "value": "x"}]},
        {"entries": [{"key": "hour", "value": "x"}, {"key": "deep", "value": ""}]},
        {"entries": [{"key": "hour", "value": "x"}]},
        {"entries": [], "limit": {"requestsPerUnit": 4, "unit": "WEEK"}},
    ]);
    let body = ask(&service, &descriptors, 2);
    assert_eq!(body["overallCode"], "OVER_LIMIT");
    assert_eq!(
        body["responseHeadersToAdd"][0],
        json!({"key": "RateLimit-Limit", "value": "0"})
    );
    let expected = json!({
        "domain": "d",
        "hitsAddend": 2,
        "descriptors": [
            {"entries": ["free=x"]},
            {"entries": ["day=x"], "hitsAddend": 0},
            {"entries": ["none=x"]},
            {"entries": ["hour=x", "deep="]},
            {"entries": ["hour=x"]},
            {"entries": [], "limit": "requests_per_unit:4 unit:WEEK"},
        ],
        "metadata": {
            "pool": "days",
            "nested": {"a": 1, "b": [true, null], "same": "day"},
        },
    });
    assert_eq!(body["dynamicMetadata"], expected);

    let nothing = json!([{"entries": [{"key": "none", "value": "x"}]}]);
    let body = ask(&service, &nothing, 0);
    let expected = json!({"domain": "d", "descriptors": [{"entries": ["none=x"]}]});
    assert_eq!(body["dynamicMetadata"], expected);
}

fn start(arguments: &[&str]) -> (Service, TempDir) {
    let folder = rules();
    let rules = ["--rules", folder.path().to_str().unwrap()];
    (Service::start(&[&rules, arguments].concat()), folder)
}

fn rules() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    folder
}

#[track_caller]
fn ask(service: &Service, descriptors: &Value, hits_addend: u32) -> Value {
    let message = json!({"domain": "d", "descriptors": descriptors, "hitsAddend": hits_addend});
    let answer = service.json(&message.to_string());
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

fn headers(response: &RateLimitResponse) -> Vec<String> {
    let headers = response.response_headers_to_add.iter();
    headers
        .map(|it| format!("{}: {}", it.key, it.value))
        .collect()
}

fn reset(response: &RateLimitResponse) -> i64 {
    response.response_headers_to_add[2].value.parse().unwrap()
}

fn until_reset(response: &RateLimitResponse, index: usize) -> Option<i64> {
    let until = response.statuses[index].duration_until_reset?;
    Some(until.seconds)
}
