//! How the hits of a descriptor are counted in metrics, as envoyproxy/ratelimit counts them.

use crate::algorithm::Decision;
use crate::metrics::reference::HitMetrics;

/// The hits of one descriptor, by what became of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    total: u64,
    within: u64,
    /// Of those within the limit, how many lie above its near-limit threshold.
    near_limit: u64,
    over_limit: u64,
    shadow: u64,
}

impl Tally {
    /// Hits that were charged, or did not fit, under a limit of `most` hits a window.
    pub(super) fn of(hits: u64, most: u64, near_ratio: f32, decision: Decision) -> Self {
        if !decision.fits {
            return Self {
                total: hits,
                over_limit: hits,
                ..Self::default()
            };
        }
        let after = most.saturating_sub(decision.remaining);
        // To the bit as the reference rounds it.
        let threshold = (most as f32 * near_ratio).floor() as u64;
        Self {
            total: hits,
            within: hits,
            near_limit: after.saturating_sub(threshold).min(hits),
            ..Self::default()
        }
    }

    /// The same under a rule in shadow mode.
    pub(super) fn in_shadow(self) -> Self {
        Self {
            shadow: self.over_limit,
            ..self
        }
    }

    pub(super) fn add_to(self, metrics: &HitMetrics) {
        for (counter, hits) in [
            (&metrics.total, self.total),
            (&metrics.within, self.within),
            (&metrics.near_limit, self.near_limit),
            (&metrics.over_limit, self.over_limit),
            (&metrics.shadow, self.shadow),
        ] {
            // A write only when it matters: the line is shared by all cores.
            if hits > 0 {
                counter.increment(hits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_above_four_fifths_of_the_limit_are_near_it() {
        check(1, 10, Some(2), (1, 0, 0));
        check(1, 10, Some(1), (1, 1, 0));
        check(3, 10, Some(1), (3, 1, 0));
        check(5, 10, Some(0), (5, 2, 0));
        check(1, 10, Some(0), (1, 1, 0));
        check(0, 10, Some(0), (0, 0, 0));
        check(1, 1, Some(0), (1, 1, 0));
    }

    #[test]
    fn hits_that_did_not_fit_are_over_the_limit_and_shadowed_where_it_is_in_shadow_mode() {
        check(4, 10, None, (0, 0, 4));
        let tally = Tally::of(4, 10, 0.8, decision(None)).in_shadow();
        assert_eq!((tally.over_limit, tally.shadow), (4, 4));
        let tally = Tally::of(4, 10, 0.8, decision(Some(1))).in_shadow();
        assert_eq!((tally.within, tally.shadow), (4, 0));
    }

    #[test]
    fn the_threshold_is_rounded_down_as_single_precision_has_it() {
        // 0.7 is a little less than seven tenths there, and yet ten times that is 7.
        let near = |remaining| Tally::of(1, 10, 0.7, decision(Some(remaining))).near_limit;
        assert_eq!((near(3), near(2)), (0, 1));
        let near = |remaining| {
            Tally::of(1, u64::from(u32::MAX), 0.8, decision(Some(remaining))).near_limit
        };
        assert_eq!((near(858_993_407), near(858_993_406)), (0, 1));
    }

    #[track_caller]
    fn check(hits: u64, most: u64, remaining: Option<u64>, expected: (u64, u64, u64)) {
        let tally = Tally::of(hits, most, 0.8, decision(remaining));
        assert_eq!(tally.total, hits);
        let actual = (tally.within, tally.near_limit, tally.over_limit);
        assert_eq!(actual, expected);
    }

    fn decision(remaining: Option<u64>) -> Decision {
        Decision {
            fits: remaining.is_some(),
            remaining: remaining.unwrap_or_default(),
            reset: 0,
        }
    }
}
