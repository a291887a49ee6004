//! Hot and refused keys are answered without asking Redis, and what was leased comes back.

use std::io::Write;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::google::protobuf::UInt64Value;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use crate::support::PATIENCE;
use crate::support::eventually;
use crate::support::http::Call;
use crate::support::now;
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
    let service = serve(&redis, &rules, &[]).await;
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
    assert!(service.metric(FROM_LEASE) > 3_000.0);
    assert!(service.metric(r#"slidegate_ledger_answers_total{verdict="over_limit"}"#) > 3_000.0);
}

#[tokio::test]
async fn without_leases_every_request_asks_redis() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let service = serve(&redis, &rules, &["--leases", "off"]).await;
    assert_eq!(hammer(service.rls().await, "hot", 100).await, 100);
    assert_eq!(service.metric("slidegate_ledger_takes_total"), 0.0);
}

#[tokio::test]
async fn a_replica_that_stops_gives_back_what_it_has_leased() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let mut first = serve(&redis, &rules, &[]).await;
    assert_eq!(hammer(first.rls().await, "hot", 200).await, 200);
    assert!(first.terminate().success());
    let second = serve(&redis, &rules, &[]).await;
    let mut rls = second.rls().await;
    assert_eq!(
        remaining(&rls.ask(message("hot")).await.unwrap()),
        LIMIT - 201
    );
}

#[tokio::test]
async fn what_is_leased_goes_back_when_its_rule_is_gone() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let service = serve(&redis, &rules, &[]).await;
    assert_eq!(hammer(service.rls().await, "hot", 200).await, 200);
    let others = self::rules();
    let other = serve(&redis, &others, &["--leases", "off"]).await;
    std::fs::write(rules.path(), "domain: leases\ndescriptors: []\n").unwrap();
    eventually("the rule is gone", || {
        let in_force = Call::get("/rlconfig").send(service.debug()).body;
        (!in_force.contains("hot")).then_some(())
    });
    let rls = other.rls().await;
    let begin = now();
    while checked(&rls, "hot").await != LIMIT - 200 {
        assert!(begin.elapsed() < PATIENCE, "what was leased stays away");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_rule_with_reports_takes_no_leases_but_remembers_refusals() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let service = serve(&redis, &rules, &[]).await;
    let rls = service.rls().await;
    assert_eq!(hammer(rls.clone(), "reported", 200).await, 200);
    assert_eq!(service.metric(FROM_LEASE), 0.0);
    report(&rls, "reported", LIMIT).await;
    assert_eq!(hammer(rls, "reported", 200).await, 0);
    let refused = service.metric(r#"slidegate_ledger_answers_total{verdict="over_limit"}"#);
    assert!(refused > 0.0, "Redis was asked each time");
}

#[tokio::test]
async fn a_rule_that_begins_to_report_uses_its_lease_no_more() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let service = serve(&redis, &rules, &[]).await;
    let rls = service.rls().await;
    assert_eq!(hammer(rls.clone(), "hot", 200).await, 200);
    let before = service.metric(FROM_LEASE);
    assert!(before > 0.0, "no lease was held");
    // The first cost beside requests without one: so it is a report.
    report(&rls, "hot", LIMIT - 200).await;
    assert_eq!(hammer(rls, "hot", 50).await, 0, "the window is full");
    assert_eq!(service.metric(FROM_LEASE), before);
}

#[tokio::test]
async fn a_replica_that_was_stopped_in_the_middle_of_a_lease_does_not_use_it_afterwards() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let service = serve(&redis, &rules, &[]).await;
    assert_eq!(hammer(service.rls().await, "hot", 200).await, 200);
    let before = (
        service.metric("slidegate_ledger_takes_total"),
        service.metric(FROM_LEASE),
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
        service.metric(FROM_LEASE),
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

/// Says that so many hits were used, on a rule that has reports.
async fn report(rls: &Rls, key: &'static str, hits: u32) {
    rls.clone().ask(costing(key, hits)).await.unwrap();
}

/// How many hits remain, without using one.
async fn checked(rls: &Rls, key: &'static str) -> u32 {
    remaining(&rls.clone().ask(costing(key, 0)).await.unwrap())
}

fn costing(key: &str, hits: u32) -> RateLimitRequest {
    let mut message = message(key);
    let value = u64::from(hits);
    message.descriptors[0].hits_addend = Some(UInt64Value { value });
    message
}

fn message(key: &str) -> RateLimitRequest {
    request("leases", &[&[(key, "v")]])
}

fn remaining(response: &RateLimitResponse) -> u32 {
    response.statuses[0].limit_remaining
}

fn redis_seconds(redis: &Redis) -> u64 {
    let (seconds, _): (u64, u64) = redis::cmd("TIME").query(&mut redis.connection()).unwrap();
    seconds
}

/// A replica with these rules.
async fn serve(redis: &Redis, rules: &NamedTempFile, more: &[&str]) -> Service {
    let (rules, url) = (rules.path().to_str().unwrap(), redis.url());
    let service = Service::start(&[&["--rules", rules, "--store", &url], more].concat());
    service.serves().await;
    service
}

fn rules() -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    let rules = format!(
        "domain: leases
descriptors:
  - key: hot
    rate_limit: {{unit: hour, requests_per_unit: {LIMIT}}}
  - key: reported
    rate_limit: {{unit: hour, requests_per_unit: {LIMIT}, cost: report}}
  - key: narrow
    rate_limit: {{unit: hour, requests_per_unit: 2}}
"
    );
    file.write_all(rules.as_bytes()).unwrap();
    file
}

const LIMIT: u32 = 100_000;
const FROM_LEASE: &str = r#"slidegate_ledger_answers_total{verdict="within"}"#;
