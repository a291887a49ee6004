//! How requests are sent on to backends: how long they may take, what is tried again, who gets them.

use crate::platform::span::Span;

/// How long a request to a route may take; none and 0 mean as long as it likes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Timeouts {
    /// From the request to the end of the answer.
    pub request: Option<Span>,
    /// The same for one attempt at a backend.
    pub backend_request: Option<Span>,
}
