//! Counts in this process: for one replica, and for trying things out.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::algorithm::Booked;
use crate::algorithm::Hits;
use crate::algorithm::LogId;
use crate::algorithm::MAX_HITS;
use crate::algorithm::Terms;
use crate::algorithm::Timestamp;
use crate::algorithm::fixed;
use crate::algorithm::sliding::Log;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Window;
use crate::store::Answer;
use crate::store::BoxFuture;
use crate::store::GiveBack;
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

    /// Drops the counters that count nothing any more.
    pub fn sweep(&self, now: Timestamp) {
        self.counters.lock().sweep(now);
    }

    /// Whether no counter is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Store for MemoryStore {
    fn take<'a>(
        &'a self,
        unused: &'a [GiveBack],
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        Box::pin(async move {
            let mut counters = self.counters.lock();
            for hits in unused {
                counters.give_back(hits, now.steady);
            }
            Ok(counters.decide(takes, now))
        })
    }

    fn reset<'a>(
        &'a self,
        key: &'a [u8],
        _window: Window,
        now: Now,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if let Some(log) = self.counters.lock().log(key) {
                log.reset(now.steady, LogId(fastrand::u64(..)));
            }
            Ok(())
        })
    }
}

impl Counters {
    fn decide(&mut self, takes: &[Take], now: Now) -> Vec<Answer> {
        let look = |take: &Take| match take.algorithm {
            Algorithm::FixedWindow => self.count(take, now),
            Algorithm::SlidingWindow => self.look(take, now.steady),
        };
        let looks: Vec<Look> = takes.iter().map(look).collect();
        let vetoes = takes.iter().map(|take| take.veto);
        let admitted = Veto::admits(vetoes.zip(looks.iter().map(|look| look.is_of_use)));
        let answer = |(take, look): (&Take, Look)| {
            let charged = match take.hits {
                Hits::Ask(_) => admitted && look.is_of_use,
                Hits::Report(_) => true,
            };
            if take.algorithm == Algorithm::SlidingWindow && charged {
                return self.book(take, now.steady);
            }
            look.answer
        };
        takes.iter().zip(looks).map(answer).collect()
    }

    /// Counts in a fixed window, whatever comes of it.
    fn count(&mut self, take: &Take, now: Now) -> Look {
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
        let decision = fixed::decision(take.limit, take.window, after, now.wall);
        Look {
            is_of_use: decision.fits,
            answer: Answer {
                decision,
                granted: hits,
                booked: Booked::default(),
            },
        }
    }

    /// What a sliding counter says of the hits before any are booked.
    fn look(&mut self, take: &Take, now: Timestamp) -> Look {
        let (quota, terms) = (take.quota(), take.terms());
        let empty = Log::new(LogId::default());
        let log = self.log(&take.key).map_or(&empty, |log| &*log);
        let whole = log.fits(quota, take.hits, Terms::whole(take.hits), now);
        Look {
            is_of_use: log.fits(quota, take.hits, terms, now),
            answer: Answer {
                decision: log.decision(quota, take.hits, terms, whole, now),
                granted: 0,
                booked: Booked::default(),
            },
        }
    }

    /// Books hits in a sliding counter that are of use there.
    fn book(&mut self, take: &Take, now: Timestamp) -> Answer {
        let (quota, terms) = (take.quota(), take.terms());
        let counter = self.counter(take, now, now);
        match &mut counter.count {
            Count::Sliding(log) => {
                let whole = log.fits(quota, take.hits, Terms::whole(take.hits), now);
                let (granted, booked) = log.book(quota, take.hits, terms, now);
                counter.until = log.empty_at(quota, now);
                Answer {
                    decision: log.decision(quota, take.hits, terms, whole, now),
                    granted,
                    booked,
                }
            }
            Count::Fixed(_) => unreachable!("the two kinds of keys differ in their first bytes"),
        }
    }

    fn give_back(&mut self, unused: &GiveBack, now: Timestamp) {
        if let Some(log) = self.log(&unused.key) {
            log.give_back(unused.quota(), unused.hits, unused.booked, now);
        }
    }

    fn log(&mut self, key: &[u8]) -> Option<&mut Log> {
        match &mut self.by_key.get_mut(key)?.count {
            Count::Sliding(log) => Some(log),
            Count::Fixed(_) => None,
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        self.by_key.retain(|_, counter| counter.until > now);
        self.sweep_at = (2 * self.by_key.len()).max(MIN_SWEEP);
    }

    /// The counter of a take, made if there is none.
    fn counter(&mut self, take: &Take, until: Timestamp, now: Timestamp) -> &mut Counter {
        if self.by_key.len() >= self.sweep_at {
            self.sweep(now);
        }
        let make = || Counter {
            until,
            count: match take.algorithm {
                Algorithm::FixedWindow => Count::Fixed(0),
                Algorithm::SlidingWindow => Count::Sliding(Log::new(LogId(fastrand::u64(..)))),
            },
        };
        let entry = self.by_key.entry_ref(take.key.as_slice());
        entry.or_insert_with(make)
    }
}

/// What a counter says before anything is booked.
struct Look {
    /// Whether the fewest hits that are of use fit.
    is_of_use: bool,
    answer: Answer,
}

/// Below so many counters nothing is swept.
const MIN_SWEEP: usize = 1_024;
