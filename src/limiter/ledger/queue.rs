//! Who waits for the takes of one key.

use crate::algorithm::Timestamp;
use crate::store::Take;

/// Those who wait for the take that is under way, if one is, and those who wait for the next.
#[derive(Debug)]
pub(super) struct Queue<W> {
    aboard: Vec<Waiter<W>>,
    is_under_way: bool,
    next: Vec<Waiter<W>>,
}

/// An ask that waits.
#[derive(Debug)]
pub(super) struct Waiter<W> {
    pub(super) who: W,
    pub(super) hits: u64,
    pub(super) limit: u32,
    until: Timestamp,
    is_one_of_several: bool,
    pub(super) may_lease: bool,
}

/// How an ask is made.
#[derive(Clone, Copy, Debug)]
pub(in crate::limiter) struct Manner {
    /// When.
    pub(in crate::limiter) now: Timestamp,
    /// Until when it is waited for.
    pub(in crate::limiter) until: Timestamp,
    /// Whether its hits may turn out not to be needed, as others of the request are refused.
    pub(in crate::limiter) is_one_of_several: bool,
    /// Whether hits may be granted ahead of need.
    pub(in crate::limiter) may_lease: bool,
}

/// Those who share a take, summed up.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) limit: u32,
    /// Hits of all, of the one with the fewest above zero, and of the one with the most.
    pub(super) needed: u64,
    pub(super) least: u64,
    pub(super) largest: u64,
    /// Until when the last of them waits.
    pub(super) until: Timestamp,
    /// Whether hits may be left that nobody of them uses.
    pub(super) may_leave_some: bool,
    pub(super) may_lease: bool,
}

impl<W> Waiter<W> {
    pub(super) fn new(take: &Take, manner: Manner, who: W) -> Self {
        Self {
            who,
            hits: take.hits.count(),
            limit: take.limit,
            until: manner.until,
            is_one_of_several: manner.is_one_of_several,
            may_lease: manner.may_lease,
        }
    }
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self {
            aboard: Vec::new(),
            is_under_way: false,
            next: Vec::new(),
        }
    }
}

impl<W> Queue<W> {
    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Adds one who waits for the next take. Those whose time is over make room, so that it does not
    /// grow while the store is silent.
    pub(super) fn push(&mut self, waiter: Waiter<W>, now: Timestamp) {
        if self.next.len() == self.next.capacity() {
            self.next.retain(|it| it.until > now);
        }
        self.next.push(waiter);
    }

    /// Has those go who wait for the next take under the limit of the first, if anybody still does.
    pub(super) fn board(&mut self, now: Timestamp) -> Option<Party> {
        self.next.retain(|it| it.until > now);
        let limit = self.next.first()?.limit;
        let is_aboard = |it: &mut Waiter<W>| it.limit == limit;
        self.aboard = self.next.extract_if(.., is_aboard).collect();
        self.is_under_way = true;
        let aboard = || self.aboard.iter();
        let costs = || aboard().map(|it| it.hits);
        Some(Party {
            limit,
            needed: costs().sum(),
            least: costs().filter(|hits| *hits > 0).min().unwrap_or(0),
            largest: costs().max().unwrap_or(0),
            until: aboard().map(|it| it.until).max().unwrap_or(now),
            may_leave_some: aboard().any(|it| it.hits > 1 || it.is_one_of_several),
            may_lease: aboard().all(|it| it.may_lease),
        })
    }

    /// Ends the take that is under way; who waited for it.
    pub(super) fn land(&mut self) -> Vec<Waiter<W>> {
        self.is_under_way = false;
        std::mem::take(&mut self.aboard)
    }

    /// Takes out who waits for the next take.
    pub(super) fn take_next(&mut self) -> Vec<Waiter<W>> {
        std::mem::take(&mut self.next)
    }

    /// Puts back who has to wait on.
    pub(super) fn wait_on(&mut self, waiters: Vec<Waiter<W>>) {
        self.next = waiters;
    }
}
