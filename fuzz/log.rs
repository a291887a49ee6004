//! What stands in Redis under a key of ours may be anything. It needs a Redis of its own.

use std::num::NonZeroU32;

use redis::Commands;
use slidegate::algorithm::Booked;
use slidegate::algorithm::Hits;
use slidegate::algorithm::Terms;
use slidegate::algorithm::Timestamp;
use slidegate::rule::limit::Algorithm;
use slidegate::rule::limit::Unit;
use slidegate::rule::limit::Window;
use slidegate::store::Answer;
use slidegate::store::GiveBack;
use slidegate::store::Now;
use slidegate::store::Store;
use slidegate::store::StoreError;
use slidegate::store::Take;
use slidegate::store::Veto;
use slidegate::store::redis::Clock;
use slidegate::store::redis::RedisStore;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A store, with a connection beside it to put things under its keys.
pub(crate) struct Bench {
    store: RedisStore,
    connection: redis::Connection,
    runtime: Runtime,
    _keeper: JoinSet<()>,
}

impl Bench {
    /// Over the server at this URL, in which anything may be overwritten.
    pub(crate) fn over(url: &str) -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder
            .enable_all()
            .build()
            .expect("a runtime needs nothing");
        let (store, keeper) = RedisStore::new(url, Clock::Caller).expect("a URL of a Redis");
        let mut keepers = JoinSet::new();
        keepers.spawn_on(keeper.run(CancellationToken::new()), runtime.handle());
        let mut is_up = store.is_up();
        runtime
            .block_on(is_up.wait_for(|it| *it))
            .expect("a keeper");
        let client = redis::Client::open(url).expect("a URL of a Redis");
        Self {
            store,
            connection: client.get_connection().expect("a Redis"),
            runtime,
            _keeper: keepers,
        }
    }

    /// Anything under a key: it is counted as what it says, or refused by name and left alone, keys
    /// beside it are counted, and it is free when what it may hold has left the window.
    pub(crate) fn log(&mut self, input: &[u8]) {
        let [kind, shape, value @ ..] = input else {
            return;
        };
        self.put(*kind, value);
        let burst = if shape & 1 == 0 { 0 } else { 5 };
        let hits = match shape & 2 {
            0 => Hits::Ask(u64::from(shape >> 4)),
            _ => Hits::Report(u64::from(shape >> 4)),
        };
        let terms = (shape & 4 != 0).then_some(Terms {
            extra: 3,
            life: 900_000,
            keeps: true,
            ..Terms::whole(hits)
        });
        let take = Take {
            burst,
            hits,
            terms,
            ..take(KEY)
        };
        let beside = take_one(BESIDE);
        let now = at(0);
        let (answer, other) = self.runtime.block_on(async {
            let (takes, beside) = (std::slice::from_ref(&take), std::slice::from_ref(&beside));
            tokio::join!(
                self.store.take(&[], takes, now),
                self.store.take(&[], beside, now)
            )
        });
        let other = other.expect("the key beside it holds nothing");
        assert!(other[0].decision.fits && other[0].decision.remaining == LIMIT - 1);
        match named(answer) {
            Some(answer) => self.check(&take, &answer),
            None => self.is_left_alone(*kind, value),
        }
        // Given back is at most what was booked, whatever it is booked as.
        let booked = Booked {
            date: now.steady,
            ..Booked::default()
        };
        let answers = [
            named(self.give_back(booked)),
            named(self.give_back(id_of(value, now))),
        ];
        assert!(answers.iter().flatten().next().is_none());
        // A shift leaves hits up to a second ahead, and a lease up to another.
        let later = at(2 * 60 + 3);
        let take = Take {
            burst,
            ..take_one(KEY)
        };
        if let Some(answer) = named(self.take(&take, later)) {
            assert!(answer.decision.fits, "{answer:?}");
            assert_eq!(answer.decision.remaining, take.most() - 1);
        }
    }

    fn put(&mut self, kind: u8, value: &[u8]) {
        let mut pipe = redis::pipe();
        pipe.del(KEY).ignore().del(BESIDE).ignore();
        match kind {
            0 => pipe.lpush(KEY, value),
            1 => pipe.hset(KEY, value, value),
            2 => pipe.sadd(KEY, value),
            3 => pipe.zadd(KEY, value, 1),
            _ => pipe.set(KEY, value),
        };
        let put: Result<(), _> = pipe.query(&mut self.connection);
        put.expect("Redis takes any bytes");
    }

    fn check(&mut self, take: &Take, answer: &Answer) {
        let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
        let is_report = matches!(take.hits, Hits::Report(_));
        assert!(answer.decision.remaining <= take.most(), "{answer:?}");
        let extra = take.terms().extra;
        assert!(answer.granted <= hits + extra, "{answer:?}");
        assert!(is_report || answer.granted <= take.most(), "{answer:?}");
        assert!(
            is_report || answer.decision.fits || answer.granted == 0,
            "{answer:?}"
        );
        if answer.granted > 0 {
            let left: i64 = self.connection.pttl(KEY).expect("a key with a TTL");
            // A lease may be booked a second ahead, and a bucket is refilled in half a window more.
            assert!((1..=92_000).contains(&left), "{left} ms");
        }
    }

    fn is_left_alone(&mut self, kind: u8, value: &[u8]) {
        if kind > 3 {
            let held: Vec<u8> = self.connection.get(KEY).expect("a string");
            assert_eq!(held, value, "what cannot be counted is left alone");
        }
    }

    fn take(&self, take: &Take, now: Now) -> Result<Vec<Answer>, StoreError> {
        let takes = std::slice::from_ref(take);
        self.runtime.block_on(self.store.take(&[], takes, now))
    }

    fn give_back(&self, booked: Booked) -> Result<Vec<Answer>, StoreError> {
        let unused = GiveBack {
            key: KEY.to_vec(),
            limit: LIMIT as u32,
            burst: 30,
            window: minute(),
            hits: 2,
            booked,
        };
        self.runtime
            .block_on(self.store.take(&[unused], &[], at(0)))
    }
}

/// What was answered, if the key could be counted; anything else than that it cannot is a fault.
fn named(answers: Result<Vec<Answer>, StoreError>) -> Option<Answer> {
    match answers {
        Ok(answers) => answers.into_iter().next(),
        Err(StoreError::Uncountable(why)) => {
            assert!(!why.is_empty());
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// The id of a log, if these bytes are one, at a date that is not too late.
fn id_of(value: &[u8], now: Now) -> Booked {
    let mut booked = Booked {
        date: now.steady,
        ..Booked::default()
    };
    if let Some(id) = value.get(1..9) {
        booked.id.0 = id
            .iter()
            .rev()
            .fold(0, |id, byte| id << 8 | u64::from(*byte));
    }
    booked
}

fn take_one(key: &[u8]) -> Take {
    Take {
        hits: Hits::Ask(1),
        ..take(key)
    }
}

fn take(key: &[u8]) -> Take {
    Take {
        key: key.to_vec(),
        algorithm: Algorithm::SlidingWindow,
        limit: LIMIT as u32,
        burst: 0,
        window: minute(),
        hits: Hits::Ask(0),
        terms: None,
        veto: Veto::Alone,
    }
}

fn minute() -> Window {
    Window::of(Unit::Minute, NonZeroU32::MIN).expect("a minute is a window")
}

fn at(second: u64) -> Now {
    let now = Timestamp(BEGIN + second * 1_000_000);
    Now {
        steady: now,
        wall: now,
    }
}

const KEY: &[u8] = b"slidegate:1;60;fuzzed";
const BESIDE: &[u8] = b"slidegate:1;60;beside";
const LIMIT: u64 = 10;
/// The seeds hold times about this one.
const BEGIN: u64 = 1_700_000_000_000_000;
