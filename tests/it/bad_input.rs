//! Input that is bad, at the front door: what ran before keeps running, and nothing grows.

use std::fs;
use std::time::Duration;

use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitConfig;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitPolicy;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitUnit;
use envoy_types::util::pack_any;
use slidegate::source::xds::backoff::Backoff;

use crate::support::ads::Ads;
use crate::support::certificates::Authority;
use crate::support::certificates::Pair;
use crate::support::certificates::Secret;
use crate::support::eventually;
use crate::support::free_address;
use crate::support::rls::request;
use crate::support::service::Service;
use crate::xds::config;
use crate::xds::rules;
use crate::xds::start;

#[tokio::test]
async fn rules_that_go_and_come_while_requests_are_in_flight_harm_none_of_them() {
    let ads = Ads::start();
    let service = start(&ads, &[]);
    ads.push(vec![config("shop", &[("user", 1_000_000)])]);
    ads.accepted("1");
    let mut asking = tokio::task::JoinSet::new();
    for client in 0..4 {
        let mut rls = service.rls().await;
        asking.spawn(async move {
            let name = client.to_string();
            for _ in 0..500 {
                let answer = rls.ask(request("shop", &[&[("user", &name)]])).await;
                assert_eq!(answer.unwrap().statuses.len(), 1);
            }
        });
    }
    for round in 1..=20_u32 {
        ads.push(vec![config("shop", &[("other", round)])]);
        ads.push(Vec::new());
        ads.push(vec![config(
            "shop",
            &[("user", 1_000_000), ("other", round)],
        )]);
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    ads.accepted("61");
    assert_eq!(rules(&service).lines().count(), 2);
}

#[tokio::test]
async fn the_same_range_of_addresses_once_exact_and_once_distinct_is_two_limits() {
    let ads = Ads::start();
    let service = start(&ads, &[]);
    ads.push(vec![ranges(&[Range::Exact(5), Range::Distinct(2)])]);
    ads.accepted("1");
    let mut rls = service.rls().await;
    let from = |address: &str| {
        let (route, range) = ((ROUTE, ROUTE), ("masked_remote_address", RANGE));
        request(
            "shop",
            &[
                &[route, range],
                &[route, range, ("remote_address", address)],
            ],
        )
    };
    for (address, is_admitted) in [
        ("10.0.0.1", true),
        ("10.0.0.1", true),
        ("10.0.0.1", false),
        ("10.0.0.2", true),
        ("10.0.0.2", true),
        ("10.0.0.3", true),
        ("10.0.0.4", false),
    ] {
        assert_eq!(rls.admits(from(address)).await, is_admitted, "{address}");
    }
    // Twice exact, with different limits: that contradicts itself.
    ads.push(vec![ranges(&[
        Range::Exact(5),
        Range::Exact(6),
        Range::Distinct(3),
    ])]);
    let reason = ads.refused();
    assert!(
        reason.contains("several times, with different limits"),
        "{reason}"
    );
    assert!(
        rules(&service).contains("requests_per_unit=5,"),
        "{}",
        rules(&service)
    );
    assert!(
        rules(&service).contains("requests_per_unit=3,"),
        "{}",
        rules(&service)
    );
}

#[test]
fn equal_domains_of_two_gateways_are_one() {
    let ads = Ads::start();
    let service = start(&ads, &[]);
    let again = config("shop", &[("user", 1)]);
    ads.push(vec![again.clone(), again, config("shop", &[("other", 2)])]);
    ads.accepted("1");
    assert_eq!(rules(&service).lines().count(), 2);
}

/// Envoy Gateway answers a NACK at once with the same again, and may do so for hours.
#[test]
fn a_push_that_stays_bad_grows_nothing() {
    let ads = Ads::start();
    let service = start(&ads, &[]);
    // Ten megabytes, of which nothing must be kept each time.
    let many: Vec<String> = (0..2_100).map(|it| format!("{it:0>5000}")).collect();
    let mut limits: Vec<(&str, u32)> = many.iter().map(|it| (it.as_str(), 1)).collect();
    limits.push((&many[0], 2));
    let bad = vec![config("shop", &limits)];
    let n_nacks = || {
        let requests = ads.requests();
        requests
            .iter()
            .filter(|it| it.error_detail.is_some())
            .count()
    };
    let n_lines = || service.log().lines().count();
    ads.push(bad.clone());
    eventually("it is refused", || (n_nacks() >= 2).then_some(()));
    let before = (n_lines(), used(&service));
    eventually("it is refused again", || (n_nacks() >= 3).then_some(()));
    let cpu = used(&service) - before.1;
    assert_eq!(n_lines(), before.0, "{}", service.log());
    // It is told that it is the same, and not read again.
    assert!(cpu < 150, "{cpu} ticks");
    // What is good of it is in force, and a good one is taken.
    assert_eq!(rules(&service).lines().count(), 2_099);
    ads.push(vec![config("shop", &[("user", 1)])]);
    ads.accepted("2");
    // Nothing of it is kept: it has come four times, and comes four times more.
    let before = resident(&service);
    ads.push(bad);
    eventually("it is refused as before", || (n_nacks() >= 6).then_some(()));
    ads.push(vec![config("shop", &[("user", 1)])]);
    ads.accepted("4");
    let after = resident(&service);
    assert!(after < before + 25_000, "{before} kB, then {after} kB");
}

#[test]
fn a_server_that_is_away_for_minutes_is_asked_ever_more_seldom() {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), true);
    let mut away = Duration::ZERO;
    let mut attempts = 0;
    while away < Duration::from_secs(600) {
        // The least that jitter leaves.
        away += backoff.next(0.0);
        attempts += 1;
    }
    assert!(
        (20..=60).contains(&attempts),
        "{attempts} attempts in ten minutes"
    );
    backoff.reset();
    assert!(backoff.next(0.0) <= Duration::from_secs(1));
}

#[test]
fn a_server_that_says_no_http_is_left_and_asked_again() {
    let address = free_address();
    let listener = std::net::TcpListener::bind(address).unwrap();
    let server = address.to_string();
    let arguments = ["--xds-server", &server, "--xds-backoff", "20ms"];
    let service = Service::start(&[&arguments[..], &["--xds-max-backoff", "40ms"]].concat());
    for _ in 0..3 {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"SSH-2.0-dropbear\r\n").unwrap();
    }
    service.wait_for_log("no xDS server");
    drop(listener);
    let ads = Ads::start_at(address, None);
    ads.push(vec![config("shop", &[("user", 1)])]);
    ads.accepted("1");
}

/// Of the xDS client: as for the gRPC port, whose tests are in `tls`.
#[test]
fn bad_certificates_of_the_link_leave_the_good_ones_in_use() {
    let authority = Authority::new();
    let server = Secret::new(&authority, &authority.issue(&["envoy-gateway"]));
    let good = authority.issue(&["*.envoy-gateway-system"]);
    let mut own = Secret::new(&authority, &good);
    let mut ads = Ads::start_secured(&server);
    let files = ["ca.crt", "tls.crt", "tls.key"].map(|name| own.path(name));
    let [ca, certificate, key] = files.each_ref().map(String::as_str);
    let name = ["--xds-server-name", "envoy-gateway", "--xds-ca", ca];
    let pair = ["--xds-cert", certificate, "--xds-key", key];
    let quick = ["--xds-backoff", "20ms", "--xds-max-backoff", "100ms"];
    let service = start(&ads, &[&name[..], &pair, &quick].concat());
    ads.push(vec![config("shop", &[("user", 1)])]);
    ads.accepted("1");
    let mismatched = Pair {
        key: authority.issue(&["other"]).key,
        ..good
    };
    for (pair, reason) in [
        (mismatched, "does not go with the certificate"),
        (
            authority.issue_until(&["late"], 2_000),
            "expired at 2000-01-01",
        ),
    ] {
        own.swap(&authority, &pair);
        let line = service.wait_for_log(reason);
        assert!(line.contains("certificates refused"), "{line}");
    }
    fs::remove_file(own.file("..data")).unwrap();
    service.wait_for_log("cannot be read");
    // With the good ones it connects again.
    let address = ads.address();
    ads.stop();
    let ads = Ads::start_at(address, Some(&server));
    ads.push(vec![config("shop", &[("user", 2)])]);
    ads.accepted("1");
    assert!(rules(&service).contains("requests_per_unit=2,"));
}

/// What a rule has of one range of addresses.
enum Range {
    /// One limit for all of them together.
    Exact(u32),
    /// A limit for each.
    Distinct(u32),
}

/// The rules of a route with these, as Envoy Gateway pushes them: siblings of one key and value.
fn ranges(ranges: &[Range]) -> Any {
    let limit = |requests: u32| {
        Some(RateLimitPolicy {
            unit: RateLimitUnit::Hour.into(),
            requests_per_unit: requests,
            ..RateLimitPolicy::default()
        })
    };
    let node = |key: &str, value: &str| RateLimitDescriptor {
        key: key.to_owned(),
        value: value.to_owned(),
        ..RateLimitDescriptor::default()
    };
    let of_range = |range: &Range| {
        let mut masked = node("masked_remote_address", RANGE);
        match range {
            Range::Exact(requests) => masked.rate_limit = limit(*requests),
            Range::Distinct(requests) => masked.descriptors.push(RateLimitDescriptor {
                rate_limit: limit(*requests),
                ..node("remote_address", "")
            }),
        }
        masked
    };
    let mut route = node(ROUTE, ROUTE);
    route.descriptors = ranges.iter().map(of_range).collect();
    pack_any(RateLimitConfig {
        name: "shop".to_owned(),
        domain: "shop".to_owned(),
        descriptors: vec![route],
    })
}

/// Kilobytes of memory that it has.
fn resident(service: &Service) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().split(' ').next().unwrap();
    number.parse().unwrap()
}

/// Ticks of processor time that it has used, hundredths of a second.
fn used(service: &Service) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", service.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

const ROUTE: &str = "httproute/default/r/rule/0/match/0/a_example_com";
const RANGE: &str = "10.0.0.0/8";
