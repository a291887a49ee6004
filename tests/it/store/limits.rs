//! Limits a minute, from which takes are made.

use std::num::NonZeroU32;

use slidegate::algorithm::Hits;
use slidegate::algorithm::Timestamp;
use slidegate::rule::limit::Algorithm;
use slidegate::rule::limit::Unit;
use slidegate::rule::limit::Window;
use slidegate::store::Now;
use slidegate::store::Take;
use slidegate::store::Veto;
use slidegate::store::key;

/// A limit a minute under a key, from which takes are made.
pub(crate) struct PerMinute(pub(crate) Take);

impl PerMinute {
    pub(crate) fn ask(&self, hits: u64) -> Take {
        self.hits(Hits::Ask(hits))
    }

    pub(crate) fn report(&self, hits: u64) -> Take {
        self.hits(Hits::Report(hits))
    }

    fn hits(&self, hits: Hits) -> Take {
        Take {
            hits,
            ..self.0.clone()
        }
    }
}

pub(crate) fn sliding(key: &str, limit: u32) -> PerMinute {
    let key = key::sliding("d", [("key", key)], minute());
    per_minute(key, Algorithm::SlidingWindow, limit)
}

/// The window in which a second lies is part of the key.
pub(crate) fn fixed(key: &str, limit: u32, second: u64) -> PerMinute {
    let key = key::fixed("d", [("key", key)], minute(), at(second).wall);
    per_minute(key, Algorithm::FixedWindow, limit)
}

fn per_minute(key: Vec<u8>, algorithm: Algorithm, limit: u32) -> PerMinute {
    PerMinute(Take {
        key,
        algorithm,
        limit,
        burst: 0,
        window: minute(),
        hits: Hits::Ask(0),
        terms: None,
        veto: Veto::Alone,
    })
}

pub(crate) fn minute() -> Window {
    Window::of(Unit::Minute, NonZeroU32::MIN).unwrap()
}

pub(crate) fn at(second: u64) -> Now {
    let now = Timestamp(BEGIN + second * 1_000_000);
    Now {
        steady: now,
        wall: now,
    }
}

/// 2023-11-14, at a second that begins a minute.
pub(crate) const BEGIN: u64 = 1_699_999_980_000_000;
