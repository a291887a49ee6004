//! What the gRPC port serves: rate limits, health, and reflection.

use std::convert::Infallible;

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitServiceServer;
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthReporter;
use tonic_health::server::HealthService;

use crate::shutdown::TaskError;

/// The services of the port. Calls to the one that matters do not pass a router, which would cost
/// as much as deciding them.
#[derive(Clone, Debug)]
pub struct Services<S> {
    service: S,
    rate_limits: RateLimitServiceServer<S>,
    others: Routes,
}

impl<S: RateLimitService + Clone> Services<S> {
    /// A rate-limit service, with health and reflection beside it.
    ///
    /// Reflection describes health and itself; the crate that Envoy's messages come from exports no
    /// descriptors of them.
    ///
    /// # Errors
    ///
    /// The descriptors that are compiled in cannot be read.
    pub fn new(rate_limits: S, health: HealthReporter) -> Result<Self, TaskError> {
        let descriptors = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let health = HealthServer::new(HealthService::from_health_reporter(health));
        let others = Routes::new(health)
            .add_service(descriptors().build_v1()?)
            .add_service(descriptors().build_v1alpha()?);
        Ok(Self {
            rate_limits: server(&rate_limits),
            service: rate_limits,
            others: others.prepare(),
        })
    }

    /// The same for another thread: a request counts references to what it calls, and the threads
    /// would hand the count to and fro.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            service: self.service.clone(),
            rate_limits: server(&self.service),
            others: self.others.clone(),
        }
    }

    /// Answers a request.
    pub fn call(
        &self,
        request: http::Request<Incoming>,
    ) -> BoxFuture<http::Response<Body>, Infallible> {
        let service = request.uri().path().strip_prefix('/');
        let service = service.and_then(|path| path.strip_suffix(SHOULD_RATE_LIMIT));
        if service == Some(RateLimitServiceServer::<S>::NAME) {
            return self.rate_limits.clone().call(request);
        }
        Box::pin(self.others.clone().call(request))
    }
}

fn server<S: RateLimitService + Clone>(service: &S) -> RateLimitServiceServer<S> {
    RateLimitServiceServer::new(service.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

/// The one method of the service.
const SHOULD_RATE_LIMIT: &str = "/ShouldRateLimit";
/// As large as gRPC's own default.
const MAX_MESSAGE_BYTES: usize = 4 * 1_024 * 1_024;
