//! Envoy's messages ↔ the limiter's words.

#[cfg(test)]
mod tests;

use std::error::Error;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::RateLimitOverride;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::DescriptorStatus;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::RateLimit;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit;
use envoy_types::pb::google::protobuf::Duration;

use crate::limiter::Descriptor;
use crate::limiter::Override;
use crate::limiter::Request;
use crate::limiter::Undecided;
use crate::limiter::verdict::Status;
use crate::limiter::verdict::Verdict;
use crate::rule::limit::Unit;

/// The request in a message; its texts stay where they are.
///
/// # Errors
///
/// Something in a descriptor has no meaning; the status is for the caller.
pub fn request(message: &RateLimitRequest) -> Result<Request<'_>, tonic::Status> {
    let descriptors = message.descriptors.iter().enumerate();
    let descriptors = descriptors.map(|(index, it)| descriptor(index, it));
    Ok(Request {
        domain: &message.domain,
        descriptors: descriptors.collect::<Result<_, _>>()?,
        hits_addend: message.hits_addend,
    })
}

/// The message that tells a verdict.
pub fn response(verdict: &Verdict) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: code(verdict.over_limit),
        statuses: verdict.statuses.iter().map(status).collect(),
        ..RateLimitResponse::default()
    }
}

/// The status that says why there is no verdict.
///
/// What the reference service refuses too has its code and its words.
pub fn failure(undecided: &Undecided) -> tonic::Status {
    let code = match undecided {
        Undecided::EmptyDomain | Undecided::NoDescriptors | Undecided::NoRules => {
            tonic::Code::Unknown
        }
        Undecided::TooManyDescriptors(_) => tonic::Code::InvalidArgument,
        Undecided::Away | Undecided::Late | Undecided::Store(_) => tonic::Code::Unavailable,
    };
    let mut message = undecided.to_string();
    let mut cause = undecided.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    tonic::Status::new(code, message)
}

fn descriptor(
    index: usize,
    message: &RateLimitDescriptor,
) -> Result<Descriptor<'_>, tonic::Status> {
    let invalid = |what: String| {
        let message = format!("descriptor {index}: {what}");
        tonic::Status::invalid_argument(message)
    };
    if message.is_negative_hits {
        return Err(invalid("negative hits are not supported".to_owned()));
    }
    let entries = message.entries.iter();
    Ok(Descriptor {
        entries: entries.map(|it| (&*it.key, &*it.value)).collect(),
        limit: message.limit.map(limit).transpose().map_err(invalid)?,
        hits_addend: message.hits_addend.map(|it| it.value),
    })
}

fn limit(message: RateLimitOverride) -> Result<Override, String> {
    let unit = UNITS
        .iter()
        .find(|(number, _)| *number as i32 == message.unit);
    let Some((_, unit)) = unit else {
        let unit = message.unit;
        return Err(format!(
            "unknown unit {unit} of its limit: expected a number from 1 (second) to 7 (week)"
        ));
    };
    Ok(Override {
        requests: message.requests_per_unit,
        unit: *unit,
    })
}

fn status(status: &Status) -> DescriptorStatus {
    match status {
        Status::NotLimited => DescriptorStatus {
            code: code(false),
            ..DescriptorStatus::default()
        },
        Status::Unlimited => DescriptorStatus {
            code: code(false),
            limit_remaining: u32::MAX,
            ..DescriptorStatus::default()
        },
        Status::Limited {
            over_limit,
            name,
            requests,
            unit,
            remaining,
            seconds_until_reset,
            ..
        } => DescriptorStatus {
            code: code(*over_limit),
            current_limit: Some(RateLimit {
                name: name.clone(),
                requests_per_unit: *requests,
                unit: unit_number(*unit),
            }),
            limit_remaining: *remaining,
            duration_until_reset: Some(Duration {
                seconds: i64::try_from(*seconds_until_reset).unwrap_or(i64::MAX),
                nanos: 0,
            }),
            ..DescriptorStatus::default()
        },
    }
}

fn code(over_limit: bool) -> i32 {
    let code = if over_limit {
        Code::OverLimit
    } else {
        Code::Ok
    };
    code as i32
}

fn unit_number(unit: Unit) -> i32 {
    let number = UNITS.iter().find(|(_, named)| *named == unit);
    number.map_or(rate_limit::Unit::Unknown, |(number, _)| *number) as i32
}

/// The units with their numbers on the wire; those of overrides are the same, though the message
/// that overrides are declared with stops at 6.
const UNITS: [(rate_limit::Unit, Unit); 7] = [
    (rate_limit::Unit::Second, Unit::Second),
    (rate_limit::Unit::Minute, Unit::Minute),
    (rate_limit::Unit::Hour, Unit::Hour),
    (rate_limit::Unit::Day, Unit::Day),
    (rate_limit::Unit::Month, Unit::Month),
    (rate_limit::Unit::Year, Unit::Year),
    (rate_limit::Unit::Week, Unit::Week),
];
