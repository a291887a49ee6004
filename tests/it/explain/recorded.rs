//! What is explained, against what Envoy asked when Envoy Gateway had the same manifests.

use std::fs;
use std::net::IpAddr;
use std::net::Ipv4Addr;

use serde_json::Value;
use slidegate::manifest::explain::Explanation;
use slidegate::manifest::explain::explain;
use slidegate::manifest::explain::request::Request;
use slidegate::rule::tree::RuleSet;
use slidegate::source;
use slidegate::source::documents::Deployed;
use slidegate::source::file;

use crate::support::in_project;

#[test]
fn every_call_that_envoy_made_is_explained_and_no_other() {
    for (name, n_requests, n_refused_early) in [
        ("selectors", 80, 0),
        ("routes", 19, 0),
        ("shared", 15, 1),
        ("plans", 10, 0),
        ("policies", 21, 0),
    ] {
        let folder = in_project("tests/vectors").join(name);
        let files = file::read(&[folder.join("input.yaml")]).unwrap();
        let Deployed {
            manifests, domains, ..
        } = source::deployed(&files, "default").unwrap();
        let rules = RuleSet::new(domains);
        let recorded = fs::read_to_string(folder.join("recorded.yaml")).unwrap();
        let recorded: Vec<Value> = serde_saphyr::from_str(&recorded).unwrap();
        let mut n_short = 0;
        for record in &recorded {
            let request = request(&record["step"]);
            let mut answers = explain(&manifests, &rules, &request).unwrap();
            assert_eq!(answers.len(), 1, "{request:?}");
            let explanation = answers.remove(0).met;
            n_short += usize::from(compare(name, record, explanation.as_ref()));
        }
        assert_eq!(
            (recorded.len(), n_short),
            (n_requests, n_refused_early),
            "{name}"
        );
    }
}

/// Compares the calls of a request; whether an early refusal has spared Envoy some of them.
#[track_caller]
fn compare(name: &str, record: &Value, explanation: Option<&Explanation>) -> bool {
    let place = format!("{name}: {}", record["step"]);
    let empty = Vec::new();
    let recorded = record["calls"].as_array().unwrap_or(&empty);
    let Some(explanation) = explanation else {
        assert_eq!(
            (recorded.len(), &record["status"]),
            (0, &Value::from(404)),
            "{place}"
        );
        return false;
    };
    let is_refused = |call: &Value| call["overall_code"] == "OVER_LIMIT";
    let is_short = recorded.len() < explanation.calls.len();
    assert!(recorded.len() <= explanation.calls.len(), "{place}");
    assert!(
        !is_short || recorded.last().is_some_and(is_refused),
        "{place}"
    );
    for (actual, expected) in explanation.calls.iter().zip(recorded) {
        assert_eq!(
            Value::from(actual.domain.as_str()),
            expected["domain"],
            "{place}"
        );
        let entries = actual.descriptors.iter().map(|sent| {
            let entries = sent.entries.iter();
            let entries: Vec<String> = entries
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            Value::from(entries)
        });
        let expected = expected["descriptors"].as_array().unwrap();
        let expected: Vec<Value> = expected.iter().map(|it| it["entries"].clone()).collect();
        assert_eq!(entries.collect::<Vec<_>>(), expected, "{place}");
    }
    // Which of several limits has least left depends on what was counted before.
    let limits = |text: &str| text.split_once(", ").unwrap().1.to_owned();
    // Of headers that stand there twice, the last was recorded.
    let mut headers = explanation.headers.iter().rev();
    let last =
        headers.find_map(|(name, value)| (name == "x-ratelimit-limit").then(|| limits(value)));
    let written = record["headers"]["x-ratelimit-limit"].as_str().map(limits);
    assert_eq!(last, written, "{place}");
    is_short
}

fn request(step: &Value) -> Request {
    let text = |key: &str| step[key].as_str().map(str::to_owned);
    let headers = step["headers"].as_object().into_iter().flatten();
    let header =
        |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().to_owned());
    Request {
        method: text("method").unwrap_or("GET".to_owned()),
        host: text("host").unwrap(),
        port: Some(
            step["port"]
                .as_u64()
                .map_or(8888, |port| port.try_into().unwrap()),
        ),
        path: text("path").unwrap(),
        headers: headers.map(header).collect(),
        auth_headers: Vec::new(),
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    }
}
