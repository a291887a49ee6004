//! Everything that is in force for the way of a route's requests to its backends.
//!
//! A policy is in force over what the route says, and the route over its backends. Envoy Gateway has
//! one setting of each type for all backends of a route, so these have to agree where they are asked.

use crate::platform::PolicySpec;
use crate::platform::Route;
use crate::platform::backend::Backend;
use crate::platform::effective::Effective;
use crate::platform::effective::InForce;
use crate::platform::effective::Source;
use crate::platform::limit::Key;
use crate::platform::limit::LocalRateLimit;
use crate::platform::limit::RateLimit;
use crate::platform::span::Span;
use crate::platform::traffic::CircuitBreaker;
use crate::platform::traffic::HealthCheck;
use crate::platform::traffic::LoadBalancer;
use crate::platform::traffic::Retry;
use crate::platform::traffic::Timeout;

/// What is in force for a route, of each type one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Traffic<'p> {
    /// Whose requests they are.
    pub route: &'p Route,
    /// The limit for all instances of Envoy together.
    pub rate_limit: Option<InForce<'p, RateLimit>>,
    /// The limit for each instance of Envoy.
    pub local_rate_limit: Option<InForce<'p, LocalRateLimit>>,
    /// Which failed requests are sent again.
    pub retry: Option<InForce<'p, Retry>>,
    /// How long things may take.
    pub timeout: Timeouts<'p>,
    /// How much may be under way.
    pub circuit_breaker: Option<InForce<'p, CircuitBreaker>>,
    /// Which endpoint gets a request.
    pub load_balancer: Option<InForce<'p, LoadBalancer>>,
    /// How endpoints are found that do not work.
    pub health_check: Option<InForce<'p, HealthCheck>>,
    /// Where the backends do not agree, and the first was heard.
    pub disagreements: Vec<Disagreement<'p>>,
}

/// How long things may take, each from where it is said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts<'p> {
    /// A request with its response.
    pub request: Option<InForce<'p, Span>>,
    /// A connection without a request on it.
    pub idle: Option<InForce<'p, Span>>,
    /// Until a backend takes a connection.
    pub connect: Option<InForce<'p, Span>>,
}

/// Two backends of a route that say different things, or one of which says nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Disagreement<'p> {
    /// The field of the backends' documents.
    pub field: &'static str,
    /// The first backend of the route.
    pub first: &'p str,
    /// The first one that does not agree with it.
    pub other: &'p str,
}

impl<'p> Traffic<'p> {
    /// What is in force for `route`.
    pub fn of(route: &'p Route, effective: &Effective<'p>) -> Self {
        let own = Source::Route(&route.name);
        let mut hearing = Hearing {
            route,
            disagreements: Vec::new(),
        };
        let retry = effective.in_force(route, None, |spec| match spec {
            PolicySpec::Retry(retry) => Some(retry),
            _ => None,
        });
        let timeout = effective.in_force(route, None, |spec| match spec {
            PolicySpec::Timeout(timeout) => Some(timeout),
            _ => None,
        });
        let circuit_breaker = effective.in_force(route, None, |spec| match spec {
            PolicySpec::CircuitBreaker(breaker) => Some(breaker),
            _ => None,
        });
        let retry = retry.or_else(|| said(own, &route.retry));
        let retry = retry.or_else(|| hearing.backends("retry", |it| &it.retry));
        let policy = |of: fn(&'p Timeout) -> &'p Option<Span>| {
            let policy = timeout.and_then(|it| said(it.source, of(it.spec)));
            policy.or_else(|| said(own, of(&route.timeout)))
        };
        let request = policy(|it| &it.request)
            .or_else(|| hearing.backends("timeout_ms", |it| &it.timeout.request));
        let idle = policy(|it| &it.idle)
            .or_else(|| hearing.backends("idle_timeout_ms", |it| &it.timeout.idle));
        let connect = policy(|it| &it.connect)
            .or_else(|| hearing.backends("connect_timeout_ms", |it| &it.timeout.connect));
        let circuit_breaker = circuit_breaker
            .or_else(|| hearing.backends("circuit_breaker", |it| &it.circuit_breaker));
        Self {
            route,
            rate_limit: effective.rate_limit(route),
            local_rate_limit: effective.local_rate_limit(route),
            retry,
            timeout: Timeouts {
                request,
                idle,
                connect,
            },
            circuit_breaker,
            load_balancer: hearing.backends("lb_policy", |it| &it.load_balancer),
            health_check: hearing.backends("health_check", |it| &it.health_check),
            disagreements: hearing.disagreements,
        }
    }

    /// What differs between the ways of two routes, by the names of policies' types and of fields.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let callers = |it: &Self| {
            let keys = [
                it.rate_limit.map(|it| &it.spec.key),
                it.local_rate_limit.map(|it| &it.spec.key),
            ];
            keys.map(|key| match key {
                Some(Key::User(claim)) => it.route.header_of(claim),
                _ => None,
            })
        };
        let differs = [
            (
                "rate-limit",
                specs(self.rate_limit) != specs(other.rate_limit),
            ),
            (
                "rate-limit of type Local",
                specs(self.local_rate_limit) != specs(other.local_rate_limit),
            ),
            ("the header of the user", callers(self) != callers(other)),
            ("retry", specs(self.retry) != specs(other.retry)),
            ("timeout", self.timeout.specs() != other.timeout.specs()),
            (
                "circuit-breaker",
                specs(self.circuit_breaker) != specs(other.circuit_breaker),
            ),
            (
                "lb_policy",
                specs(self.load_balancer) != specs(other.load_balancer),
            ),
            (
                "health_check",
                specs(self.health_check) != specs(other.health_check),
            ),
        ];
        let differs = differs.into_iter().filter(|(_, differs)| *differs);
        differs.map(|(name, _)| name).collect()
    }

    /// Where it is written, in the order of the fields; some of it more than once.
    pub fn sources(&self) -> impl Iterator<Item = Source<'p>> {
        let sources = [
            self.rate_limit.map(|it| it.source),
            self.local_rate_limit.map(|it| it.source),
            self.retry.map(|it| it.source),
            self.timeout.request.map(|it| it.source),
            self.timeout.idle.map(|it| it.source),
            self.timeout.connect.map(|it| it.source),
            self.circuit_breaker.map(|it| it.source),
            self.load_balancer.map(|it| it.source),
            self.health_check.map(|it| it.source),
        ];
        let route = self.route;
        sources.into_iter().flatten().flat_map(move |source| {
            // The backends say it together.
            let backends = match source {
                Source::Backend(_) => route.backends.as_slice(),
                Source::Plan(_) | Source::Policy(_) | Source::Route(_) => &[],
            };
            let one = backends.is_empty().then_some(source);
            let all = backends.iter().map(|it| Source::Backend(&it.backend.name));
            one.into_iter().chain(all)
        })
    }
}

impl<'p> Timeouts<'p> {
    fn specs(&self) -> [Option<&'p Span>; 3] {
        [specs(self.request), specs(self.idle), specs(self.connect)]
    }
}

/// What is said, wherever it is written.
fn specs<T>(in_force: Option<InForce<'_, T>>) -> Option<&T> {
    in_force.map(|it| it.spec)
}

/// The backends of a route, asked for what nobody else says.
struct Hearing<'p> {
    route: &'p Route,
    disagreements: Vec<Disagreement<'p>>,
}

impl<'p> Hearing<'p> {
    fn backends<T: Eq>(
        &mut self,
        field: &'static str,
        of: impl Fn(&'p Backend) -> &'p Option<T>,
    ) -> Option<InForce<'p, T>> {
        let mut backends = self.route.backends.iter().map(|it| &*it.backend);
        let first = backends.next()?;
        if let Some(other) = backends.find(|other| of(other) != of(first)) {
            self.disagreements.push(Disagreement {
                field,
                first: &first.name,
                other: &other.name,
            });
        }
        said(Source::Backend(&first.name), of(first))
    }
}

fn said<'p, T>(source: Source<'p>, spec: &'p Option<T>) -> Option<InForce<'p, T>> {
    let spec = spec.as_ref()?;
    Some(InForce::new(source, spec))
}
