//! Rules that an xDS server pushes, which behaves as Envoy Gateway's.

mod joined;
mod recorded;

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitConfig;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitPolicy;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitUnit;
use envoy_types::util::pack_any;

use crate::support::ads::Ads;
use crate::support::ads::NODE;
use crate::support::certificates::Authority;
use crate::support::certificates::Secret;
use crate::support::eventually;
use crate::support::free_address;
use crate::support::http::Call;
use crate::support::now;
use crate::support::process::Process;
use crate::support::rls::request;
use crate::support::service::Service;
use crate::support::service::slidegate;

#[tokio::test]
async fn what_is_pushed_is_in_force_when_it_is_accepted() {
    let ads = Ads::start();
    let service = start(&ads, &["--xds-node-metadata", "zone=a"]);
    let mut rls = service.rls().await;
    let hit = || request("shop", &[&[("user", "alice")]]);
    // Nothing was pushed yet: Envoy's failure mode decides.
    let status = rls.ask(hit()).await.unwrap_err();
    assert_eq!(status.message(), "no rate limit configuration loaded");
    assert_eq!(Call::get("/healthcheck").send(service.http()).status, 200);

    ads.push(vec![config("shop", &[("user", 1)]), config("b", &[])]);
    ads.accepted("1");
    assert!(rls.admits(hit()).await);
    assert!(!rls.admits(hit()).await);
    ads.push(vec![config("shop", &[("user", 3)])]);
    ads.accepted("2");
    assert!(rls.admits(hit()).await, "what was counted goes on counting");
    // No resources: no limits.
    ads.push(Vec::new());
    ads.accepted("3");
    for _ in 0..5 {
        assert!(rls.admits(hit()).await);
    }
    let first = ads.requests().remove(0);
    let node = first.node.unwrap();
    assert_eq!(node.id, NODE);
    let zone = &node.metadata.unwrap().fields["zone"];
    assert!(format!("{zone:?}").contains("\"a\""), "{zone:?}");
    assert_eq!(first.resource_names, [""; 0]);
    let loads = r#"slidegate_config_loads_total{result="loaded"}"#;
    assert_eq!(service.metric(loads), 3.0);
}

#[tokio::test]
async fn one_bad_rule_is_named_and_throws_nothing_else_away() {
    let ads = Ads::start();
    let service = start(&ads, &[]);
    ads.push(vec![config("shop", &[("user", 2), ("path", 1)])]);
    ads.accepted("1");
    // The rule of paths contradicts itself; what was in force there stays.
    let bad = config("shop", &[("user", 1), ("path", 5), ("path", 7), ("new", 1)]);
    ads.push(vec![bad]);
    assert_eq!(
        ads.refused(),
        "`shop.path`: it stands there several times, with different limits"
    );
    let page = rules(&service);
    assert_eq!(
        page,
        "shop.new: unit=DAY requests_per_unit=1, shadow_mode: false, quota_mode: false\n\
         shop.path: unit=DAY requests_per_unit=1, shadow_mode: false, quota_mode: false\n\
         shop.user: unit=DAY requests_per_unit=1, shadow_mode: false, quota_mode: false\n"
    );
    // A NACK says the version before, and a good push ends the matter.
    let nack = ads.request(|it| it.error_detail.is_some());
    assert_eq!(nack.version_info, "1");
    ads.push(vec![config("shop", &[("user", 1)])]);
    ads.accepted("3");
}

#[test]
fn a_bad_push_is_not_refused_again_and_again_at_once() {
    let ads = Ads::start();
    let service = start(&ads, &[]);
    ads.push(vec![config("shop", &[("user", 1), ("user", 2)])]);
    let begin = now();
    let nacks = || {
        ads.requests()
            .iter()
            .filter(|it| it.error_detail.is_some())
            .count()
    };
    eventually("the third NACK", || (nacks() >= 3).then_some(()));
    // At once, after one second, and after two more.
    assert!(
        begin.elapsed() >= Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    let lines = service.log();
    assert_eq!(lines.matches("push refused").count(), 1, "{lines}");
    let refused = r#"slidegate_config_loads_total{result="refused"}"#;
    assert_eq!(service.metric(refused), 1.0);
}

#[test]
fn garbage_changes_nothing() {
    let ads = Ads::start();
    let service = start(&ads, &[]);
    ads.push(vec![config("shop", &[("user", 2)])]);
    ads.accepted("1");
    let before = rules(&service);
    let garbage = Any {
        value: vec![7; 100],
        ..config("b", &[])
    };
    ads.push(vec![config("shop", &[("user", 9)]), garbage]);
    let reason = ads.refused();
    assert!(
        reason.starts_with("a resource cannot be decoded"),
        "{reason}"
    );
    assert_eq!(rules(&service), before);
    let other = Any {
        type_url: "type.googleapis.com/envoy.config.cluster.v3.Cluster".to_owned(),
        ..config("b", &[])
    };
    ads.push(vec![other]);
    service.wait_for_log("a resource is of type `type.googleapis.com/envoy.config.cluster");
    assert_eq!(rules(&service), before);
}

#[test]
fn a_large_push_is_taken() {
    let ads = Ads::start();
    let service = start(&ads, &[]);
    let names: Vec<String> = (0..2_100).map(|n| format!("{n:0>5000}")).collect();
    let limits: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let large = config("shop", &limits);
    assert!(large.value.len() > 10_000_000);
    ads.push(vec![large]);
    ads.accepted("1");
    assert_eq!(rules(&service).lines().count(), 2_100);

    let small = start(&ads, &["--xds-max-message", "1000000"]);
    small.wait_for_log("no xDS server");
    assert_eq!(rules(&small), "");
}

#[test]
fn a_server_that_comes_back_is_asked_anew_and_what_was_in_force_stays_meanwhile() {
    let mut ads = Ads::start();
    let address = ads.address();
    let service = start(
        &ads,
        &["--xds-backoff", "20ms", "--xds-max-backoff", "100ms"],
    );
    for n in 1..=3 {
        ads.push(vec![config("shop", &[("user", n)])]);
    }
    ads.accepted("3");
    let before = rules(&service);
    ads.stop();
    service.wait_for_log("no xDS server, what is in force stays");
    assert_eq!(rules(&service), before);

    // Another process, which counts its versions anew.
    let ads = Ads::start_at(address, None);
    let first = ads.request(|_| true);
    assert_eq!((first.version_info, first.response_nonce), <_>::default());
    ads.push(vec![config("shop", &[("user", 9)])]);
    ads.accepted("1");
    assert_ne!(rules(&service), before);
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let address = free_address();
    let arguments = ["--xds-backoff", "20ms", "--xds-max-backoff", "100ms"];
    let service = start_at(address, &arguments);
    service.wait_for_log("no xDS server");
    let ads = Ads::start_at(address, None);
    ads.push(vec![config("shop", &[("user", 9)])]);
    ads.accepted("1");
    assert_eq!(
        service.log().matches("no xDS server").count(),
        1,
        "said once"
    );
}

#[test]
fn both_sides_show_certificates_and_the_name_can_be_given() {
    let authority = Authority::new();
    let server = Secret::new(&authority, &authority.issue(&["envoy-gateway"]));
    let mut client = Secret::new(&authority, &authority.issue(&["*.envoy-gateway-system"]));
    let mut ads = Ads::start_secured(&server);
    let (ca, certificate, key) = (
        client.path("ca.crt"),
        client.path("tls.crt"),
        client.path("tls.key"),
    );
    let pair = ["--xds-cert", &certificate, "--xds-key", &key];
    let trust = ["--xds-ca", &ca];
    let name = ["--xds-server-name", "envoy-gateway"];
    let quick = ["--xds-backoff", "20ms", "--xds-max-backoff", "100ms"];
    ads.push(vec![config("shop", &[("user", 1)])]);
    for (arguments, problem) in [
        // What the server says of it may be lost when it closes the connection.
        ([&trust[..], &name].concat(), ""),
        ([&trust[..], &pair].concat(), "not valid for name"),
        ([&name[..], &pair].concat(), "unknownissuer"),
    ] {
        let service = start(&ads, &[&arguments, &quick[..]].concat());
        let line = service.wait_for_log("no xDS server");
        assert!(line.to_lowercase().contains(problem), "{problem}: {line}");
        assert!(ads.requests().is_empty());
    }
    let arguments = [&trust[..], &name, &pair, &quick].concat();
    let service = start(&ads, &arguments);
    ads.accepted("1");

    // Every certificate is renewed, by another authority.
    let address = ads.address();
    ads.stop();
    let authority = Authority::new();
    let server = Secret::new(&authority, &authority.issue(&["envoy-gateway"]));
    client.swap(&authority, &authority.issue(&["*.envoy-gateway-system"]));
    service.wait_for_log("certificates reloaded");
    let ads = Ads::start_at(address, Some(&server));
    ads.push(vec![config("shop", &[("user", 2)])]);
    ads.accepted("1");
}

#[test]
fn it_does_not_start_where_the_server_cannot_be_meant() {
    for (server, more, expected) in [
        (
            "envoy-gateway",
            &[][..],
            "unknown xDS server `envoy-gateway`",
        ),
        ("a:b", &[], "unknown xDS server `a:b`: expected host:port"),
        ("a:1", &["--xds-ca", "absent"], "absent cannot be read"),
        ("a:1", &["--xds-server-name", "a b"], "`a b` is no name"),
        ("a:1", &["--rules", "config/demo"], "cannot be used with"),
    ] {
        let arguments = [&["serve", "--xds-server", server], more].concat();
        let mut process = Process::start(&mut slidegate(&arguments));
        let line = process.line_with(expected);
        assert!(line.is_some(), "{expected}: {:?}", process.lines());
        assert!(!process.wait().success());
    }
}

/// A service whose rules come from this server.
#[track_caller]
pub(crate) fn start(ads: &Ads, more: &[&str]) -> Service {
    start_at(ads.address(), more)
}

#[track_caller]
fn start_at(address: SocketAddr, more: &[&str]) -> Service {
    let server = address.to_string();
    Service::start(&[&["--xds-server", &server], more].concat())
}

/// What `/rlconfig` says.
#[track_caller]
pub(crate) fn rules(service: &Service) -> String {
    Call::get("/rlconfig").send(service.debug()).body
}

/// A domain with limits a day, each for every value of a key.
pub(crate) fn config(domain: &str, limits: &[(&str, u32)]) -> Any {
    let descriptor = |(key, requests): &(&str, u32)| RateLimitDescriptor {
        key: (*key).to_owned(),
        rate_limit: Some(RateLimitPolicy {
            unit: RateLimitUnit::Day.into(),
            requests_per_unit: *requests,
            ..RateLimitPolicy::default()
        }),
        ..RateLimitDescriptor::default()
    };
    pack_any(RateLimitConfig {
        name: domain.to_owned(),
        domain: domain.to_owned(),
        descriptors: limits.iter().map(descriptor).collect(),
    })
}
