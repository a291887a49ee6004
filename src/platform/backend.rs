//! The services that requests are sent on to.

use std::net::IpAddr;

use crate::platform::traffic::CircuitBreaker;
use crate::platform::traffic::HealthCheck;
use crate::platform::traffic::LoadBalancer;
use crate::platform::traffic::Retry;
use crate::platform::traffic::Timeout;

/// A service that requests are sent on to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub scheme: Scheme,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// Which failed requests to it are sent again, where no route or policy says it.
    pub retry: Option<Retry>,
    /// How long things may take on the way to it, where no route or policy says it.
    pub timeout: Timeout,
    /// How much may be under way to it, where no policy says it.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Which endpoint gets a request; none leaves it to Envoy Gateway.
    pub load_balancer: Option<LoadBalancer>,
    /// How endpoints are found that do not work; none means that they are not looked for.
    pub health_check: Option<HealthCheck>,
}

/// What a backend speaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1 in TLS.
    Https(Trust),
    /// gRPC: HTTP/2 in the clear.
    Grpc,
    /// gRPC in TLS.
    Grpcs(Trust),
}

/// How the certificate of a backend is judged.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Trust {
    /// The name sent, and expected in the certificate; none means the endpoint's own.
    pub sni: Option<String>,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
}

/// One place where a backend listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Where it is.
    pub host: Host,
    /// The port, not 0.
    pub port: u16,
    /// The zone that it is in, for routing that keeps near.
    pub zone: Option<String>,
    /// Its share relative to the others, at most 100. Either all endpoints of a backend have one, and
    /// some of them more than 0, or none has.
    pub weight: Option<u8>,
}

impl Endpoint {
    /// Whether it is a name, not an address.
    pub fn is_named(&self) -> bool {
        matches!(self.host, Host::Name(_))
    }
}

/// The place of an endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// An address, neither loopback nor unspecified.
    Address(IpAddr),
    /// A DNS name of at least two labels.
    Name(String),
}
