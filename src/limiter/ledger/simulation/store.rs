//! A store that does what Redis and its script do, or one of them wrong.

use std::collections::HashMap;

use crate::algorithm::Booked;
use crate::algorithm::Hits;
use crate::algorithm::LogId;
use crate::algorithm::Terms;
use crate::algorithm::Timestamp;
use crate::algorithm::sliding::Log;
use crate::algorithm::sliding::Quota;
use crate::store::Answer;
use crate::store::GiveBack;
use crate::store::Take;

/// What is done wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mutant {
    /// A lease is booked when it begins.
    BookedAtStart,
    /// A key lives for a window after it was written.
    ExpiresAfterWindow,
    /// What is given back is taken from the oldest hits of whichever log there is.
    GivenBackBlindly,
    /// What is given back is sent again.
    GivenBackTwice,
    /// What is given back is taken from the oldest hits.
    GivenBackWithoutDate,
    /// What is given back is taken from whichever log there is.
    GivenBackWithoutId,
    /// What could be left over is booked as what could not.
    LeftoversFresh,
    /// The time is never earlier than that of the newest entry.
    NowAtNewest,
    /// A reset forgets what may still be used.
    ResetForgets,
    /// A lease may be used from when its answer came.
    ValidFromReply,
}

/// The logs, and when their keys expire.
#[derive(Debug)]
pub(super) struct LogStore {
    logs: HashMap<Vec<u8>, (Log, Timestamp)>,
    n_logs: u64,
    mutant: Option<Mutant>,
}

impl LogStore {
    pub(super) fn new(mutant: Option<Mutant>) -> Self {
        Self {
            logs: HashMap::new(),
            n_logs: 0,
            mutant,
        }
    }

    /// Executes one call at a time of the store's clock.
    pub(super) fn call(
        &mut self,
        unused: &[GiveBack],
        take: Option<&Take>,
        now: Timestamp,
    ) -> Option<Answer> {
        self.logs.retain(|_, (_, expires)| *expires > now);
        for unused in unused {
            self.give_back(unused, now);
            if self.mutant == Some(Mutant::GivenBackTwice) {
                self.give_back(unused, now);
            }
        }
        take.map(|take| self.take(take, now))
    }

    /// Has a key begin anew.
    pub(super) fn reset(&mut self, key: &[u8], now: Timestamp) {
        self.n_logs += 1;
        let id = LogId(self.n_logs);
        if self.mutant == Some(Mutant::ResetForgets) {
            self.logs.remove(key);
        }
        if let Some((log, _)) = self.logs.get_mut(key) {
            log.reset(now, id);
        }
    }

    fn give_back(&mut self, unused: &GiveBack, now: Timestamp) {
        let Some((log, _)) = self.logs.get_mut(&unused.key) else {
            return;
        };
        let quota = unused.quota();
        // Nothing is taken of what is earlier.
        let window = unused.window.micros();
        let oldest = newest(log, quota, window).max(now).0 - window + 1;
        let (Booked { id, date }, oldest) = (unused.booked, Timestamp(oldest));
        let (id, date) = match self.mutant {
            Some(Mutant::GivenBackBlindly) => (log.id(), oldest),
            Some(Mutant::GivenBackWithoutDate) => (id, oldest),
            Some(Mutant::GivenBackWithoutId) => (log.id(), date),
            _ => (id, date),
        };
        log.give_back(quota, unused.hits, Booked { id, date }, now);
    }

    fn take(&mut self, take: &Take, now: Timestamp) -> Answer {
        let (quota, mut terms) = (take.quota(), take.terms());
        match self.mutant {
            Some(Mutant::BookedAtStart) => terms.life = 0,
            Some(Mutant::LeftoversFresh) => terms.keeps = false,
            _ => {}
        }
        self.n_logs += 2;
        let (begun, shifted) = (LogId(self.n_logs), LogId(self.n_logs + 1));
        let window = take.window.micros();
        let new = || (Log::new(begun), now);
        let (log, expires) = self.logs.entry(take.key.clone()).or_insert_with(new);
        log.follow(now, shifted);
        let mut at = now;
        if self.mutant == Some(Mutant::NowAtNewest) {
            at = now.max(newest(log, quota, window));
        }
        let whole = log.fits(quota, take.hits, Terms::whole(take.hits), at);
        let is_charged = match take.hits {
            Hits::Ask(_) => log.fits(quota, take.hits, terms, at),
            Hits::Report(_) => true,
        };
        let (granted, booked) = match is_charged {
            true => log.book(quota, take.hits, terms, at),
            false => (0, Booked::default()),
        };
        if granted > 0 {
            *expires = match self.mutant {
                Some(Mutant::ExpiresAfterWindow) => now.plus(window),
                _ => log.empty_at(quota, now),
            };
        }
        Answer {
            decision: log.decision(quota, take.hits, terms, whole, at),
            granted,
            booked,
        }
    }
}

/// The date of the newest entry; long ago if there is none.
fn newest(log: &Log, quota: Quota, window: u64) -> Timestamp {
    let empty = log.empty_at(quota, Timestamp(window));
    Timestamp(empty.0 - window)
}
