//! `slidegate load`, against the service and against what is none.

use std::net::Ipv4Addr;
use std::net::TcpListener;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::support::service::Service;
use crate::support::service::slidegate;

#[test]
fn every_request_is_counted_by_its_answer() {
    let (service, _rules) = service();
    let report = load(&service, "--entry-key fifty --requests 1000");
    assert_eq!(report["requests"], 1_000);
    assert_eq!(report["ok"], 50);
    assert_eq!(report["over_limit"], 950);
    assert_eq!(report["errors"], 0);
    let requests = r#"slidegate_requests_total{verdict="over_limit"}"#;
    assert_eq!(service.metric(requests), 950.0);
}

#[test]
fn each_of_many_values_has_its_own_limit() {
    let (service, _rules) = service();
    let flags = "--entry-key fifty --keys 4 --zipf 0.5 --descriptors 2 --requests 4000";
    let report = load(&service, flags);
    // Both descriptors of a request draw their value, so one refuses when only the other has room.
    let ok = report["ok"].as_u64().unwrap();
    assert!((100..=200).contains(&ok), "{report}");
    assert_eq!(report["over_limit"], 4_000 - ok);
}

#[test]
fn a_rate_says_how_many_requests_there_are_and_when() {
    let (service, _rules) = service();
    let report = load(&service, "--entry-key vast --rate 500 --duration 1s");
    assert_eq!(report["requests"], 500);
    assert_eq!(report["errors"], 0, "{report}");
    // The last is due 2 ms before the end.
    assert!(report["seconds"].as_f64().unwrap() >= 0.998, "{report}");
}

#[test]
fn a_duration_ends_what_has_no_rate() {
    let (service, _rules) = service();
    let report = load(
        &service,
        "--entry-key vast --concurrency 3 --duration 200ms",
    );
    assert!(report["seconds"].as_f64().unwrap() >= 0.2, "{report}");
    assert!(report["ok"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn several_services_share_the_requests() {
    let (first, _rules) = service();
    let (second, _more_rules) = service();
    let flags = format!(
        "--target {} --entry-key vast --requests 1000 --rate 100000",
        second.grpc()
    );
    let report = load(&first, &flags);
    assert_eq!(report["ok"], 1_000);
    let served =
        [&first, &second].map(|it| it.metric(r#"slidegate_requests_total{verdict="within"}"#));
    assert!(served.iter().all(|count| *count > 0.0), "{served:?}");
    assert_eq!(served.iter().sum::<f64>(), 1_000.0);
}

#[test]
fn a_share_of_the_requests_is_over_its_limit() {
    let (service, _rules) = service();
    let flags = "--entry-key vast --over-limit-share 0.5 --over-limit-key none --requests 1000";
    let report = load(&service, flags);
    let over = report["over_limit"].as_u64().unwrap();
    assert!((300..700).contains(&over), "{report}");
    assert_eq!(report["ok"], 1_000 - over);
}

#[test]
fn cpu_time_is_that_of_the_process() {
    let (service, _rules) = service();
    let pid = service.pid();
    let report = load(
        &service,
        &format!("--entry-key vast --requests 2000 --pid {pid}"),
    );
    assert_eq!(report["cpu"][0]["pid"], pid);
    let seconds = report["cpu"][0]["seconds"].as_f64().unwrap();
    let per_million = report["cpu_seconds_per_million"].as_f64().unwrap();
    assert!((per_million - seconds * 500.0).abs() < 1e-6, "{report}");
}

#[test]
fn what_is_refused_is_an_error_with_its_status() {
    let (service, _rules) = service();
    let report = failed(&["--target", &service.grpc().to_string(), "--domain", ""]);
    assert_eq!(report["ok"], 0);
    assert_eq!(report["errors"], 5);
    assert_eq!(report["errors_by_cause"]["Unknown"], 5);
}

#[test]
fn an_answer_that_never_comes_is_waited_for_no_longer_than_said() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let report = failed(&["--target", &address, "--timeout", "50ms"]);
    assert_eq!(report["errors_by_cause"]["Late"], 5);
    let latency = report["latency_micros"]["p50"].as_u64().unwrap();
    assert!(latency >= 50_000, "{report}");
}

#[test]
fn a_service_that_is_not_there_is_said_so() {
    let address = crate::support::free_address().to_string();
    let output = slidegate(&["load", "--target", &address]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains(&format!("cannot connect to {address}: ")),
        "{errors}"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// A service that counts in memory.
fn service() -> (Service, NamedTempFile) {
    let rules = NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(&rules, RULES).unwrap();
    let service = Service::start(&["--rules", rules.path().to_str().unwrap()]);
    (service, rules)
}

/// What `load` reports, which has to succeed.
#[track_caller]
fn load(service: &Service, flags: &str) -> Value {
    let target = service.grpc().to_string();
    // So patient that a busy machine makes no errors.
    let mut arguments = vec!["load", "--json", "--target", &target, "--timeout", "30s"];
    arguments.extend(flags.split(' '));
    let output = slidegate(&arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What `load` reports of five requests of which none is decided.
#[track_caller]
fn failed(flags: &[&str]) -> Value {
    let mut command = slidegate(&["load", "--json", "--requests", "5"]);
    let output = command.args(flags).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "slidegate: no request was decided\n");
    assert_eq!(output.status.code(), Some(1));
    serde_json::from_slice(&output.stdout).unwrap()
}

const RULES: &str = "
domain: demo
descriptors:
  - key: vast
    rate_limit: {unit: year, requests_per_unit: 4294967295}
  - key: fifty
    rate_limit: {unit: year, requests_per_unit: 50}
  - key: none
    rate_limit: {unit: year, requests_per_unit: 0}
";
