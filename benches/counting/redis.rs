//! One take on the Redis store: one key, one round trip; over one connection, and over two.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use slidegate::algorithm::Hits;
use slidegate::limiter::clock::Clock;
use slidegate::limiter::clock::SystemClock;
use slidegate::rule::limit::Algorithm;
use slidegate::rule::limit::Unit;
use slidegate::rule::limit::Window;
use slidegate::store::Store;
use slidegate::store::Take;
use slidegate::store::Veto;
use slidegate::store::redis;
use slidegate::store::redis::RedisStore;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::child::Server;
use crate::now;

/// Left out where there is no `redis-server`.
pub(crate) fn bench(criterion: &mut Criterion) {
    let Some(server) = Server::redis() else {
        return;
    };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs nothing");
    let url = format!("redis://{}/0", server.address());
    let mut tasks = JoinSet::new();
    let mut connect = || {
        let (store, keeper) =
            RedisStore::new(&url, redis::Clock::Server).expect("the URL is right");
        let mut up = store.is_up();
        tasks.spawn_on(keeper.run(CancellationToken::new()), runtime.handle());
        let connected = runtime.block_on(up.wait_for(|is_up| *is_up));
        connected.expect("the keeper runs");
        Arc::new(store)
    };
    let stores = [connect(), connect()];
    let mut group = criterion.benchmark_group("take_on_redis");
    let (one, two) = (&stores[..1], &stores[..]);
    for (name, stores, limit, n_keys, at_once) in [
        ("admitted_hot_key", one, u32::MAX, 1, 1),
        ("refused_hot_key", one, 1, 1, 1),
        ("admitted_hot_key_50_at_once", one, u32::MAX, 1, 50),
        ("uniform_100000_keys_50_at_once", one, 100, 100_000, 50),
        ("uniform_100000_keys_50_on_two", two, 100, 100_000, 50),
    ] {
        let takes = Arc::new(takes(name, limit, n_keys));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|n| runtime.block_on(take_all(stores, &takes, n, at_once)));
        });
    }
    group.finish();
}

/// Sends `n` takes, always `at_once` of them, over the connections of all stores.
async fn take_all(
    stores: &[Arc<RedisStore>],
    takes: &Arc<Vec<Take>>,
    n: u64,
    at_once: u64,
) -> Duration {
    let clock = SystemClock::start();
    let begin = now();
    let mut senders = JoinSet::new();
    for (sender, store) in (0..at_once.min(n)).zip(stores.iter().cycle()) {
        let (store, takes) = (Arc::clone(store), Arc::clone(takes));
        senders.spawn(async move {
            for index in (sender..n).step_by(usize::try_from(at_once).expect("64 bits")) {
                let index = usize::try_from(index).expect("64 bits") % takes.len();
                let decided = store.take(&[], &takes[index..=index], clock.now()).await;
                decided.expect("Redis answers");
            }
        });
    }
    senders.join_all().await;
    begin.elapsed()
}

fn takes(name: &str, limit: u32, n_keys: usize) -> Vec<Take> {
    let take = |n| Take {
        key: format!("{name}-{n}").into_bytes(),
        algorithm: Algorithm::SlidingWindow,
        limit,
        burst: 0,
        window: Window::of(Unit::Hour, NonZeroU32::MIN).expect("an hour is short"),
        hits: Hits::Ask(1),
        terms: None,
        veto: Veto::Alone,
    };
    (0..n_keys).map(take).collect()
}
