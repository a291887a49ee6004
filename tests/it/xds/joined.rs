//! What a platform adds to rules that are pushed: bursts, what costs mean, choices.

use std::fs;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::google::protobuf::UInt64Value;
use slidegate::source;
use slidegate::source::file::File;
use tempfile::TempDir;

use crate::pod::resources::resources;
use crate::support::ads::Ads;
use crate::support::eventually;
use crate::support::rls::Rls;
use crate::support::rls::request;
use crate::xds::rules;
use crate::xds::start;

#[tokio::test]
async fn a_push_says_the_limits_and_the_platform_their_bursts_as_either_changes() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("platform.yaml");
    let platform = platform("burst: 2, on_store_failure: deny");
    fs::write(&path, &platform).unwrap();
    let ads = Ads::start();
    let service = start(&ads, &["--platform", path.to_str().unwrap()]);
    let mut rls = service.rls().await;
    // The platform alone puts nothing in force.
    let status = rls.ask(hit("a")).await.unwrap_err();
    assert_eq!(status.message(), "no rate limit configuration loaded");

    ads.push(pushed(&platform));
    ads.accepted("1");
    service.wait_for_log("pushed limits joined with the platform's");
    assert!(rules(&service).contains(", burst: 2, on_store_failure: deny\n"));
    assert_eq!(admitted(&mut rls, "b").await, 5);

    // The document changes, and nobody pushes.
    let more = self::platform("burst: 4");
    fs::write(&path, &more).unwrap();
    eventually("the burst is in force", || {
        rules(&service).contains(", burst: 4\n").then_some(())
    });
    assert_eq!(admitted(&mut rls, "c").await, 7);

    // A fault in it changes nothing.
    fs::write(&path, "kind: Policy\n").unwrap();
    service.wait_for_log("rules refused, the last good set stays in force");
    assert!(rules(&service).contains(", burst: 4\n"));

    // A push says other limits, which the burst is joined to.
    ads.push(pushed(
        &more.replace("requests_per_unit: 3", "requests_per_unit: 1"),
    ));
    ads.accepted("2");
    assert_eq!(admitted(&mut rls, "d").await, 5);
    // One that the platform does not know has none.
    ads.push(pushed(&more.replace("chat", "talk")));
    ads.accepted("3");
    assert!(!rules(&service).contains("burst"), "{}", rules(&service));
}

#[tokio::test]
async fn the_platform_knows_which_costs_are_reports() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("platform.yaml");
    let cost = "cost: {request: 0, response: {namespace: io.envoy.ai_gateway, key: tokens}}";
    let platform = platform(cost);
    fs::write(&path, &platform).unwrap();
    let ads = Ads::start();
    let service = start(&ads, &["--platform", path.to_str().unwrap()]);
    ads.push(pushed(&platform));
    ads.accepted("1");
    let mut rls = service.rls().await;
    // Without the platform the first cost of all would be taken for one that is asked for.
    let mut report = hit("a");
    report.descriptors[0].hits_addend = Some(UInt64Value { value: 50 });
    assert!(!rls.admits(report).await, "it did not fit");
    let mut check = hit("a");
    check.descriptors[0].hits_addend = Some(UInt64Value { value: 0 });
    assert!(!rls.admits(check).await, "and was booked all the same");
}

/// A platform with one limit of three an hour for each `x-user-id`.
fn platform(more: &str) -> String {
    format!(
        "kind: Gateway\nname: eg\n\
         listeners: [{{name: http, port: 80, protocol: HTTP, hostname: a.example.com}}]\n---\n\
         kind: Backend\nname: backend\nscheme: http\n\
         endpoints: [{{host: 10.0.0.1, port: 3000}}]\n---\n\
         kind: ApiService\nname: api\n---\n\
         kind: Route\nname: chat\napi_service: api\ngateway: eg\nlistener: http\n\
         hostnames: [a.example.com]\npath_prefix: /\nbackend_refs: [{{backend: backend}}]\n---\n\
         kind: Policy\nname: limit\nscope: route\nroute: chat\ntype: rate-limit\n\
         spec: {{requests_per_unit: 3, unit: hour, key: {{by: header, name: x-user-id}}, {more}}}\n"
    )
}

/// What Envoy Gateway pushes for the platform's manifests.
#[track_caller]
fn pushed(platform: &str) -> Vec<envoy_types::pb::google::protobuf::Any> {
    let file = File {
        name: "platform.yaml".into(),
        text: platform.to_owned(),
    };
    match source::derived(&[file], "default") {
        Ok(derived) => resources(&derived.domains),
        Err(faults) => panic!("{faults}"),
    }
}

fn hit(user: &str) -> RateLimitRequest {
    request(
        "default/eg/http",
        &[&[(ROUTE, ROUTE), ("rule-0-match-0", user)]],
    )
}

/// How many of ten in a row are admitted.
async fn admitted(rls: &mut Rls, user: &str) -> usize {
    let mut admitted = 0;
    for _ in 0..10 {
        admitted += usize::from(rls.admits(hit(user)).await);
    }
    admitted
}

const ROUTE: &str = "httproute/default/chat/rule/0/match/0/a_example_com";
