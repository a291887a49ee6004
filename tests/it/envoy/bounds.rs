//! What a sliding window may answer, when all that is known of a decision is that it was made
//! between sending and receiving.

use std::time::Duration;
use std::time::Instant;

/// The answers on one key so far.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    limit: usize,
    seconds: u32,
    /// Sent and received.
    admitted: Vec<(Instant, Instant)>,
    n_refused: usize,
    n_slid: usize,
}

impl Bounds {
    pub(crate) fn new(limit: usize, seconds: u32) -> Self {
        Self {
            limit,
            seconds,
            admitted: Vec::new(),
            n_refused: 0,
            n_slid: 0,
        }
    }

    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    /// A rule file with this limit for a route of the gateway `api-gw`.
    pub(crate) fn rules(&self, route: &str) -> String {
        format!(
            "domain: default/api-gw/http
descriptors:
  - key: {route}
    value: {route}
    descriptors:
      - key: rule-0-match--1
        value: rule-0-match--1
        rate_limit: {{unit: second, unit_multiplier: {}, requests_per_unit: {}}}
",
            self.seconds, self.limit,
        )
    }

    /// Fails when the answer cannot be right, whenever the decisions were made.
    #[track_caller]
    pub(crate) fn check(&mut self, sent: Instant, received: Instant, admitted: bool) {
        let window = self.window();
        let inside = |begin: Instant, end: Instant| begin + window > end;
        let hits = self.admitted.iter();
        let surely = hits.clone().filter(|hit| inside(hit.0, received)).count();
        let possibly = hits.filter(|hit| inside(hit.1, sent)).count();
        if admitted {
            assert!(
                surely < self.limit,
                "over the limit: {surely} are in the window"
            );
            self.n_slid += usize::from(self.admitted.len() >= self.limit);
            self.admitted.push((sent, received));
        } else {
            assert!(
                possibly >= self.limit,
                "refused with {possibly} in the window"
            );
            self.n_refused += 1;
        }
    }

    /// Whether the answers have shown that the limit holds, and that it slides.
    pub(crate) fn have_shown_both(&self) -> bool {
        self.n_refused > 0 && self.n_slid >= self.limit
    }
}
