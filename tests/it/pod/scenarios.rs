//! What Envoy Gateway's end-to-end tests see of limits, with their numbers.

use std::net::SocketAddr;

use serde_json::Value;
use serde_json::json;

use crate::envoy::backend;
use crate::envoy::proxy::Envoy;
use crate::pod::Pod;
use crate::pod::decide;
use crate::pod::pod_port;
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::http::Call;

/// Passes all of them.
#[track_caller]
pub(crate) fn pass(pod: &Pod, envoy: &Envoy) {
    let at = |listener: &str| envoy.address(listener);
    let http = at("default/eg/http");
    addresses(http, at("default/two/http"));
    each_selector(http);
    tokens(http);
    without_headers(at("default/eg/quiet"));
    for listener in [http, at("default/eg/second")] {
        limited(listener, &to("listeners"), 3, THREE);
    }
    usage(http);
    limits_of_metadata(http);
    shared(http, at("default/shared/http"));
    merged(at("default/merged/http"));
    calls(http);
    metrics();
    assert!(pod.ads.requests().len() <= 2, "one push, one answer");
}

/// RateLimitCIDRMatch, InvertMatchAlwaysEnforce and InvertAlwaysExempt.
#[track_caller]
fn addresses(http: SocketAddr, two: SocketAddr) {
    limited(http, &to("cidr"), 3, THREE);
    for host in ["cidr", "other"] {
        limited(two, &to(host), 3, THREE);
    }
    limited(http, &to("outside"), 2, "2, 2;w=3600");
    free(http, &to("exempt"), 3);
}

/// HeaderMatch, MethodMatch, PathMatch, HeaderInvertMatch, QueryParameters, HeadersAndCIDRMatch,
/// ShadowMode.
#[track_caller]
fn each_selector(http: SocketAddr) {
    let one = |call: Call| call.header("x-user-id", "one");
    let acme = |call: Call| call.header("x-user-org", "acme");
    limited(http, &acme(one(to("headers"))), 3, THREE);
    free(http, &one(to("headers")), 4);
    free(http, &acme(to("headers")), 4);

    limited(http, &to("methods").method("POST"), 3, THREE);
    refused(http, &to("methods").method("DELETE"));
    free(http, &to("methods"), 4);

    let path = |path: &str| Call::get(path).header("host", "path.example.com");
    limited(http, &path("/get/specific-path"), 3, THREE);
    refused(http, &path("/get/specific-path/subpath"));
    refused(http, &path("/get/specific-path?with=query"));
    free(http, &path("/get/specific-path2"), 1);
    free(http, &path("/other"), 4);

    let user = |name: &str| to("users").header("x-user-name", name);
    limited(http, &user("username"), 3, THREE);
    free(http, &user("admin"), 4);

    let query = |query: &str| Call::get(query).header("host", "query.example.com");
    limited(http, &query("/?user=alice"), 3, THREE);
    free(http, &query("/?user=bob"), 4);

    limited(http, &acme(one(to("both"))), 3, THREE);
    free(http, &one(to("both")), 4);
    free(http, &acme(to("both")), 4);

    for _ in 0..5 {
        admitted(http, &to("shadow"), Some(THREE));
    }
}

/// RateLimitBasedJwtClaims.
#[track_caller]
fn tokens(http: SocketAddr) {
    let with = |token: &str| to("jwt").header("authorization", &format!("Bearer {HEAD}.{token}"));
    limited(http, &with(JOHN), 3, THREE);
    free(http, &with(JANE), 4);
    assert_eq!(to("jwt").send(http).status, 401);
}

/// RateLimitHeadersDisabled.
#[track_caller]
fn without_headers(quiet: SocketAddr) {
    let call = to("quiet").header("x-user-id", "one");
    let both = call.clone().header("x-user-org", "acme");
    for _ in 0..3 {
        admitted(quiet, &both, None);
    }
    let answer = both.send(quiet);
    assert_eq!((answer.status, answer.header(LIMIT)), (429, None));
    free(quiet, &call, 4);
}

/// UsageRateLimit: a check before and a report of ten after, of 21 an hour.
#[track_caller]
fn usage(http: SocketAddr) {
    let call = to("usage").header(backend::USES, "10");
    let route = "httproute/default/usage/rule/0/match/0/usage_example_com";
    for left in [11, 1, 0] {
        admitted(http, &call, Some("21, 21;w=3600"));
        eventually("the report arrives", || {
            (remaining("default/eg/http", &[route, "rule-0-match--1"]) == left).then_some(())
        });
    }
    let answer = refused(http, &call);
    assert_eq!(answer.header(LIMIT), Some("21, 21;w=3600"));
}

/// A limit that comes with the request, and the rule's own where none does.
#[track_caller]
fn limits_of_metadata(http: SocketAddr) {
    limited(http, &to("told"), 2, "2, 2;w=3600");
    limited(http, &to("untold"), 5, "5, 5;w=3600");
}

/// GlobalSharedCidrMatch, GlobalSharedGatewayHeaderMatch, GlobalSharedWithCost.
#[track_caller]
fn shared(http: SocketAddr, of_gateway: SocketAddr) {
    let one = |call: Call| call.header("x-user-id", "one");
    for path in ["/foo", "/foo", "/bar"] {
        admitted(http, &below("shared-cidr", path), Some(THREE));
        admitted(of_gateway, &one(below("shared-any", path)), Some(THREE));
    }
    for path in ["/foo", "/bar"] {
        refused(http, &below("shared-cidr", path));
        refused(of_gateway, &one(below("shared-any", path)));
    }
    for path in ["/foo", "/bar"] {
        admitted(http, &one(below("shared-cost", path)), Some("4, 4;w=3600"));
    }
    refused(http, &one(below("shared-cost", "/foo")));
    free(http, &below("shared-cost", "/foo"), 1);
}

/// GlobalMergeTest.
#[track_caller]
fn merged(gateway: SocketAddr) {
    let of = |user: &str, path: &str| below("shared-merged", path).header("x-user-id", user);
    // Shared limits: over both routes.
    for user in ["one", "three"] {
        for path in ["/foo", "/bar", "/foo"] {
            assert_eq!(of(user, path).send(gateway).status, 200, "{user} {path}");
        }
        for path in ["/foo", "/bar"] {
            refused(gateway, &of(user, path));
        }
    }
    // Others: on each.
    for user in ["two", "four"] {
        for path in ["/foo", "/bar"] {
            for _ in 0..3 {
                assert_eq!(of(user, path).send(gateway).status, 200, "{user} {path}");
            }
            refused(gateway, &of(user, path));
        }
    }
    let anybody = below("shared-merged", "/foo");
    let answer = admitted(gateway, &anybody, Some("100, 100;w=3600"));
    let remaining: u32 = answer
        .header("x-ratelimit-remaining")
        .unwrap()
        .parse()
        .unwrap();
    for _ in 0..remaining {
        admitted(gateway, &anybody, Some("100, 100;w=3600"));
    }
    refused(gateway, &anybody);
}

/// How often the service is asked for a request, and how a request of two limits is answered.
#[track_caller]
fn calls(http: SocketAddr) {
    let one = |call: Call| call.header("x-user-id", "one");
    for (call, expected) in [
        // Nothing matches, and a header that tells clients apart is missing.
        (to("headers"), 0),
        (to("users"), 0),
        // Two limits of one domain are one request, those of two domains are two.
        (one(to("twice")), 1),
        (to("apart"), 2),
        // What a response used is told afterwards, if it says so.
        (to("usage-told").header(backend::USES, "10"), 2),
        (to("usage-told"), 1),
    ] {
        let before = requests();
        assert_eq!(call.send(http).status, 200, "{call:?}");
        eventually("the service was asked", || {
            (requests() >= before + expected).then_some(())
        });
        // Another call would have come before this one, which is the second of its connection.
        assert_eq!(to("shadow").send(http).status, 200);
        eventually("the service was asked", || {
            (requests() > before + expected).then_some(())
        });
        assert_eq!(requests(), before + expected + 1, "{call:?}");
    }
    admitted(http, &one(to("twice")), Some("3, 3;w=3600, 5;w=3600"));
    admitted(http, &to("twice"), Some("5, 5;w=3600"));
}

/// How many requests the service has been asked to decide.
#[track_caller]
fn requests() -> u64 {
    let page = Call::get("/metrics").send(pod_port(19_001)).body;
    let series = "ratelimit_service_total_requests{grpc_method=\"ShouldRateLimit\"} ";
    let value = page.lines().find_map(|line| line.strip_prefix(series));
    value.unwrap().parse().unwrap()
}

/// The series that dashboards and the tests of Envoy Gateway look for.
#[track_caller]
fn metrics() {
    let page = Call::get("/metrics").send(pod_port(19_001)).body;
    for (name, route, key2) in [
        ("over_limit", "cidr", "masked_remote_address_0_0_0_0/0"),
        (
            "over_limit",
            "outside",
            "masked_remote_address_invert_192_0_2_0/24",
        ),
        ("over_limit", "headers", "rule-0-match-0_rule-0-match-0"),
        ("over_limit", "jwt", "rule-0-match-0_rule-0-match-0"),
        ("over_limit", "jwt", "rule-0-match-0_rule-0-match-0"),
        // Of what is only told apart, the value is no label.
        ("over_limit", "users", "rule-0-match-0"),
        ("within_limit", "methods", "rule-0-method_rule-0-method"),
        ("shadow_mode", "shadow", "rule-0-method_rule-0-method"),
        ("near_limit", "query", "rule-0-match-0_rule-0-match-0"),
        ("total_hits", "usage", "rule-0-match--1_rule-0-match--1"),
    ] {
        let route = format!("httproute/default/{route}/rule/0/match/0/{route}_example_com");
        let series = format!(
            "ratelimit_service_rate_limit_{name}{{domain=\"default/eg/http\",\
             key1=\"{route}_{route}\",key2=\"{key2}\"}} "
        );
        let value = page.lines().find_map(|line| line.strip_prefix(&series));
        let value: Option<f64> = value.and_then(|it| it.parse().ok());
        assert!(value.is_some_and(|it| it > 0.0), "{series}:\n{page}");
    }
}

/// So many pass, then none; all of them with the header.
#[track_caller]
fn limited(to: SocketAddr, call: &Call, limit: u32, header: &str) {
    for _ in 0..limit {
        admitted(to, call, Some(header));
    }
    let answer = refused(to, call);
    assert_eq!(answer.header(LIMIT), Some(header), "{answer:?}");
}

#[track_caller]
fn refused(to: SocketAddr, call: &Call) -> Answer {
    let answer = call.send(to);
    assert_eq!(answer.status, 429, "{call:?}: {answer:?}");
    answer
}

/// So many pass without being counted.
#[track_caller]
fn free(to: SocketAddr, call: &Call, times: u32) {
    for _ in 0..times {
        admitted(to, call, None);
    }
}

#[track_caller]
fn admitted(to: SocketAddr, call: &Call, header: Option<&str>) -> Answer {
    let answer = call.send(to);
    let told = (answer.status, answer.header(LIMIT));
    assert_eq!(told, (200, header), "{call:?}: {answer:?}");
    answer
}

/// What remains, asked of the service itself at no cost.
#[track_caller]
fn remaining(domain: &str, path: &[&str]) -> u64 {
    let entries: Vec<_> = path
        .iter()
        .map(|it| json!({"key": it, "value": it}))
        .collect();
    let descriptor = json!({"entries": entries, "hitsAddend": "0"});
    let (_, body) = decide(&json!({"domain": domain, "descriptors": [descriptor]}));
    let body: Value = serde_json::from_str(&body).unwrap();
    // Zero values are left out.
    body["statuses"][0]["limitRemaining"].as_u64().unwrap_or(0)
}

fn to(host: &str) -> Call {
    below(host, "/")
}

fn below(host: &str, path: &str) -> Call {
    Call::get(path).header("host", &format!("{host}.example.com"))
}

const LIMIT: &str = "x-ratelimit-limit";
const THREE: &str = "3, 3;w=3600";

/// Tokens, which have their head in common.
const HEAD: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6InRlc3RzIn0";
const JOHN: &str = "eyJuYW1lIjoiSm9obiBEb2UifQ.PncgOLOpKZnSVHuhoDIBKuDS0KEeCn7S2rMlM5spBG0";
const JANE: &str = "eyJuYW1lIjoiSmFuZSBEb2UifQ.VSKEMIv_yBcZjaQmnAArq0mHUV5tEHPVzWtC6veAQE8";
