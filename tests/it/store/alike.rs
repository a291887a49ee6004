//! Whatever comes, a store in Redis decides as memory does.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use slidegate::algorithm::Booked;
use slidegate::algorithm::Hits;
use slidegate::algorithm::Terms;
use slidegate::store::GiveBack;
use slidegate::store::Take;
use slidegate::store::Veto;

use crate::store::bench::Bench;
use crate::store::takes::moment;
use crate::store::takes::sliding;

/// How alike a store is to memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Likeness {
    /// In all that it says, of limits of any size.
    Whole,
    /// In what is granted and what remains, of limits that are counted hit by hit. What was granted
    /// and goes back when another node refuses leaves an entry that counts nothing, by which later
    /// hits may be put together otherwise.
    Verdicts,
}

/// Sees that a store decides as memory does.
#[track_caller]
pub(super) fn decides_as_memory(redis: &Bench, likeness: Likeness) {
    let memory = Bench::memory();
    let n_schedules = Cell::new(0);
    let (cases, schedules) = match likeness {
        Likeness::Whole => (64, schedules(MANY, 250)),
        Likeness::Verdicts => (32, schedules(FEW, 60)),
    };
    let config = ProptestConfig::with_cases(cases);
    let outcome = TestRunner::new(config).run(&schedules, |schedule| {
        n_schedules.set(n_schedules.get() + 1);
        let n = n_schedules.get();
        let mut now = 0;
        let mut booked = Vec::new();
        for (gap, takes, unused) in schedule {
            now += gap;
            let takes: Vec<Take> = takes.into_iter().map(|take| take.of_schedule(n)).collect();
            // The ids of the logs differ, all else is the same.
            let (mut of_redis, mut of_memory) = (Vec::new(), Vec::new());
            if let Some((which, hits)) = unused
                && !booked.is_empty()
            {
                let (take, ids): &(Take, [Booked; 2]) = &booked[which % booked.len()];
                let unused = ids.map(|booked| GiveBack {
                    key: take.key.clone(),
                    limit: take.limit,
                    burst: take.burst,
                    window: take.window,
                    hits,
                    booked,
                });
                let [redis, memory] = unused;
                of_redis.push(redis);
                of_memory.push(memory);
            }
            let ours = redis.call(&of_redis, &takes, moment(now));
            let theirs = memory.call(&of_memory, &takes, moment(now));
            for ((take, ours), theirs) in takes.iter().zip(ours).zip(theirs) {
                prop_assert_eq!(ours.granted, theirs.granted);
                let (decision, expected) = (ours.decision, theirs.decision);
                prop_assert_eq!(decision.fits, expected.fits);
                prop_assert_eq!(decision.remaining, expected.remaining);
                if likeness == Likeness::Whole {
                    prop_assert_eq!(decision.reset, expected.reset);
                    if ours.granted > 0 {
                        prop_assert_eq!(ours.booked.date, theirs.booked.date);
                    }
                }
                if ours.granted > 0 {
                    booked.push((take.clone(), [ours.booked, theirs.booked]));
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

/// Takes as a schedule has them, before they have keys.
#[derive(Clone, Copy, Debug)]
struct Planned {
    key: u8,
    limit: u32,
    burst: u32,
    hits: Hits,
    terms: Option<Terms>,
    veto: Veto,
}

impl Planned {
    fn of_schedule(self, n_schedule: u64) -> Take {
        let limit = sliding(&format!("{n_schedule}-{}", self.key), self.limit);
        Take {
            burst: self.burst,
            hits: self.hits,
            terms: self.terms,
            veto: self.veto,
            ..limit.ask(0)
        }
    }
}

/// Some takes after some time, and which of the hits booked before are given back first.
type Turn = (u64, Vec<Planned>, Option<(usize, u64)>);

fn schedules(limits: Limits, length: usize) -> BoxedStrategy<Vec<Turn>> {
    let gap = prop_oneof![
        2 => 0_u64..100_000,
        2 => 0_u64..3_000_000,
        1 => 0_u64..90_000_000,
    ];
    let count = prop_oneof![4 => Just(1_u64), 2 => 0_u64..40, 1 => 0_u64..1 << 45];
    let hits = (count, prop::bool::weighted(0.2)).prop_map(|(count, is_report)| {
        if is_report {
            Hits::Report(count)
        } else {
            Hits::Ask(count)
        }
    });
    let limit = prop_oneof![
        3 => Just(limits.usual),
        1 => 0..limits.usual * 4,
        1 => Just(limits.rare)
    ];
    let planned = |key| {
        let burst = prop_oneof![2 => Just(0_u32), 1 => 0..=limits.burst];
        let parts = (
            limit.clone(),
            burst,
            hits.clone(),
            prop::option::of((0_u64..40, 0_u64..40, any::<bool>())),
            prop_oneof![6 => Just(Veto::Alone), 2 => Just(Veto::Together), 2 => Just(Veto::Never)],
        );
        parts.prop_map(move |(limit, burst, hits, terms, veto)| Planned {
            key,
            limit,
            burst,
            hits,
            terms: terms.map(|(least, extra, keeps)| {
                let (Hits::Ask(count) | Hits::Report(count)) = hits;
                Terms {
                    least: least.min(count),
                    largest: least.max(count),
                    extra,
                    life: limits.life,
                    keeps,
                }
            }),
            veto,
        })
    };
    let takes = prop_oneof![
        2 => planned(0).prop_map(|take| vec![take]),
        1 => (planned(0), planned(1)).prop_map(|(a, b)| vec![a, b]),
    ];
    let unused = prop::option::weighted(0.3, (any::<usize>(), 0_u64..60));
    prop::collection::vec((gap, takes, unused), 1..length).boxed()
}

/// How large the limits of a schedule are.
#[derive(Clone, Copy, Debug)]
struct Limits {
    usual: u32,
    rare: u32,
    burst: u32,
    /// How far ahead of need hits are booked.
    life: u64,
}

const MANY: Limits = Limits {
    usual: 70,
    rare: u32::MAX,
    burst: 50,
    life: 900_000,
};

/// Not above the number of sub-buckets of a log. None has a burst now and then: hits booked without one
/// drop the bucket, also where they go back. None is booked ahead: what goes back then leaves its date.
const FEW: Limits = Limits {
    usual: 16,
    rare: 64,
    burst: 0,
    life: 0,
};
