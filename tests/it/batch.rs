//! How concurrent requests share calls to Redis.

use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use redis::Commands;
use slidegate::algorithm::Hits;
use slidegate::algorithm::Timestamp;
use slidegate::rule::limit::Algorithm;
use slidegate::rule::limit::Unit;
use slidegate::rule::limit::Window;
use slidegate::store::Answer;
use slidegate::store::Now;
use slidegate::store::Store;
use slidegate::store::StoreError;
use slidegate::store::Take;
use slidegate::store::Veto;
use slidegate::store::redis::Clock;
use slidegate::store::redis::RedisStore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::redis::Redis;

#[tokio::test]
async fn a_thousand_requests_at_once_are_few_calls() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let before = bench.script_calls();
    let answers = bench
        .take_at_once((0..1_000).map(|n| format!("k{n}")))
        .await;
    assert_eq!(answers.len(), 1_000);
    for (key, answer) in answers {
        let decision = answer.unwrap().decision;
        assert_eq!((decision.fits, decision.remaining), (true, 4), "{key}");
    }
    let calls = bench.script_calls() - before;
    assert!(calls <= 1_000 / 16, "{calls} calls");
    let n_keys: u64 = redis::cmd("DBSIZE")
        .query(&mut bench.redis.connection())
        .unwrap();
    assert_eq!(n_keys, 1_000 + 1);
}

#[tokio::test]
async fn requests_on_one_key_are_decided_in_one_call_as_one_after_the_other() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let answers = bench.take_at_once((0..50).map(|_| "hot".to_owned())).await;
    let fits = |(_, answer): &(String, Result<Answer, _>)| answer.as_ref().unwrap().decision.fits;
    assert_eq!(answers.iter().filter(|it| fits(it)).count(), 5);
}

#[tokio::test]
async fn one_alone_does_not_wait_for_others() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let before = bench.script_calls();
    for remaining in (0..5).rev() {
        let answer = take(&bench.store, "alone").await.unwrap();
        assert_eq!(answer.decision.remaining, remaining);
    }
    assert_eq!(bench.script_calls() - before, 5);
}

#[tokio::test]
async fn what_is_given_up_before_it_is_sent_is_not_charged() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    {
        let mut given_up = pin!(take(&bench.store, "a"));
        poll_fn(|context| {
            assert!(given_up.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    let answer = take(&bench.store, "a").await.unwrap();
    assert_eq!(answer.decision.remaining, 4);
}

#[tokio::test]
async fn a_key_that_holds_something_else_fails_its_own_requests_only() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let pushed: u64 = bench.redis.connection().lpush("k3", "no counter").unwrap();
    assert_eq!(pushed, 1);
    let answers = bench.take_at_once((0..20).map(|n| format!("k{n}"))).await;
    for (key, answer) in answers {
        assert_eq!(answer.is_err(), key == "k3", "{key}: {answer:?}");
    }
}

#[tokio::test]
async fn what_a_broken_connection_lost_fails_and_is_not_sent_again() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.redis.pause();
    let mut waiting = JoinSet::new();
    for n in 0..100 {
        let store = Arc::clone(&bench.store);
        waiting.spawn(async move { take(&store, &format!("k{n}")).await });
    }
    // Enough for all of them to be under way.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let mut is_up = bench.store.is_up();
    bench.redis.kill();
    while let Some(answer) = waiting.join_next().await {
        answer.unwrap().unwrap_err();
    }
    is_up.wait_for(|is_up| !is_up).await.unwrap();
    bench.redis.start_again();
    is_up.wait_for(|is_up| *is_up).await.unwrap();
    let answer = take(&bench.store, "later").await.unwrap();
    assert_eq!(answer.decision.remaining, 4);
    let keys: Vec<String> = bench.redis.connection().keys("*").unwrap();
    assert_eq!(keys, ["later"]);
}

/// A store that is connected, and whose script Redis knows.
struct Bench {
    store: Arc<RedisStore>,
    redis: Redis,
    _keeper: JoinSet<()>,
}

impl Bench {
    async fn start() -> Option<Self> {
        let redis = Redis::start()?;
        let (store, keeper) = RedisStore::new(&redis.url(), Clock::Server).unwrap();
        let mut keepers = JoinSet::new();
        keepers.spawn(keeper.run(CancellationToken::new()));
        let mut is_up = store.is_up();
        is_up.wait_for(|is_up| *is_up).await.unwrap();
        take(&store, "first").await.unwrap();
        Some(Self {
            store: Arc::new(store),
            redis,
            _keeper: keepers,
        })
    }

    /// Takes one hit of each key, all of them before the first is answered.
    async fn take_at_once(
        &self,
        keys: impl Iterator<Item = String>,
    ) -> Vec<(String, Result<Answer, StoreError>)> {
        let mut callers = JoinSet::new();
        for key in keys {
            let store = Arc::clone(&self.store);
            callers.spawn(async move {
                let answer = take(&store, &key).await;
                (key, answer)
            });
        }
        callers.join_all().await
    }

    /// How many scripts Redis was told to run.
    fn script_calls(&self) -> u64 {
        let info = redis::cmd("INFO").arg("commandstats").to_owned();
        let stats: String = info.query(&mut self.redis.connection()).unwrap();
        let calls = |line: &str| {
            let (_, calls) = line.split_once("cmdstat_evalsha:calls=")?;
            calls.split(',').next()?.parse().ok()
        };
        stats.lines().find_map(calls).unwrap()
    }
}

async fn take(store: &RedisStore, key: &str) -> Result<Answer, StoreError> {
    let take = Take {
        key: key.as_bytes().to_vec(),
        algorithm: Algorithm::SlidingWindow,
        limit: 5,
        burst: 0,
        window: Window::of(Unit::Hour, NonZeroU32::MIN).unwrap(),
        hits: Hits::Ask(1),
        terms: None,
        veto: Veto::Alone,
    };
    let answers = store.take(&[], &[take], NOW).await?;
    Ok(answers[0])
}

/// Redis looks at its own clock.
const NOW: Now = Now {
    steady: Timestamp(0),
    wall: Timestamp(0),
};
