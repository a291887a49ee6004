//! Says why requests are refused, once a second a rule.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tracing::info;

use crate::limiter::plan::Limited;
use crate::store::Now;

/// What has been said of the refusals of one rule.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The second in which the last line was written.
    logged_at: AtomicU64,
    /// Refusals since then.
    unsaid: AtomicU64,
}

impl Refusals {
    /// Logs a refusal, unless one of this rule was logged in this second.
    pub(super) fn log(&self, domain: &str, limited: &Limited<'_>, now: Now) {
        let second = now.steady.0 / 1_000_000;
        let refused = 1 + self.unsaid.fetch_add(1, Ordering::Relaxed);
        if self.logged_at.swap(second, Ordering::Relaxed) == second {
            return;
        }
        self.unsaid.store(0, Ordering::Relaxed);
        let rule = limited.label;
        let (requests, unit) = (limited.requests, limited.unit.name());
        let window_seconds = limited.window.seconds();
        info!(
            domain,
            rule, requests, unit, window_seconds, refused, "over limit"
        );
    }
}
