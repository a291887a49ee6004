//! A client of the rate-limit service, and short ways to write its messages.

use std::net::SocketAddr;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::DescriptorStatus;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use crate::support::PATIENCE;

/// One connection to the service.
#[derive(Clone, Debug)]
pub(crate) struct Rls(RateLimitServiceClient<Channel>);

impl Rls {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::over(channel(to).await)
    }

    /// Over a connection that is there already.
    pub(crate) fn over(channel: Channel) -> Self {
        Self(RateLimitServiceClient::new(channel))
    }

    /// Sends a request with a deadline that a busy machine keeps too.
    pub(crate) async fn ask(
        &mut self,
        message: RateLimitRequest,
    ) -> Result<RateLimitResponse, tonic::Status> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(PATIENCE);
        let response = self.0.should_rate_limit(request).await?;
        Ok(response.into_inner())
    }

    /// Whether a request is admitted.
    pub(crate) async fn admits(&mut self, message: RateLimitRequest) -> bool {
        self.ask(message).await.unwrap().overall_code() == Code::Ok
    }
}

/// A connection to a gRPC port.
pub(crate) async fn channel(to: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{to}")).unwrap();
    endpoint.connect_timeout(PATIENCE).connect().await.unwrap()
}

/// A request of one hit with descriptors of the given entries.
pub(crate) fn request(domain: &str, descriptors: &[&[(&str, &str)]]) -> RateLimitRequest {
    RateLimitRequest {
        domain: domain.to_owned(),
        descriptors: descriptors.iter().map(|it| descriptor(it)).collect(),
        hits_addend: 0,
    }
}

/// A descriptor of the given entries, without a limit or hits of its own.
pub(crate) fn descriptor(entries: &[(&str, &str)]) -> RateLimitDescriptor {
    let entry = |(key, value): &(&str, &str)| Entry {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    RateLimitDescriptor {
        entries: entries.iter().map(entry).collect(),
        ..RateLimitDescriptor::default()
    }
}

/// An answer as text: the overall code and then the statuses, such as `OK: OK 2 of 3 DAY (name), OK`,
/// or the error.
pub(crate) fn said(answer: &Result<RateLimitResponse, tonic::Status>) -> String {
    let response = match answer {
        Ok(response) => response,
        Err(status) => {
            let code = format!("{:?}", status.code()).to_uppercase();
            return format!("{code}: {}", status.message());
        }
    };
    let status = |status: &DescriptorStatus| {
        let limit = status.current_limit.as_ref();
        let limit = limit.map(|it| (it.requests_per_unit, it.unit().as_str_name(), &*it.name));
        status_said(status.code().as_str_name(), status.limit_remaining, limit)
    };
    let statuses = response.statuses.iter().map(status);
    joined(response.overall_code().as_str_name(), statuses)
}

/// A status as [`said`] writes it; its limit is a number, a unit and a name.
pub(crate) fn status_said(code: &str, remaining: u32, limit: Option<(u32, &str, &str)>) -> String {
    match limit {
        None if remaining == 0 => code.to_owned(),
        None => format!("{code} {remaining}"),
        Some((requests, unit, "")) => format!("{code} {remaining} of {requests} {unit}"),
        Some((requests, unit, name)) => {
            format!("{code} {remaining} of {requests} {unit} ({name})")
        }
    }
}

/// An answer of these statuses as [`said`] writes it.
pub(crate) fn joined(overall: &str, statuses: impl Iterator<Item = String>) -> String {
    format!("{overall}: {}", statuses.collect::<Vec<_>>().join(", "))
}
