//! The coalesced log beside an exact one.

mod leases;

use std::collections::VecDeque;
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::rule::limit::Unit;

#[test]
fn at_most_n_hits_pass_in_any_window_and_the_next_when_the_oldest_has_left() {
    let mut key = Key::new(3, 60);
    assert!(key.ask(1, 0));
    assert!(key.ask(1, 10 * S));
    assert!(key.ask(1, 20 * S));
    assert!(!key.ask(1, 59 * S));
    assert_eq!(key.last.reset, S);
    assert!(key.ask(1, 60 * S));
    assert!(!key.ask(1, 69 * S));
}

#[test]
fn a_refusal_costs_nothing() {
    let mut key = Key::new(1, 60);
    assert!(key.ask(1, 0));
    for second in 1..60 {
        assert!(!key.ask(1, second * S));
    }
    assert!(key.ask(1, 60 * S));
}

#[test]
fn a_check_passes_while_one_hit_would() {
    let mut key = Key::new(2, 60);
    assert!(key.ask(0, 0));
    assert_eq!((key.last.remaining, key.last.reset), (2, 0));
    assert!(key.ask(2, 0));
    assert!(!key.ask(0, 1));
}

#[test]
fn a_cost_fits_whole_or_not_at_all() {
    let mut key = Key::new(3, 60);
    assert!(key.ask(2, 0));
    assert!(!key.ask(2, S));
    assert_eq!((key.last.remaining, key.last.reset), (1, 59 * S));
    assert!(key.ask(1, S));
    assert!(!key.ask(4, S));
    assert_eq!(
        key.last.reset,
        60 * S,
        "it never fits, so the window is said"
    );
}

#[test]
fn a_report_is_booked_whatever_it_comes_to() {
    let mut key = Key::new(21, 3_600);
    for (second, fits) in [(0, true), (1, true), (2, false)] {
        assert!(key.ask(0, second * S));
        assert_eq!(key.report(10, second * S), fits);
    }
    assert!(!key.ask(0, 3 * S));
    assert_eq!(key.last.reset, 3_597 * S, "until 10 of 30 have left");
    assert!(key.ask(0, 3_600 * S));
}

#[test]
fn a_limit_of_zero_refuses_everything() {
    let mut key = Key::new(0, 60);
    assert!(!key.ask(1, 0));
    assert!(!key.ask(0, 0));
    assert_eq!(key.last.reset, 60 * S);
}

#[test]
fn a_changed_limit_goes_on_with_what_was_counted() {
    let mut key = Key::new(10, 60);
    assert!(key.ask(8, 0));
    key.quota = Quota::new(5, 0, seconds(60));
    assert!(!key.ask(1, S));
    key.quota = Quota::new(9, 0, seconds(60));
    assert!(key.ask(1, S));
    assert!(!key.ask(1, S));
}

#[test]
fn a_burst_comes_once_and_then_the_average_holds() {
    let mut key = Key::new(10, 60);
    key.quota = Quota::new(10, 5, seconds(60));
    assert!(key.ask(15, 0));
    assert_eq!((key.last.remaining, key.last.reset), (0, 90 * S));
    assert!(!key.ask(1, 59 * S), "no window holds more than both");
    assert_eq!(key.last.reset, S);
    assert!(!key.ask(11, 60 * S), "a minute has refilled ten");
    assert_eq!(key.last.reset, 6 * S);
    assert!(key.ask(10, 60 * S));
    assert!(!key.ask(2, 71 * S));
    assert!(key.ask(1, 71 * S));
}

#[test]
fn hits_beyond_all_bounds_saturate() {
    let mut key = Key::new(u32::MAX, 60);
    for _ in 0..1_000 {
        key.report(u64::MAX, 0);
    }
    assert!(!key.ask(1, S));
    assert!(key.ask(1, 60 * S));
}

const S: u64 = 1_000_000;

struct Key {
    log: Log,
    quota: Quota,
    last: Decision,
}

impl Key {
    fn new(limit: u32, window: u32) -> Self {
        Self {
            log: Log::new(LogId(1)),
            quota: Quota::new(limit, 0, seconds(window)),
            last: Decision {
                fits: true,
                remaining: 0,
                reset: 0,
            },
        }
    }

    fn ask(&mut self, count: u64, now: u64) -> bool {
        self.take(Hits::Ask(count), now)
    }

    fn report(&mut self, count: u64, now: u64) -> bool {
        self.take(Hits::Report(count), now)
    }

    fn take(&mut self, hits: Hits, now: u64) -> bool {
        let terms = Terms::whole(hits);
        let now = at(now);
        let fits = self.log.fits(self.quota, hits, terms, now);
        if fits || matches!(hits, Hits::Report(_)) {
            self.log.book(self.quota, hits, terms, now);
        }
        assert!(self.log.entries.len() <= MAX_ENTRIES);
        let counted: u64 = self.log.entries.iter().map(|entry| entry.count).sum();
        assert_eq!(self.log.total, counted);
        self.last = self.log.decision(self.quota, hits, terms, fits, now);
        fits
    }
}

fn at(now: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000 + now)
}

fn seconds(count: u32) -> Window {
    Window::of(Unit::Second, NonZeroU32::new(count).unwrap()).unwrap()
}

/// The exact sliding log: every admitted hit with its time.
#[derive(Default)]
struct Exact {
    admitted: VecDeque<(u64, u64)>,
    total: u64,
}

impl Exact {
    fn counted(&mut self, window: u64, now: u64) -> u64 {
        while let Some((at, count)) = self.admitted.front()
            && at + window <= now
        {
            self.total -= count;
            self.admitted.pop_front();
        }
        self.total
    }

    fn admit(&mut self, now: u64, count: u64) {
        self.admitted.push_back((now, count));
        self.total += count;
    }
}

fn schedules() -> impl Strategy<Value = Vec<(u64, u64, bool)>> {
    let gap = prop_oneof![
        Just(0_u64),
        1_u64..50_000,
        50_000_u64..2_000_000,
        2_000_000_u64..20_000_000
    ];
    let cost = prop_oneof![6 => Just(1_u64), 2 => 0_u64..4, 1 => 1_u64..200];
    prop::collection::vec((gap, cost, prop::bool::weighted(0.02)), 1..600)
}

proptest! {
    #[test]
    fn no_window_ever_holds_more_than_the_limit(
        limit in prop_oneof![1_u32..10, 60_u32..70, 100_u32..2_000],
        window in prop_oneof![Just(1_u32), Just(10), Just(60)],
        schedule in schedules(),
    ) {
        let mut key = Key::new(limit, window);
        let mut booked = Exact::default();
        let mut now = 0;
        for (gap, cost, is_report) in schedule {
            now += gap;
            let counted = booked.counted(u64::from(window) * S, now);
            if is_report {
                key.report(cost, now);
                booked.admit(now, cost);
            } else if key.ask(cost, now) {
                prop_assert!(counted + cost.max(1) <= u64::from(limit));
                booked.admit(now, cost);
            }
        }
    }

    #[test]
    fn a_burst_is_held_in_any_window_and_the_limit_on_average(
        (limit, burst) in (1_u32..200, 1_u32..200),
        schedule in schedules(),
    ) {
        let mut key = Key::new(limit, 10);
        key.quota = Quota::new(limit, burst, seconds(10));
        let most = u64::from(limit + burst);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        let mut in_window = Exact::default();
        let mut now = 0;
        for (gap, cost, _) in schedule {
            now += gap;
            let counted = in_window.counted(10 * S, now);
            if key.ask(cost, now) {
                prop_assert!(counted + cost.max(1) <= most);
                in_window.admit(now, cost);
                admitted.push((now, cost));
            }
        }
        for (index, (from, _)) in admitted.iter().enumerate() {
            let mut total = 0;
            for (at, cost) in &admitted[index..] {
                total += cost;
                let refilled = (at - from) as f64 * f64::from(limit) / (10 * S) as f64;
                prop_assert!(total as f64 <= most as f64 + refilled + 1e-3);
            }
        }
    }

    #[test]
    fn small_limits_are_the_exact_log(
        limit in 1_u32..=64,
        schedule in schedules(),
    ) {
        let mut key = Key::new(limit, 10);
        let mut exact = Exact::default();
        let mut now = 0;
        for (gap, cost, _) in schedule {
            now += gap;
            let fits = exact.counted(10 * S, now) + cost.max(1) <= u64::from(limit);
            prop_assert_eq!(key.ask(cost, now), fits);
            if fits {
                exact.admit(now, cost);
            }
        }
    }

    #[test]
    fn the_wait_is_when_the_same_hits_are_admitted(
        limit in 1_u32..200,
        schedule in schedules(),
        cost in 0_u64..5,
    ) {
        let mut key = Key::new(limit, 10);
        let mut now = 0;
        for (gap, cost, _) in schedule {
            now += gap;
            key.ask(cost, now);
        }
        if !key.ask(cost, now) && cost <= u64::from(limit) {
            let wait = key.last.reset;
            prop_assert!(wait <= 10 * S);
            prop_assert!(!key.ask(cost, now + wait - 1));
            prop_assert!(key.ask(cost, now + wait));
        }
    }
}

#[test]
fn under_saturation_at_least_98_percent_of_the_exact_log_is_used() {
    for (limit, window, every) in [(100, 1, 1_000), (1_000, 10, 3_000), (5_000, 60, 7_000)] {
        let mut key = Key::new(limit, window);
        let mut exact = Exact::default();
        let (mut ours, mut theirs) = (0, 0);
        for step in 0..40_000 {
            let now = step * every;
            ours += u64::from(key.ask(1, now));
            if exact.counted(u64::from(window) * S, now) < u64::from(limit) {
                exact.admit(now, 1);
                theirs += 1;
            }
        }
        assert!(
            ours * 100 >= theirs * 98,
            "{limit}/{window}s: {ours} of {theirs}"
        );
    }
}
