//! Tests of what becomes of a message on its way in and out.

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::RateLimitOverride;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::google::protobuf::UInt64Value;

use crate::limiter::Override;
use crate::limiter::Undecided;
use crate::limiter::verdict::Status;
use crate::limiter::verdict::Verdict;
use crate::rule::limit::Unit;
use crate::server::wire;

#[test]
fn a_request_keeps_order_and_equal_entries() {
    let entry = |value: &str| Entry {
        key: "k".to_owned(),
        value: value.to_owned(),
    };
    let message = RateLimitRequest {
        domain: "d".to_owned(),
        descriptors: vec![
            RateLimitDescriptor {
                entries: vec![entry("b"), entry("a"), entry("b")],
                hits_addend: Some(UInt64Value { value: 0 }),
                ..RateLimitDescriptor::default()
            },
            RateLimitDescriptor::default(),
        ],
        hits_addend: 7,
    };
    let request = wire::request(&message).unwrap();
    assert_eq!((request.domain, request.hits_addend), ("d", 7));
    let entries = &request.descriptors[0].entries;
    assert_eq!(entries, &[("k", "b"), ("k", "a"), ("k", "b")]);
    assert_eq!(request.descriptors[0].hits_addend, Some(0));
    assert_eq!(request.descriptors[1].hits_addend, None);
    assert_eq!(request.descriptors[1].limit, None);
}

#[test]
fn an_override_has_one_of_seven_units() {
    let units = [
        (1, Unit::Second),
        (2, Unit::Minute),
        (3, Unit::Hour),
        (4, Unit::Day),
        (5, Unit::Month),
        (6, Unit::Year),
        (7, Unit::Week),
    ];
    for (number, unit) in units {
        let message = overriding(number);
        let request = wire::request(&message).unwrap();
        let expected = Override { requests: 9, unit };
        assert_eq!(request.descriptors[1].limit, Some(expected));
    }
    for number in [0, 8, -1, i32::MAX] {
        let status = wire::request(&overriding(number)).unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        let expected = format!(
            "descriptor 1: unknown unit {number} of its limit: expected a number from 1 (second) to 7 (week)"
        );
        assert_eq!(status.message(), expected);
    }
}

#[test]
fn negative_hits_are_refused() {
    let mut message = overriding(1);
    message.descriptors[0].is_negative_hits = true;
    let status = wire::request(&message).unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let expected = "descriptor 0: negative hits are not supported";
    assert_eq!(status.message(), expected);
}

#[test]
fn a_status_says_as_much_as_is_known() {
    let limited = |over_limit| Status::Limited {
        over_limit,
        name: "reports".to_owned(),
        requests: 3,
        unit: Unit::Week,
        quota: false,
        remaining: 2,
        seconds_until_reset: 58,
        metadata: None,
    };
    let response = wire::response(&Verdict {
        over_limit: true,
        shadowed: false,
        statuses: vec![
            Status::NotLimited,
            Status::Unlimited,
            limited(false),
            limited(true),
        ],
    });
    assert_eq!(response.overall_code().as_str_name(), "OVER_LIMIT");
    let codes = response.statuses.iter().map(|it| it.code().as_str_name());
    let codes: Vec<&str> = codes.collect();
    assert_eq!(codes, ["OK", "OK", "OK", "OVER_LIMIT"]);
    let remaining: Vec<u32> = response
        .statuses
        .iter()
        .map(|it| it.limit_remaining)
        .collect();
    assert_eq!(remaining, [0, u32::MAX, 2, 2]);
    assert_eq!(response.statuses[1].current_limit, None);
    assert_eq!(response.statuses[1].duration_until_reset, None);
    let limit = response.statuses[2].current_limit.as_ref().unwrap();
    assert_eq!((&*limit.name, limit.requests_per_unit), ("reports", 3));
    assert_eq!(limit.unit().as_str_name(), "WEEK");
    let until = response.statuses[2].duration_until_reset.as_ref().unwrap();
    assert_eq!((until.seconds, until.nanos), (58, 0));
}

#[test]
fn a_failure_has_the_code_that_its_cause_calls_for() {
    for (undecided, code, message) in [
        (
            Undecided::EmptyDomain,
            tonic::Code::Unknown,
            "rate limit domain must not be empty",
        ),
        (
            Undecided::NoDescriptors,
            tonic::Code::Unknown,
            "rate limit descriptor list must not be empty",
        ),
        (
            Undecided::NoRules,
            tonic::Code::Unknown,
            "no rate limit configuration loaded",
        ),
        (
            Undecided::TooManyDescriptors(1_025),
            tonic::Code::InvalidArgument,
            "1025 descriptors in one request, at most 1024 are allowed",
        ),
        (
            Undecided::Late,
            tonic::Code::Unavailable,
            "the store did not answer in time",
        ),
    ] {
        let status = wire::failure(&undecided);
        assert_eq!((status.code(), status.message()), (code, message));
    }
}

/// A request whose second descriptor brings a limit of 9 per this unit.
fn overriding(unit: i32) -> RateLimitRequest {
    let limit = RateLimitOverride {
        requests_per_unit: 9,
        unit,
    };
    RateLimitRequest {
        domain: "d".to_owned(),
        descriptors: vec![
            RateLimitDescriptor::default(),
            RateLimitDescriptor {
                limit: Some(limit),
                ..RateLimitDescriptor::default()
            },
        ],
        hits_addend: 0,
    }
}
