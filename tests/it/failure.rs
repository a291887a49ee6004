//! What happens when Redis is away or slow, and when the process is told to stop.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
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
    let service = Service::start(&["--store", &redis.url()]);
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
    let service = Service::start(&["--store", &redis.url()]);
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
async fn a_redis_that_hangs_is_not_waited_for_longer_than_the_timeout() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let service = Service::start(&["--store", &redis.url(), "--store-timeout", "50ms"]);
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
    let service = Service::start(&["--store", &redis.url()]);
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
    let mut service = Service::start(&["--store", &redis.url(), "--drain-timeout", "5m"]);
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
    let mut service = Service::start(&["--store", &redis.url(), "--drain-timeout", "5m"]);
    let mut waiting = in_flight(&service, &redis).await;
    service.signal("TERM");
    service.wait_for_log("stopping");
    service.signal("INT");
    assert_eq!(service.wait().code(), Some(1), "{}", service.log());
    assert!(service.log().contains("told to stop at once"));
    waiting.join_next().await.unwrap().unwrap().unwrap_err();
}

#[tokio::test]
async fn what_does_not_end_within_the_drain_timeout_is_cut_off() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let mut service = Service::start(&["--store", &redis.url(), "--drain-timeout", "50ms"]);
    let mut waiting = in_flight(&service, &redis).await;
    assert_eq!(service.terminate().code(), Some(1), "{}", service.log());
    assert!(service.log().contains("outlived the grace period"));
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
