//! Envoy's RateLimitService, version 3.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use tonic::metadata::MetadataMap;
use tracing::debug;

use crate::limiter::Limiter;
use crate::limiter::Undecided;
use crate::metrics::ServiceMetrics;
use crate::server::answer::Additions;
use crate::server::wire;
use crate::spans::Spans;
use crate::spans::Traced;

/// Answers requests, whichever port they come in by.
#[derive(Clone, Debug)]
pub struct Rls {
    limiter: Arc<Limiter>,
    metrics: ServiceMetrics,
    longest_wait: Duration,
    additions: Additions,
    spans: Option<Spans>,
}

impl Rls {
    /// A service that waits for the store no longer than `longest_wait`, whatever a caller grants.
    pub fn new(
        limiter: Arc<Limiter>,
        metrics: ServiceMetrics,
        longest_wait: Option<Duration>,
        additions: Additions,
    ) -> Self {
        Self {
            limiter,
            metrics,
            longest_wait: longest_wait.unwrap_or(Duration::MAX),
            additions,
            spans: None,
        }
    }

    /// The same with spans of requests that come over gRPC.
    #[must_use]
    pub fn tracing(self, spans: Option<Spans>) -> Self {
        Self { spans, ..self }
    }

    /// Decides a request, waiting for the store for at most `wait`.
    pub async fn decide(
        &self,
        message: &RateLimitRequest,
        wait: Duration,
    ) -> Result<RateLimitResponse, tonic::Status> {
        let request = wire::request(message).inspect_err(|status| {
            debug!(
                domain = message.domain,
                reason = status.message(),
                "invalid request"
            );
            self.metrics.invalid.increment(1);
        })?;
        let decided = self.limiter.decide(&request, wait.min(self.longest_wait));
        match decided.await {
            Ok(verdict) => {
                let counter = match &verdict {
                    verdict if verdict.over_limit => &self.metrics.over_limit,
                    verdict if verdict.shadowed => &self.metrics.shadow,
                    _ => &self.metrics.within,
                };
                counter.increment(1);
                let mut response = wire::response(&verdict);
                self.additions.add(message, &verdict, &mut response);
                Ok(response)
            }
            Err(undecided) => {
                self.count(&undecided);
                let status = wire::failure(&undecided);
                debug!(
                    domain = message.domain,
                    reason = status.message(),
                    "no verdict"
                );
                Err(status)
            }
        }
    }

    fn count(&self, undecided: &Undecided) {
        let counter = match undecided {
            Undecided::EmptyDomain
            | Undecided::NoDescriptors
            | Undecided::TooManyDescriptors(_) => &self.metrics.invalid,
            Undecided::NoRules => &self.metrics.no_rules,
            Undecided::Away | Undecided::Store(_) => &self.metrics.store_failed,
            Undecided::Late => &self.metrics.store_late,
        };
        counter.increment(1);
    }
}

#[tonic::async_trait]
impl RateLimitService for Rls {
    async fn should_rate_limit(
        &self,
        request: tonic::Request<RateLimitRequest>,
    ) -> Result<tonic::Response<RateLimitResponse>, tonic::Status> {
        let wait = match deadline(request.metadata()) {
            Some(deadline) => patience(deadline),
            None => WAIT_WITHOUT_DEADLINE,
        };
        let begin = self.limiter.steady();
        let traced = self.spans.as_ref();
        let traced = traced.and_then(|it| it.request(request.metadata().as_ref()));
        let message = request.get_ref();
        let response = match traced {
            None => self.decide(message, wait).await,
            // In a box, as all requests would be as large as those with spans.
            Some(traced) => Box::pin(follow(traced, message, self.decide(message, wait))).await,
        };
        let micros = self.limiter.steady().since(begin);
        self.metrics.calls.increment(1);
        let took = Duration::from_micros(micros);
        self.metrics.response_time.record(took);
        Ok(tonic::Response::new(response?))
    }
}

/// A decision with its spans.
async fn follow(
    traced: Traced,
    message: &RateLimitRequest,
    deciding: impl Future<Output = Result<RateLimitResponse, tonic::Status>>,
) -> Result<RateLimitResponse, tonic::Status> {
    let is_over = |response: &RateLimitResponse| response.overall_code() == Code::OverLimit;
    let (domain, descriptors) = (&message.domain, message.descriptors.len());
    let decision = traced.decision(domain, descriptors, is_over, deciding);
    let response = decision.await;
    match &response {
        Ok(_) => traced.answered(tonic::Code::Ok.into(), None),
        Err(status) => traced.answered(status.code().into(), Some(status.message())),
    }
    response
}

/// How long the caller waits; none when it does not say, or not as gRPC writes it.
fn deadline(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = number.len() <= 8 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// How long a caller's deadline lets the store take, so that an answer without it comes in time.
fn patience(deadline: Duration) -> Duration {
    deadline.saturating_sub(WAY_BACK + TIMER.min(deadline / 10))
}

/// What is left of a deadline for the answer to travel back.
const WAY_BACK: Duration = Duration::from_millis(2);
/// By how much a timer may end late, as it goes by whole milliseconds; a short deadline takes the risk.
const TIMER: Duration = Duration::from_millis(2);
const WAIT_WITHOUT_DEADLINE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_in_every_unit() {
        check("2H", Some(Duration::from_secs(7_200)));
        check("3M", Some(Duration::from_secs(180)));
        check("4S", Some(Duration::from_secs(4)));
        check("20m", Some(Duration::from_millis(20)));
        check("19999u", Some(Duration::from_micros(19_999)));
        check("99999999n", Some(Duration::from_nanos(99_999_999)));
        check("99999999H", Some(Duration::from_secs(359_999_996_400)));
    }

    #[test]
    fn what_is_no_deadline_is_ignored() {
        for text in [
            "",
            "m",
            "20",
            "20 m",
            "-1m",
            "+1m",
            "20s",
            "123456789m",
            "1.5S",
        ] {
            check(text, None);
        }
        assert_eq!(deadline(&MetadataMap::new()), None);
    }

    #[test]
    fn an_answer_without_the_store_leaves_two_milliseconds_before_the_deadline() {
        for (deadline, expected) in [
            (1_000_000, 996_000),
            (20_000, 16_000),
            (5_000, 2_500),
            (2_000, 0),
            (0, 0),
        ] {
            let patience = patience(Duration::from_micros(deadline));
            assert_eq!(patience, Duration::from_micros(expected), "{deadline}");
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Option<Duration>) {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", text.parse().unwrap());
        assert_eq!(deadline(&metadata), expected, "{text}");
    }
}
