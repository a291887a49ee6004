//! The coalesced log: a sliding window that never admits more than N in any window.
//!
//! A hit at `u` lies in an entry whose `last` is `u` or later, and an entry is dropped at `s` only
//! when its `last` is `s - W` or earlier, so every hit of `(s - W, s]` is counted at `s`. Hits that
//! may be used later, until the end of a lease, lie in an entry whose `last` is that end or later.

use std::collections::VecDeque;

use crate::algorithm::Booked;
use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::LogId;
use crate::algorithm::MAX_HITS;
use crate::algorithm::Terms;
use crate::algorithm::Timestamp;
use crate::algorithm::burst::Bucket;
use crate::algorithm::burst::Refill;
use crate::rule::limit::Window;

/// N per W and what may come above it for a while, with what follows from them for the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// The most that any window holds: N and the burst.
    limit: u64,
    window: u64,
    /// What keeps the average at N, where there is a burst.
    refill: Option<Refill>,
    /// The width of a sub-bucket, in microseconds.
    width: u64,
    /// How many hits of one sub-bucket may share an entry.
    share: u64,
}

impl Quota {
    /// At most `limit` hits in any window of length `window`; with a `burst` that many more in one
    /// window, and `limit` on average.
    pub fn new(limit: u32, burst: u32, window: Window) -> Self {
        let capacity = u64::from(limit) + u64::from(burst);
        let refill = Refill {
            capacity,
            hits: u64::from(limit),
            window: window.micros(),
        };
        Self {
            limit: capacity,
            window: window.micros(),
            refill: (burst > 0).then_some(refill),
            width: window.micros().div_ceil(SUB_BUCKETS),
            share: capacity.div_ceil(SUB_BUCKETS),
        }
    }

    /// How long hits granted ahead of need may be used, in microseconds: a sub-bucket, and at most
    /// [`MAX_AHEAD`]. 0 where none are granted: a bucket for bursts cannot take all hits back, and
    /// where a share is a single hit, every one is counted exactly when it comes.
    pub fn life(&self) -> u64 {
        match self.refill {
            None if self.share > 1 => self.width.min(MAX_AHEAD),
            None | Some(_) => 0,
        }
    }

    /// The most hits that one lease holds.
    pub fn share(&self) -> u64 {
        self.share
    }
}

/// What was counted under one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    id: LogId,
    /// Oldest first; no `last` is before that of an earlier entry.
    entries: VecDeque<Entry>,
    total: u64,
    /// Used where there is a burst.
    bucket: Bucket,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    /// When the newest of its hits came, or until when they may be used.
    last: Timestamp,
    count: u64,
}

impl Log {
    /// An empty log. No two logs that a key has one after the other have the same id.
    pub fn new(id: LogId) -> Self {
        Self {
            id,
            entries: VecDeque::new(),
            total: 0,
            bucket: Bucket::default(),
        }
    }

    /// What tells this log from others of its key.
    pub fn id(&self) -> LogId {
        self.id
    }

    /// Whether at least the fewest hits that are of use would be admitted.
    pub fn fits(&self, quota: Quota, hits: Hits, terms: Terms, now: Timestamp) -> bool {
        let least = match hits {
            Hits::Ask(_) => terms.least.max(1),
            Hits::Report(count) => count,
        };
        least <= self.remaining(quota, now)
    }

    /// Books hits that fit, or reports, and says how many, and as what.
    ///
    /// An ask gets what remains, at most what it needs; if it gets all of that, also what it wishes
    /// for ahead of need, at most half of what then remains and one sub-bucket's share.
    pub fn book(
        &mut self,
        quota: Quota,
        hits: Hits,
        terms: Terms,
        now: Timestamp,
    ) -> (u64, Booked) {
        let (granted, life) = self.grant(quota, hits, terms, now);
        self.settle(quota, now);
        // A request may have read the clock before one that was booked already.
        let newest = self.newest().unwrap_or(now);
        let date = now.plus(life).max(newest);
        let booked = Booked { id: self.id, date };
        if granted == 0 {
            return (0, booked);
        }
        if let Some(tail) = self.entries.back_mut()
            && tail.last.0 / quota.width == date.0 / quota.width
            && tail.count + granted <= quota.share
        {
            tail.count += granted;
            tail.last = date;
        } else {
            if self.entries.len() >= MAX_ENTRIES {
                self.merge(quota);
            }
            let entry = Entry {
                last: date,
                count: granted,
            };
            self.entries.push_back(entry);
        }
        self.total += granted;
        match quota.refill {
            Some(refill) => self.bucket.take(refill, granted, now),
            None => self.bucket = Bucket::default(),
        }
        (granted, booked)
    }

    /// Takes back hits that nobody used, unless that may come too late: they are in the first
    /// entries with `last >= date` or in later ones, as long as no entry of that date was dropped.
    /// An entry may have been dropped at the newest `last` at the latest.
    ///
    /// A bucket for bursts takes back what cannot have flowed back since.
    pub fn give_back(&mut self, quota: Quota, hits: u64, booked: Booked, now: Timestamp) {
        let latest = self.newest().unwrap_or(now).max(now);
        if booked.id != self.id || booked.date.plus(quota.window) <= latest {
            return;
        }
        let first = self
            .entries
            .partition_point(|entry| entry.last < booked.date);
        let mut left = hits;
        for entry in self.entries.range_mut(first..) {
            let taken = left.min(entry.count);
            entry.count -= taken;
            self.total -= taken;
            left -= taken;
        }
        if let Some(refill) = quota.refill {
            let since = now.since(booked.date);
            self.bucket.give_back(refill, hits - left, since, now);
        }
    }

    /// Forgets what was counted, but for hits that may still be used.
    pub fn reset(&mut self, now: Timestamp, id: LogId) {
        self.entries.retain(|entry| entry.last > now);
        self.total = self.entries.iter().map(|entry| entry.count).sum();
        self.bucket = Bucket::default();
        self.id = id;
    }

    /// Shifts the log back if the clock of whoever counts has stepped back: nothing is dated further
    /// ahead than [`MAX_AHEAD`] unless it has.
    pub fn follow(&mut self, now: Timestamp, id: LogId) {
        let newest = self.newest().unwrap_or(now);
        let ahead = newest.since(now.plus(MAX_AHEAD));
        if ahead > 0 {
            for entry in &mut self.entries {
                entry.last = Timestamp(entry.last.0.saturating_sub(ahead));
            }
            self.bucket.shift_back(ahead);
            self.id = id;
        }
    }

    /// What the log says of hits that fitted or not, after they were booked or not.
    pub fn decision(
        &self,
        quota: Quota,
        hits: Hits,
        terms: Terms,
        fits: bool,
        now: Timestamp,
    ) -> Decision {
        let reset = if fits {
            self.empty_at(quota, now).since(now)
        } else {
            let needed = match hits {
                Hits::Ask(_) => terms.largest.max(1),
                Hits::Report(count) => count,
            };
            self.wait(quota, needed, now)
        };
        Decision {
            fits,
            remaining: self.remaining(quota, now),
            reset,
        }
    }

    /// When nothing of what is counted now will be counted any more.
    pub fn empty_at(&self, quota: Quota, now: Timestamp) -> Timestamp {
        let full = quota.refill.map_or(now, |refill| {
            now.plus(self.bucket.wait(refill, refill.capacity, now))
        });
        let empty = self
            .newest()
            .map_or(now, |newest| newest.plus(quota.window));
        full.max(empty)
    }

    /// How many hits would be admitted.
    pub fn remaining(&self, quota: Quota, now: Timestamp) -> u64 {
        let in_window = quota.limit.saturating_sub(self.counted(quota, now));
        let refilled = |refill| self.bucket.remaining(refill, now);
        let refilled = quota.refill.map(refilled);
        refilled.map_or(in_window, |refilled| refilled.min(in_window))
    }

    /// How many hits to book, and how far ahead.
    fn grant(&self, quota: Quota, hits: Hits, terms: Terms, now: Timestamp) -> (u64, u64) {
        let needed = match hits {
            Hits::Ask(count) => count,
            Hits::Report(count) => return (count.min(MAX_HITS), 0),
        };
        let remaining = self.remaining(quota, now);
        if remaining < needed {
            return (remaining, if terms.keeps { terms.life } else { 0 });
        }
        let extra = match quota.refill {
            None => terms.extra.min((remaining - needed) / 2).min(quota.share),
            Some(_) => 0,
        };
        let is_ahead = terms.keeps || extra > 0;
        (needed + extra, if is_ahead { terms.life } else { 0 })
    }

    /// Drops what no window that ends at `now` or later can hold.
    fn settle(&mut self, quota: Quota, now: Timestamp) {
        while let Some(entry) = self.entries.front() {
            if entry.last.plus(quota.window) > now {
                break;
            }
            self.total -= entry.count;
            self.entries.pop_front();
        }
    }

    /// How many hits the window that ends now may hold.
    fn counted(&self, quota: Quota, now: Timestamp) -> u64 {
        let has_left = |entry: &&Entry| entry.last.plus(quota.window) <= now;
        let left = self.entries.iter().take_while(has_left);
        self.total - left.map(|entry| entry.count).sum::<u64>()
    }

    /// In how many microseconds so many hits would be admitted; W when they never would.
    fn wait(&self, quota: Quota, needed: u64, now: Timestamp) -> u64 {
        let Some(room) = quota.limit.checked_sub(needed) else {
            return quota.window;
        };
        let refilled = |refill| self.bucket.wait(refill, needed, now);
        let refilled = quota.refill.map_or(0, refilled);
        self.wait_for_window(quota, room, now).max(refilled)
    }

    /// In how many microseconds the window will hold no more than `room`, at most W.
    fn wait_for_window(&self, quota: Quota, room: u64, now: Timestamp) -> u64 {
        let mut counted = self.total;
        for entry in &self.entries {
            if counted <= room {
                break;
            }
            counted -= entry.count;
            if counted <= room {
                return entry.last.plus(quota.window).since(now).min(quota.window);
            }
        }
        0
    }

    /// Joins the two neighbours of one sub-bucket that are the smallest together.
    fn merge(&mut self, quota: Quota) {
        let bucket = |index: usize| self.entries[index].last.0 / quota.width;
        let sum = |index: usize| self.entries[index].count + self.entries[index + 1].count;
        let smallest = (0..self.entries.len() - 1)
            .filter(|&index| bucket(index) == bucket(index + 1))
            .min_by_key(|&index| sum(index));
        if let Some(index) = smallest {
            let both = sum(index);
            self.entries.remove(index);
            self.entries[index].count = both.min(MAX_HITS);
            self.total -= both - both.min(MAX_HITS);
        }
    }

    fn newest(&self) -> Option<Timestamp> {
        self.entries.back().map(|entry| entry.last)
    }
}

/// B: how many sub-buckets a window has. It bounds the error and the size of a log.
pub const SUB_BUCKETS: u64 = 64;

/// How many entries a log has at most. A window touches fewer sub-buckets than this, so that two
/// neighbours of one sub-bucket can always be joined.
pub const MAX_ENTRIES: usize = 2 * SUB_BUCKETS as usize + 2;

/// How far ahead of the clock hits are dated at most, in microseconds: the longest life of a lease.
pub const MAX_AHEAD: u64 = 1_000_000;

#[cfg(test)]
mod tests;
