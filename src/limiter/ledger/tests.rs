//! One ledger before a store that grants what is asked for.

mod room;

use std::num::NonZeroU32;

use super::*;
use crate::algorithm::Booked;
use crate::algorithm::Hits;
use crate::algorithm::LogId;
use crate::metrics::Metrics;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Unit;
use crate::rule::limit::Window;
use crate::store::Veto;

#[test]
fn a_busy_key_is_answered_from_its_lease_until_that_ends() {
    let ledger = ledger(8);
    lease(&ledger, 0);
    // 0.999 of a life of 937.5 ms that began at 2 ms.
    let end = 2 * MS + 937_500 - 938;
    let Asked::Answered(Reply::Granted(decision, _)) = ask(&ledger, "k", 1, end - 1) else {
        panic!("not from the lease");
    };
    assert_eq!(
        decision.remaining,
        50 + 1,
        "what the store has left and what is held"
    );
    let flight = sent(ask(&ledger, "k", 1, end));
    assert_eq!(flight.unused[0].hits, 1);
}

#[test]
fn a_key_that_sees_one_hit_a_window_takes_no_lease() {
    let ledger = ledger(8);
    for minute in 0..5 {
        let flight = sent(ask(&ledger, "k", 1, minute * 60_000 * MS));
        assert_eq!(flight.take.terms().extra, 0);
        settle(&ledger, &flight, 1, minute * 60_000 * MS);
    }
}

#[test]
fn asks_that_come_meanwhile_share_the_next_take() {
    let ledger = ledger(8);
    let first = sent(ask(&ledger, "k", 1, 0));
    for _ in 0..5 {
        assert!(matches!(ask(&ledger, "k", 2, MS), Asked::Waits));
    }
    let settled = settle(&ledger, &first, 1, 2 * MS);
    assert_eq!(settled.replies.len(), 1);
    let next = settled.next.unwrap();
    assert_eq!(next.take.hits, Hits::Ask(10));
    // Two of the five fit; the hit that is left was booked for later use.
    assert!(next.take.terms().keeps);
    let settled = settle(&ledger, &next, 5, 3 * MS);
    let is_granted = |(_, reply): &&(u32, Reply)| matches!(reply, Reply::Granted(..));
    assert_eq!(settled.replies.iter().filter(is_granted).count(), 2);
    assert!(matches!(ask(&ledger, "k", 1, 4 * MS), Asked::Answered(_)));
}

#[test]
fn who_waits_for_the_next_take_is_answered_by_this_one_if_that_left_a_lease_or_a_refusal() {
    let ledger = ledger(8);
    lease(&ledger, 0);
    let flight = sent(ask(&ledger, "k", 3, 5 * MS));
    for hits in [1, 2, 1] {
        assert!(matches!(ask(&ledger, "k", hits, 6 * MS), Asked::Waits));
    }
    let settled = settle(&ledger, &flight, 5, 7 * MS);
    assert_eq!(settled.replies.len(), 3);
    let rest = settled.next.unwrap();
    assert_eq!(rest.take.hits, Hits::Ask(2));
    assert!(matches!(ask(&ledger, "k", 4, 8 * MS), Asked::Waits));
    let settled = settle(&ledger, &rest, 0, 9 * MS);
    assert_eq!(settled.replies.len(), 2);
    assert!(settled.next.is_none());
}

#[test]
fn a_refusal_is_remembered_for_its_wait_and_a_second_at_most() {
    let ledger = ledger(8);
    let flight = sent(ask(&ledger, "k", 3, 0));
    settle(&ledger, &flight, 0, MS);
    for hits in [3, 4] {
        let asked = ask(&ledger, "k", hits, 999 * MS);
        assert!(matches!(asked, Asked::Answered(Reply::Refused(_))));
    }
    let smaller = ask(&ledger, "k", 2, 999 * MS);
    settle(&ledger, &sent(smaller), 2, 999 * MS);
    assert!(matches!(ask(&ledger, "k", 3, 1_000 * MS), Asked::Sends(_)));
}

#[test]
fn a_refusal_with_a_shorter_wait_is_forgotten_after_that() {
    let ledger = ledger(8);
    let flight = sent(ask(&ledger, "k", 1, 0));
    refuse(&ledger, &flight, 300 * MS, MS);
    // The wait is counted from when the take was sent.
    let asked = ask(&ledger, "k", 1, 300 * MS - 1);
    assert!(matches!(asked, Asked::Answered(Reply::Refused(_))));
    assert!(matches!(ask(&ledger, "k", 1, 300 * MS), Asked::Sends(_)));
}

#[test]
fn a_busy_key_asks_for_what_it_needs_in_a_life_and_at_most_twice_what_it_had() {
    let extra = |elapsed| {
        let ledger = ledger(8);
        let flight = sent(ask(&ledger, "k", 40, 0));
        assert_eq!(flight.take.terms().extra, 0, "nothing is known yet");
        settle(&ledger, &flight, 40, MS);
        let flight = sent(ask(&ledger, "k", 1, elapsed));
        flight.take.terms().extra
    };
    // A life is 937.5 ms.
    assert_eq!(extra(1_000 * MS), 37);
    assert_eq!(extra(2_000 * MS), 18);
    assert_eq!(extra(2 * MS), 2 * 40);
}

#[test]
fn a_check_passes_while_hits_are_leased_and_uses_none() {
    let ledger = ledger(8);
    lease(&ledger, 0);
    for hits in [0, 1, 0, 1] {
        let asked = ask(&ledger, "k", hits, 5 * MS);
        assert!(matches!(asked, Asked::Answered(Reply::Granted(..))));
    }
    assert!(matches!(ask(&ledger, "k", 0, 6 * MS), Asked::Sends(_)));
}

#[test]
fn once_a_key_has_reports_its_lease_is_used_no_more_and_goes_back() {
    let ledger = ledger(8);
    lease(&ledger, 0);
    let reporting = |now| Manner {
        may_lease: false,
        ..manner(now)
    };
    let asked = ledger.ask(&take("k", 1), reporting(5 * MS), || Some(0));
    let flight = sent(asked);
    let unused: Vec<u64> = flight.unused.iter().map(|it| it.hits).collect();
    assert_eq!(unused, [2]);
    let terms = flight.take.terms();
    assert_eq!((terms.extra, terms.life, terms.keeps), (0, 0, false));
    // Nor is one that comes while such an ask waits for the next take.
    let asked = ledger.ask(&take("k", 2), manner(6 * MS), || Some(0));
    assert!(matches!(asked, Asked::Waits));
    let leasing = settle(&ledger, &flight, 1, 7 * MS).next.unwrap();
    let asked = ledger.ask(&take("k", 1), reporting(8 * MS), || Some(0));
    assert!(matches!(asked, Asked::Waits));
    let settled = settle(&ledger, &leasing, 4, 9 * MS);
    assert_eq!(settled.replies.len(), 1);
    assert_eq!(settled.next.unwrap().unused[0].hits, 2);
}

#[test]
fn a_larger_ask_returns_the_lease_with_its_take() {
    let ledger = ledger(8);
    lease(&ledger, 0);
    let flight = sent(ask(&ledger, "k", 30, 5 * MS));
    let unused: Vec<u64> = flight.unused.iter().map(|it| it.hits).collect();
    assert_eq!(unused, [2]);
}

#[test]
fn a_changed_limit_ends_leases_and_refusals() {
    let ledger = ledger(8);
    lease(&ledger, 0);
    let changed = Take {
        limit: 50,
        ..take("k", 1)
    };
    assert!(matches!(
        ledger.ask(&changed, manner(5 * MS), || Some(0)),
        Asked::Sends(_)
    ));
    assert_eq!(ledger.unused().len(), 1);
    assert!(ledger.unused().is_empty(), "nothing goes twice");
    let flight = sent(ask(&ledger, "other", 1, 0));
    settle(&ledger, &flight, 0, MS);
    let refused = ask(&ledger, "other", 1, 2 * MS);
    assert!(matches!(refused, Asked::Answered(Reply::Refused(_))));
    let changed = Take {
        limit: 101,
        ..take("other", 1)
    };
    assert!(ledger.look(&changed, at(3 * MS)).fits);
    assert!(!ledger.was_refused(&changed));
    let asked = ledger.ask(&changed, manner(3 * MS), || Some(0));
    assert!(matches!(asked, Asked::Sends(_)));
}

#[test]
fn what_a_lease_has_left_is_given_back_at_its_end_and_when_the_replica_drains() {
    let ledger = ledger(8);
    lease(&ledger, 0);
    ledger.expire(at(900 * MS));
    assert!(ledger.unused().is_empty());
    ledger.expire(at(1_000 * MS));
    assert_eq!(ledger.unused().len(), 1);
    lease(&ledger, 5_000 * MS);
    ledger.drain();
    assert_eq!(ledger.unused().len(), 1);
}

#[test]
fn what_was_granted_and_not_needed_serves_another_if_it_may() {
    let ledger = ledger(8);
    let booked = Booked {
        id: LogId(7),
        date: at(9),
    };
    let fresh = Grant {
        hits: 1,
        booked,
        until: at(0),
    };
    let leased = Grant {
        hits: 1,
        booked,
        until: at(10 * MS),
    };
    settle(&ledger, &sent(ask(&ledger, "k", 1, 0)), 1, MS);
    ledger.put_back(&take("k", 1), fresh, at(2 * MS));
    assert_eq!(ledger.unused().len(), 1);
    ledger.put_back(&take("k", 1), leased, at(2 * MS));
    assert!(matches!(ask(&ledger, "k", 1, 3 * MS), Asked::Answered(_)));
}

#[test]
fn who_has_waited_for_too_long_is_asked_for_no_more() {
    let ledger = ledger(8);
    let first = sent(ask(&ledger, "k", 1, 0));
    assert!(matches!(ask(&ledger, "k", 7, MS), Asked::Waits));
    assert!(matches!(ask(&ledger, "k", 1, 15 * MS), Asked::Waits));
    let next = settle(&ledger, &first, 1, 30 * MS).next.unwrap();
    assert_eq!(next.take.hits, Hits::Ask(1));
    assert!(settle(&ledger, &next, 1, 60 * MS).next.is_none());
}

#[test]
fn a_limit_of_sixty_four_takes_no_lease_and_gives_back_what_is_left_at_once() {
    let ledger = ledger(8);
    let narrow = |hits, now| {
        let take = Take {
            limit: 64,
            ..take("k", hits)
        };
        ledger.ask(&take, manner(now), || Some(0))
    };
    let mut flight = sent(narrow(1, 0));
    for step in 1..5 {
        assert!(matches!(narrow(3, step * MS), Asked::Waits));
        assert!(matches!(narrow(1, step * MS), Asked::Waits));
        flight = settle(&ledger, &flight, 4, step * MS).next.unwrap();
        let terms = flight.take.terms();
        assert_eq!((terms.extra, terms.life, terms.keeps), (0, 0, false));
    }
    settle(&ledger, &flight, 2, 9 * MS);
    let unused: u64 = ledger.unused().iter().map(|it| it.hits).sum();
    assert_eq!(unused, 3 + 1, "what the first take and the last left over");
}

/// Has the key `k` hold two leased hits from 2 ms on.
fn lease(ledger: &Ledger<u32>, now: u64) {
    let first = sent(ask(ledger, "k", 1, now));
    assert!(matches!(ask(ledger, "k", 1, now + MS), Asked::Waits));
    let next = settle(ledger, &first, 1, now + 2 * MS).next.unwrap();
    assert_eq!(next.take.terms().extra, 2);
    settle(ledger, &next, 3, now + 3 * MS);
}

fn ledger(n_keys: usize) -> Ledger<u32> {
    Ledger::new(
        n_keys,
        SeedableRandomState::fixed(),
        Metrics::new().ledger(),
    )
}

fn ask(ledger: &Ledger<u32>, key: &str, hits: u64, now: u64) -> Asked {
    ledger.ask(&take(key, hits), manner(now), || Some(0))
}

fn manner(now: u64) -> Manner {
    Manner {
        now: at(now),
        until: at(now + 20 * MS),
        is_one_of_several: false,
        may_lease: true,
    }
}

#[track_caller]
fn sent(asked: Asked) -> Flight {
    match asked {
        Asked::Sends(flight) => flight,
        other => panic!("{other:?}"),
    }
}

/// Has the store grant so many hits. It has 50 left, or nothing for ten seconds if those are too few.
fn settle(ledger: &Ledger<u32>, flight: &Flight, granted: u64, now: u64) -> Settled<u32> {
    let Hits::Ask(needed) = flight.take.hits else {
        panic!("{flight:?}");
    };
    if granted < needed {
        return answer(ledger, flight, granted, refusal(10_000 * MS), now);
    }
    let decision = Decision {
        fits: true,
        remaining: 50,
        reset: 60_000 * MS,
    };
    answer(ledger, flight, granted, decision, now)
}

/// Has the store grant nothing, for so long.
fn refuse(ledger: &Ledger<u32>, flight: &Flight, wait: u64, now: u64) {
    answer(ledger, flight, 0, refusal(wait), now);
}

fn refusal(wait: u64) -> Decision {
    Decision {
        fits: false,
        remaining: 0,
        reset: wait,
    }
}

fn answer(
    ledger: &Ledger<u32>,
    flight: &Flight,
    granted: u64,
    decision: Decision,
    now: u64,
) -> Settled<u32> {
    let booked = Booked {
        id: LogId(1),
        date: at(now + 1_000 * MS),
    };
    let answer = Answer {
        decision,
        granted,
        booked,
    };
    ledger.settle(flight, Some(answer), at(now))
}

fn take(key: &str, hits: u64) -> Take {
    Take {
        key: key.as_bytes().to_vec(),
        algorithm: Algorithm::SlidingWindow,
        limit: 100,
        burst: 0,
        window: Window::of(Unit::Minute, NonZeroU32::MIN).unwrap(),
        hits: Hits::Ask(hits),
        terms: None,
        veto: Veto::Alone,
    }
}

fn at(micros: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000 + micros)
}

const MS: u64 = 1_000;
