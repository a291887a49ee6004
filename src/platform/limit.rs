//! How many requests may pass.

use std::num::NonZeroU32;

use crate::rule::limit::OnStoreFailure;
use crate::rule::limit::Unit;

/// So many requests per unit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RateLimit {
    /// How many requests pass in one unit; 0 refuses all.
    pub requests: u32,
    /// How many requests more a spike may hold, as long as the limit is kept on average; 0 for none.
    pub burst: u32,
    /// The unit.
    pub unit: Unit,
    /// What is counted apart.
    pub key: Key,
    /// Whether everything that it covers counts together: every listener, hostname and method of a
    /// route, every route of a service, or all routes.
    pub shared: bool,
    /// Counts, but refuses nothing.
    pub shadow: bool,
    /// What a request costs.
    pub cost: Cost,
    /// What becomes of requests while the store does not answer; none leaves it to the service.
    pub on_store_failure: Option<OnStoreFailure>,
}

/// So many requests per unit at each instance of Envoy, which counts them itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalRateLimit {
    /// How many requests pass in one unit.
    pub requests: NonZeroU32,
    /// The unit.
    pub unit: Unit,
    /// What is counted apart.
    pub key: Key,
}

/// A limit of either type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Limit {
    /// For all instances of Envoy together.
    Global(RateLimit),
    /// For each instance of Envoy alone.
    Local(LocalRateLimit),
}

/// What a limit counts apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Key {
    /// Nothing: all requests share one count. Unless the limit is shared, Envoy Gateway keeps one
    /// for each listener, hostname and method of a route.
    All,
    /// Each client address.
    ClientIp,
    /// Each consumer, as the authentication of API keys names it; requests without one are not limited.
    Consumer,
    /// Each value of a header; requests without the header are not limited.
    Header(String),
    /// Each value of this claim of the token that a route asks for; requests whose token has no such
    /// claim are not limited.
    User(String),
}

impl Key {
    /// How many rules of Envoy Gateway it takes.
    pub fn rules(&self) -> usize {
        match self {
            // Envoy matches an address against blocks of its own family only.
            Self::ClientIp => 2,
            Self::All | Self::Consumer | Self::Header(_) | Self::User(_) => 1,
        }
    }
}

/// What a request costs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// Hits charged before the request, 0 to only check; none means 1.
    pub request: Option<u32>,
    /// What is charged after the response.
    pub response: Option<Metadata>,
}

/// A number in the metadata that Envoy's filters leave with a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Metadata {
    /// The filter's namespace.
    pub namespace: String,
    /// The key in it.
    pub key: String,
}

/// What a subscriber has bought; each consumer of it counts apart, over all routes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// The limits: at most the rate and the quota, in this order, and one of them at least.
    pub allotments: Vec<Allotment>,
}

/// So many requests of a consumer per unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Allotment {
    /// Which of the limits of a plan it is.
    pub bought: Bought,
    /// How many requests pass in one unit; 0 refuses all.
    pub requests: u32,
    /// The unit.
    pub unit: Unit,
}

/// Which of the limits of a plan it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bought {
    /// A second, longer one.
    Quota,
    /// What may be asked for in a short time.
    Rate,
}

impl Bought {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Rate => "rate",
        }
    }
}
