//! A request becomes a verdict; the one place that reads the clock.

use crate::rule::limit::Unit;
use crate::store::StoreError;

/// A request as Envoy sends it, after the wire.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Whose rules apply.
    pub domain: &'a str,
    /// What is limited; statuses come back in this order.
    pub descriptors: Vec<Descriptor<'a>>,
    /// Hits for the descriptors that bring none of their own; 0 means 1.
    pub hits_addend: u32,
}

/// One descriptor of a request.
#[derive(Clone, Debug, Default)]
pub struct Descriptor<'a> {
    /// Keys and values, in order.
    pub entries: Vec<(&'a str, &'a str)>,
    /// A limit that the request brings itself; the rules are not consulted then.
    pub limit: Option<Override>,
    /// Hits for this descriptor alone; 0 only checks.
    pub hits_addend: Option<u64>,
}

/// A limit that a request brings itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Override {
    /// N.
    pub requests: u32,
    /// The unit of the window.
    pub unit: Unit,
}

/// What the limiter says of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Whether the request is refused.
    pub over_limit: bool,
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
        /// How many hits would still be admitted.
        remaining: u32,
        /// Whole seconds, rounded up.
        seconds_until_reset: u64,
    },
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Undecided {
    /// The request names no domain.
    #[error("rate limit domain must not be empty")]
    EmptyDomain,
    /// The request has no descriptors.
    #[error("rate limit descriptor list must not be empty")]
    NoDescriptors,
    /// No rules have been loaded yet.
    #[error("no rate limit configuration loaded")]
    NoRules,
    /// The store failed.
    #[error("the limit could not be looked up")]
    Store(#[source] StoreError),
    /// The store did not answer in time.
    #[error("the store did not answer in time")]
    Late,
    /// The request has more descriptors than are looked at.
    #[error("{0} descriptors in one request, at most {max} are allowed", max = MAX_DESCRIPTORS)]
    TooManyDescriptors(usize),
}

/// How many descriptors a request may have.
pub const MAX_DESCRIPTORS: usize = 1_024;
