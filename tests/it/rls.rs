//! The gRPC port: rate limits, health, reflection, and what is no proper message.

use std::fs;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::RateLimitOverride;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::google::protobuf::UInt64Value;
use tempfile::TempDir;
use tonic::Code;
use tonic::codegen::tokio_stream;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::raw;
use crate::support::rls::channel;
use crate::support::rls::descriptor;
use crate::support::rls::request;
use crate::support::service::Service;

const RULES: &str = "
domain: d
descriptors:
- key: user
  rate_limit: {unit: hour, requests_per_unit: 3}
- key: team
  rate_limit: {unit: minute, unit_multiplier: 5, requests_per_unit: 10, name: teams}
- key: free
  rate_limit: {unlimited: true}
- key: trial
  shadow_mode: true
  rate_limit: {unit: day, requests_per_unit: 1}
";

#[tokio::test]
async fn a_limit_refuses_from_the_request_after_its_last() {
    let (service, _folder) = start();
    let mut rls = service.rls().await;
    for remaining in [2, 1, 0] {
        let response = rls.ask(request("d", &[&[("user", "a")]])).await.unwrap();
        assert_eq!(codes(&response), ["OK", "OK"]);
        let status = &response.statuses[0];
        assert_eq!(status.limit_remaining, remaining);
        let limit = status.current_limit.as_ref().unwrap();
        assert_eq!(
            (limit.requests_per_unit, limit.unit().as_str_name()),
            (3, "HOUR")
        );
        assert_eq!(limit.name, "");
    }
    let response = rls.ask(request("d", &[&[("user", "a")]])).await.unwrap();
    assert_eq!(codes(&response), ["OVER_LIMIT", "OVER_LIMIT"]);
    let until = response.statuses[0].duration_until_reset.unwrap();
    assert!((1..=3_600).contains(&until.seconds), "{until:?}");
    assert!(rls.admits(request("d", &[&[("user", "b")]])).await);
}

#[tokio::test]
async fn hits_are_counted_under_the_names_of_the_reference() {
    let (service, _folder) = start();
    let mut rls = service.rls().await;
    for _ in 0..4 {
        rls.ask(request("d", &[&[("user", "a")], &[("trial", "t")]]))
            .await
            .unwrap();
    }
    for (name, user, trial) in [
        ("total_hits", 4.0, 4.0),
        ("within_limit", 3.0, 1.0),
        ("near_limit", 1.0, 1.0),
        ("over_limit", 1.0, 3.0),
        ("shadow_mode", 0.0, 3.0),
    ] {
        let hits = |key: &str| {
            let labels = format!("{{domain=\"d\",key1=\"{key}\"}}");
            service.metric(&format!("ratelimit_service_rate_limit_{name}{labels}"))
        };
        assert_eq!((hits("user"), hits("trial")), (user, trial), "{name}");
    }
}

#[tokio::test]
async fn statuses_come_in_the_order_of_the_descriptors() {
    let (service, _folder) = start();
    let mut rls = service.rls().await;
    let message = request(
        "d",
        &[
            &[("free", "x")],
            &[("team", "t")],
            &[("nothing", "1")],
            &[("user", "o")],
        ],
    );
    let response = rls.ask(message).await.unwrap();
    assert_eq!(codes(&response), ["OK"; 5]);
    let remaining: Vec<u32> = response
        .statuses
        .iter()
        .map(|it| it.limit_remaining)
        .collect();
    assert_eq!(remaining, [u32::MAX, 9, 0, 2]);
    let names = response.statuses.iter().map(|it| {
        let limit = it.current_limit.as_ref();
        limit.map(|limit| (&*limit.name, limit.requests_per_unit))
    });
    let names: Vec<_> = names.collect();
    assert_eq!(names, [None, Some(("teams", 10)), None, Some(("", 3))]);
    assert_eq!(response.response_headers_to_add, []);
    assert_eq!(response.dynamic_metadata, None);
}

#[tokio::test]
async fn a_rule_in_shadow_mode_refuses_nothing_and_counts() {
    let (service, _folder) = start();
    let mut rls = service.rls().await;
    for _ in 0..3 {
        let response = rls.ask(request("d", &[&[("trial", "t")]])).await.unwrap();
        assert_eq!(codes(&response), ["OK", "OK"]);
        assert_eq!(response.statuses[0].limit_remaining, 0);
    }
    let series = "slidegate_rule_verdicts_total{domain=\"d\",rule=\"trial\",verdict=\"shadow\"}";
    assert_eq!(service.metric(series), 2.0);
}

#[tokio::test]
async fn a_request_may_bring_its_own_limit() {
    let (service, _folder) = start();
    let mut rls = service.rls().await;
    for (unit, name) in [
        (1, "SECOND"),
        (2, "MINUTE"),
        (5, "MONTH"),
        (6, "YEAR"),
        (7, "WEEK"),
    ] {
        let response = rls.ask(with_limit(unit)).await.unwrap();
        let limit = response.statuses[0].current_limit.as_ref().unwrap();
        assert_eq!(
            (limit.requests_per_unit, limit.unit().as_str_name()),
            (2, name)
        );
        assert_eq!(response.statuses[0].limit_remaining, 1);
    }
}

#[tokio::test]
async fn a_limit_with_an_unknown_unit_is_an_invalid_argument() {
    let (service, _folder) = start();
    let mut rls = service.rls().await;
    for unit in [0, 8, -1] {
        let status = rls.ask(with_limit(unit)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let expected = format!("unknown unit {unit} of its limit");
        assert!(status.message().contains(&expected), "{status}");
    }
    assert!(rls.admits(request("d", &[&[("user", "a")]])).await);
    let series = "slidegate_request_errors_total{reason=\"invalid\"}";
    assert_eq!(service.metric(series), 3.0);
}

#[tokio::test]
async fn hits_beyond_all_bounds_are_refused_and_harm_nobody() {
    let (service, _folder) = start();
    let mut rls = service.rls().await;
    for value in [1 << 63, u64::MAX] {
        let mut message = request("d", &[&[("team", "huge")]]);
        message.descriptors[0].hits_addend = Some(UInt64Value { value });
        let response = rls.ask(message).await.unwrap();
        assert_eq!(codes(&response), ["OVER_LIMIT", "OVER_LIMIT"]);
    }
    let mut message = request("d", &[&[("user", "huge")]]);
    message.hits_addend = u32::MAX;
    assert!(!rls.admits(message).await);
    assert!(rls.admits(request("d", &[&[("user", "huge")]])).await);
}

#[tokio::test]
async fn requests_leave_no_line_each_in_the_log() {
    let (service, _folder) = start();
    service.wait_for_log("rules loaded");
    let mut rls = service.rls().await;
    let before = service.log();
    for _ in 0..50 {
        rls.ask(request("d", &[&[("free", "x")]])).await.unwrap();
        rls.ask(with_limit(0)).await.unwrap_err();
    }
    assert_eq!(service.log(), before);
    for _ in 0..50 {
        rls.ask(request("d", &[&[("user", "a")]])).await.unwrap();
    }
    service.wait_for_log("over limit");
    let refusals = service.log().matches("over limit").count();
    assert!((1..=10).contains(&refusals), "{}", service.log());
}

#[tokio::test]
async fn a_value_of_a_megabyte_has_a_count_of_its_own() {
    let (service, _folder) = start();
    let mut rls = service.rls().await;
    let long = "x".repeat(1_000_000);
    let longer = format!("{long}y");
    for _ in 0..3 {
        assert!(rls.admits(request("d", &[&[("user", &long)]])).await);
    }
    assert!(!rls.admits(request("d", &[&[("user", &long)]])).await);
    assert!(rls.admits(request("d", &[&[("user", &longer)]])).await);
}

#[tokio::test]
async fn a_thousand_descriptors_are_decided_and_too_many_are_refused() {
    let (service, _folder) = start();
    let mut rls = service.rls().await;
    let users = |count: usize| RateLimitRequest {
        domain: "d".to_owned(),
        descriptors: (0..count)
            .map(|user| descriptor(&[("user", &user.to_string())]))
            .collect(),
        hits_addend: 0,
    };
    let response = rls.ask(users(1_000)).await.unwrap();
    assert_eq!(response.statuses.len(), 1_000);
    assert!(response.statuses.iter().all(|it| it.limit_remaining == 2));
    let status = rls.ask(users(1_025)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let expected = "1025 descriptors in one request, at most 1024 are allowed";
    assert_eq!(status.message(), expected);
}

#[tokio::test]
async fn a_message_above_four_megabytes_is_refused() {
    let (service, _folder) = start();
    let mut rls = service.rls().await;
    let long = "x".repeat(4 * 1_024 * 1_024 + 1);
    let status = rls.ask(request("d", &[&[("user", &long)]])).await;
    assert_eq!(status.unwrap_err().code(), Code::OutOfRange);
    assert!(rls.admits(request("d", &[&[("user", "a")]])).await);
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let (service, _folder) = start();
    let channel = channel(service.grpc()).await;
    let method = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
    for bytes in [
        &b"\xff\xff\xff\xff"[..],
        b"\x0a\xff\x01d",
        b"\x0a\x02\xc3\x28",
    ] {
        let status = raw::send(channel.clone(), method, bytes).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{bytes:?}");
    }
    let mut rls = service.rls().await;
    assert!(rls.admits(request("d", &[&[("user", "a")]])).await);
}

#[tokio::test]
async fn a_method_that_is_not_there_is_unimplemented() {
    let (service, _folder) = start();
    let channel = channel(service.grpc()).await;
    for method in [
        "/envoy.service.ratelimit.v2.RateLimitService/ShouldRateLimit",
        "/envoy.service.ratelimit.v3.RateLimitService/Other",
    ] {
        let status = raw::send(channel.clone(), method, b"").await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{method}");
    }
}

#[tokio::test]
async fn reflection_lists_what_has_a_description() {
    let (service, _folder) = start();
    let mut client = ServerReflectionClient::new(channel(service.grpc()).await);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client.server_reflection_info(tokio_stream::once(ask)).await;
    let answer = answers.unwrap().into_inner().message().await.unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.unwrap().message_response else {
        panic!("no list of services");
    };
    let mut names: Vec<String> = list.service.into_iter().map(|it| it.name).collect();
    names.sort_unstable();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
    ];
    assert_eq!(names, expected);
}

/// The service with [`RULES`], which stand in the folder.
fn start() -> (Service, TempDir) {
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules.yaml");
    fs::write(&rules, RULES).unwrap();
    let service = Service::start(&["--rules", rules.to_str().unwrap()]);
    (service, folder)
}

/// A request that brings a limit of 2.
fn with_limit(unit: i32) -> RateLimitRequest {
    let mut message = request("d", &[&[("own", "limit")]]);
    message.descriptors[0].limit = Some(RateLimitOverride {
        requests_per_unit: 2,
        unit,
    });
    message
}

/// The overall code and then those of the statuses.
fn codes(response: &RateLimitResponse) -> Vec<&'static str> {
    let overall = response.overall_code().as_str_name();
    let statuses = response.statuses.iter().map(|it| it.code().as_str_name());
    [overall].into_iter().chain(statuses).collect()
}
