//! Tests of the JSON form.

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::DescriptorStatus;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::RateLimit;
use envoy_types::pb::google::protobuf::Duration;

use crate::server::json;

#[test]
fn both_spellings_of_a_name_are_read() {
    let camel = r#"{"domain": "d", "hitsAddend": 2, "descriptors": [{"hitsAddend": 3, "isNegativeHits": true,
        "entries": [{"key": "k", "value": "v"}], "limit": {"requestsPerUnit": 4, "unit": "WEEK"}}]}"#;
    let snake = r#"{"domain": "d", "hits_addend": 2, "descriptors": [{"hits_addend": 3, "is_negative_hits": true,
        "entries": [{"key": "k", "value": "v"}], "limit": {"requests_per_unit": 4, "unit": "WEEK"}}]}"#;
    let message = read(camel).unwrap();
    assert_eq!(message, read(snake).unwrap());
    assert_eq!((&*message.domain, message.hits_addend), ("d", 2));
    let descriptor = &message.descriptors[0];
    assert_eq!(descriptor.hits_addend.as_ref().unwrap().value, 3);
    assert!(descriptor.is_negative_hits);
    assert_eq!(
        (&*descriptor.entries[0].key, &*descriptor.entries[0].value),
        ("k", "v")
    );
    let limit = descriptor.limit.unwrap();
    assert_eq!((limit.requests_per_unit, limit.unit), (4, 7));
}

#[test]
fn what_is_absent_or_null_has_its_default() {
    let expected = RateLimitRequest::default();
    assert_eq!(read("{}").unwrap(), expected);
    let nulls = r#"{"domain": null, "descriptors": null, "hitsAddend": null}"#;
    assert_eq!(read(nulls).unwrap(), expected);
    let message =
        read(r#"{"descriptors": [{"hitsAddend": null, "limit": null, "entries": [{}]}]}"#);
    let message = message.unwrap();
    assert_eq!(message.descriptors[0].hits_addend, None);
    assert_eq!(message.descriptors[0].limit, None);
    assert_eq!(message.descriptors[0].entries[0].key, "");
}

#[test]
fn a_number_may_stand_in_a_string() {
    for (written, expected) in [
        ("5", Some(5)),
        ("\"5\"", Some(5)),
        ("0", Some(0)),
        ("5.0", Some(5)),
        ("1e3", Some(1_000)),
        ("18446744073709551615", Some(u64::MAX)),
        ("\"18446744073709551615\"", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("-1", None),
        ("\"-1\"", None),
        ("\"+1\"", None),
        ("\"\"", None),
        ("1.5", None),
        ("true", None),
        ("[]", None),
    ] {
        let body = format!(r#"{{"descriptors": [{{"hitsAddend": {written}}}]}}"#);
        let value = read(&body).ok().map(|message| {
            let hits = message.descriptors[0].hits_addend.as_ref();
            hits.unwrap().value
        });
        assert_eq!(value, expected, "{written}");
    }
    assert!(read(r#"{"hitsAddend": 4294967295}"#).is_ok());
    assert!(read(r#"{"hitsAddend": 4294967296}"#).is_err());
}

#[test]
fn a_unit_is_read_by_name_or_number() {
    for (written, expected) in [
        ("\"SECOND\"", Some(1)),
        ("\"YEAR\"", Some(6)),
        ("\"WEEK\"", Some(7)),
        ("\"UNKNOWN\"", Some(0)),
        ("3", Some(3)),
        ("99", Some(99)),
        ("-1", Some(-1)),
        ("\"second\"", None),
        ("\"FORTNIGHT\"", None),
        ("4294967296", None),
    ] {
        let body = format!(r#"{{"descriptors": [{{"limit": {{"unit": {written}}}}}]}}"#);
        let unit = read(&body)
            .ok()
            .map(|it| it.descriptors[0].limit.unwrap().unit);
        assert_eq!(unit, expected, "{written}");
    }
}

#[test]
fn what_is_no_such_message_is_refused() {
    for body in [
        "",
        "nonsense",
        "[]",
        "{} {}",
        r#"{"domains": "d"}"#,
        r#"{"domain": 1}"#,
        r#"{"hitsAddend": 1, "hits_addend": 2}"#,
        r#"{"descriptors": [null]}"#,
        r#"{"descriptors": [[]]}"#,
        r#"{"descriptors": [{"entries": [["k", "v"]]}]}"#,
        r#"{"descriptors": [{"limit": [1, 1]}]}"#,
        r#"{"descriptors": [{"entry": []}]}"#,
        r#"{"descriptors": [{"entries": [{"key": "k", "values": "v"}]}]}"#,
        r#"{"descriptors": [{"limit": {"requests": 1}}]}"#,
    ] {
        assert!(read(body).is_err(), "{body}");
    }
}

#[test]
fn an_answer_leaves_zero_values_out() {
    let limit = RateLimit {
        name: String::new(),
        requests_per_unit: 3,
        unit: 2,
    };
    let named = RateLimit {
        name: "reports".to_owned(),
        requests_per_unit: 0,
        unit: 7,
    };
    let response = RateLimitResponse {
        overall_code: Code::OverLimit.into(),
        statuses: vec![
            DescriptorStatus {
                code: Code::Ok.into(),
                ..DescriptorStatus::default()
            },
            DescriptorStatus {
                code: Code::Ok.into(),
                current_limit: Some(limit),
                limit_remaining: 2,
                duration_until_reset: Some(Duration {
                    seconds: 58,
                    nanos: 0,
                }),
                ..DescriptorStatus::default()
            },
            DescriptorStatus {
                code: Code::OverLimit.into(),
                current_limit: Some(named),
                ..DescriptorStatus::default()
            },
        ],
        ..RateLimitResponse::default()
    };
    let expected = concat!(
        r#"{"overallCode":"OVER_LIMIT","statuses":[{"code":"OK"},"#,
        r#"{"code":"OK","currentLimit":{"requestsPerUnit":3,"unit":"MINUTE"},"#,
        r#""limitRemaining":2,"durationUntilReset":"58s"},"#,
        r#"{"code":"OVER_LIMIT","currentLimit":{"name":"reports","unit":"WEEK"}}]}"#,
    );
    assert_eq!(json::write(&response), expected);
}

fn read(body: &str) -> Result<RateLimitRequest, serde_json::Error> {
    json::read(body.as_bytes())
}
