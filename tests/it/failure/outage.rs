//! What happens to requests while Redis is away or hangs.

use std::time::Duration;

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::failure::ask;
use crate::failure::rules;
use crate::failure::scene::serve;
use crate::failure::traffic::Leases;
use crate::support::eventually;
use crate::support::http::Call;
use crate::support::now;
use crate::support::proxy::Mode;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;
use crate::support::rls::channel;
use crate::support::rls::request;
use crate::support::service::Service;
use crate::support::unix_seconds;

const CONNECTED: &str = r#"slidegate_store_connected{store="redis"}"#;
const SINCE: &str = r#"slidegate_store_since_timestamp_seconds{store="redis"}"#;

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
async fn health_and_metrics_say_whether_redis_answers_and_since_when() {
    let begin = unix_seconds() as f64;
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let service = Service::start(&["--store", &redis.url()]);
    let state = || (service.metric(CONNECTED), service.metric(SINCE));
    service.serves().await;
    let (connected, connected_since) = state();
    assert_eq!(connected, 1.0);
    redis.kill();
    service.reports(ServingStatus::NotServing).await;
    let (connected, away_since) = state();
    assert_eq!(connected, 0.0);
    service.reports(ServingStatus::NotServing).await;
    assert_eq!(state(), (0.0, away_since), "it stays what it was");
    redis.start_again();
    service.serves().await;
    let (connected, back_since) = state();
    assert_eq!(connected, 1.0);
    let moments = [begin, connected_since, away_since, back_since];
    assert!(moments.is_sorted_by(|one, next| one < next), "{moments:?}");
    assert!(back_since < unix_seconds() as f64 + 1.0, "{moments:?}");
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
async fn what_is_booked_too_late_without_leases_stays_booked_beside_what_passed_alone() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let (rules, proxy) = (rules(), Proxy::before(redis.address()));
    let (path, url) = (rules.path(), format!("redis://{}", proxy.address()));
    let service = serve(path.to_str().unwrap(), Leases::Off, &[&url]).await;
    let mut rls = service.rls().await;
    let mut admits = async || rls.admits(request("choices", &[&[("local", "v")]])).await;
    // Slower than the request waits, and fast enough for the connection to stay.
    proxy.set(Mode::Delay(Duration::from_millis(400)));
    assert!(admits().await);
    proxy.set(Mode::Pass);
    eventually("it is booked", || {
        let booked = service.metric(r#"slidegate_fallback_hits_total{fate="booked"}"#);
        (booked == 1.0).then_some(())
    });
    for n in 0..12 {
        assert_eq!(admits().await, n < 8, "two of ten were booked");
    }
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
