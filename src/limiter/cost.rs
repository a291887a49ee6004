//! What the explicit hits of a rule's requests are: asks or reports.
//!
//! Envoy sends `cost.request.number` and `cost.response` alike, as the hits of one descriptor. A
//! rule may say which it has; else its traffic of the last hour tells.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::algorithm::Timestamp;
use crate::rule::limit::Cost;

/// What a rule's traffic has told so far. Times are in microseconds; 0 means never.
#[derive(Debug, Default)]
pub(super) struct Costs {
    /// When a request came without a cost of its own, or with a cost of zero or one.
    plain_at: AtomicU64,
    /// The cost that came last.
    cost: AtomicU64,
    /// When a cost came that was another than the one before it.
    differed_at: AtomicU64,
    /// When that was last complained of.
    warned_at: AtomicU64,
    /// When a report came, or a check, which reports go with.
    reported_at: AtomicU64,
}

/// What a cost means, and whether that is a guess.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Learned {
    pub(super) cost: Cost,
    /// The traffic leaves it open, and nothing has been said of it for an hour.
    pub(super) warn: bool,
}

impl Costs {
    /// Takes note of a request without a cost: an ask.
    pub(super) fn plain(&self, now: Timestamp) {
        // A write only when it matters: the line is shared by all cores.
        if !is_recent(&self.plain_at, now, HOUR / 60) {
            self.plain_at.store(now.0, Ordering::Relaxed);
        }
    }

    /// Takes note of a report or a check.
    pub(super) fn report(&self, now: Timestamp) {
        if !is_recent(&self.reported_at, now, HOUR / 60) {
            self.reported_at.store(now.0, Ordering::Relaxed);
        }
    }

    /// Whether reports have come of late, or are to be expected.
    pub(super) fn has_reports(&self, now: Timestamp) -> bool {
        is_recent(&self.reported_at, now, HOUR)
    }

    /// Takes note of a request with a cost above one, and says what it is.
    pub(super) fn explicit(&self, cost: u64, now: Timestamp) -> Learned {
        let before = self.cost.load(Ordering::Relaxed);
        if before != cost {
            self.cost.store(cost, Ordering::Relaxed);
            if before != 0 {
                self.differed_at.store(now.0, Ordering::Relaxed);
            }
        }
        if is_recent(&self.plain_at, now, HOUR) {
            let (cost, warn) = (Cost::Report, false);
            return Learned { cost, warn };
        }
        if is_recent(&self.differed_at, now, HOUR) {
            let warn = !is_recent(&self.warned_at, now, HOUR);
            if warn {
                self.warned_at.store(now.0, Ordering::Relaxed);
            }
            let cost = Cost::Report;
            return Learned { cost, warn };
        }
        let (cost, warn) = (Cost::Ask, false);
        Learned { cost, warn }
    }
}

fn is_recent(at: &AtomicU64, now: Timestamp, within: u64) -> bool {
    let at = at.load(Ordering::Relaxed);
    at != 0 && now.since(Timestamp(at)) < within
}

const HOUR: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cost_and_nothing_else_is_an_ask() {
        let costs = Costs::default();
        for minute in 0..100 {
            assert_eq!(costs.explicit(5, at(minute)).cost, Cost::Ask);
        }
    }

    #[test]
    fn costs_beside_checks_are_reports() {
        let costs = Costs::default();
        costs.plain(at(1));
        assert_eq!(costs.explicit(5, at(2)), known(Cost::Report));
        assert_eq!(costs.explicit(5, at(60)), known(Cost::Report));
        assert_eq!(costs.explicit(5, at(62)), known(Cost::Ask));
    }

    #[test]
    fn different_costs_are_reports_and_one_warning_an_hour() {
        let costs = Costs::default();
        assert_eq!(costs.explicit(5, at(1)), known(Cost::Ask));
        let (cost, warn) = (Cost::Report, true);
        assert_eq!(costs.explicit(6, at(2)), Learned { cost, warn });
        assert_eq!(costs.explicit(5, at(3)), known(Cost::Report));
        assert_eq!(costs.explicit(5, at(62)), Learned { cost, warn });
        assert_eq!(costs.explicit(5, at(63)), known(Cost::Ask));
    }

    fn known(cost: Cost) -> Learned {
        let warn = false;
        Learned { cost, warn }
    }

    fn at(minute: u64) -> Timestamp {
        Timestamp(1_700_000_000_000_000 + minute * HOUR / 60)
    }
}
