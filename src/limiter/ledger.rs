//! What this replica may answer by itself: hits leased from the store, refusals, and the takes that
//! are under way. No I/O, and time is an argument.
//!
//! A lease may be used until `sent + 0.999 life` on the local clock, read before its take was sent. The
//! store books its hits at `life` after it decided or later, so they are counted as long as any window
//! can hold their use.

mod account;
pub(super) mod flight;
pub(super) mod queue;
mod shard;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod unused;

use std::hash::BuildHasher;

use foldhash::fast::SeedableRandomState;
use parking_lot::Mutex;
use parking_lot::MutexGuard;

use crate::algorithm::Decision;
use crate::algorithm::Timestamp;
use crate::limiter::ledger::flight::Flight;
use crate::limiter::ledger::flight::Grant;
use crate::limiter::ledger::flight::Reply;
use crate::limiter::ledger::flight::Settled;
use crate::limiter::ledger::queue::Manner;
use crate::limiter::ledger::queue::Waiter;
use crate::limiter::ledger::shard::Shard;
use crate::limiter::ledger::unused::Unused;
use crate::metrics::LedgerMetrics;
use crate::store::Answer;
use crate::store::GiveBack;
use crate::store::Take;

/// The accounts of many keys, shared by all threads. `W` stands for who waits for an answer.
///
/// It holds a bounded number of accounts. A new key takes the place of one that was not used for a
/// while, whose leased hits are given back; where there is none, the key is not kept.
pub(super) struct Ledger<W> {
    shards: Box<[Mutex<Shard<W>>]>,
    hasher: SeedableRandomState,
    unused: Mutex<Unused>,
    metrics: LedgerMetrics,
}

/// What becomes of an ask.
#[derive(Debug)]
pub(super) enum Asked {
    /// It is answered at once.
    Answered(Reply),
    /// It would have to wait, and may not.
    Crowded,
    /// It waits for this take, which has to be sent and then settled.
    Sends(Flight),
    /// There is no room for its key: the store has to be asked directly.
    Unkept,
    /// It waits for a take that is under way, or for the one after that.
    Waits,
}

impl<W> Ledger<W> {
    /// A ledger with room for so many keys, at least one a shard; the hasher says in which shard a key is.
    pub(super) fn new(n_keys: usize, hasher: SeedableRandomState, metrics: LedgerMetrics) -> Self {
        let n_shards = SHARDS.min(n_keys.max(1));
        let n_slots = u16::try_from(n_keys.max(1) / n_shards).unwrap_or(u16::MAX);
        let shard = |_| Mutex::new(Shard::new(n_slots));
        Self {
            shards: (0..n_shards).map(shard).collect(),
            unused: Mutex::new(Unused::new(hasher.clone())),
            hasher,
            metrics,
        }
    }

    /// Answers an ask on a sliding window without a burst, or has it wait under the name that `who`
    /// makes, if it makes one.
    pub(super) fn ask(
        &self,
        take: &Take,
        manner: Manner,
        who: impl FnOnce() -> Option<W>,
    ) -> Asked {
        let now = manner.now;
        let (hash, mut shard) = self.shard(&take.key);
        let slot = match shard.find(hash, &take.key) {
            Some((slot, _)) => slot,
            None => {
                let Some(opened) = shard.open(take, &self.hasher) else {
                    return Asked::Unkept;
                };
                if let Some(unused) = opened.evicted {
                    self.metrics.evictions.increment(1);
                    self.give_back(unused);
                }
                opened.slot
            }
        };
        let account = shard.account(slot);
        self.give_back(account.follow(take.limit));
        if let Some(reply) = account.answer(take.hits, manner.may_lease, now) {
            match reply {
                Reply::Granted(..) => self.metrics.granted.increment(1),
                Reply::Failed | Reply::Refused(_) => self.metrics.refused.increment(1),
            }
            return Asked::Answered(reply);
        }
        let Some(who) = who() else {
            return Asked::Crowded;
        };
        account.wait(Waiter::new(take, manner, who), now);
        match account.depart(now) {
            Some(flight) => Asked::Sends(self.departing(flight)),
            None => Asked::Waits,
        }
    }

    /// What is known of a key without asking for anything; what is not known fits.
    pub(super) fn look(&self, take: &Take, now: Timestamp) -> Decision {
        let (hash, mut shard) = self.shard(&take.key);
        match shard.find(hash, &take.key) {
            Some((_, account)) if account.is_under(take.limit) => account.look(take.hits, now),
            _ => Decision {
                fits: true,
                remaining: take.most(),
                reset: 0,
            },
        }
    }

    /// Whether the store refused hits on this key when it was asked last.
    pub(super) fn was_refused(&self, take: &Take) -> bool {
        let (hash, mut shard) = self.shard(&take.key);
        let known = shard.find(hash, &take.key);
        known.is_some_and(|(_, account)| account.is_under(take.limit) && account.was_refused())
    }

    /// Takes note of the store's answer to a take; none when it did not come.
    pub(super) fn settle(
        &self,
        flight: &Flight,
        answer: Option<Answer>,
        now: Timestamp,
    ) -> Settled<W> {
        let key = &flight.take.key;
        let (hash, mut shard) = self.shard(key);
        let (slot, account) = shard
            .find(hash, key)
            .expect("an account with a take under way is not evicted");
        let (replies, unused) = account.settle(flight, answer, now);
        let next = account.depart(now);
        let end = account.lease_end();
        if let Some(end) = end {
            shard.expires(slot, end);
        }
        drop(shard);
        self.give_back(unused);
        Settled {
            replies,
            next: next.map(|flight| self.departing(flight)),
        }
    }

    /// Takes back what was granted and not used.
    pub(super) fn put_back(&self, take: &Take, grant: Grant, now: Timestamp) {
        if grant.hits == 0 {
            return;
        }
        let (hash, mut shard) = self.shard(&take.key);
        if let Some((slot, account)) = shard.find(hash, &take.key)
            && account.is_under(take.limit)
            && account.keep(grant, now)
        {
            shard.expires(slot, grant.until);
            return;
        }
        drop(shard);
        self.give_back([GiveBack {
            key: take.key.clone(),
            limit: take.limit,
            burst: take.burst,
            window: take.window,
            hits: grant.hits,
            booked: grant.booked,
        }]);
    }

    /// Ends the leases that are over.
    pub(super) fn expire(&self, now: Timestamp) {
        for shard in &self.shards {
            shard.lock().expire(now, |unused| self.give_back([unused]));
        }
    }

    /// Ends all leases.
    pub(super) fn drain(&self) {
        for shard in &self.shards {
            for account in shard.lock().accounts() {
                self.give_back(account.drop_lease());
            }
        }
    }

    /// What is to be given back of a key; the same holds for it.
    pub(super) fn unused_of(&self, key: &[u8]) -> Vec<GiveBack> {
        self.unused.lock().of(key)
    }

    /// What is to be given back, to be sent once and never again.
    pub(super) fn unused(&self) -> Vec<GiveBack> {
        self.unused.lock().all()
    }

    fn departing(&self, flight: Flight) -> Flight {
        self.metrics.takes.increment(1);
        self.metrics
            .given_back
            .increment(flight.unused.len() as u64);
        flight
    }

    fn give_back(&self, unused: impl IntoIterator<Item = GiveBack>) {
        for unused in unused {
            self.metrics.given_back.increment(1);
            self.unused.lock().push(unused);
        }
    }

    fn shard(&self, key: &[u8]) -> (u64, MutexGuard<'_, Shard<W>>) {
        let hash = self.hasher.hash_one(key);
        // The shard's own table goes by the lowest and the highest bits.
        let index = (hash >> 32) as usize % self.shards.len();
        (hash, self.shards[index].lock())
    }
}

#[cfg(test)]
impl<W> Ledger<W> {
    /// How many bytes all accounts take, beside their keys and who waits.
    fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes()).sum()
    }
}

impl<W> std::fmt::Debug for Ledger<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

/// How many keys the ledger of a service has room for: as many as its tables of 8,192 places hold.
pub(super) const MAX_KEYS: usize = SHARDS * (7 << 10);

const SHARDS: usize = 64;
