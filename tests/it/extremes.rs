//! The smallest and the largest limits, and costs that no window holds, with leases on.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use crate::support::PATIENCE;
use crate::support::now;
use crate::support::redis::Redis;
use crate::support::rls::Rls;
use crate::support::rls::request;
use crate::support::service::Service;

#[tokio::test]
async fn a_limit_of_zero_refuses_everything_but_charges_nothing_elsewhere() {
    let Some((_redis, service)) = start().await else {
        return;
    };
    let mut rls = service.rls().await;
    for hits in [1, 1, 1, 2, u32::MAX, 1] {
        assert_eq!(ask(&mut rls, "zero", hits).await, (Code::OverLimit, 0));
    }
    let both = request("extremes", &[&[("zero", "v")], &[("ten", "v")]]);
    let answer = rls.ask(both).await.unwrap();
    assert_eq!(answer.overall_code(), Code::OverLimit);
    let remaining = answer.statuses.iter().map(|it| it.limit_remaining);
    assert_eq!(remaining.collect::<Vec<_>>(), [0, 10]);
    assert_eq!(ask(&mut rls, "ten", 1).await, (Code::Ok, 9));
}

#[tokio::test]
async fn of_a_limit_of_one_a_second_no_second_has_two() {
    let Some((_redis, service)) = start().await else {
        return;
    };
    let begin = now();
    let n_admitted = Arc::new(AtomicUsize::new(0));
    let mut asking = JoinSet::new();
    for _ in 0..3 {
        let mut rls = service.rls().await;
        let n_admitted = Arc::clone(&n_admitted);
        asking.spawn(async move {
            let mut admissions = Vec::new();
            while n_admitted.load(Ordering::Relaxed) < 4 && begin.elapsed() < PATIENCE {
                let sent = now();
                if ask(&mut rls, "one", 1).await == (Code::Ok, 0) {
                    n_admitted.fetch_add(1, Ordering::Relaxed);
                    admissions.push(Admission {
                        sent,
                        answered: now(),
                    });
                }
            }
            admissions
        });
    }
    let mut admissions = asking.join_all().await.concat();
    admissions.sort_by_key(|it| it.sent);
    assert!(admissions.len() >= 4, "{admissions:?}");
    for pair in admissions.windows(2) {
        // Where in between each was counted is not known: this is the longest that can lie between.
        let between = pair[1].answered - pair[0].sent;
        assert!(between >= Duration::from_secs(1), "{admissions:?}");
    }
}

#[tokio::test]
async fn the_largest_limit_admits_all_that_it_says_and_no_more() {
    let Some((_redis, service)) = start().await else {
        return;
    };
    let mut rls = service.rls().await;
    for _ in 0..500 {
        assert_eq!(ask(&mut rls, "largest", 1).await.0, Code::Ok);
    }
    assert_eq!(
        ask(&mut rls, "largest_hour", 1).await,
        (Code::Ok, u32::MAX - 1)
    );
    assert_eq!(
        ask(&mut rls, "largest_hour", u32::MAX).await.0,
        Code::OverLimit
    );
    for n in 2..100 {
        let left = u32::MAX - n;
        assert_eq!(ask(&mut rls, "largest_hour", 1).await, (Code::Ok, left));
    }
    let rest = u32::MAX - 99;
    assert_eq!(ask(&mut rls, "largest_hour", rest).await, (Code::Ok, 0));
    assert_eq!(ask(&mut rls, "largest_hour", 1).await, (Code::OverLimit, 0));
}

#[tokio::test]
async fn hits_larger_than_the_limit_are_refused_and_charge_nothing() {
    let Some((_redis, service)) = start().await else {
        return;
    };
    let mut rls = service.rls().await;
    for (key, limit) in [("ten", 10), ("thousand", 1_000)] {
        let mut left = limit;
        for hits in [limit + 1, u32::MAX, limit + 1] {
            let (code, _) = ask(&mut rls, key, hits).await;
            assert_eq!(code, Code::OverLimit, "{key}: {hits}");
            left -= 1;
            assert_eq!(ask(&mut rls, key, 1).await, (Code::Ok, left), "{key}");
        }
        assert_eq!(ask(&mut rls, key, left).await, (Code::Ok, 0), "{key}");
        assert_eq!(ask(&mut rls, key, 1).await, (Code::OverLimit, 0), "{key}");
    }
}

#[tokio::test]
async fn while_a_lease_is_held_as_many_more_pass_as_is_said() {
    let Some((_redis, service)) = start().await else {
        return;
    };
    let mut rls = service.rls().await;
    for n in 1..=1_000 {
        assert_eq!(ask(&mut rls, "thousand", 1).await, (Code::Ok, 1_000 - n));
    }
    for _ in 0..20 {
        assert_eq!(ask(&mut rls, "thousand", 1).await, (Code::OverLimit, 0));
    }
    let from_lease = service.metric(r#"slidegate_ledger_answers_total{verdict="within"}"#);
    assert!(from_lease > 0.0, "no lease was held");
}

/// When an admitted request was sent, and when its answer was there.
#[derive(Clone, Copy, Debug)]
struct Admission {
    sent: Instant,
    answered: Instant,
}

/// The verdict on so many hits, and what is said to remain.
async fn ask(rls: &mut Rls, key: &str, hits: u32) -> (Code, u32) {
    let message = RateLimitRequest {
        hits_addend: hits,
        ..request("extremes", &[&[(key, "v")]])
    };
    let response = rls.ask(message).await.unwrap();
    (
        response.overall_code(),
        response.statuses[0].limit_remaining,
    )
}

async fn start() -> Option<(Redis, Service)> {
    let redis = Redis::start()?;
    let mut rules = NamedTempFile::with_suffix(".yaml").unwrap();
    rules.write_all(RULES.as_bytes()).unwrap();
    let path = rules.path().to_str().unwrap();
    let service = Service::start(&["--rules", path, "--store", &redis.url()]);
    service.serves().await;
    // Rules that vanish are a change with a fault, which changes nothing.
    Some((redis, service))
}

const RULES: &str = "domain: extremes
descriptors:
  - key: zero
    rate_limit: {unit: second, requests_per_unit: 0}
  - key: one
    rate_limit: {unit: second, requests_per_unit: 1}
  - key: largest
    rate_limit: {unit: second, requests_per_unit: 4294967295}
  - key: largest_hour
    rate_limit: {unit: hour, requests_per_unit: 4294967295}
  - key: ten
    rate_limit: {unit: hour, requests_per_unit: 10}
  - key: thousand
    rate_limit: {unit: hour, requests_per_unit: 1000}
";
