//! Section 7, and the arithmetic of section 3.11: what is counted, under which names.
//!
//! Elsewhere: bounded series that end with their rule (`metrics`), names in every detail
//! (`rule::tree::label`), counters of whole days' traffic (`xds::recorded`).

use std::io::Read;
use std::net::TcpListener;

use crate::dropin::memory;
use crate::reference::row;
use crate::reference::row::Ask;
use crate::reference::row::Row;
use crate::reference::row::differs;
use crate::reference::row::same;
use crate::reference::world::World;
use crate::support::http::Call;

#[test]
fn hits_are_counted_as_in_the_reference() {
    row::check_within_an_hour(HITS, || {
        let fixed = ("SLIDEGATE_ALGORITHM", "fixed_window");
        Some(World::start(RULES, &[memory()[0], fixed]))
    });
}

#[test]
fn statsd_gets_what_is_counted() {
    row::check(STATSD, |ask| ask());
}

pub(crate) fn reasons() -> Vec<&'static str> {
    [row::reasons(HITS), row::reasons(STATSD)].concat()
}

const RULES: &str = "
domain: d
descriptors:
- {key: one, rate_limit: {unit: hour, requests_per_unit: 10}}
- {key: many, rate_limit: {unit: hour, requests_per_unit: 10}}
- {key: over, rate_limit: {unit: hour, requests_per_unit: 10}}
- {key: split, rate_limit: {unit: hour, requests_per_unit: 10}}
- {key: trial, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
- {key: gone, rate_limit: {unit: hour, requests_per_unit: 1, name: gone}}
- {key: open, rate_limit: {unlimited: true, replaces: [{name: gone}]}}
- {key: ip, value: '10.0.0.1', rate_limit: {unit: hour, requests_per_unit: 9}}
- {key: 'a:b', value: 'x:y', rate_limit: {unit: hour, requests_per_unit: 9}}
- {key: host, value: example.com, rate_limit: {unit: hour, requests_per_unit: 9}}
- {key: wild, value: 'a*', rate_limit: {unit: hour, requests_per_unit: 9}}
- {key: shown, value_to_metric: true, rate_limit: {unit: hour, requests_per_unit: 9}}
- {key: shared, value: 'a*', value_to_metric: true, share_threshold: true, rate_limit: {unit: hour, requests_per_unit: 9}}
- key: up
  descriptors:
  - key: down
    value: x
    descriptors:
    - {key: below, rate_limit: {unit: hour, requests_per_unit: 9}}
    - {key: other, rate_limit: {unit: hour, requests_per_unit: 9}}
- key: deep
  descriptors:
  - {key: detail, detailed_metric: true, rate_limit: {unit: hour, requests_per_unit: 9}}
";

const REQUESTS: &str = "ratelimit_service_total_requests{grpc_method=\"ShouldRateLimit\"}";
const NAMES: &str = "differences 18: domains come from requests, and a cache from nowhere";

/// After the question come the rule's total, within, near, over and shadowed hits.
const HITS: &[Row<Ask<World>>] = &[
    // 7.1
    differs(
        "requests over gRPC are counted, health checks among them",
        |it| {
            it.ask("d | nothing=x");
            it.health("ratelimit");
            it.metric(REQUESTS)
        },
        "1",
        "differences 16: probes are no requests",
    ),
    same(
        "and how long they took",
        |it| {
            it.metric(
                "ratelimit_service_response_time_seconds_count{grpc_method=\"ShouldRateLimit\"}",
            )
        },
        "1",
    ),
    differs(
        "in milliseconds, with Envoy Gateway's mapping",
        |it| {
            let sum =
                "ratelimit_service_response_time_seconds_sum{grpc_method=\"ShouldRateLimit\"}";
            let seconds: f64 = it.metric(sum).parse().unwrap();
            (seconds > 0.0 && seconds < 30.0).to_string()
        },
        "true",
        "differences 16: the name says seconds",
    ),
    same(
        "errors by whose they are",
        |it| {
            it.ask("");
            it.metric("ratelimit_service_should_rate_limit_error{err_type=\"service_error\"}")
        },
        "1",
    ),
    differs(
        "Redis' own are there once there was one",
        |it| it.metric("ratelimit_service_should_rate_limit_error{err_type=\"redis_error\"}"),
        "0",
        "differences 15: a series that is not there cannot be watched",
    ),
    same(
        "loads of the configuration",
        |it| it.metric("ratelimit_service_config_load_success"),
        "1",
    ),
    differs(
        "requests to unknown domains are counted by their name",
        |it| {
            it.ask("elsewhere | user=x");
            let page = Call::get("/metrics").send(it.service.metrics()).body;
            page.contains("elsewhere").to_string()
        },
        "false",
        NAMES,
    ),
    differs(
        "what the local cache answers has a counter of its own",
        |it| {
            let page = Call::get("/metrics").send(it.service.metrics()).body;
            page.contains("over_limit_with_local_cache").to_string()
        },
        "false",
        NAMES,
    ),
    // 3.11
    same(
        "hits that pass are total and within, and near above four fifths",
        |it| {
            it.ask_times(9, "d | one=x");
            it.hits("domain=\"d\",key1=\"one\"")
        },
        "9 9 1 0 0",
    ),
    same(
        "of several at once those above the threshold are near",
        |it| {
            it.ask("d hits=7 | many=x");
            it.ask("d hits=3 | many=x");
            it.hits("domain=\"d\",key1=\"many\"")
        },
        "10 10 2 0 0",
    ),
    same(
        "those beyond the limit are over it",
        |it| {
            it.ask("d hits=10 | over=x");
            it.ask("d hits=4 | over=x");
            it.hits("domain=\"d\",key1=\"over\"")
        },
        "14 10 2 4 0",
    ),
    differs(
        "of hits that fit in part, some are near and some over",
        |it| {
            it.ask("d hits=7 | split=x");
            it.ask("d hits=5 | split=x");
            it.hits("domain=\"d\",key1=\"split\"")
        },
        "12 7 0 5 0",
        "differences 17: all were refused, so all are over",
    ),
    same(
        "in shadow mode they are over and shadowed",
        |it| {
            it.ask_times(3, "d | trial=x");
            it.hits("domain=\"d\",key1=\"trial\"")
        },
        "3 1 1 2 2",
    ),
    same(
        "replaced limits count nothing",
        |it| {
            it.ask("d | gone=x | open=x");
            it.hits("domain=\"d\",key1=\"gone\"")
        },
        "0 0 0 0 0",
    ),
    same(
        "nor do unlimited ones",
        |it| it.hits("domain=\"d\",key1=\"open\""),
        "0 0 0 0 0",
    ),
    // 7.2, 7.4
    same(
        "dots of addresses become `_`",
        |it| {
            it.ask("d | ip=10.0.0.1");
            it.hits("domain=\"d\",key1=\"ip_10_0_0_1\"")
        },
        "1 1 0 0 0",
    ),
    same(
        "so do colons",
        |it| {
            it.ask("d | a:b=x:y");
            it.hits("domain=\"d\",key1=\"a_b_x_y\"")
        },
        "1 1 0 0 0",
    ),
    same(
        "other dots part levels",
        |it| {
            it.ask("d | host=example.com");
            it.hits("domain=\"d\",key1=\"host_example\",key2=\"com\"")
        },
        "1 1 0 0 0",
    ),
    same(
        "a key without a value is its own name",
        |it| it.metric("ratelimit_service_rate_limit_total_hits{domain=\"d\",key1=\"one\"}"),
        "9",
    ),
    same(
        "a wildcard stands as it is written",
        |it| {
            it.ask("d | wild=abc");
            it.hits("domain=\"d\",key1=\"wild_a*\"")
        },
        "1 1 0 0 0",
    ),
    same(
        "value_to_metric shows what came",
        |it| {
            it.ask("d | shown=v");
            it.hits("domain=\"d\",key1=\"shown_v\"")
        },
        "1 1 0 0 0",
    ),
    same(
        "an empty value is left out",
        |it| {
            it.ask("d | shown=");
            it.hits("domain=\"d\",key1=\"shown\"")
        },
        "1 1 0 0 0",
    ),
    same(
        "share_threshold goes before it",
        |it| {
            it.ask("d | shared=abc");
            it.hits("domain=\"d\",key1=\"shared_a*\"")
        },
        "1 1 0 0 0",
    ),
    same(
        "detailed_metric shows every level",
        |it| {
            it.ask("d | deep=1,detail=2");
            it.hits("domain=\"d\",key1=\"deep_1\",key2=\"detail_2\"")
        },
        "1 1 0 0 0",
    ),
    same(
        "what lies below the second level is one series",
        |it| {
            it.ask("d | up=a,down=x,below=b");
            it.ask("d | up=a,down=x,other=b");
            it.hits("domain=\"d\",key1=\"up\",key2=\"down_x\"")
        },
        "2 2 0 0 0",
    ),
    differs(
        "a limit that a request brings is counted under its entries",
        |it| {
            it.ask("d | own=1,more=2 limit=4/HOUR");
            it.hits("domain=\"d\",key1=\"(override)\"")
        },
        "1 1 0 0 0",
        "differences 19: else each request could make a series that stays",
    ),
    differs(
        "counters move every ten seconds",
        |it| it.ask("d | one=moves") + " " + &it.hits("domain=\"d\",key1=\"one\""),
        "OK: OK 9 of 10 HOUR 10 10 1 0 0",
        "differences 15: they move at once",
    ),
];

const STATSD: &[Row<fn() -> String>] = &[
    same(
        "statsd gets counters under their dotted names",
        || {
            sent()
                .contains("ratelimit.service.config_load_success:1|c")
                .to_string()
        },
        "true",
    ),
    differs(
        "and gauges of the Go runtime",
        || sent().contains("ratelimit.go.").to_string(),
        "false",
        "differences 22: there is none",
    ),
];

/// What statsd is sent until the end of the process.
fn sent() -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let statsd = [
        ("USE_STATSD", "true"),
        ("STATSD_HOST", "127.0.0.1"),
        ("STATSD_PORT", &port),
    ];
    let mut world = World::start(RULES, &[&memory()[..], &statsd].concat());
    assert!(world.service.terminate().success());
    let mut text = String::new();
    server
        .accept()
        .unwrap()
        .0
        .read_to_string(&mut text)
        .unwrap();
    text
}
