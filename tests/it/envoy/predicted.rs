//! What is explained of requests to the sample platform is what Envoy and the service then do.

use std::net::IpAddr;

use slidegate::manifest::explain::Explanation;
use slidegate::manifest::explain::call::Hits;
use slidegate::manifest::explain::request::Request;

use crate::envoy::backend;
use crate::envoy::world::Options;
use crate::envoy::world::World;
use crate::support::eventually;
use crate::support::http::Call;
use crate::support::sample;

#[test]
fn requests_to_the_sample_end_as_they_were_explained() {
    let Some(world) = World::start(Options::default()) else {
        return;
    };
    let mut n_limited = 0;
    for request in sample::requests() {
        let explained = sample::explained(&request);
        match explained.as_ref().map(|it| (it, n_admitted(it))) {
            None => assert_eq!(world.send(&call(&request)).status, 404, "{request:?}"),
            Some((_, None)) => {
                let answer = world.send(&call(&request));
                let header = answer.header("x-ratelimit-limit");
                assert_eq!((answer.status, header), (200, None), "{request:?}");
            }
            Some((explained, Some(n_admitted))) => {
                n_limited += 1;
                check(&world, &request, explained, n_admitted);
            }
        }
    }
    assert_eq!(n_limited, 10);
}

/// So many pass with the explained headers on the first, and then none.
#[track_caller]
fn check(world: &World, request: &Request, explained: &Explanation, n_admitted: u64) {
    let call = call(request);
    for sent in 0..n_admitted + 2 {
        let answer = world.send(&call);
        let expected = if sent < n_admitted { 200 } else { 429 };
        assert_eq!(answer.status, expected, "{sent} of {request:?}: {answer:?}");
        let [(limit, stated), (remaining, left)] = explained.headers.as_slice() else {
            panic!("{explained:?}");
        };
        assert_eq!(answer.header(limit), Some(stated.as_str()), "{request:?}");
        if sent == 0 {
            assert_eq!(answer.header(remaining), Some(left.as_str()), "{request:?}");
        }
        if let Some(bucket) = reported_to(explained) {
            let booked = (sent + 1).min(n_admitted) * USED;
            let left = total(explained).saturating_sub(booked);
            // Envoy reports after it has answered: look until the report has arrived.
            eventually("the report arrives", || {
                (world.check(bucket) == left).then_some(())
            });
        }
    }
}

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

fn call(request: &Request) -> Call {
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
    call.header(backend::USES, &USED.to_string())
}

/// How much each response says that it used.
const USED: u64 = 10;
