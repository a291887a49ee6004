//! What imprun has in force: gateways, backends, API services, routes and policies.
//!
//! Only what is active is here, and every reference is resolved: what reads a [`Platform`] meets no
//! name that it would have to look up.

pub mod backend;
pub mod document;
pub mod effective;
pub mod filter;
pub mod hostname;
pub mod limit;
pub mod order;
pub mod security;
pub mod share;
pub mod span;
pub mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::platform::backend::Backend;
use crate::platform::filter::HeaderModifier;
use crate::platform::filter::RequestRedirect;
use crate::platform::filter::UrlRewrite;
use crate::platform::hostname::Hostname;
use crate::platform::limit::LocalRateLimit;
use crate::platform::limit::Plan;
use crate::platform::limit::RateLimit;
use crate::platform::security::Auth;
use crate::platform::security::Cors;
use crate::platform::traffic::CircuitBreaker;
use crate::platform::traffic::Retry;
use crate::platform::traffic::Timeout;
use crate::platform::traffic::Timeouts;

/// The active entities, each kind in the order of its names.
#[derive(Clone, Debug, Default)]
pub struct Platform {
    /// The gateways.
    pub gateways: Vec<Arc<Gateway>>,
    /// The backends.
    pub backends: Vec<Arc<Backend>>,
    /// The API services.
    pub api_services: Vec<Arc<ApiService>>,
    /// The routes whose gateway and API service are active too.
    pub routes: Vec<Arc<Route>>,
    /// The enabled policies whose route or API service is active too.
    pub policies: Vec<Arc<Policy>>,
    /// The plans.
    pub plans: Vec<Arc<Plan>>,
}

/// Where traffic comes in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gateway {
    /// Its name, an RFC 1123 label like every entity's.
    pub name: String,
    /// The name of the Kubernetes `GatewayClass`.
    pub gateway_class: String,
    /// At least one; no two have the same name or port.
    pub listeners: Vec<Listener>,
    /// Labels for the Kubernetes object.
    pub labels: BTreeMap<String, String>,
}

/// A port of a gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// The port, not 0.
    pub port: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// The hosts that it answers for; none means all.
    pub hostname: Option<Hostname>,
}

/// What a listener speaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP in the clear.
    Http,
    /// HTTP in TLS that ends here.
    Https(Certificate),
    /// TLS that ends here, with anything in it; routes do not attach.
    Tls(Certificate),
    /// TLS that a backend ends; routes do not attach.
    TlsPassthrough,
}

impl Protocol {
    /// Whether routes attach to a listener with this protocol.
    pub fn carries_routes(&self) -> bool {
        matches!(self, Self::Http | Self::Https(_))
    }
}

/// The name of the Kubernetes secret that holds a listener's certificate and key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate(pub String);

/// What groups routes and policies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiService {
    /// Its name.
    pub name: String,
    /// The version of the API.
    pub version: Option<String>,
}

/// Which requests go where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// The API that it is part of.
    pub api_service: Arc<ApiService>,
    /// The gateway that it attaches to.
    pub gateway: Arc<Gateway>,
    /// The one listener that it attaches to, as an index; none means every one that carries routes.
    pub listener: Option<usize>,
    /// The hosts that it is for; none means those of the listener.
    pub hostnames: Vec<Hostname>,
    /// Which paths match.
    pub path: PathMatch,
    /// Which methods match; none means all.
    pub methods: Vec<Method>,
    /// The headers that a request must have.
    pub headers: Vec<HeaderMatch>,
    /// The query parameters that a request must have.
    pub query_params: Vec<QueryMatch>,
    /// Where matching requests go; none only when a redirect is in force.
    pub backends: Vec<WeightedBackend>,
    /// Of two routes that match one request, the higher is meant; none means that it is all the same.
    pub priority: Option<u32>,
    /// How long a request may take.
    pub timeouts: Timeouts,
    /// How it finds out who calls; none means that anybody may.
    pub auth: Option<Auth>,
    /// Labels of imprun's own.
    pub tags: BTreeMap<String, String>,
    /// The limit that is written in the route itself.
    pub rate_limit: Option<RateLimit>,
    /// The limit for each instance of Envoy that is written in the route itself.
    pub local_rate_limit: Option<LocalRateLimit>,
    /// Which of its failed requests are sent again, where no policy says it.
    pub retry: Option<Retry>,
    /// How long things may take on the way to its backends, where no policy says it.
    pub timeout: Timeout,
}

impl Route {
    /// The header that its authentication puts a claim into.
    pub fn header_of(&self, claim: &str) -> Option<&str> {
        let Some(Auth::Jwt(token)) = &self.auth else {
            return None;
        };
        let mut claims = token.claim_to_headers.iter();
        claims
            .find(|it| it.claim == claim)
            .map(|it| it.header.as_str())
    }

    /// The listeners that it attaches to.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        let listeners = self.gateway.listeners.iter().enumerate();
        listeners.filter_map(|(index, listener)| match self.listener {
            Some(only) => (index == only).then_some(listener),
            None => listener.protocol.carries_routes().then_some(listener),
        })
    }
}

/// Which paths match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathMatch {
    /// This path.
    Exact(String),
    /// This path and all below it.
    Prefix(String),
    /// Paths that the whole expression fits.
    Regex(String),
}

/// A method of HTTP.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Method {
    /// `CONNECT`.
    Connect,
    /// `DELETE`.
    Delete,
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `OPTIONS`.
    Options,
    /// `PATCH`.
    Patch,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `TRACE`.
    Trace,
}

impl Method {
    /// Every method with its name.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("GET", Self::Get),
        ("HEAD", Self::Head),
        ("POST", Self::Post),
        ("PUT", Self::Put),
        ("DELETE", Self::Delete),
        ("CONNECT", Self::Connect),
        ("OPTIONS", Self::Options),
        ("TRACE", Self::Trace),
        ("PATCH", Self::Patch),
    ];

    /// The method's name.
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, method)| *method == self);
        found.expect("every method has a name").0
    }
}

/// A header that a request must have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderMatch {
    /// The header's name.
    pub name: String,
    /// Which values match.
    pub value: HeaderValue,
}

/// Which values of a header match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HeaderValue {
    /// This value.
    Exact(String),
    /// Any value.
    Present,
    /// Values that the expression fits.
    Regex(String),
}

/// A query parameter that a request must have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueryMatch {
    /// The parameter's name.
    pub name: String,
    /// Which values match.
    pub value: QueryValue,
}

/// Which values of a query parameter match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum QueryValue {
    /// This value.
    Exact(String),
    /// Values that the expression fits.
    Regex(String),
}

/// A backend of a route with its share of the requests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WeightedBackend {
    /// The backend.
    pub backend: Arc<Backend>,
    /// Its share in percent. Either all backends of a route have one, and they sum to 100, or none has.
    pub weight: Option<u8>,
}

/// What holds for everything in a scope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// What it covers.
    pub scope: Scope,
    /// Among policies of one scope, the highest is in force.
    pub priority: u32,
    /// What it says.
    pub spec: PolicySpec,
}

/// What a policy says; of each type one is in force for a route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PolicySpec {
    /// How much may be under way to backends.
    CircuitBreaker(CircuitBreaker),
    /// What pages of other origins may do.
    Cors(Cors),
    /// Changes to the headers of requests.
    HeaderModifier(HeaderModifier),
    /// A limit for each instance of Envoy.
    LocalRateLimit(LocalRateLimit),
    /// A limit for all instances of Envoy together.
    RateLimit(RateLimit),
    /// An answer that sends the client elsewhere.
    RequestRedirect(RequestRedirect),
    /// Which failed requests are sent again.
    Retry(Retry),
    /// How long things may take on the way to backends.
    Timeout(Timeout),
    /// Another host or path for the backend.
    UrlRewrite(UrlRewrite),
}

/// What a policy covers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Every route.
    Global,
    /// One route.
    Route(Arc<Route>),
    /// Every route of an API service.
    Service(Arc<ApiService>),
}
