//! Which parts backends have, and which shares the parts get.

use std::sync::Arc;

use proptest::prelude::*;

use crate::platform::WeightedBackend;
use crate::platform::backend::Backend;
use crate::platform::backend::Endpoint;
use crate::platform::backend::Host;
use crate::platform::backend::Scheme;
use crate::platform::share::shares;
use crate::platform::traffic::Timeout;

#[test]
fn a_backend_of_one_sort_is_one_part_whatever_its_weights_are_together() {
    check(&[("a", None, "n n n")], &[("a", None)]);
    check(&[("a", Some(100), "4")], &[("a", Some(100))]);
    check(&[("a", None, "n3 n3")], &[("a", None)]);
    check(
        &[("a", Some(90), "n"), ("b", Some(10), "4 4")],
        &[("a", Some(90)), ("b", Some(10))],
    );
}

#[test]
fn names_and_addresses_are_parts_of_their_own() {
    check(
        &[("a", None, "n 4 n 6")],
        &[("a.names", Some(2)), ("a.addresses", Some(2))],
    );
    check(
        &[("a", Some(90), "4 n n"), ("b", Some(10), "n")],
        &[
            ("a.names", Some(60)),
            ("a.addresses", Some(30)),
            ("b", Some(10)),
        ],
    );
}

#[test]
fn endpoints_with_one_weight_are_a_part() {
    check(
        &[("a", None, "n70 n30")],
        &[("a.weight-30", Some(30)), ("a.weight-70", Some(70))],
    );
    check(
        &[("a", None, "n3 n1 n1"), ("b", None, "n n")],
        &[
            ("a.weight-1", Some(2)),
            ("a.weight-3", Some(3)),
            ("b", Some(5)),
        ],
    );
    check(
        &[("a", Some(100), "n0 41 n1 61")],
        &[
            ("a.names-weight-0", Some(0)),
            ("a.names-weight-1", Some(100)),
            ("a.addresses-weight-1", Some(200)),
        ],
    );
}

#[test]
fn every_endpoint_gets_exactly_its_share() {
    let endpoints = prop::collection::vec((any::<bool>(), 0..=10_u8), 1..6);
    let endpoints = endpoints.prop_filter("some weight", |it| it.iter().any(|it| it.1 > 0));
    let backends = prop::collection::vec((1..=100_u8, endpoints), 1..4);
    proptest!(|(backends in backends)| {
        let weighted: Vec<_> = backends
            .iter()
            .map(|(weight, endpoints)| {
                let endpoints = endpoints.iter().map(|(is_name, weight)| {
                    endpoint(if *is_name { "n" } else { "4" }, Some(*weight))
                });
                weighted("x", Some(*weight), endpoints.collect())
            })
            .collect();
        let Ok(shares) = shares(&weighted) else {
            return Ok(());
        };
        let total: u128 = shares.iter().map(|it| u128::from(it.weight.unwrap())).sum();
        let sum: u128 = weighted.iter().map(|it| u128::from(it.weight.unwrap())).sum();
        for backend in &weighted {
            let whole = backend.backend.endpoints.iter();
            let whole: u128 = whole.map(|it| u128::from(it.weight.unwrap())).sum();
            for endpoint in &backend.backend.endpoints {
                let is_in = |it: &&super::Share<'_>| {
                    it.part.endpoints.iter().any(|it| std::ptr::eq(*it, endpoint))
                };
                let share = shares.iter().find(is_in).unwrap();
                // Of the part's share, which is of the total, each endpoint gets the same.
                let n_endpoints = share.part.endpoints.len() as u128;
                let got = u128::from(share.weight.unwrap()) * sum * whole;
                let due = u128::from(backend.weight.unwrap())
                    * u128::from(endpoint.weight.unwrap())
                    * total
                    * n_endpoints;
                prop_assert_eq!(got, due);
            }
        }
    });
}

/// Each backend with its weight and endpoints: `n` for a name, `4` or `6` for an address, each with
/// its weight behind it.
#[track_caller]
fn check(backends: &[(&str, Option<u8>, &str)], expected: &[(&str, Option<u32>)]) {
    let backends: Vec<_> = backends
        .iter()
        .map(|(name, weight, endpoints)| {
            let endpoints = endpoints.split(' ').map(|it| {
                let (sort, weight) = it.split_at(1);
                endpoint(sort, weight.parse().ok())
            });
            weighted(name, *weight, endpoints.collect())
        })
        .collect();
    let shares = shares(&backends).unwrap();
    let actual: Vec<_> = shares
        .iter()
        .map(|it| (it.part.name.as_str(), it.weight))
        .collect();
    assert_eq!(actual, expected);
}

fn weighted(name: &str, weight: Option<u8>, endpoints: Vec<Endpoint>) -> WeightedBackend {
    let backend = Backend {
        name: name.to_owned(),
        scheme: Scheme::Http,
        endpoints,
        retry: None,
        timeout: Timeout::default(),
        circuit_breaker: None,
        load_balancer: None,
        health_check: None,
    };
    WeightedBackend {
        backend: Arc::new(backend),
        weight,
    }
}

fn endpoint(sort: &str, weight: Option<u8>) -> Endpoint {
    let host = match sort {
        "4" => Host::Address([10, 0, 0, 1].into()),
        "6" => Host::Address([0x2001, 0, 0, 0, 0, 0, 0, 1].into()),
        _ => Host::Name("a.example.com".to_owned()),
    };
    Endpoint {
        host,
        port: 80,
        zone: None,
        weight,
    }
}
