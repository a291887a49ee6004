//! The real Envoy in front of the service on a real Redis, driven with plain HTTP.

mod actions;
pub(crate) mod backend;
pub(crate) mod bootstrap;
mod bounds;
mod predicted;
pub(crate) mod proxy;
pub(crate) mod translate;
mod world;

use std::net::Ipv4Addr;

use crate::envoy::bounds::Bounds;
use crate::envoy::world::Options;
use crate::envoy::world::World;
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::http::Call;
use crate::support::now;

#[test]
fn three_pass_and_the_fourth_is_refused() {
    if let Some(world) = World::start(Options::default()) {
        check_limit(&world, 3, &call("/payments"));
    }
}

#[test]
fn each_route_has_the_limit_that_is_in_force_for_it() {
    if let Some(world) = World::start(Options::default()) {
        check_limit(&world, 3, &post("/payments"));
        check_limit(&world, 3, &call("/payments"));
        check_limit(&world, 4, &call("/refunds?debug=on"));
        check_limit(&world, 5, &call("/models"));
    }
}

#[test]
fn users_told_apart_by_a_header_have_their_own_counts() {
    if let Some(world) = World::start(Options::default()) {
        check_users(&world);
    }
}

#[test]
fn clients_told_apart_by_their_address_have_their_own_counts() {
    if let Some(world) = World::start(Options::default()) {
        for address in [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)] {
            check_limit(
                &world,
                3,
                &call("/catalog/books")
                    .header("x-api-version", "1")
                    .from(address),
            );
        }
    }
}

#[test]
fn what_a_response_used_is_charged_afterwards() {
    if let Some(world) = World::start(Options::default()) {
        check_reports(&world);
    }
}

#[test]
fn two_replicas_on_one_redis_count_together() {
    let options = Options {
        replicas: 2,
        ..Options::default()
    };
    let Some(world) = World::start(options) else {
        return;
    };
    check_limit(&world, 3, &call("/payments"));
    check_users(&world);
    check_reports(&world);
    let asked = world.requests_by_replica();
    assert!(asked.iter().all(|n| *n >= 4), "asked {asked:?}");
}

#[test]
fn after_the_window_slides_as_many_pass_as_hits_have_left_it() {
    let bounds = Bounds::new(4, 3);
    let options = Options {
        rules: Some(bounds.rules("httproute/default/get-payments/rule/0/match/0/api_example_com")),
        ..Options::default()
    };
    let Some(world) = World::start(options) else {
        return;
    };
    check_sliding(&world, bounds);
}

#[test]
fn a_stopped_service_lets_everything_pass_where_envoy_fails_open() {
    let Some(mut world) = World::start(Options::default()) else {
        return;
    };
    check_limit(&world, 3, &call("/payments"));
    world.stop_services();
    for _ in 0..5 {
        let answer = world.send(&call("/payments"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
}

#[test]
fn a_stopped_service_lets_nothing_pass_where_envoy_fails_closed() {
    let options = Options {
        fail_closed: true,
        ..Options::default()
    };
    let Some(mut world) = World::start(options) else {
        return;
    };
    assert_eq!(world.send(&call("/payments")).status, 200);
    world.stop_services();
    assert_eq!(world.send(&call("/payments")).status, 500);
}

/// So many an hour pass with the remaining count going down, and then none.
#[track_caller]
fn check_limit(world: &World, limit: u64, call: &Call) {
    for sent in 1..=limit + 2 {
        let answer = world.send(call);
        let status = if sent <= limit { 200 } else { 429 };
        assert_eq!(answer.status, status, "{answer:?}");
        let remaining = limit.saturating_sub(sent);
        assert_eq!(number(&answer, "x-ratelimit-remaining"), remaining);
        let stated = format!("{limit}, {limit};w=3600");
        assert_eq!(answer.header("x-ratelimit-limit"), Some(stated.as_str()));
        let reset = number(&answer, "x-ratelimit-reset");
        assert!((3_000..=3_600).contains(&reset), "{answer:?}");
    }
}

/// Two users apart, and nobody counted without the header.
#[track_caller]
fn check_users(world: &World) {
    check_limit(world, 3, &call("/orders").header("x-user-id", "one"));
    check_limit(world, 3, &call("/orders").header("x-user-id", "two"));
    for _ in 0..5 {
        let answer = world.send(&call("/orders"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
}

/// 21 an hour, a check before and a report of 10 after: three pass, the fourth is refused.
#[track_caller]
fn check_reports(world: &World) {
    let call = call("/chat").header(backend::USES, "10");
    for (before, after) in [("21", 11), ("11", 1), ("1", 0)] {
        let answer = world.send(&call);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("x-ratelimit-limit"), Some("21, 21;w=3600"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(before));
        // Envoy reports after it has answered: look until the report has arrived.
        eventually("the report arrives", || {
            let check = world.check("httproute/default/chat/rule/0/match/0/api_example_com");
            (check == after).then_some(())
        });
    }
    let answer = world.send(&call);
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
}

/// Two hits, two more half a window later, and then one request after the other until both pairs
/// have left the window.
#[track_caller]
fn check_sliding(world: &World, mut bounds: Bounds) {
    let send = |bounds: &mut Bounds| {
        let sent = now();
        let answer = world.send(&call("/payments"));
        // Without the header Envoy would have decided alone.
        assert!(answer.header("x-ratelimit-limit").is_some(), "{answer:?}");
        bounds.check(sent, now(), answer.status == 200);
    };
    let begin = now();
    send(&mut bounds);
    send(&mut bounds);
    eventually("half a window has gone", || {
        (begin.elapsed() >= bounds.window() / 2).then_some(())
    });
    eventually("all hits have slid out of the window", || {
        send(&mut bounds);
        bounds.have_shown_both().then_some(())
    });
}

fn call(path: &str) -> Call {
    Call::get(path).header("host", "api.example.com")
}

fn post(path: &str) -> Call {
    Call::post(path, "").header("host", "api.example.com")
}

#[track_caller]
fn number(answer: &Answer, header: &str) -> u64 {
    let value = answer.header(header).unwrap();
    value.parse().unwrap()
}
