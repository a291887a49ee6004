//! When requests are due.

/// The requests of one thread; the threads take turns, so that together they keep to one rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// Requests a second, of all threads; without it each is due as soon as somebody can send it.
    pub(super) rate: Option<f64>,
    /// How many requests there are at most, of all threads.
    pub(super) requests: u64,
    /// From when on none is due, in microseconds.
    pub(super) duration: u64,
    /// How many threads there are.
    pub(super) turns: u64,
    /// Which of them this is, from 0.
    pub(super) turn: u64,
}

impl Schedule {
    /// In how many microseconds from the begin the thread's `nth` request is due; none after the
    /// last. Where there is no rate all of them are due at once, and who sends looks at the time.
    pub(super) fn due(&self, nth: u64) -> Option<u64> {
        let index = nth.checked_mul(self.turns)?.checked_add(self.turn)?;
        if index >= self.requests {
            return None;
        }
        let due = match self.rate {
            Some(rate) => (index as f64 * 1e6 / rate) as u64,
            None => 0,
        };
        (due < self.duration).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances() {
        let schedule = of_one_thread(Some(1_000.0));
        let due: Vec<u64> = (0..4).filter_map(|nth| schedule.due(nth)).collect();
        assert_eq!(due, [0, 1_000, 2_000, 3_000]);
    }

    #[test]
    fn a_rate_has_no_drift() {
        let schedule = of_one_thread(Some(3.0));
        assert_eq!(schedule.due(3_000_000), Some(1_000_000_000_000));
    }

    #[test]
    fn threads_take_turns() {
        let mut due: Vec<u64> = Vec::new();
        for turn in 0..3 {
            let schedule = Schedule {
                turns: 3,
                turn,
                requests: 10,
                ..of_one_thread(Some(100.0))
            };
            due.extend((0..).map_while(|nth| schedule.due(nth)));
        }
        due.sort_unstable();
        let alone: Vec<u64> = (0..10).map(|n| n * 10_000).collect();
        assert_eq!(due, alone);
    }

    #[test]
    fn the_duration_is_a_bound_that_no_request_is_due_at() {
        let schedule = Schedule {
            duration: 1_000_000,
            ..of_one_thread(Some(500.0))
        };
        assert_eq!(schedule.due(499), Some(998_000));
        assert_eq!(schedule.due(500), None);
    }

    #[test]
    fn without_a_rate_only_the_number_is_a_bound() {
        let schedule = Schedule {
            requests: 7,
            ..of_one_thread(None)
        };
        assert_eq!(schedule.due(6), Some(0));
        assert_eq!(schedule.due(7), None);
        assert_eq!(schedule.due(u64::MAX), None);
    }

    fn of_one_thread(rate: Option<f64>) -> Schedule {
        Schedule {
            rate,
            requests: u64::MAX,
            duration: u64::MAX,
            turns: 1,
            turn: 0,
        }
    }
}
