//! What answers carry beside the codes, where the settings ask for it.

use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;

use crate::limiter::verdict::Status;
use crate::limiter::verdict::Verdict;
use crate::server::metadata;

/// What answers carry beside the codes.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// Headers for the response to the client, with their names.
    pub headers: Option<HeaderNames>,
    /// Headers for the request to the backend, with their names.
    pub request_headers: Option<HeaderNames>,
    /// Whether answers carry dynamic metadata: what was asked, and the metadata of the rules.
    pub dynamic_metadata: bool,
}

/// The names of the headers that tell of the limit that is nearest to its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderNames {
    /// Of the header with N.
    pub limit: String,
    /// Of the header with the hits that remain.
    pub remaining: String,
    /// Of the header with the whole seconds until the reset.
    pub reset: String,
}

impl Additions {
    /// Adds to the answer to a request.
    pub fn add(
        &self,
        request: &RateLimitRequest,
        verdict: &Verdict,
        response: &mut RateLimitResponse,
    ) {
        if let Some(names) = &self.headers {
            response.response_headers_to_add = headers(names, &verdict.statuses);
        }
        if let Some(names) = &self.request_headers {
            response.request_headers_to_add = headers(names, &verdict.statuses);
        }
        if self.dynamic_metadata {
            response.dynamic_metadata = Some(metadata::of(request, &verdict.statuses));
        }
    }
}

/// The headers of the last status that refuses by itself, else of the first with the least left.
fn headers(names: &HeaderNames, statuses: &[Status]) -> Vec<HeaderValue> {
    let mut nearest = None;
    for status in statuses {
        let Status::Limited {
            over_limit,
            quota,
            requests,
            remaining,
            seconds_until_reset,
            ..
        } = status
        else {
            continue;
        };
        let is_nearer = nearest.is_none_or(|(_, least, _)| *remaining < least);
        if is_nearer || (*over_limit && !quota) {
            nearest = Some((*requests, *remaining, *seconds_until_reset));
        }
    }
    let Some((requests, remaining, seconds_until_reset)) = nearest else {
        return Vec::new();
    };
    let header = |name: &str, value: String| HeaderValue {
        key: name.to_owned(),
        value,
        ..HeaderValue::default()
    };
    vec![
        header(&names.limit, requests.to_string()),
        header(&names.remaining, remaining.to_string()),
        header(&names.reset, seconds_until_reset.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::limit::Unit;

    #[test]
    fn the_last_limit_that_refuses_is_told_of() {
        check(
            &[over(1, 10), left(2, 5), over(3, 20), left(4, 0)],
            Some("3 0 20"),
        );
    }

    #[test]
    fn else_the_first_with_the_least_left_is_told_of() {
        check(&[left(1, 5), left(2, 3), left(3, 3)], Some("2 3 60"));
    }

    #[test]
    fn a_quota_that_is_used_up_is_only_near() {
        check(&[left(1, 0), quota(2), quota(3)], Some("1 0 60"));
        check(&[quota(1), left(2, 5), quota(3)], Some("1 0 60"));
        check(&[quota(1), over(2, 5), quota(3)], Some("2 0 5"));
    }

    #[test]
    fn without_a_limit_there_are_no_headers() {
        check(&[Status::NotLimited, Status::Unlimited], None);
        check(&[Status::Unlimited, left(2, 5)], Some("2 5 60"));
    }

    #[track_caller]
    fn check(statuses: &[Status], expected: Option<&str>) {
        let names = HeaderNames {
            limit: "l".to_owned(),
            remaining: "r".to_owned(),
            reset: "s".to_owned(),
        };
        let headers = headers(&names, statuses);
        let values: Vec<&str> = headers.iter().map(|it| it.value.as_str()).collect();
        assert_eq!(values.join(" "), expected.unwrap_or_default());
        let names: Vec<&str> = headers.iter().map(|it| it.key.as_str()).collect();
        assert!(expected.is_none() || names == ["l", "r", "s"], "{names:?}");
    }

    fn left(requests: u32, remaining: u32) -> Status {
        status(false, false, requests, remaining, 60)
    }

    fn over(requests: u32, seconds_until_reset: u64) -> Status {
        status(true, false, requests, 0, seconds_until_reset)
    }

    fn quota(requests: u32) -> Status {
        status(true, true, requests, 0, 60)
    }

    fn status(
        over_limit: bool,
        quota: bool,
        requests: u32,
        remaining: u32,
        seconds_until_reset: u64,
    ) -> Status {
        Status::Limited {
            over_limit,
            name: String::new(),
            requests,
            unit: Unit::Minute,
            quota,
            remaining,
            seconds_until_reset,
            metadata: None,
        }
    }
}
