//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits that double from attempt to attempt.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    has_jitter: bool,
    next: Duration,
}

impl Backoff {
    /// Waits from `first` to `longest`; with jitter, of each between half and all of it.
    pub fn new(first: Duration, longest: Duration, has_jitter: bool) -> Self {
        let first = first.min(longest);
        Self {
            first,
            longest,
            has_jitter,
            next: first,
        }
    }

    /// The next wait; `random` is from 0 to 1.
    pub fn next(&mut self, random: f64) -> Duration {
        let wait = self.next;
        self.next = self.longest.min(2 * wait);
        if self.has_jitter {
            wait.mul_f64(0.5 + 0.5 * random)
        } else {
            wait
        }
    }

    /// Begins anew, after something has worked.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5), false);
        let waits = [(); 5].map(|()| backoff.next(0.3).as_secs());
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.next(0.3), Duration::from_secs(1));
    }

    #[test]
    fn jitter_takes_up_to_half_of_a_wait_away() {
        let backoff = Backoff::new(Duration::from_secs(4), Duration::from_secs(4), true);
        for (random, seconds) in [(0.0, 2), (0.5, 3), (1.0, 4)] {
            assert_eq!(backoff.clone().next(random), Duration::from_secs(seconds));
        }
    }

    #[test]
    fn the_first_wait_is_never_longer_than_the_longest() {
        let mut backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(3), false);
        assert_eq!(backoff.next(0.0), Duration::from_secs(3));
    }
}
