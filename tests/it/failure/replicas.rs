//! How many replicas there are, by the word of the store.

use std::io::Write;

use tempfile::NamedTempFile;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::eventually;
use crate::support::redis::Redis;
use crate::support::redis::cluster::Cluster;
use crate::support::rls::request;
use crate::support::service::Service;

#[tokio::test]
async fn each_of_three_replicas_has_a_third_while_redis_is_away() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let url = redis.url();
    let rules = rules();
    let services: Vec<Service> = (0..3).map(|_| start(&rules, &url, &[])).collect();
    for service in &services {
        knows(service, 3);
    }
    redis.kill();
    for service in &services {
        service.reports(ServingStatus::NotServing).await;
        let mut rls = service.rls().await;
        for n in 0..6 {
            let admits = rls.admits(request("local", &[&[("key", "v")]])).await;
            assert_eq!(admits, n < 3, "three of nine, alone");
        }
    }
    // Nobody is there at first, and each of them hears of all.
    redis.start_again();
    for service in &services {
        service.serves().await;
        knows(service, 3);
    }
}

#[tokio::test]
async fn one_that_goes_is_forgotten_and_what_is_set_holds() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.url();
    let rules = rules();
    let first = start(&rules, &url, &[]);
    let mut second = start(&rules, &url, &[]);
    let third = start(&rules, &url, &["--replicas", "7"]);
    knows(&first, 2);
    knows(&third, 7);
    assert_eq!(second.terminate().code(), Some(0), "{}", second.log());
    knows(&first, 1);
    knows(&third, 7);
}

#[tokio::test]
async fn where_the_store_does_not_tell_that_is_said_and_counting_goes_on() {
    let Some(redis) = Redis::start() else {
        return;
    };
    redis.command::<()>("SET slidegate:replicas garbage");
    let service = start(&rules(), &redis.url(), &[]);
    service.serves().await;
    let line = service.wait_for_log("how many replicas there are");
    assert!(line.contains("WRONGTYPE"), "{line}");
    let mut rls = service.rls().await;
    assert!(rls.admits(request("local", &[&[("key", "v")]])).await);
    knows(&service, 1);
}

#[track_caller]
fn knows(service: &Service, replicas: u32) {
    eventually("the replicas are known", || {
        let known = service.metric("slidegate_replicas");
        (known == f64::from(replicas)).then_some(())
    });
}

fn start(rules: &NamedTempFile, store: &str, more: &[&str]) -> Service {
    let arguments = ["--rules", rules.path().to_str().unwrap(), "--store", store];
    Service::start(&[arguments.as_slice(), more].concat())
}

/// Nine an hour, counted alone without a store.
fn rules() -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    let limit = "unit: hour, requests_per_unit: 9, on_store_failure: local";
    let rule = format!("- {{key: key, rate_limit: {{{limit}}}}}");
    writeln!(file, "domain: local\ndescriptors:\n{rule}").unwrap();
    file
}
