//! What Envoy Gateway was recorded to push, and the calls that Envoy then made.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor as Asked;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitConfig;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitPolicy;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitUnit;
use envoy_types::util::pack_any;
use serde_json::Value;

use crate::support::ads::Ads;
use crate::support::http::Call;
use crate::support::in_project;
use crate::support::rls::descriptor;
use crate::support::rls::joined;
use crate::support::rls::said;
use crate::support::rls::status_said;
use crate::support::service::Service;
use crate::support::unix_seconds;
use crate::xds::rules;
use crate::xds::start;

#[tokio::test]
async fn with_fixed_windows_every_answer_is_the_recorded_one() {
    for name in VECTORS {
        let differences = replay_within_an_hour(name, "fixed_window").await;
        assert_eq!(differences, [""; 0], "{name}");
    }
}

#[tokio::test]
async fn with_sliding_windows_answers_differ_only_where_a_refusal_charges_nothing() {
    let mut differences = Vec::new();
    for name in VECTORS {
        differences.extend(replay_within_an_hour(name, "sliding_window").await);
    }
    assert_eq!(differences, SLIDING);
}

/// A request of two descriptors was refused for one of them: the other is not charged, then or
/// later, and not counted. After the answers of each recording come its counters.
const SLIDING: [&str; 24] = [
    "tiers OVER_LIMIT: OVER_LIMIT 0 of 2 HOUR, OK 4 of 6 HOUR, \
     recorded OVER_LIMIT: OVER_LIMIT 0 of 2 HOUR, OK 3 of 6 HOUR",
    "tiers OK: OK 3 of 4 HOUR, OK 3 of 6 HOUR, recorded OK: OK 3 of 4 HOUR, OK 2 of 6 HOUR",
    "tiers OK: OK 2 of 6 HOUR, recorded OK: OK 1 of 6 HOUR",
    "tiers OK: OK 1 of 6 HOUR, recorded OK: OK 0 of 6 HOUR",
    "tiers OK: OK 0 of 6 HOUR, recorded OVER_LIMIT: OVER_LIMIT 0 of 6 HOUR",
    "zero OVER_LIMIT: OVER_LIMIT 0 of 0 HOUR, OK 4294967295 of 4294967295 HOUR, \
     recorded OVER_LIMIT: OVER_LIMIT 0 of 0 HOUR, OK 4294967294 of 4294967295 HOUR",
    "zero OK: OK 4294967294 of 4294967295 HOUR, recorded OK: OK 4294967293 of 4294967295 HOUR",
    r#"ratelimit_service_rate_limit_over_limit{domain="default/eg/http",key1="httproute/default/tiers/rule/0/match/0/tiers_example_com_httproute/default/tiers/rule/0/match/0/tiers_example_com",key2="rule-2-match--1_rule-2-match--1"} 0, recorded 1"#,
    r#"ratelimit_service_rate_limit_total_hits{domain="default/eg/http",key1="httproute/default/tiers/rule/0/match/0/tiers_example_com_httproute/default/tiers/rule/0/match/0/tiers_example_com",key2="rule-2-match--1_rule-2-match--1"} 6, recorded 7"#,
    r#"ratelimit_service_rate_limit_total_hits{domain="default/eg/http",key1="httproute/default/zero/rule/0/match/0/zero_example_com_httproute/default/zero/rule/0/match/0/zero_example_com",key2="rule-1-match--1_rule-1-match--1"} 1, recorded 2"#,
    r#"ratelimit_service_rate_limit_within_limit{domain="default/eg/http",key1="httproute/default/zero/rule/0/match/0/zero_example_com_httproute/default/zero/rule/0/match/0/zero_example_com",key2="rule-1-match--1_rule-1-match--1"} 1, recorded 2"#,
    "mix OVER_LIMIT: OVER_LIMIT 0 of 2 HOUR, OK 2 of 2 HOUR, \
     recorded OVER_LIMIT: OVER_LIMIT 0 of 2 HOUR, OK 1 of 2 HOUR",
    r#"ratelimit_service_rate_limit_total_hits{domain="default/eg/http",key1="httproute/default/mix/rule/0/match/0/mix_example_com_httproute/default/mix/rule/0/match/0/mix_example_com",key2="rule-1-match-0_rule-1-match-0"} 0, recorded 1"#,
    r#"ratelimit_service_rate_limit_within_limit{domain="default/eg/http",key1="httproute/default/mix/rule/0/match/0/mix_example_com_httproute/default/mix/rule/0/match/0/mix_example_com",key2="rule-1-match-0_rule-1-match-0"} 0, recorded 1"#,
    "c OVER_LIMIT: OVER_LIMIT 0 of 3 HOUR, OK 97 of 100 MONTH, \
     recorded OVER_LIMIT: OVER_LIMIT 0 of 3 HOUR, OK 96 of 100 MONTH",
    "a OVER_LIMIT: OVER_LIMIT 0 of 3 HOUR, OK 97 of 100 MONTH, \
     recorded OVER_LIMIT: OVER_LIMIT 0 of 3 HOUR, OK 95 of 100 MONTH",
    r#"ratelimit_service_rate_limit_total_hits{domain="default/plans",key1="default/plans/rule/1_default/plans/rule/1",key2="rule-1-match-0_rule-1-match-0"} 4, recorded 6"#,
    r#"ratelimit_service_rate_limit_within_limit{domain="default/plans",key1="default/plans/rule/1_default/plans/rule/1",key2="rule-1-match-0_rule-1-match-0"} 4, recorded 6"#,
    "merged OVER_LIMIT: OVER_LIMIT 0 of 1 HOUR, OK 3 of 4 HOUR, \
     recorded OVER_LIMIT: OVER_LIMIT 0 of 1 HOUR, OK 2 of 4 HOUR",
    "merged OK: OK 2 of 4 HOUR, recorded OK: OK 1 of 4 HOUR",
    "merged OK: OK 1 of 4 HOUR, recorded OK: OK 0 of 4 HOUR",
    r#"ratelimit_service_rate_limit_near_limit{domain="default/eg/http",key1="httproute/default/merged/rule/0/match/0/merged_example_com_httproute/default/merged/rule/0/match/0/merged_example_com",key2="rule-1-match--1_rule-1-match--1"} 0, recorded 1"#,
    r#"ratelimit_service_rate_limit_total_hits{domain="default/eg/http",key1="httproute/default/merged/rule/0/match/0/merged_example_com_httproute/default/merged/rule/0/match/0/merged_example_com",key2="rule-1-match--1_rule-1-match--1"} 3, recorded 4"#,
    r#"ratelimit_service_rate_limit_within_limit{domain="default/eg/http",key1="httproute/default/merged/rule/0/match/0/merged_example_com_httproute/default/merged/rule/0/match/0/merged_example_com",key2="rule-1-match--1_rule-1-match--1"} 3, recorded 4"#,
];

const VECTORS: [&str; 5] = ["selectors", "routes", "shared", "plans", "policies"];

/// Starts over when an hour has ended meanwhile, and with it the fixed windows.
async fn replay_within_an_hour(name: &str, algorithm: &str) -> Vec<String> {
    loop {
        let hour = unix_seconds() / 3_600;
        let differences = replay(name, algorithm).await;
        if hour == unix_seconds() / 3_600 {
            return differences;
        }
    }
}

/// Pushes the rules, makes the calls, and says which answers are others than the recorded ones.
async fn replay(name: &str, algorithm: &str) -> Vec<String> {
    let ads = Ads::start();
    let service = start(&ads, &["--algorithm", algorithm]);
    ads.push(pushed(name));
    ads.accepted("1");
    let listed = fs::read_to_string(folder(name).join("rlconfig.txt")).unwrap();
    assert_eq!(rules(&service), listed, "{name}");
    let mut differences = calls(&service, name).await;
    let recorded = fs::read_to_string(folder(name).join("metrics.txt")).unwrap();
    let (counted, recorded) = (counters(&service), values(&recorded));
    let series: BTreeSet<_> = counted.keys().chain(recorded.keys()).collect();
    for series in series {
        let [counted, recorded] = [&counted, &recorded].map(|it| it.get(series));
        if counted != recorded {
            let [counted, recorded] = [counted, recorded].map(|it| it.map_or("0", |it| it));
            differences.push(format!("{series} {counted}, recorded {recorded}"));
        }
    }
    differences
}

/// What has been counted under the names of envoyproxy/ratelimit.
fn counters(service: &Service) -> BTreeMap<String, String> {
    let page = Call::get("/metrics").send(service.metrics()).body;
    let (counters, others): (Vec<_>, Vec<_>) = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ratelimit_service_"))
        .partition(|line| line.ends_with(" counter"));
    assert_eq!(others, ["response_time_seconds histogram"]);
    assert_eq!(counters.len(), 10, "{counters:?}");
    let mut counted = values(&page);
    counted.retain(|series, value| {
        series.starts_with("ratelimit_service_")
            && !series.starts_with("ratelimit_service_response_time_seconds")
            && value != "0"
    });
    counted
}

/// The values of a page, by their series.
fn values(page: &str) -> BTreeMap<String, String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs
        .map(|(series, value)| (series.to_owned(), value.to_owned()))
        .collect()
}

async fn calls(service: &Service, name: &str) -> Vec<String> {
    let mut rls = service.rls().await;
    let mut differences = Vec::new();
    for step in yaml(name, "recorded.yaml") {
        for call in step["calls"].as_array().into_iter().flatten() {
            let answer = said(&rls.ask(message(call)).await);
            let recorded = recorded(call);
            if answer != recorded {
                let host = text(&step["step"]["host"]);
                let host = host.split('.').next().unwrap();
                differences.push(format!("{host} {answer}, recorded {recorded}"));
            }
        }
    }
    differences
}

fn pushed(name: &str) -> Vec<Any> {
    let configs = yaml(name, "rate-limit-config.yaml");
    let config = |config: &Value| {
        pack_any(RateLimitConfig {
            name: text(&config["name"]),
            domain: text(&config["domain"]),
            descriptors: nodes(&config["descriptors"]),
        })
    };
    configs.iter().map(config).collect()
}

fn nodes(list: &Value) -> Vec<RateLimitDescriptor> {
    let node = |node: &Value| {
        let policy = node.get("rate_limit").map(|limit| RateLimitPolicy {
            unit: RateLimitUnit::from_str_name(&text(&limit["unit"]))
                .unwrap()
                .into(),
            requests_per_unit: number(&limit["requests_per_unit"]),
            ..RateLimitPolicy::default()
        });
        RateLimitDescriptor {
            key: text(&node["key"]),
            value: text(&node["value"]),
            rate_limit: policy,
            descriptors: nodes(&node["descriptors"]),
            shadow_mode: node["shadow_mode"] == true,
            ..RateLimitDescriptor::default()
        }
    };
    list.as_array().into_iter().flatten().map(node).collect()
}

fn message(call: &Value) -> RateLimitRequest {
    let asked = |asked: &Value| -> Asked {
        let entries = asked["entries"].as_array().unwrap().iter();
        let entries: Vec<_> = entries
            .map(|it| it.as_str().unwrap().split_once('=').unwrap())
            .collect();
        descriptor(&entries)
    };
    RateLimitRequest {
        domain: text(&call["domain"]),
        descriptors: call["descriptors"]
            .as_array()
            .unwrap()
            .iter()
            .map(asked)
            .collect(),
        hits_addend: 0,
    }
}

/// As [`said`], of a recorded answer.
fn recorded(call: &Value) -> String {
    let statuses = call["statuses"].as_array().unwrap().iter().map(|status| {
        let limit = status.get("current_limit");
        let limit = limit.map(|it| (number(&it["requests_per_unit"]), text(&it["unit"])));
        let limit = limit
            .as_ref()
            .map(|(requests, unit)| (*requests, &**unit, ""));
        let (code, remaining) = (text(&status["code"]), number(&status["limit_remaining"]));
        status_said(&code, remaining, limit)
    });
    joined(&text(&call["overall_code"]), statuses)
}

/// Empty where it is absent, as in protobuf's JSON.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Zero where it is absent, as in protobuf's JSON.
fn number(value: &Value) -> u32 {
    value.as_u64().unwrap_or(0).try_into().unwrap()
}

fn yaml(name: &str, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder(name).join(file)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn folder(name: &str) -> std::path::PathBuf {
    in_project("tests/vectors").join(name)
}
