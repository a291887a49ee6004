//! What is said of a request, and of each of its descriptors.

use std::sync::Arc;

use crate::algorithm::Decision;
use crate::limiter::plan::Limited;
use crate::rule::Metadata;
use crate::rule::limit::Unit;
use crate::store::Take;

/// What the limiter says of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Whether the request is refused.
    pub over_limit: bool,
    /// Whether it would be refused, were not everything in shadow mode.
    pub shadowed: bool,
    /// One status a descriptor, in the request's order.
    pub statuses: Vec<Status>,
}

/// What the limiter says of one descriptor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Status {
    /// No rule matched, or the matched one has no limit.
    NotLimited,
    /// The matched rule allows everything.
    Unlimited,
    /// A limit holds.
    Limited {
        /// Whether this descriptor refuses the request.
        over_limit: bool,
        /// The rule's name, empty unless it has one.
        name: String,
        /// N.
        requests: u32,
        /// The unit as the rule has it.
        unit: Unit,
        /// Whether it refuses the request only together with others of its kind.
        quota: bool,
        /// How many hits would still be admitted; 0 for hits that did not fit.
        remaining: u32,
        /// Whole seconds, rounded up: for hits that did not fit, until they would; else until the
        /// whole limit is free again.
        seconds_until_reset: u64,
        /// What the rule says of itself, if anything.
        metadata: Option<Arc<Metadata>>,
    },
}

impl Status {
    /// A limit that holds, by what was decided of its hits.
    pub(super) fn limited(limited: &Limited<'_>, taken: &Take, decision: Decision) -> Self {
        // Limits on the same counter are taken together, under one of them.
        let remaining = (decision.remaining + limited.most())
            .saturating_sub(taken.most())
            .min(limited.most());
        let remaining = if decision.fits { remaining } else { 0 };
        Self::Limited {
            over_limit: !limited.shadow && !decision.fits,
            name: limited.name.to_owned(),
            requests: limited.requests,
            unit: limited.unit,
            quota: limited.quota,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            seconds_until_reset: decision.reset.div_ceil(1_000_000),
            metadata: limited.metadata.map(Arc::clone),
        }
    }
}
