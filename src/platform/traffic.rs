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

/// Which failed requests are sent again, and how often.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Retry {
    /// How often, at most; none leaves it to Envoy Gateway, which does it twice.
    pub num_retries: Option<u32>,
    /// Which failures; none leaves it to Envoy Gateway.
    pub retry_on: Vec<RetryOn>,
    /// How long each attempt may take, 0 for as long as it likes.
    pub per_try_timeout: Option<Span>,
    /// How long each attempt waits for its turn.
    pub backoff: Option<Backoff>,
}

/// A failure after which a request is sent again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RetryOn {
    /// An answer with this status, from 100 to 599.
    Status(u16),
    /// What Envoy has this name for.
    Trigger(&'static str),
}

impl RetryOn {
    /// Envoy's names, but for the one that says to look at statuses.
    pub const TRIGGERS: [&'static str; 12] = [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    ];
}

/// How long attempts wait for their turn: from one attempt to the next twice as long.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// What it begins with, more than 0.
    pub base_interval: Span,
    /// What it grows to, no less than the beginning; none leaves it to Envoy.
    pub max_interval: Option<Span>,
}

/// How long things may take on the way to backends. Each of them holds or gives way alone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Timeout {
    /// A request with its response, 0 for as long as it likes.
    pub request: Option<Span>,
    /// A connection without a request on it, 0 for as long as it likes.
    pub idle: Option<Span>,
    /// Until a backend takes a connection, more than 0.
    pub connect: Option<Span>,
}

/// How much may be under way to the backends of a route; at least one is said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CircuitBreaker {
    /// Connections.
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection.
    pub max_pending_requests: Option<u32>,
    /// Requests.
    pub max_requests: Option<u32>,
    /// Requests that are sent again.
    pub max_retries: Option<u32>,
}

/// Which endpoint gets a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LoadBalancer {
    /// The same one for requests in which this is the same.
    ConsistentHash(Hash),
    /// The one with the fewest requests under way.
    LeastRequest,
    /// Any.
    Random,
    /// In turn.
    RoundRobin,
}

/// What requests to one endpoint have in common.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Hash {
    /// The value of a cookie.
    Cookie {
        /// Its name.
        name: String,
        /// For how long Envoy sets it where it is missing, 0 until the browser is closed; none
        /// means that Envoy sets none.
        ttl: Option<Span>,
    },
    /// The value of a header.
    Header(String),
    /// The address of the client.
    SourceIp,
}

/// How endpoints are found that do not work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    /// How often they are asked, more than 0.
    pub interval: Option<Span>,
    /// How long an answer may take, more than 0.
    pub timeout: Option<Span>,
    /// How many good answers bring one back, at least 1.
    pub healthy_threshold: Option<u32>,
    /// How many bad answers take one out, at least 1.
    pub unhealthy_threshold: Option<u32>,
    /// What they are asked.
    pub probe: Probe,
}

/// What endpoints are asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Probe {
    /// gRPC's own question.
    Grpc {
        /// The service that is asked for; none means the whole server.
        service: Option<String>,
    },
    /// A page.
    Http {
        /// Its path.
        path: String,
        /// The statuses of good answers, from 100 to 599; none means 200.
        expected_statuses: Vec<u16>,
    },
    /// A connection.
    Tcp,
}
