//! Counts in this process: for one replica, and for trying things out.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::MAX_HITS;
use crate::algorithm::Timestamp;
use crate::algorithm::fixed;
use crate::algorithm::sliding::Log;
use crate::rule::limit::Algorithm;
use crate::store::BoxFuture;
use crate::store::Now;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::Veto;

/// A store in this process.
///
/// Counters that count nothing any more are dropped as new ones come, so that it holds at most
/// about twice as many as are in use.
#[derive(Debug, Default)]
pub struct MemoryStore {
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    by_key: HashMap<Vec<u8>, Counter, RandomState>,
    /// At how many counters those that count nothing are dropped next.
    sweep_at: usize,
}

#[derive(Debug)]
struct Counter {
    /// From when on it counts nothing.
    until: Timestamp,
    count: Count,
}

#[derive(Debug)]
enum Count {
    Fixed(u64),
    Sliding(Log),
}

impl MemoryStore {
    /// How many counters are held.
    pub fn len(&self) -> usize {
        self.counters.lock().by_key.len()
    }

    /// Whether no counter is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Store for MemoryStore {
    fn take<'a>(
        &'a self,
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Decision>, StoreError>> {
        Box::pin(async move { Ok(self.counters.lock().decide(takes, now)) })
    }

    fn reset<'a>(&'a self, key: &'a [u8], _now: Now) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.counters.lock().by_key.remove(key);
            Ok(())
        })
    }
}

impl Counters {
    fn decide(&mut self, takes: &[Take], now: Now) -> Vec<Decision> {
        let decide = |take: &Take| match take.algorithm {
            Algorithm::FixedWindow => self.count(take, now),
            Algorithm::SlidingWindow => self.look(take, now.steady),
        };
        let mut decisions: Vec<Decision> = takes.iter().map(decide).collect();
        let vetoes = takes.iter().map(|take| take.veto);
        let admitted = Veto::admits(vetoes.zip(decisions.iter().map(|it| it.fits)));
        for (take, decision) in takes.iter().zip(&mut decisions) {
            let charged = match take.hits {
                Hits::Ask(_) => admitted && decision.fits,
                Hits::Report(_) => true,
            };
            if take.algorithm == Algorithm::SlidingWindow && charged {
                *decision = self.book(take, decision.fits, now.steady);
            }
        }
        decisions
    }

    /// Counts in a fixed window, whatever comes of it.
    fn count(&mut self, take: &Take, now: Now) -> Decision {
        let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
        let until = now.steady.plus(fixed::rest(take.window, now.wall));
        let counter = self.counter(take, until, now.steady);
        let after = match &mut counter.count {
            Count::Fixed(count) => {
                *count = count.saturating_add(hits.min(MAX_HITS));
                *count
            }
            Count::Sliding(_) => unreachable!("the two kinds of keys differ in their first bytes"),
        };
        fixed::decision(take.limit, take.window, after, now.wall)
    }

    /// What a sliding counter says of the hits before any are booked.
    fn look(&mut self, take: &Take, now: Timestamp) -> Decision {
        let quota = take.quota();
        let empty = Log::default();
        let log = match self.by_key.get_mut(take.key.as_slice()) {
            Some(Counter {
                count: Count::Sliding(log),
                ..
            }) => {
                log.settle(quota, now);
                log
            }
            _ => &empty,
        };
        log.decision(quota, take.hits, log.fits(quota, take.hits, now), now)
    }

    /// Books the hits in a sliding counter.
    fn book(&mut self, take: &Take, fits: bool, now: Timestamp) -> Decision {
        let quota = take.quota();
        let counter = self.counter(take, now, now);
        match &mut counter.count {
            Count::Sliding(log) => {
                log.book(quota, take.hits, now);
                counter.until = log.empty_at(quota, now);
                log.decision(quota, take.hits, fits, now)
            }
            Count::Fixed(_) => unreachable!("the two kinds of keys differ in their first bytes"),
        }
    }

    /// The counter of a take, made if there is none.
    fn counter(&mut self, take: &Take, until: Timestamp, now: Timestamp) -> &mut Counter {
        if self.by_key.len() >= self.sweep_at {
            self.by_key.retain(|_, counter| counter.until > now);
            self.sweep_at = (2 * self.by_key.len()).max(MIN_SWEEP);
        }
        let make = || Counter {
            until,
            count: match take.algorithm {
                Algorithm::FixedWindow => Count::Fixed(0),
                Algorithm::SlidingWindow => Count::Sliding(Log::default()),
            },
        };
        let entry = self.by_key.entry_ref(take.key.as_slice());
        entry.or_insert_with(make)
    }
}

/// Below so many counters nothing is swept.
const MIN_SWEEP: usize = 1_024;
