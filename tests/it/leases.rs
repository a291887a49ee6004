//! Hot and refused keys are answered without asking Redis, and what was leased comes back.

use std::io::Write;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use crate::support::eventually;
use crate::support::redis::Redis;
use crate::support::rls::Rls;
use crate::support::rls::request;
use crate::support::service::Service;

#[tokio::test]
async fn a_hot_key_and_a_refused_one_cost_redis_a_call_in_a_while() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let service = Service::start(&["--rules", path(&rules), "--store", &redis.url()]);
    service.serves().await;
    let mut asking = JoinSet::new();
    for _ in 0..4 {
        let rls = service.rls().await;
        asking.spawn(async move { hammer(rls, "hot", 1_000).await });
        let rls = service.rls().await;
        asking.spawn(async move { hammer(rls, "narrow", 1_000).await });
    }
    let n_admitted: usize = asking.join_all().await.into_iter().sum();
    assert_eq!(n_admitted, 4_000 + 2);
    let takes = service.metric("slidegate_ledger_takes_total");
    assert!(takes < 400.0, "{takes} takes for 8,000 requests");
    assert!(service.metric(r#"slidegate_ledger_answers_total{verdict="within"}"#) > 3_000.0);
    assert!(service.metric(r#"slidegate_ledger_answers_total{verdict="over_limit"}"#) > 3_000.0);
}

#[tokio::test]
async fn without_leases_every_request_asks_redis() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let arguments = [
        "--rules",
        path(&rules),
        "--store",
        &redis.url(),
        "--leases",
        "off",
    ];
    let service = Service::start(&arguments);
    service.serves().await;
    assert_eq!(hammer(service.rls().await, "hot", 100).await, 100);
    assert_eq!(service.metric("slidegate_ledger_takes_total"), 0.0);
}

#[tokio::test]
async fn a_replica_that_stops_gives_back_what_it_has_leased() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let mut first = Service::start(&["--rules", path(&rules), "--store", &redis.url()]);
    first.serves().await;
    assert_eq!(hammer(first.rls().await, "hot", 200).await, 200);
    assert!(first.terminate().success());
    let second = Service::start(&["--rules", path(&rules), "--store", &redis.url()]);
    second.serves().await;
    let mut rls = second.rls().await;
    assert_eq!(
        remaining(&rls.ask(message("hot")).await.unwrap()),
        LIMIT - 201
    );
}

#[tokio::test]
async fn a_replica_that_was_stopped_in_the_middle_of_a_lease_does_not_use_it_afterwards() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let service = Service::start(&["--rules", path(&rules), "--store", &redis.url()]);
    service.serves().await;
    assert_eq!(hammer(service.rls().await, "hot", 200).await, 200);
    let from_lease = r#"slidegate_ledger_answers_total{verdict="within"}"#;
    let before = (
        service.metric("slidegate_ledger_takes_total"),
        service.metric(from_lease),
    );
    service.signal("STOP");
    // The lease ends by a clock that goes on, whoever stands still: Redis' own tells when.
    let begin = redis_seconds(&redis);
    eventually("two seconds pass", || {
        (redis_seconds(&redis) > begin + 2).then_some(())
    });
    service.signal("CONT");
    assert_eq!(hammer(service.rls().await, "hot", 1).await, 1);
    let after = (
        service.metric("slidegate_ledger_takes_total"),
        service.metric(from_lease),
    );
    assert_eq!(after, (before.0 + 1.0, before.1));
}

/// Asks so often, one after the other; how often that was admitted.
async fn hammer(mut rls: Rls, key: &'static str, n_requests: usize) -> usize {
    let mut n_admitted = 0;
    for _ in 0..n_requests {
        n_admitted += usize::from(rls.admits(message(key)).await);
    }
    n_admitted
}

fn message(key: &str) -> envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest {
    request("leases", &[&[(key, "v")]])
}

fn remaining(response: &RateLimitResponse) -> u32 {
    response.statuses[0].limit_remaining
}

fn redis_seconds(redis: &Redis) -> u64 {
    let (seconds, _): (u64, u64) = redis::cmd("TIME").query(&mut redis.connection()).unwrap();
    seconds
}

fn path(rules: &NamedTempFile) -> &str {
    rules.path().to_str().unwrap()
}

fn rules() -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    let rules = format!(
        "domain: leases
descriptors:
  - key: hot
    rate_limit: {{unit: hour, requests_per_unit: {LIMIT}}}
  - key: narrow
    rate_limit: {{unit: hour, requests_per_unit: 2}}
"
    );
    file.write_all(rules.as_bytes()).unwrap();
    file
}

const LIMIT: u32 = 100_000;
