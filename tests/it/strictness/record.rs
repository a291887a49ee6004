//! What was admitted when, and whether a window held more than it may.

use std::collections::VecDeque;

use slidegate::algorithm::Hits;

/// The exact log of everything that was booked, kept in true time.
#[derive(Debug, Default)]
pub(crate) struct Record {
    booked: VecDeque<(u64, u64)>,
    total: u64,
}

impl Record {
    /// Whether hits at `now` bring no window of `window` microseconds above `limit`.
    pub(crate) fn allows(&mut self, hits: Hits, now: u64, window: u64, limit: u64) -> bool {
        let (Hits::Ask(count) | Hits::Report(count)) = hits;
        self.total_at(now, window) + count.max(1) <= limit
    }

    /// How many hits the window that ends at `now` holds.
    pub(crate) fn total_at(&mut self, now: u64, window: u64) -> u64 {
        while let Some((at, count)) = self.booked.front()
            && at + window <= now
        {
            self.total -= count;
            self.booked.pop_front();
        }
        self.total
    }

    /// Books hits; times never go back.
    pub(crate) fn book(&mut self, hits: Hits, now: u64) {
        let (Hits::Ask(count) | Hits::Report(count)) = hits;
        self.booked.push_back((now, count));
        self.total += count;
    }

    /// Forgets everything, as a reset does.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
