//! Section 3: what becomes of a request.
//!
//! Elsewhere: matching, hits, overrides, `replaces`, quotas and shadow mode by recorded answers
//! (`decisions`), which limit headers tell of and how metadata is joined (`answers`, `server::answer`).

use envoy_types::pb::google::protobuf::Struct;
use envoy_types::pb::google::protobuf::value::Kind;
use serde_json::Value;
use serde_json::json;

use crate::dropin::memory;
use crate::reference::row;
use crate::reference::row::Ask;
use crate::reference::row::Row;
use crate::reference::row::differs;
use crate::reference::row::same;
use crate::reference::world::World;
use crate::reference::world::request;
use crate::support::unix_seconds;

#[test]
fn fixed_windows_decide_as_the_reference_does() {
    row::check_within_an_hour(FIXED, || {
        let more = [
            ("SLIDEGATE_ALGORITHM", "fixed_window"),
            ("LIMIT_RESPONSE_HEADERS_ENABLED", "true"),
            ("LIMIT_RESET_HEADER", "X-Reset"),
            ("RESPONSE_DYNAMIC_METADATA", "true"),
            ("LOCAL_CACHE_SIZE_IN_BYTES", "1000000"),
        ];
        Some(World::start(RULES, &[&memory()[..], &more].concat()))
    });
}

#[test]
fn everything_may_be_in_shadow_mode() {
    let world = World::start(RULES, &[memory()[0], ("SHADOW_MODE", "true")]);
    row::check(SHADOW, |ask| ask(&world));
}

#[test]
fn everything_may_be_in_quota_mode() {
    let world = World::start(RULES, &[memory()[0], ("QUOTA_MODE", "true")]);
    row::check(QUOTA, |ask| ask(&world));
}

pub(crate) fn reasons() -> Vec<&'static str> {
    [FIXED, SHADOW, QUOTA].map(row::reasons).concat()
}

const RULES: &str = "
domain: d
descriptors:
- {key: k, value: exact, rate_limit: {unit: day, requests_per_unit: 9, name: exact}}
- {key: k, value: 'e*', rate_limit: {unit: day, requests_per_unit: 9, name: first}}
- {key: k, value: 'ex*', rate_limit: {unit: day, requests_per_unit: 9, name: second}}
- {key: k, rate_limit: {unit: day, requests_per_unit: 9, name: default}}
- {key: p, value: 'a*mid*z', rate_limit: {unit: day, requests_per_unit: 9}}
- {key: o, value: 'ab*ba', rate_limit: {unit: day, requests_per_unit: 9}}
- {key: 's*r', rate_limit: {unit: day, requests_per_unit: 9}}
- key: up
  value: x
  descriptors:
  - {key: down, rate_limit: {unit: day, requests_per_unit: 9}}
- {key: user, rate_limit: {unit: hour, requests_per_unit: 3}}
- {key: none, rate_limit: {unit: hour, requests_per_unit: 0}}
- {key: open, metadata: {of: open}, rate_limit: {unlimited: true, replaces: [{name: default}]}}
- {key: trial, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
- {key: q, quota_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
- {key: month, rate_limit: {unit: month, requests_per_unit: 9}}
- key: meta
  metadata: {a: {x: 1}, b: first}
  rate_limit: {unit: hour, requests_per_unit: 9}
- key: octal
  metadata: {a: 010}
  rate_limit: {unit: hour, requests_per_unit: 9}
- key: told
  value_to_metric: true
  metadata: {a: {y: 2}, b: second}
  rate_limit: {unit: hour, requests_per_unit: 9}
";

const FIXED: &[Row<Ask<World>>] = &[
    // 3.1
    same(
        "an exact value is tried first",
        |it| it.ask("d | k=exact"),
        "OK: OK 8 of 9 DAY (exact)",
    ),
    same(
        "then wildcards in their order, not the most specific one",
        |it| it.ask("d | k=extra"),
        "OK: OK 8 of 9 DAY (first)",
    ),
    same(
        "a literal `*` in a request is exact",
        |it| it.ask("d | k=ex*"),
        "OK: OK 8 of 9 DAY (second)",
    ),
    same(
        "then the key alone",
        |it| it.ask("d | k=other"),
        "OK: OK 8 of 9 DAY (default)",
    ),
    same(
        "`*` stands for nothing, too",
        |it| it.ask("d | p=amidz"),
        "OK: OK 8 of 9 DAY",
    ),
    same(
        "what stands around it does not overlap",
        |it| it.ask("d | o=aba"),
        "OK: OK",
    ),
    same(
        "and come in their order",
        |it| it.ask("d | p=azmid"),
        "OK: OK",
    ),
    differs(
        "`*` in a key is a wildcard as well",
        |it| it.ask("d | star=x"),
        "OK: OK",
        "differences 5: a key with `*` stands for itself",
    ),
    same(
        "a level may be without a limit",
        |it| it.ask("d | up=x,down=y"),
        "OK: OK 8 of 9 DAY",
    ),
    same(
        "a request that ends there has none",
        |it| it.ask("d | up=x"),
        "OK: OK",
    ),
    same(
        "nor has one that goes on below a limit",
        |it| it.ask("d | user=x,more=y"),
        "OK: OK",
    ),
    same("nor one without entries", |it| it.ask("d |"), "OK: OK"),
    same(
        "nor one of another domain",
        |it| it.ask("other | user=x"),
        "OK: OK",
    ),
    // 3.2
    differs(
        "nothing is escaped in keys of counters: (a_b, c) and (a, b_c) are one",
        |it| it.ask("d | up=x,down=1") + ", " + &it.ask("d | up=x,down=1_"),
        "OK: OK 8 of 9 DAY, OK: OK 8 of 9 DAY",
        "differences 5: in this process; in Redis they are the reference's own keys",
    ),
    // 3.3
    same(
        "no hits are one",
        |it| it.ask("d hits=0 | user=a"),
        "OK: OK 2 of 3 HOUR",
    ),
    same(
        "a descriptor's own hits win",
        |it| it.ask("d hits=3 | user=b hits=2"),
        "OK: OK 1 of 3 HOUR",
    ),
    same(
        "none of its own are a check, which passes at exactly the limit",
        |it| {
            it.ask_times(3, "d | user=c");
            it.ask("d | user=c hits=0")
        },
        "OK: OK 0 of 3 HOUR",
    ),
    same(
        "refused hits are counted as well",
        |it| {
            it.ask("d hits=4 | user=d");
            it.ask("d | user=d hits=0")
        },
        "OVER_LIMIT: OVER_LIMIT 0 of 3 HOUR",
    ),
    same(
        "a limit of 0 refuses everything",
        |it| it.ask("d | none=x"),
        "OVER_LIMIT: OVER_LIMIT 0 of 0 HOUR",
    ),
    differs(
        "negative hits are counted as positive ones",
        |it| {
            let mut message = request("d | user=e");
            message.descriptors[0].is_negative_hits = true;
            format!("{:?}", it.send(message).unwrap_err().code())
        },
        "InvalidArgument",
        "differences 7: they are meant to give back",
    ),
    differs(
        "2^63 hits are an error of Redis",
        |it| it.ask("d | user=f hits=9223372036854775808"),
        "OVER_LIMIT: OVER_LIMIT 0 of 3 HOUR",
        "differences 8: they count as 2^40 - 1",
    ),
    differs(
        "a request may have any number of descriptors",
        |it| {
            let many = " | open=x".repeat(1_025);
            it.ask(&format!("d{many}"))
        },
        "INVALIDARGUMENT: 1025 descriptors in one request, at most 1024 are allowed",
        "differences 8: one message must not keep a thread",
    ),
    // 3.4
    same(
        "a limit of the request's own goes before the rule's, whatever that says",
        |it| it.ask("d | none=x limit=4/MINUTE | trial=x limit=1/DAY hits=2"),
        "OVER_LIMIT: OK 3 of 4 MINUTE, OVER_LIMIT 0 of 1 DAY",
    ),
    same(
        "week is its unit number 7",
        |it| it.ask("d | own=x limit=4/7"),
        "OK: OK 3 of 4 WEEK",
    ),
    same(
        "it needs the domain",
        |it| it.ask("other | own=x limit=4/DAY"),
        "OK: OK",
    ),
    differs(
        "an unknown unit ends the process",
        |it| {
            it.ask("d | own=x limit=4/0")
                .split(':')
                .next()
                .unwrap()
                .to_owned()
        },
        "INVALIDARGUMENT",
        "differences 6: nobody may end it from outside",
    ),
    // 3.5, 3.6
    same(
        "unlimited is the largest number, no limit and no time",
        |it| {
            let response = it.answer("d | open=x").unwrap();
            format!(
                "{} {:?}",
                it.ask("d | open=x"),
                response.statuses[0].duration_until_reset
            )
        },
        "OK: OK 4294967295 None",
    ),
    same(
        "it replaces others all the same, which then are as if they were not there",
        |it| it.ask("d | k=replaced | open=x"),
        "OK: OK, OK 4294967295",
    ),
    // 3.7
    same(
        "statuses stand in the order of the descriptors",
        |it| it.ask("d | nothing=x | none=x | user=order"),
        "OVER_LIMIT: OK, OVER_LIMIT 0 of 0 HOUR, OK 2 of 3 HOUR",
    ),
    same(
        "the reset is when the window ends, refused or not",
        |it| {
            let response = it.answer("d | none=x | user=reset").unwrap();
            let left = 3_600 - i64::try_from(unix_seconds() % 3_600).unwrap();
            let is_it = |seconds: i64| (0..=60).contains(&(seconds - left));
            let resets = response
                .statuses
                .iter()
                .map(|it| it.duration_until_reset.unwrap());
            format!(
                "{:?}",
                resets.map(|it| is_it(it.seconds)).collect::<Vec<_>>()
            )
        },
        "[true, true]",
    ),
    same(
        "a month has 30 days, counted from the epoch",
        |it| {
            let response = it.answer("d | month=x").unwrap();
            let left = 2_592_000 - unix_seconds() % 2_592_000;
            let reset = response.statuses[0].duration_until_reset.unwrap().seconds;
            (u64::try_from(reset).unwrap() - left <= 60).to_string()
        },
        "true",
    ),
    same(
        "three headers, of the last limit that refuses",
        |it| it.headers("d | none=x | user=headers"),
        "RateLimit-Limit: 0, RateLimit-Remaining: 0, X-Reset",
    ),
    same(
        "else of the first with the least left",
        |it| it.headers("d | k=headers | user=headers"),
        "RateLimit-Limit: 3, RateLimit-Remaining: 1, X-Reset",
    ),
    same(
        "without a limit there are none",
        |it| it.headers("d | open=x | nothing=x"),
        "",
    ),
    same(
        "no body and no headers for the request",
        |it| {
            let response = it.answer("d | none=x").unwrap();
            let body = response.raw_body.len();
            format!(
                "{} {body} {:?}",
                response.request_headers_to_add.len(),
                response.quota
            )
        },
        "0 0 None",
    ),
    // 3.8
    same(
        "shadow mode makes a status OK, with its limit and nothing left",
        |it| it.ask_times(2, "d | trial=shadow"),
        "OK: OK 0 of 1 HOUR",
    ),
    // 3.9
    same(
        "a quota that is used up keeps its code, and refuses if no other has some left",
        |it| it.ask_times(2, "d | q=one") + " / " + &it.ask("d | q=one | q=two"),
        "OVER_LIMIT: OVER_LIMIT 0 of 1 HOUR / OK: OVER_LIMIT 0 of 1 HOUR, OK 0 of 1 HOUR",
    ),
    // 3.10
    same(
        "metadata says what was asked",
        |it| {
            metadata(
                it,
                "d hits=1 | user=said,more=x hits=0 | month=said limit=7/HOUR",
            )
        },
        r#"{"descriptors":[{"entries":["user=said","more=x"],"hitsAddend":0},{"entries":["month=said"],"limit":"requests_per_unit:7 unit:HOUR"}],"domain":"d","hitsAddend":1}"#,
    ),
    same(
        "that of unlimited and of refusing rules is left out",
        |it| metadata(it, "d | open=x"),
        r#"{"descriptors":[{"entries":["open=x"]}],"domain":"d"}"#,
    ),
    differs(
        "with value_to_metric a rule's metadata is lost; others are joined, the first value wins",
        |it| metadata(it, "d | meta=x | told=x"),
        r#"{"descriptors":[{"entries":["meta=x"]},{"entries":["told=x"]}],"domain":"d","metadata":{"a":{"x":1,"y":2},"b":"first"}}"#,
        "differences 20: it is sent",
    ),
    same(
        "what was joined once is not joined into the rules",
        |it| metadata(it, "d | meta=x"),
        r#"{"descriptors":[{"entries":["meta=x"]}],"domain":"d","metadata":{"a":{"x":1},"b":"first"}}"#,
    ),
    differs(
        "its octal numbers are numbers",
        |it| metadata(it, "d | octal=x"),
        r#"{"descriptors":[{"entries":["octal=x"]}],"domain":"d","metadata":{"a":"010"}}"#,
        "differences 13: who writes 010 hardly means 8",
    ),
    // 3.12
    differs(
        "a local cache answers what was over its limit until the window ends, whatever the limit is by then",
        |it| {
            it.ask_times(2, "d | cached=x limit=1/DAY");
            it.ask("d | cached=x limit=9/DAY")
        },
        "OK: OK 6 of 9 DAY",
        "drop-in 12: nothing is cached that could be out of date",
    ),
];

const SHADOW: &[Row<Ask<World>>] = &[
    same(
        "SHADOW_MODE changes the overall code only",
        |it| it.ask("d | none=x"),
        "OK: OVER_LIMIT 0 of 0 HOUR",
    ),
    same(
        "of limits that requests bring as well",
        |it| it.ask("d | own=x hits=2 limit=1/DAY"),
        "OK: OVER_LIMIT 0 of 1 DAY",
    ),
    same(
        "and counts where it did",
        |it| it.metric("ratelimit_service_global_shadow_mode"),
        "2",
    ),
];

const QUOTA: &[Row<Ask<World>>] = &[
    same(
        "QUOTA_MODE makes every limit a quota",
        |it| it.ask("d | none=x | user=a"),
        "OK: OVER_LIMIT 0 of 0 HOUR, OK 2 of 3 HOUR",
    ),
    same(
        "so that all have to refuse",
        |it| it.ask("d | none=x | none=y"),
        "OVER_LIMIT: OVER_LIMIT 0 of 0 HOUR, OVER_LIMIT 0 of 0 HOUR",
    ),
    same(
        "and one without a limit lets everything pass",
        |it| it.ask("d | none=x | nothing=x"),
        "OK: OVER_LIMIT 0 of 0 HOUR, OK",
    ),
    same(
        "an unlimited one does not count",
        |it| it.ask("d | none=x | open=x"),
        "OVER_LIMIT: OVER_LIMIT 0 of 0 HOUR, OK 4294967295",
    ),
];

/// The dynamic metadata of an answer as JSON, its keys in order.
#[track_caller]
fn metadata(world: &World, text: &str) -> String {
    let response = world.answer(text).unwrap();
    json(Kind::StructValue(response.dynamic_metadata.unwrap())).to_string()
}

fn json(kind: Kind) -> Value {
    let inner = |it: Struct| {
        it.fields
            .into_iter()
            .map(|(name, it)| (name, json(it.kind.unwrap())))
    };
    match kind {
        Kind::NullValue(_) => Value::Null,
        Kind::NumberValue(number) if number.fract() == 0.0 => json!(number as i64),
        Kind::NumberValue(number) => json!(number),
        Kind::StringValue(text) => json!(text),
        Kind::BoolValue(value) => json!(value),
        Kind::StructValue(it) => Value::Object(inner(it).collect()),
        Kind::ListValue(list) => list
            .values
            .into_iter()
            .map(|it| json(it.kind.unwrap()))
            .collect(),
    }
}
