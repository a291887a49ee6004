//! Limits under keys, from which takes are made, and moments.

use std::num::NonZeroU32;

use slidegate::algorithm::Hits;
use slidegate::algorithm::Terms;
use slidegate::algorithm::Timestamp;
use slidegate::rule::limit::Algorithm;
use slidegate::rule::limit::Unit;
use slidegate::rule::limit::Window;
use slidegate::store::Now;
use slidegate::store::Take;
use slidegate::store::Veto;
use slidegate::store::key;

/// A limit under a key.
#[derive(Clone)]
pub(super) struct Limit(pub(super) Take);

impl Limit {
    pub(super) fn ask(&self, hits: u64) -> Take {
        self.hits(Hits::Ask(hits))
    }

    pub(super) fn report(&self, hits: u64) -> Take {
        self.hits(Hits::Report(hits))
    }

    /// An ask of which at least one hit is of use, to be used within a second.
    pub(super) fn ask_ahead(&self, hits: u64, extra: u64) -> Take {
        let terms = Terms {
            least: 1,
            largest: hits,
            extra,
            life: 900_000,
            keeps: true,
        };
        Take {
            terms: Some(terms),
            ..self.ask(hits)
        }
    }

    /// The same counter with another limit.
    pub(super) fn with_limit(&self, limit: u32) -> Self {
        Self(Take {
            limit,
            ..self.0.clone()
        })
    }

    pub(super) fn with_burst(&self, burst: u32) -> Self {
        Self(Take {
            burst,
            ..self.0.clone()
        })
    }

    pub(super) fn with_veto(&self, veto: Veto) -> Self {
        Self(Take {
            veto,
            ..self.0.clone()
        })
    }

    fn hits(&self, hits: Hits) -> Take {
        Take {
            hits,
            ..self.0.clone()
        }
    }
}

/// A sliding limit a minute.
pub(super) fn sliding(key: &str, limit: u32) -> Limit {
    sliding_per(Unit::Minute, key, limit)
}

pub(super) fn sliding_per(unit: Unit, key: &str, limit: u32) -> Limit {
    let window = window(unit);
    let key = key::sliding(DOMAIN, [("key", key)], window);
    limit_of(key, Algorithm::SlidingWindow, window, limit)
}

/// A limit in fixed minutes; the one in which a second lies is part of the key.
pub(super) fn fixed(key: &str, limit: u32, second: u64) -> Limit {
    let window = window(Unit::Minute);
    let key = key::fixed(DOMAIN, [("key", key)], window, at(second).wall);
    limit_of(key, Algorithm::FixedWindow, window, limit)
}

fn limit_of(key: Vec<u8>, algorithm: Algorithm, window: Window, limit: u32) -> Limit {
    Limit(Take {
        key,
        algorithm,
        limit,
        burst: 0,
        window,
        hits: Hits::Ask(0),
        terms: None,
        veto: Veto::Alone,
    })
}

fn window(unit: Unit) -> Window {
    Window::of(unit, NonZeroU32::MIN).unwrap()
}

/// So many seconds after [`BEGIN`].
pub(super) fn at(second: u64) -> Now {
    moment(second * 1_000_000)
}

/// So many microseconds after [`BEGIN`].
pub(super) fn moment(micros: u64) -> Now {
    let now = Timestamp(BEGIN + micros);
    Now {
        steady: now,
        wall: now,
    }
}

/// That of the keys; docs/redis.md grants it.
const DOMAIN: &str = "shop";

/// 2023-11-14, at a second that begins a minute.
const BEGIN: u64 = 1_699_999_980_000_000;
