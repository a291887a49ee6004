//! What is explained of requests to the sample platform, whichever listener they come to, is what Envoy
//! and the service then do.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use slidegate::manifest::explain::Explanation;
use slidegate::manifest::explain::call::Hits;

use crate::envoy::backend;
use crate::envoy::world::Options;
use crate::envoy::world::World;
use crate::support::eventually;
use crate::support::http::Call;
use crate::support::sample;
use crate::support::sample::Sample;
use crate::support::sample::Sent;

#[test]
fn requests_to_all_listeners_of_the_sample_end_as_they_were_explained() {
    let Some(world) = World::start(Options::default()) else {
        return;
    };
    let sample = Sample::load();
    let mut n_limited = BTreeMap::new();
    let mut routes = BTreeSet::new();
    for sent in sample::requests() {
        let explained = sample.explained(&sent);
        routes.extend(explained.as_ref().map(|it| it.route.clone()));
        let call = call(&world, &sent);
        match explained.as_ref().map(|it| (it, n_admitted(it))) {
            None => assert_eq!(world.send_to(sent.listener, &call).status, 404, "{sent:?}"),
            Some((_, None)) => {
                let answer = world.send_to(sent.listener, &call);
                let header = answer.header(LIMIT);
                assert_eq!((answer.status, header), (200, None), "{sent:?}");
            }
            Some((explained, Some(n_admitted))) => {
                *n_limited.entry(sent.listener).or_insert(0) += 1;
                check(&world, &sent, &call, explained, n_admitted);
            }
        }
    }
    assert!(
        n_limited.keys().copied().eq(world.domains()),
        "{n_limited:?}"
    );
    assert_eq!(n_limited.into_values().collect::<Vec<_>>(), [11, 1, 3]);
    // All that have a backend and are active.
    assert_eq!(routes.len(), 9, "{routes:?}");
}

/// So many pass with the explained headers on the first, and then none. Of many only the first are sent.
#[track_caller]
fn check(world: &World, sent: &Sent, call: &Call, explained: &Explanation, n_admitted: u64) {
    let n_sent = if n_admitted > MANY { 3 } else { n_admitted + 2 };
    for index in 0..n_sent {
        let answer = world.send_to(sent.listener, call);
        let expected = if index < n_admitted { 200 } else { 429 };
        assert_eq!(answer.status, expected, "{index} of {sent:?}: {answer:?}");
        let (stated, left) = (
            values(&explained.headers, LIMIT),
            values(&explained.headers, LEFT),
        );
        let limits = values(&answer.headers, LIMIT);
        if expected == 200 {
            assert_eq!(limits, stated, "{sent:?}");
        } else {
            // What is asked after a refusal is not known.
            let is_stated = |limit: &&str| stated.contains(limit);
            assert!(
                !limits.is_empty() && limits.iter().all(is_stated),
                "{answer:?}"
            );
        }
        if index == 0 {
            assert_eq!(values(&answer.headers, LEFT), left, "{sent:?}");
        }
        if let Some(bucket) = reported_to(explained) {
            let booked = (index + 1).min(n_admitted) * USED;
            let left = total(explained).saturating_sub(booked);
            // Envoy reports after it has answered: look until the report has arrived.
            eventually("the report arrives", || {
                (world.check(bucket) == left).then_some(())
            });
        }
    }
}

/// Each filter adds a header of this name, with its limits.
const LIMIT: &str = "x-ratelimit-limit";

/// Likewise, with what is left.
const LEFT: &str = "x-ratelimit-remaining";

fn values<'h>(headers: &'h [(String, String)], name: &str) -> Vec<&'h str> {
    let of_name = headers.iter().filter(|(it, _)| it == name);
    of_name.map(|(_, value)| value.as_str()).collect()
}

/// So many requests are not sent one by one.
const MANY: u64 = 50;

/// How many requests pass within a window, if any limit counts them.
fn n_admitted(explained: &Explanation) -> Option<u64> {
    let descriptors = explained.calls.iter().flat_map(|call| &call.descriptors);
    let n_of = descriptors.filter_map(|sent| {
        let limit = sent.limit.as_ref()?;
        let most = u64::from(limit.requests) + u64::from(limit.burst);
        match sent.hits {
            Hits::Number(0) => None,
            Hits::Number(hits) => Some(most / hits),
            // Reports are booked as long as one hit was left before.
            Hits::Metadata(_) => Some(most.div_ceil(USED)),
        }
    });
    n_of.min()
}

/// The first entry of what is reported, where something is.
fn reported_to(explained: &Explanation) -> Option<&str> {
    let after = explained.calls.iter().find(|call| call.after_response)?;
    Some(&after.descriptors[0].entries[0].0)
}

fn total(explained: &Explanation) -> u64 {
    let limit = explained.calls[0].descriptors[0].limit.as_ref().unwrap();
    u64::from(limit.requests)
}

fn call(world: &World, sent: &Sent) -> Call {
    let request = &sent.request;
    let mut call = match request.method.as_str() {
        "GET" => Call::get(&request.path),
        _ => Call::post(&request.path, ""),
    };
    call = call.header("host", &request.host);
    for (name, value) in &request.headers {
        call = call.header(name, value);
    }
    if let Some(IpAddr::V4(address)) = request.address {
        call = call.from(address);
    }
    if sent.listener.ends_with("/https") {
        let name = match sent.listener.contains("partner") {
            true => "orders.partners.example.com",
            false => "api.example.com",
        };
        call = call.secured(name, &world.authority());
    }
    call.header(backend::USES, &USED.to_string())
}

/// How much each response says that it used.
const USED: u64 = 10;
