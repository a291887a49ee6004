//! What waits to be sent, and when it goes.

use std::collections::VecDeque;

use crate::algorithm::Timestamp;
use crate::store::StoreError;
use crate::store::redis::post::Address;
use crate::store::redis::script::Call;
use crate::store::redis::topology::Lane;

/// The requests that wait. Those that come while no call is under way go at once; while one is, they
/// gather until it is answered, there are enough of them, or its answer is slow.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Pending>,
    /// How many operations those have.
    n_operations: usize,
    /// Only a full batch goes.
    is_held: bool,
    n_calls: usize,
    /// How many requests the calls under way are for.
    n_sent: usize,
}

/// The operations of one request.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) call: Call,
    pub(super) with: With,
    pub(super) address: Address,
}

/// What requests have to agree in to go together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct With {
    pub(super) lane: Lane,
    /// The time at which they are executed, unless that is the server's.
    pub(super) time: Option<Timestamp>,
}

impl Pending {
    /// Whether nobody waits for its answer any more. What is given back is sent all the same.
    fn is_given_up(&self) -> bool {
        self.address.is_left() && self.call.only_takes()
    }

    /// Whether both may stand in one call.
    fn joins(&self, other: &Self) -> bool {
        self.with == other.with && !self.call.is_alone() && !other.call.is_alone()
    }
}

impl Queue {
    /// Adds a request; whether there is now something to send that there was not before.
    ///
    /// # Errors
    ///
    /// Too many wait already.
    pub(super) fn push(&mut self, pending: Pending) -> Result<bool, StoreError> {
        // Those that have waited for longest are given up first, mostly.
        while self.waiting.front().is_some_and(Pending::is_given_up) {
            self.pop();
        }
        if self.waiting.len() + self.n_sent >= MAX_WAITING {
            return Err(StoreError::Full);
        }
        let before = self.n_operations;
        self.n_operations += pending.call.len();
        self.waiting.push_back(pending);
        let is_full = before < FULL && self.n_operations >= FULL;
        Ok(is_full || (before == 0 && !self.is_held))
    }

    /// The requests of the next call; none while there are none, or they are to wait.
    pub(super) fn next(&mut self) -> Vec<Pending> {
        let mut batch: Vec<Pending> = Vec::new();
        if self.n_calls == MAX_CALLS || (self.is_held && self.n_operations < FULL) {
            return batch;
        }
        let mut size = 0;
        while let Some(pending) = self.waiting.front() {
            if pending.is_given_up() {
                self.pop();
                continue;
            }
            size += pending.call.len();
            let goes = match batch.first() {
                Some(first) => first.joins(pending) && size <= FULL,
                None => true,
            };
            if !goes {
                break;
            }
            batch.extend(self.pop());
        }
        if !batch.is_empty() {
            self.is_held = true;
            self.n_calls += 1;
            self.n_sent += batch.len();
        }
        batch
    }

    /// A call for so many requests is under way no more.
    pub(super) fn answered(&mut self, n_requests: usize) {
        self.n_calls -= 1;
        self.n_sent -= n_requests;
        if self.n_calls == 0 {
            self.is_held = false;
        }
    }

    /// The answers of the calls under way are slow.
    pub(super) fn is_slow(&mut self) {
        self.is_held = false;
    }

    fn pop(&mut self) -> Option<Pending> {
        let pending = self.waiting.pop_front()?;
        self.n_operations -= pending.call.len();
        Some(pending)
    }
}

/// Redis gains nothing from more operations in one call.
const FULL: usize = 64;
/// Calls under way at once: enough for one to go each millisecond to a server that is far away.
const MAX_CALLS: usize = 64;
/// Requests that wait, those of calls under way included.
const MAX_WAITING: usize = 16_384;

#[cfg(test)]
mod tests;
