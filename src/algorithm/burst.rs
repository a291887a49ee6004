//! The average-rate constraint that a burst needs: a bucket of N + burst, refilled at N per W.
//!
//! A limit with a burst admits at most N + burst in any window, which the log sees to, and N per
//! window on average, which this sees to.

use crate::algorithm::Timestamp;
use crate::rule::limit::Window;

/// How much of a bucket is used. All arithmetic is on doubles, as in Redis' script.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// Hits taken and not refilled yet, at `at`.
    used: f64,
    at: Timestamp,
}

/// The size of a bucket and how fast it is refilled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refill {
    /// How many hits it holds.
    pub capacity: u64,
    /// N: how many hits flow back in one window.
    pub hits: u64,
    /// W, in microseconds.
    pub window: u64,
}

impl Bucket {
    /// How many whole hits are left.
    pub fn remaining(&self, refill: Refill, now: Timestamp) -> u64 {
        (refill.capacity as f64 - self.used(refill, now))
            .max(0.0)
            .floor() as u64
    }

    /// Takes hits; where fewer are left, all that are.
    pub fn take(&mut self, refill: Refill, hits: u64, now: Timestamp) {
        let used = self.used(refill, now) + hits as f64;
        self.used = used.min(refill.capacity as f64);
        self.at = now;
    }

    /// Takes back hits that were taken `since` microseconds ago and not used, but for as many as may
    /// have flowed back in that time: how full the bucket was without them is not known any more.
    pub fn give_back(&mut self, refill: Refill, hits: u64, since: u64, now: Timestamp) {
        let kept = refill.refilled(since).min(hits as f64);
        self.used = (self.used(refill, now) - (hits as f64 - kept)).max(0.0);
        self.at = now;
    }

    /// In how many microseconds so many hits will be left, at most [`MAX_WAIT`].
    pub fn wait(&self, refill: Refill, hits: u64, now: Timestamp) -> u64 {
        let missing = self.used(refill, now) + hits as f64 - refill.capacity as f64;
        let wait = missing.max(0.0) * refill.window as f64 / refill.hits.max(1) as f64;
        wait.ceil().min(MAX_WAIT as f64) as u64
    }

    /// Moves to a clock that is so many microseconds behind.
    pub fn shift_back(&mut self, micros: u64) {
        self.at = Timestamp(self.at.0.saturating_sub(micros));
    }

    /// What is used now.
    fn used(&self, refill: Refill, now: Timestamp) -> f64 {
        (self.used - refill.refilled(now.since(self.at))).max(0.0)
    }
}

impl Refill {
    /// How many hits flow back in so many microseconds.
    fn refilled(&self, micros: u64) -> f64 {
        micros as f64 * self.hits as f64 / self.window as f64
    }
}

/// The longest wait that is said, in microseconds: the longest window.
pub const MAX_WAIT: u64 = Window::MAX_SECONDS * 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_goes_at_once_and_comes_back_at_the_average_rate() {
        let refill = Refill {
            capacity: 15,
            hits: 10,
            window: 1_000_000,
        };
        let mut bucket = Bucket::default();
        let at = |millis: u64| Timestamp(5_000_000 + millis * 1_000);
        assert_eq!(bucket.remaining(refill, at(0)), 15);
        bucket.take(refill, 15, at(0));
        assert_eq!(bucket.remaining(refill, at(0)), 0);
        assert_eq!(bucket.wait(refill, 2, at(0)), 200_000);
        assert_eq!(bucket.remaining(refill, at(199)), 1);
        assert_eq!(bucket.remaining(refill, at(200)), 2);
        assert_eq!(bucket.wait(refill, 15, at(200)), 1_300_000);
        assert_eq!(bucket.remaining(refill, at(4_000)), 15);
    }

    #[test]
    fn what_is_given_back_late_is_no_more_than_what_has_not_flowed_back() {
        let refill = Refill {
            capacity: 15,
            hits: 10,
            window: 1_000_000,
        };
        let at = |millis: u64| Timestamp(5_000_000 + millis * 1_000);
        let mut bucket = Bucket::default();
        bucket.take(refill, 6, at(0));
        bucket.give_back(refill, 6, 0, at(0));
        assert_eq!(
            bucket,
            Bucket {
                used: 0.0,
                at: at(0)
            }
        );
        // Six flow back, and others are taken: of the six only two can still be owed.
        bucket.take(refill, 6, at(0));
        bucket.take(refill, 10, at(400));
        bucket.give_back(refill, 6, 400_000, at(400));
        assert_eq!(bucket.remaining(refill, at(400)), 5);
    }
}
