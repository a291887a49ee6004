//! A take under way, and what those who wait for it get.

use crate::algorithm::Booked;
use crate::algorithm::Decision;
use crate::algorithm::Timestamp;
use crate::store::GiveBack;
use crate::store::Take;

/// A take to be sent, for all who wait for it.
#[derive(Clone, Debug)]
pub(in crate::limiter) struct Flight {
    pub(in crate::limiter) take: Take,
    /// What the same call gives back first.
    pub(in crate::limiter) unused: Vec<GiveBack>,
    /// When it was made, which is before it is sent.
    pub(in crate::limiter) sent: Timestamp,
    /// Until when somebody waits for it.
    pub(in crate::limiter) until: Timestamp,
}

/// What comes of a take for those who wait.
#[derive(Debug)]
pub(in crate::limiter) struct Settled<W> {
    /// What each gets. Grants that do not reach them have to be put back.
    pub(in crate::limiter) replies: Vec<(W, Reply)>,
    /// The take for those who came meanwhile.
    pub(in crate::limiter) next: Option<Flight>,
}

/// What becomes of one ask.
#[derive(Clone, Copy, Debug)]
pub(in crate::limiter) enum Reply {
    /// The store did not answer.
    Failed,
    /// Its hits are granted.
    Granted(Decision, Grant),
    /// They are not.
    Refused(Decision),
}

/// Hits that were granted to one ask.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::limiter) struct Grant {
    pub(in crate::limiter) hits: u64,
    /// As what the store has booked them.
    pub(in crate::limiter) booked: Booked,
    /// Until when another may use them; long ago if none may.
    pub(in crate::limiter) until: Timestamp,
}
