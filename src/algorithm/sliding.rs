//! The coalesced log: a sliding window that never admits more than N in any window.
//!
//! A hit at `u` lies in an entry whose `last` is `u` or later, and an entry is dropped at `s` only
//! when its `last` is `s - W` or earlier, so every hit of `(s - W, s]` is counted at `s`.

use std::collections::VecDeque;

use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::MAX_HITS;
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
}

/// What was counted under one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// Oldest first; no `last` is before that of an earlier entry.
    entries: VecDeque<Entry>,
    total: u64,
    /// Used where there is a burst.
    bucket: Bucket,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    /// When the newest of its hits came.
    last: Timestamp,
    count: u64,
}

impl Log {
    /// Drops what no window that ends at `now` or later can hold.
    pub fn settle(&mut self, quota: Quota, now: Timestamp) {
        while let Some(entry) = self.entries.front() {
            if entry.last.plus(quota.window) > now {
                break;
            }
            self.total -= entry.count;
            self.entries.pop_front();
        }
    }

    /// Whether the hits would be admitted. The log is settled.
    pub fn fits(&self, quota: Quota, hits: Hits, now: Timestamp) -> bool {
        needed(hits) <= self.remaining(quota, now)
    }

    /// Books the hits, whether they fit or not. The log is settled.
    pub fn book(&mut self, quota: Quota, hits: Hits, now: Timestamp) {
        let (Hits::Ask(count) | Hits::Report(count)) = hits;
        let count = count.min(MAX_HITS);
        if count == 0 {
            return;
        }
        // A request may have read the clock before one that was booked already.
        let last = self.newest().map_or(now, |newest| newest.max(now));
        if let Some(tail) = self.entries.back_mut()
            && tail.last.0 / quota.width == last.0 / quota.width
            && tail.count + count <= quota.share
        {
            tail.count += count;
            tail.last = last;
        } else {
            if self.entries.len() >= MAX_ENTRIES {
                self.merge(quota);
            }
            self.entries.push_back(Entry { last, count });
        }
        self.total += count;
        match quota.refill {
            Some(refill) => self.bucket.take(refill, count, now),
            None => self.bucket = Bucket::default(),
        }
    }

    /// What the log says of hits that fitted or not, after they were booked or not.
    pub fn decision(&self, quota: Quota, hits: Hits, fits: bool, now: Timestamp) -> Decision {
        let reset = if fits {
            self.empty_at(quota, now).since(now)
        } else {
            self.wait(quota, hits, now)
        };
        Decision {
            fits,
            remaining: self.remaining(quota, now),
            reset,
        }
    }

    /// When nothing of what is counted now will be counted any more. The log is settled.
    pub fn empty_at(&self, quota: Quota, now: Timestamp) -> Timestamp {
        let full = quota.refill.map_or(now, |refill| {
            now.plus(self.bucket.wait(refill, refill.capacity, now))
        });
        let empty = self
            .newest()
            .map_or(now, |newest| newest.plus(quota.window));
        full.max(empty)
    }

    fn remaining(&self, quota: Quota, now: Timestamp) -> u64 {
        let in_window = quota.limit.saturating_sub(self.total);
        let refilled = |refill| self.bucket.remaining(refill, now);
        let refilled = quota.refill.map(refilled);
        refilled.map_or(in_window, |refilled| refilled.min(in_window))
    }

    /// In how many microseconds the hits would be admitted; W when they never would.
    fn wait(&self, quota: Quota, hits: Hits, now: Timestamp) -> u64 {
        let Some(room) = quota.limit.checked_sub(needed(hits)) else {
            return quota.window;
        };
        let refilled = |refill| self.bucket.wait(refill, needed(hits), now);
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

/// How much room the hits need; a check needs that of one hit.
fn needed(hits: Hits) -> u64 {
    match hits {
        Hits::Ask(count) => count.max(1),
        Hits::Report(count) => count,
    }
}

/// B: how many sub-buckets a window has. It bounds the error and the size of a log.
pub const SUB_BUCKETS: u64 = 64;

/// How many entries a log has at most. A window touches fewer sub-buckets than this, so that two
/// neighbours of one sub-bucket can always be joined.
pub const MAX_ENTRIES: usize = 2 * SUB_BUCKETS as usize + 2;

#[cfg(test)]
mod tests;
