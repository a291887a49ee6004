//! The fixed window, as envoyproxy/ratelimit counts: everything is charged, refused hits too.

use crate::algorithm::Decision;
use crate::algorithm::Timestamp;
use crate::rule::limit::Window;

/// When the window that `now` lies in began, in seconds since the Unix epoch.
pub fn start(window: Window, now: Timestamp) -> u64 {
    let seconds = now.0 / 1_000_000;
    seconds - seconds % window.seconds()
}

/// In how many microseconds the window that `now` lies in ends, at least 1.
pub fn rest(window: Window, now: Timestamp) -> u64 {
    (start(window, now) + window.seconds()) * 1_000_000 - now.0
}

/// What a count says, `after` being the count with the hits of this request in it.
///
/// Nothing is refused at exactly the limit, so a check passes there.
pub fn decision(limit: u32, window: Window, after: u64, now: Timestamp) -> Decision {
    let limit = u64::from(limit);
    Decision {
        fits: after <= limit,
        remaining: limit.saturating_sub(after),
        reset: rest(window, now),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::rule::limit::Unit;

    #[test]
    fn windows_are_aligned_to_the_epoch() {
        assert_eq!(start(minute(), Timestamp(119_999_999)), 60);
        assert_eq!(start(minute(), Timestamp(120_000_000)), 120);
    }

    #[test]
    fn the_count_may_reach_the_limit_but_not_pass_it() {
        let at = |after| decision(3, minute(), after, Timestamp(61_500_000));
        assert_eq!((at(3).fits, at(3).remaining), (true, 0));
        assert_eq!((at(4).fits, at(4).remaining), (false, 0));
        assert_eq!(at(1).reset, 58_500_000);
    }

    fn minute() -> Window {
        Window::of(Unit::Minute, NonZeroU32::MIN).unwrap()
    }
}
