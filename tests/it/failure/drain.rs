//! What happens to requests when the process is told to stop.

use std::io::Write;
use std::net::TcpStream;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use tokio::task::JoinSet;
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::failure::ask;
use crate::support;
use crate::support::http::Call;
use crate::support::redis::Redis;
use crate::support::rls::channel;
use crate::support::rls::request;
use crate::support::service::Service;

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
