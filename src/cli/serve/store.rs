//! The store that the settings name, and the tasks that it needs.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use tokio::runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use tracing::info;

use crate::cli::serve::secure;
use crate::limiter::Limiter;
use crate::limiter::clock::SystemClock;
use crate::limiter::courier::Courier;
use crate::metrics::Metrics;
use crate::metrics::StoreMetrics;
use crate::metrics::runtimes::Runtimes;
use crate::settings::Serve;
use crate::settings::store::StoreAddress;
use crate::shutdown::TaskError;
use crate::shutdown::Tasks;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::store::redis;
use crate::store::redis::Keeper;
use crate::store::redis::Oddities;
use crate::store::redis::RedisStore;
use crate::store::redis::address::Address;
use crate::store::redis::address::Login;
use crate::store::redis::connect::Servers;
use crate::store::split::SplitStore;

/// The store, and what it is called.
pub(super) struct Link {
    pub(super) store: Arc<dyn Store>,
    pub(super) kind: &'static str,
}

/// Makes the store; what keeps it connected runs until `let_go`.
pub(super) fn link(
    settings: &Serve,
    tasks: &mut Tasks,
    let_go: &CancellationToken,
    clock: SystemClock,
    metrics: &Metrics,
) -> Result<Link, TaskError> {
    let StoreAddress::Redis(address) = &settings.store else {
        info!("counting in memory: other replicas do not see these counts");
        return Ok(Link {
            store: Arc::new(MemoryStore::default()),
            kind: "memory",
        });
    };
    let redis = &settings.redis;
    let per_second = match &redis.per_second_store {
        Some(StoreAddress::Redis(address)) => Some(address),
        Some(StoreAddress::Memory) => return Err(UNSHARED.into()),
        None => None,
    };
    let is_tls = address.is_tls() || per_second.is_some_and(Address::is_tls);
    let tls = is_tls.then(|| secure::keep(redis.files(), tasks, clock));
    let tls = tls.transpose()?;
    let mut open = |address: &Address, password_file: Option<PathBuf>, sentinel_login: Login| {
        let servers = Servers {
            address: address.clone(),
            password_file,
            sentinel_login,
            tls: tls.clone(),
        };
        let StoreMetrics {
            evicted_keys,
            shifted_logs,
            ..
        } = metrics.store(REDIS);
        let oddities = Oddities {
            evicted_keys,
            shifted_logs,
        };
        let (store, keeper) = RedisStore::noting(servers, redis::Clock::Server, oddities);
        keep(keeper, tasks, &metrics.runtimes(), let_go.clone())?;
        let store = store.with_expiry_jitter(settings.counting.expiry_jitter);
        Ok::<Arc<dyn Store>, TaskError>(Arc::new(store))
    };
    info!(url = %address, "counting in Redis");
    let others = open(
        address,
        redis.redis_password_file.clone(),
        redis.sentinel_login(),
    )?;
    let store = match per_second {
        None => others,
        Some(address) => {
            info!(url = %address, "counting limits per second in Redis");
            let own = open(address, None, redis.per_second_sentinel_login())?;
            Arc::new(SplitStore::new(own, others))
        }
    };
    Ok(Link { store, kind: REDIS })
}

/// Keeps a link to Redis on a thread of its own: answers are read there, and a scrape or a reload
/// on this one must not hold them up.
fn keep(
    keeper: Keeper,
    tasks: &mut Tasks,
    runtimes: &Runtimes,
    let_go: CancellationToken,
) -> Result<(), TaskError> {
    alone(
        "redis",
        "link to Redis",
        tasks,
        runtimes,
        keeper.run(let_go),
    )
}

/// Carries takes to the store, likewise on a thread of its own, until told to stop; then gives back
/// what is leased, and only then lets go of the link.
pub(super) fn carry(
    courier: Courier,
    tasks: &mut Tasks,
    runtimes: &Runtimes,
    stop: CancellationToken,
    link: Arc<DropGuard>,
) -> Result<(), TaskError> {
    alone("ledger", "ledger", tasks, runtimes, async move {
        courier.run(stop).await;
        drop(link);
    })
}

/// Runs a task on a thread of this name.
fn alone(
    thread: &str,
    task: &'static str,
    tasks: &mut Tasks,
    runtimes: &Runtimes,
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<(), TaskError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtimes.add(runtime.handle().clone());
    let (ended, end) = oneshot::channel();
    thread::Builder::new()
        .name(thread.to_owned())
        .spawn(move || {
            runtime.block_on(work);
            // Only a panic drops it unsent; nobody listens when the process ends without its threads.
            ended.send(()).unwrap_or_default();
        })?;
    tasks.spawn(task, async {
        end.await.map_err(|_| "the thread panicked")?;
        Ok(())
    });
    Ok(())
}

/// Looks after the store until told to stop, and only then lets go of the link to it.
pub(super) async fn watch(
    limiter: Arc<Limiter>,
    stop: CancellationToken,
    _link: Arc<DropGuard>,
) -> Result<(), TaskError> {
    limiter.watch_store(stop).await;
    Ok(())
}

const UNSHARED: &str = "--per-second-store: expected a Redis, found memory";
/// What metrics call the store.
const REDIS: &str = "redis";
