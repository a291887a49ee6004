//! Requests through the limiter while the store is away, on clocks that stand still.

mod moody;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::limiter::Descriptor;
use crate::limiter::Limiter;
use crate::limiter::Options;
use crate::limiter::Request;
use crate::limiter::clock::Clock;
use crate::limiter::fallback::tests::moody::Moody;
use crate::limiter::tests::StoppedClock;
use crate::limiter::verdict::Status;
use crate::metrics::Metrics;
use crate::rule::Allowance;
use crate::rule::Domain;
use crate::rule::Value;
use crate::rule::limit::Cost;
use crate::rule::limit::Limit;
use crate::rule::limit::Unit;
use crate::rule::tree::RuleSet;

#[tokio::test(start_paused = true)]
async fn each_rule_has_its_choice() {
    let world = World::new(OnStoreFailure::Local, 3);
    world.store.hang();
    assert_eq!(world.ask(&["deny"]).await, Ok(vec![(false, 0)]));
    assert_eq!(world.ask(&["allow"]).await, Ok(vec![(true, 10)]));
    assert_eq!(world.ask(&["local"]).await, Ok(vec![(true, 2)]));
    assert_eq!(world.ask(&["default"]).await, Ok(vec![(true, 2)]));
    assert!(world.ask(&["error"]).await.is_err());
    assert_eq!(world.ask(&["shadow"]).await, Ok(vec![(true, 10)]));
}

#[tokio::test(start_paused = true)]
async fn the_strictest_choice_of_a_request_spares_the_rest() {
    let world = World::new(OnStoreFailure::Local, 1);
    world.store.hang();
    let refused = vec![(true, 10), (false, 0)];
    assert_eq!(world.ask(&["local", "deny"]).await, Ok(refused));
    assert_eq!(world.ask(&["local"]).await, Ok(vec![(true, 9)]));
    assert!(world.ask(&["local", "error"]).await.is_err());
    assert_eq!(world.ask(&["local"]).await, Ok(vec![(true, 8)]));
}

#[tokio::test(start_paused = true)]
async fn alone_a_process_admits_its_share_in_any_window() {
    let world = World::new(OnStoreFailure::Local, 3);
    world.store.hang();
    let mut admitted = Vec::new();
    for _ in 0..200 {
        if world.ask(&["local"]).await.unwrap()[0].0 {
            admitted.push(world.now());
        }
        world.pass(1_000_000);
    }
    for begin in &admitted {
        let window = *begin..*begin + 60_000_000;
        let n = admitted.iter().filter(|at| window.contains(at)).count();
        assert!(n <= 3, "{n} in a window");
    }
    assert!(admitted.len() >= 9);
}

#[tokio::test(start_paused = true)]
async fn what_was_admitted_alone_is_booked_before_the_store_is_asked_again() {
    let world = World::new(OnStoreFailure::Local, 1);
    let stop = CancellationToken::new();
    let watch = world.limiter.watch_store(stop.clone());
    let requests = async {
        let mut answers = world.limiter.answers();
        answers.wait_for(|it| *it).await.unwrap();
        assert_eq!(world.ask(&["local"]).await, Ok(vec![(true, 9)]));
        world.store.hang();
        for remaining in [9, 8, 7, 6, 5, 4, 3] {
            assert_eq!(world.ask(&["local"]).await, Ok(vec![(true, remaining)]));
        }
        answers.wait_for(|it| !*it).await.unwrap();
        world.store.answer();
        answers.wait_for(|it| *it).await.unwrap();
        assert_eq!(world.ask(&["local"]).await, Ok(vec![(true, 1)]));
        stop.cancel();
    };
    tokio::join!(watch, requests);
}

#[tokio::test(start_paused = true)]
async fn what_is_admitted_while_replicas_are_counted_is_booked_before_the_store_is_asked_again() {
    let world = World::new(OnStoreFailure::Local, LEARNED);
    let stop = CancellationToken::new();
    let watch = world.limiter.watch_store(stop.clone());
    let requests = async {
        let counting = world.store.census.lock().await;
        world.store.counts_replicas.notified().await;
        for remaining in [9, 8] {
            assert_eq!(world.ask(&["local"]).await, Ok(vec![(true, remaining)]));
        }
        drop(counting);
        let mut answers = world.limiter.answers();
        answers.wait_for(|it| *it).await.unwrap();
        assert_eq!(world.ask(&["local"]).await, Ok(vec![(true, 7)]));
        stop.cancel();
    };
    tokio::join!(requests, watch);
}

#[tokio::test(start_paused = true)]
async fn a_dead_store_is_not_asked() {
    let world = World::new(OnStoreFailure::Local, 1);
    world.store.hang();
    for _ in 0..100 {
        world.ask(&["allow"]).await.unwrap();
    }
    // The circuit is open before the first answer; only the watch asks the store.
    assert_eq!(world.store.n_asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn reports_are_booked_whatever_the_choice() {
    for choice in ["deny", "allow", "error", "local"] {
        let world = World::new(OnStoreFailure::Local, 1);
        world.store.hang();
        // The answer to a report is looked at by nobody.
        drop(world.decide(&[report(choice, 4)]).await);
        world.store.answer();
        let now = world.limiter.clock.now();
        let booked = world.limiter.fallback.book(&*world.store, now).await;
        assert_eq!(booked.unwrap(), 4, "{choice}");
        let again = world.limiter.fallback.book(&*world.store, now).await;
        assert_eq!(again.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_when_booking_fails_is_booked_later() {
    let n_kept_of = [
        (1, 0),
        (AT_ONCE, 0),
        (AT_ONCE + 6, 6),
        (3 * AT_ONCE, 2 * AT_ONCE),
    ];
    for (n_keys, n_kept) in n_kept_of {
        let world = World::new(OnStoreFailure::Allow, 1);
        world.store.hang();
        for key in 0..n_keys {
            let value = key.to_string();
            let descriptor = Descriptor {
                entries: vec![("allow", value.as_str())],
                ..report("allow", 1)
            };
            world.decide(&[descriptor]).await.unwrap();
        }
        let now = world.limiter.clock.now();
        let failed = world.limiter.fallback.book(&*world.store, now).await;
        assert!(matches!(failed, Err(Undecided::Late)));
        world.store.answer();
        let booked = world.limiter.fallback.book(&*world.store, now).await;
        assert_eq!(booked.unwrap(), n_kept as u64, "of {n_keys}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_left_its_window_is_not_booked() {
    let world = World::new(OnStoreFailure::Local, 1);
    world.store.hang();
    world.ask(&["local"]).await.unwrap();
    world.pass(30_000_000);
    world.ask(&["local"]).await.unwrap();
    world.pass(31_000_000);
    world.store.answer();
    let now = world.limiter.clock.now();
    let booked = world.limiter.fallback.book(&*world.store, now).await;
    assert_eq!(booked.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_to_book_is_kept_with_its_time() {
    for asks_again in [false, true] {
        let world = World::new(OnStoreFailure::Local, 1);
        world.store.refuse();
        let book = || {
            world
                .limiter
                .fallback
                .book(&*world.store, world.limiter.clock.now())
        };
        world.ask(&["local"]).await.unwrap();
        assert!(book().await.is_err());
        world.pass(30_000_000);
        if asks_again {
            world.ask(&["local"]).await.unwrap();
        }
        assert!(book().await.is_err());
        world.pass(29_000_000);
        assert!(book().await.is_err());
        world.pass(2_000_000);
        world.store.answer();
        // A minute after the first, what came half a minute later still counts.
        assert_eq!(book().await.unwrap(), u64::from(asks_again));
    }
}

proptest! {
    #[test]
    fn hits_are_owed_exactly_where_they_were_admitted(
        hits in prop::collection::vec(1_u64..5, 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(OnStoreFailure::Local, 1);
            world.store.hang();
            let mut admitted = 0;
            for hits in hits {
                let mut descriptor = report("asking", hits);
                descriptor.hits_addend = Some(hits);
                if world.decide(&[descriptor]).await.unwrap()[0].0 {
                    admitted += hits;
                }
            }
            world.store.answer();
            let now = world.limiter.clock.now();
            let booked = world.limiter.fallback.book(&*world.store, now).await;
            assert_eq!(booked.unwrap(), admitted);
            assert!(admitted <= 10);
        });
    }
}

/// A limiter over a store that can hang or refuse.
struct World {
    limiter: Limiter,
    store: Arc<Moody>,
    clock: Arc<StoppedClock>,
}

impl World {
    fn new(default: OnStoreFailure, replicas: u32) -> Self {
        let (store, clock) = (
            Arc::new(Moody::default()),
            Arc::new(StoppedClock::default()),
        );
        let metrics = Arc::new(Metrics::new());
        let store_metrics = metrics.store("test");
        let limiter = Limiter::new(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&clock) as Arc<dyn Clock>,
            Options::default(),
            metrics,
            store_metrics,
        );
        let replicas = NonZeroU32::new(replicas);
        let limiter = limiter.falling_back(Choice { default, replicas });
        let named = OnStoreFailure::NAMES.map(|(name, choice)| (name, Some(choice), None, false));
        let others = [
            ("asking", None, Some(Cost::Ask), false),
            ("default", None, None, false),
            ("shadow", Some(OnStoreFailure::Error), None, true),
        ];
        let rule = |(key, on_store_failure, cost, shadow)| crate::rule::Descriptor {
            allowance: Some(Allowance::Limited(Limit {
                on_store_failure,
                cost: Option::or(cost, Some(Cost::Report)),
                shadow,
                ..Limit::new(10, Unit::Minute)
            })),
            ..crate::rule::Descriptor::new(key, Value::Any)
        };
        limiter.replace_rules(RuleSet::new(vec![Domain {
            name: "d".to_owned(),
            descriptors: named.into_iter().chain(others).map(rule).collect(),
        }]));
        Self {
            limiter,
            store,
            clock,
        }
    }

    fn now(&self) -> u64 {
        self.clock.now().steady.0
    }

    fn pass(&self, micros: u64) {
        self.clock.0.fetch_add(micros, Ordering::Relaxed);
    }

    /// One hit for each rule: whether it passes, and what remains.
    async fn ask(&self, rules: &[&'static str]) -> Result<Vec<(bool, u32)>, String> {
        let descriptors: Vec<_> = rules.iter().map(|rule| report(rule, 1)).collect();
        self.decide(&descriptors).await
    }

    async fn decide(&self, descriptors: &[Descriptor<'_>]) -> Result<Vec<(bool, u32)>, String> {
        let request = Request {
            domain: "d",
            descriptors: descriptors.to_vec(),
            hits_addend: 0,
        };
        let patience = Duration::from_millis(10);
        let verdict = self.limiter.decide(&request, patience).await;
        let verdict = verdict.map_err(|why| why.to_string())?;
        let status = |status: &Status| match status {
            Status::Limited {
                over_limit,
                remaining,
                ..
            } => (!over_limit, *remaining),
            Status::NotLimited | Status::Unlimited => unreachable!("every rule has a limit"),
        };
        Ok(verdict.statuses.iter().map(status).collect())
    }
}

fn report(rule: &'static str, hits: u64) -> Descriptor<'static> {
    Descriptor {
        entries: vec![(rule, "v")],
        limit: None,
        hits_addend: Some(hits),
    }
}

/// In place of a number of replicas: as many as the store tells.
const LEARNED: u32 = 0;
