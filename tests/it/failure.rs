//! What happens when Redis is away or slow, and when the process is told to stop.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support;
use crate::support::http::Call;
use crate::support::now;
use crate::support::redis::Redis;
use crate::support::rls::Rls;
use crate::support::rls::channel;
use crate::support::rls::request;
use crate::support::service::Service;

const CONNECTED: &str = r#"slidegate_store_connected{store="redis"}"#;

#[tokio::test]
async fn a_redis_that_is_away_at_the_start_is_waited_for() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    redis.kill();
    let service = Service::start(&["--store", &redis.url(), "--on-store-failure", "error"]);
    service.reports(ServingStatus::NotServing).await;
    let mut rls = service.rls().await;
    assert_eq!(ask(&mut rls).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(service.metric(CONNECTED), 0.0);
    assert_eq!(Call::get("/healthcheck").send(service.http()).status, 200);
    let json =
        r#"{"domain": "demo", "descriptors": [{"entries": [{"key": "user", "value": "a"}]}]}"#;
    assert_eq!(service.json(json).status, 400);

    redis.start_again();
    service.serves().await;
    ask(&mut rls).await.unwrap();
    assert_eq!(service.metric(CONNECTED), 1.0);
}

#[tokio::test]
async fn without_redis_requests_fail_at_once_until_it_is_back() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let service = Service::start(&["--store", &redis.url(), "--on-store-failure", "error"]);
    service.serves().await;
    let mut rls = service.rls().await;
    ask(&mut rls).await.unwrap();

    redis.kill();
    for _ in 0..10 {
        // The caller would wait for half a minute.
        let begin = now();
        let status = ask(&mut rls).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(begin.elapsed() < Duration::from_secs(5), "{status}");
    }
    service.reports(ServingStatus::NotServing).await;
    let series = r#"slidegate_request_errors_total{reason="store_failed"}"#;
    assert_eq!(service.metric(series), 10.0);
    assert_eq!(Call::get("/healthcheck").send(service.http()).status, 200);

    redis.start_again();
    service.serves().await;
    ask(&mut rls).await.unwrap();
}

#[tokio::test]
async fn while_redis_is_away_every_rule_has_its_choice_and_what_passed_is_booked() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let (rules, url) = (rules.path().to_str().unwrap(), redis.url());
    let arguments = ["--rules", rules, "--store", &url, "--replicas", "2"];
    let service = Service::start(&arguments);
    service.serves().await;
    let mut rls = service.rls().await;
    let mut admits = async |key| rls.admits(request("choices", &[&[(key, "v")]])).await;
    assert!(admits("deny").await && admits("error").await);

    redis.kill();
    service.reports(ServingStatus::NotServing).await;
    assert!(!admits("deny").await);
    for _ in 0..20 {
        assert!(admits("allow").await);
    }
    for n in 0..10 {
        assert_eq!(admits("local").await, n < 5, "half of ten, alone");
    }
    let status = service.rls().await;
    let status = { status }
        .ask(request("choices", &[&[("error", "v")]]))
        .await;
    assert_eq!(status.unwrap_err().code(), Code::Unavailable);
    assert_eq!(service.metric(CONNECTED), 0.0);
    for (choice, n) in [
        ("deny", 1.0),
        ("allow", 20.0),
        ("local", 10.0),
        ("error", 1.0),
    ] {
        let series = format!(r#"slidegate_fallback_requests_total{{choice="{choice}"}}"#);
        assert_eq!(service.metric(&series), n, "{choice}");
    }

    redis.start_again();
    service.serves().await;
    for n in 0..10 {
        assert_eq!(admits("local").await, n < 5, "five of ten were booked");
    }
    assert!(!admits("allow").await, "twenty of ten were booked");
    assert!(admits("deny").await);
    let booked = r#"slidegate_fallback_hits_total{fate="booked"}"#;
    assert_eq!(service.metric(booked), 25.0);
    let log = service.log();
    assert_eq!(log.matches("the store does not answer").count(), 1, "{log}");
}

#[tokio::test]
async fn a_redis_that_hangs_costs_a_request_nothing_after_the_first() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let (rules, url) = (rules.path().to_str().unwrap(), redis.url());
    let service = Service::start(&["--rules", rules, "--store", &url]);
    service.serves().await;
    let mut client = RateLimitServiceClient::new(channel(service.grpc()).await);
    redis.pause();
    for _ in 0..100 {
        // No deadline comes with it, so that each waits for 10 ms at most.
        let answer = client.should_rate_limit(request("choices", &[&[("allow", "v")]]));
        answer.await.unwrap();
    }
    let (late, asked) = (
        service.metric(r#"slidegate_store_errors_total{store="redis"}"#),
        service.metric(r#"slidegate_fallback_requests_total{choice="allow"}"#),
    );
    assert_eq!(asked, 100.0);
    assert!(
        late < 100.0,
        "{late} of 100 requests asked a store that hangs"
    );
    redis.resume();
    service.serves().await;
}

#[tokio::test]
async fn a_redis_that_hangs_is_not_waited_for_longer_than_the_timeout() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let service = Service::start(&[
        "--store",
        &redis.url(),
        "--store-timeout",
        "50ms",
        "--on-store-failure",
        "error",
    ]);
    service.serves().await;
    let mut rls = service.rls().await;
    redis.pause();
    let begin = now();
    let status = ask(&mut rls).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(begin.elapsed() < Duration::from_secs(5), "{status}");
    service.reports(ServingStatus::NotServing).await;
    redis.resume();
    service.serves().await;
}

#[tokio::test]
async fn a_call_without_a_deadline_does_not_wait_long() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let service = Service::start(&["--store", &redis.url(), "--on-store-failure", "error"]);
    service.serves().await;
    let mut client = RateLimitServiceClient::new(channel(service.grpc()).await);
    redis.pause();
    let begin = now();
    let answer = client.should_rate_limit(request("demo", &[&[("user", "vip")]]));
    let status = answer.await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "the store did not answer in time");
    assert!(begin.elapsed() < Duration::from_secs(5), "{status}");
    let series = r#"slidegate_request_errors_total{reason="store_late"}"#;
    assert_eq!(service.metric(series), 1.0);
}

#[tokio::test]
async fn told_to_stop_it_fails_health_and_answers_what_is_in_flight() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let mut service = Service::start(&draining("5m", &redis.url()));
    let mut waiting = in_flight(&service, &redis).await;
    service.signal("TERM");
    support::eventually("/healthcheck fails", || {
        let answer = Call::get("/healthcheck").send(service.http());
        (answer.status == 500).then_some(())
    });
    redis.resume();
    waiting.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(service.wait().code(), Some(0), "{}", service.log());
}

#[tokio::test]
async fn told_twice_to_stop_it_stops_at_once() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let mut service = Service::start(&draining("5m", &redis.url()));
    let mut waiting = in_flight(&service, &redis).await;
    service.signal("TERM");
    service.wait_for_log("stopping");
    service.signal("INT");
    assert_eq!(service.wait().code(), Some(1), "{}", service.log());
    service.wait_for_log("told to stop at once");
    waiting.join_next().await.unwrap().unwrap().unwrap_err();
}

#[tokio::test]
async fn what_does_not_end_within_the_drain_timeout_is_cut_off() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let mut service = Service::start(&draining("50ms", &redis.url()));
    let mut waiting = in_flight(&service, &redis).await;
    assert_eq!(service.terminate().code(), Some(1), "{}", service.log());
    service.wait_for_log("outlived the grace period");
    waiting.join_next().await.unwrap().unwrap().unwrap_err();
}

#[tokio::test]
async fn one_that_watches_health_sees_the_end_and_does_not_delay_it() {
    let mut service = Service::start(&["--drain-timeout", "5m"]);
    service.serves().await;
    let mut health = HealthClient::new(channel(service.grpc()).await);
    let watch = health.watch(HealthCheckRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    service.signal("TERM");
    let second = watch.message().await.unwrap().unwrap();
    assert_eq!(second.status(), ServingStatus::NotServing);
    assert_eq!(watch.message().await.unwrap(), None);
    assert_eq!(service.wait().code(), Some(0), "{}", service.log());
}

#[tokio::test]
async fn connections_without_requests_do_not_delay_the_end() {
    let mut service = Service::start(&["--drain-timeout", "5m"]);
    let ports = [
        service.grpc(),
        service.http(),
        service.debug(),
        service.metrics(),
    ];
    let silent = ports.map(|port| TcpStream::connect(port).unwrap());
    let mut half = TcpStream::connect(service.http()).unwrap();
    half.write_all(b"GET /healthcheck HT").unwrap();
    let mut rls = service.rls().await;
    ask(&mut rls).await.unwrap();
    assert_eq!(service.terminate().code(), Some(0), "{}", service.log());
    drop((silent, half));
}

/// A limit of ten an hour for each choice.
fn rules() -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    writeln!(file, "domain: choices\ndescriptors:").unwrap();
    for choice in ["deny", "allow", "error", "local"] {
        let limit = format!("unit: hour, requests_per_unit: 10, on_store_failure: {choice}");
        writeln!(file, "- {{key: {choice}, rate_limit: {{{limit}}}}}").unwrap();
    }
    file
}

/// So that what is cut off is not answered by other means.
fn draining<'a>(timeout: &'a str, store: &'a str) -> [&'a str; 6] {
    let choice = "error";
    [
        "--drain-timeout",
        timeout,
        "--store",
        store,
        "--on-store-failure",
        choice,
    ]
}

async fn ask(rls: &mut Rls) -> Result<RateLimitResponse, Status> {
    rls.ask(request("demo", &[&[("user", "vip")]])).await
}

/// Sends a request that waits for Redis, which is made to hang.
async fn in_flight(service: &Service, redis: &Redis) -> JoinSet<Result<RateLimitResponse, Status>> {
    service.serves().await;
    let mut rls = service.rls().await;
    ask(&mut rls).await.unwrap();
    redis.pause();
    let mut waiting = JoinSet::new();
    let mut other = rls.clone();
    waiting.spawn(async move { ask(&mut other).await });
    // Later requests of the same connection, which need no store: once they are answered, the
    // service has begun with the earlier one.
    for _ in 0..3 {
        rls.ask(request("nowhere", &[&[("user", "vip")]]))
            .await
            .unwrap();
    }
    waiting
}
