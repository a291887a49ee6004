//! What envoyproxy/ratelimit was recorded to answer, asked of this service.
//!
//! Each place where the answers differ on purpose is a row below, with its number in the list of
//! differences of the record's README.

use std::fs;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::RateLimitOverride;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::google::protobuf::UInt64Value;
use serde::Deserialize;

use crate::support::in_project;
use crate::support::redis::Redis;
use crate::support::rls::descriptor;
use crate::support::rls::joined;
use crate::support::rls::said;
use crate::support::rls::status_said;
use crate::support::service::Service;
use crate::support::unix_seconds;

/// An answer that differs from the recorded one.
struct Difference {
    /// In the list of differences.
    number: u8,
    /// The call's note.
    note: &'static str,
    /// What this service answers, as [`said`] writes it.
    answer: &'static str,
}

/// With fixed windows.
const FIXED: [Difference; 1] = [PARTS];

/// With sliding windows.
const SLIDING: [Difference; 8] = [
    PARTS,
    Difference {
        number: 2,
        note: "one of several is over",
        answer: "OVER_LIMIT: OVER_LIMIT 0 of 3 DAY, OK 3 of 3 DAY",
    },
    Difference {
        number: 1,
        note: "what the denied request did to the other",
        answer: "OK: OK 3 of 3 DAY",
    },
    Difference {
        number: 3,
        note: "the same descriptor twice",
        answer: "OK: OK 2 of 3 DAY, OK 2 of 3 DAY",
    },
    Difference {
        number: 3,
        note: "what it counted",
        answer: "OK: OK 2 of 3 DAY",
    },
    Difference {
        number: 1,
        note: "what remains after it",
        answer: "OK: OK 1 of 3 DAY",
    },
    Difference {
        number: 4,
        note: "check only at the limit",
        answer: "OVER_LIMIT: OVER_LIMIT 0 of 3 DAY",
    },
    Difference {
        number: 2,
        note: "quota and a plain limit",
        answer: "OVER_LIMIT: OVER_LIMIT 0 of 1 DAY, OVER_LIMIT 0 of 2 DAY, OK 3 of 3 DAY",
    },
];

const PARTS: Difference = Difference {
    number: 5,
    note: "key and value that read the same",
    answer: "OK: OK",
};

#[tokio::test]
async fn fixed_windows_in_memory_answer_as_recorded() {
    check("fixed_window", &FIXED, || Some(None)).await;
}

#[tokio::test]
async fn fixed_windows_in_redis_answer_as_recorded() {
    check("fixed_window", &FIXED, || Redis::start().map(Some)).await;
}

#[tokio::test]
async fn sliding_windows_in_memory_answer_as_recorded() {
    check("sliding_window", &SLIDING, || Some(None)).await;
}

#[tokio::test]
async fn sliding_windows_in_redis_answer_as_recorded() {
    check("sliding_window", &SLIDING, || Redis::start().map(Some)).await;
}

#[test]
fn the_record_answers_the_calls() {
    let calls: Vec<Call> = read("calls.yaml");
    let notes = calls.iter().flat_map(|call| vec![&call.note; call.times]);
    let recorded: Vec<Recorded> = read("recorded.yaml");
    let recorded: Vec<&String> = recorded.iter().map(|it| &it.call.note).collect();
    assert_eq!(notes.collect::<Vec<_>>(), recorded);
}

/// Replays the calls against a new service on a new store; starts over when an hour has ended
/// meanwhile, and with it the fixed windows.
async fn check(
    algorithm: &str,
    differences: &[Difference],
    store: impl Fn() -> Option<Option<Redis>>,
) {
    loop {
        let Some(redis) = store() else { return };
        let url = redis
            .as_ref()
            .map_or_else(|| "memory".to_owned(), Redis::url);
        let hour = unix_seconds() / 3_600;
        let found = replay(algorithm, &url).await;
        if hour != unix_seconds() / 3_600 {
            continue;
        }
        compare(&found, differences);
        return;
    }
}

async fn replay(algorithm: &str, store: &str) -> Vec<(Recorded, String)> {
    let rules = "tests/vectors/decisions/rules";
    let arguments = ["--rules", rules, "--algorithm", algorithm, "--store", store];
    let service = Service::start(&arguments);
    service.serves().await;
    let mut rls = service.rls().await;
    let mut found = Vec::new();
    for recorded in read::<Vec<Recorded>>("recorded.yaml") {
        let answered = said(&rls.ask(recorded.call.request()).await);
        found.push((recorded, answered));
    }
    found
}

#[track_caller]
fn compare(found: &[(Recorded, String)], differences: &[Difference]) {
    let mut expected_to_differ = differences.iter();
    for (recorded, answered) in found {
        let note = &recorded.call.note;
        let difference = differences.iter().find(|it| it.note == note);
        let Some(difference) = difference else {
            assert_eq!(answered, &recorded.answer(), "{note}");
            continue;
        };
        let number = difference.number;
        assert_eq!(answered, difference.answer, "{note} (difference {number})");
        assert_ne!(answered, &recorded.answer(), "{note}: no difference");
        let next = expected_to_differ.next().map(|it| it.note);
        assert_eq!(
            next,
            Some(&**note),
            "the differences stand in the calls' order"
        );
    }
    assert!(expected_to_differ.next().is_none(), "an unused difference");
}

#[derive(Debug, Deserialize)]
struct Call {
    note: String,
    domain: String,
    descriptors: Vec<Descriptor>,
    #[serde(default)]
    hits_addend: u32,
    #[serde(default = "once")]
    times: usize,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Descriptor {
    Entries(Vec<String>),
    Whole {
        entries: Vec<String>,
        hits_addend: Option<u64>,
        limit: Option<Override>,
    },
}

#[derive(Debug, Deserialize)]
struct Override {
    requests_per_unit: u32,
    unit: i32,
}

#[derive(Debug, Deserialize)]
struct Recorded {
    #[serde(flatten)]
    call: Call,
    overall_code: Option<String>,
    #[serde(default)]
    statuses: Vec<Status>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Status {
    code: String,
    current_limit: Option<CurrentLimit>,
    #[serde(default)]
    limit_remaining: u32,
}

#[derive(Debug, Deserialize)]
struct CurrentLimit {
    #[serde(default)]
    requests_per_unit: u32,
    unit: String,
    #[serde(default)]
    name: String,
}

impl Call {
    fn request(&self) -> RateLimitRequest {
        RateLimitRequest {
            domain: self.domain.clone(),
            descriptors: self.descriptors.iter().map(Descriptor::message).collect(),
            hits_addend: self.hits_addend,
        }
    }
}

impl Descriptor {
    fn message(&self) -> RateLimitDescriptor {
        let (entries, hits_addend, limit) = match self {
            Self::Entries(entries) => (entries, None, None),
            Self::Whole {
                entries,
                hits_addend,
                limit,
            } => (entries, *hits_addend, limit.as_ref()),
        };
        let entries = entries.iter().map(|it| it.split_once('=').unwrap());
        RateLimitDescriptor {
            limit: limit.map(|limit| RateLimitOverride {
                requests_per_unit: limit.requests_per_unit,
                unit: limit.unit,
            }),
            hits_addend: hits_addend.map(|value| UInt64Value { value }),
            ..descriptor(&entries.collect::<Vec<_>>())
        }
    }
}

impl Recorded {
    fn answer(&self) -> String {
        if let Some(error) = &self.error {
            return error.clone();
        }
        let status = |it: &Status| {
            let limit = it.current_limit.as_ref();
            let limit = limit.map(|it| (it.requests_per_unit, &*it.unit, &*it.name));
            status_said(&it.code, it.limit_remaining, limit)
        };
        let overall = self.overall_code.as_deref().unwrap();
        joined(overall, self.statuses.iter().map(status))
    }
}

fn once() -> usize {
    1
}

fn read<T: for<'de> Deserialize<'de>>(file: &str) -> T {
    let path = in_project("tests/vectors/decisions").join(file);
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}
