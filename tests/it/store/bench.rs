//! A store of every kind, with what it stands on.

use std::any::Any;
use std::sync::Arc;

use slidegate::algorithm::Decision;
use slidegate::store::Answer;
use slidegate::store::GiveBack;
use slidegate::store::Now;
use slidegate::store::Presence;
use slidegate::store::Store;
use slidegate::store::Take;
use slidegate::store::memory::MemoryStore;
use slidegate::store::redis::Clock;
use slidegate::store::redis::Keeper;
use slidegate::store::redis::RedisStore;
use slidegate::store::redis::address::Address;
use slidegate::store::redis::address::Login;
use slidegate::store::redis::connect::Servers;
use slidegate::store::split::SplitStore;
use slidegate::tls::Kept;
use slidegate::tls::client::ClientFiles;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::limits::at;
use crate::support::certificates::Authority;
use crate::support::certificates::Secret;
use crate::support::redis::Redis;
use crate::support::redis::cluster::Cluster;
use crate::support::redis::sentinel::PASSWORD;
use crate::support::redis::sentinel::Watched;

/// A store that is asked from one thread.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    /// Whether all keys are in one place, so that a request of several is decided at once.
    pub(crate) is_one_place: bool,
    runtime: Runtime,
    redis: Option<Redis>,
    _keepers: JoinSet<()>,
    /// What ends with it.
    _servers: Box<dyn Any>,
}

impl Bench {
    /// In this process.
    pub(crate) fn memory() -> Self {
        Self::over(
            Arc::new(MemoryStore::default()),
            JoinSet::new(),
            runtime(),
            (),
        )
    }

    /// One server.
    pub(crate) fn redis(clock: Clock) -> Option<Self> {
        let redis = Redis::start()?;
        let bench = Self::at(&redis.url(), clock);
        Some(Self {
            redis: Some(redis),
            ..bench
        })
    }

    /// One server behind a socket in the file system.
    pub(crate) fn unix() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("redis.sock");
        let socket = socket.to_str().unwrap();
        let redis = Redis::start_with(&["--unixsocket", socket])?;
        let bench = Self::at(&format!("unix://{socket}?db=2"), Clock::Caller);
        Some(bench.with((redis, folder)))
    }

    /// One server that asks for certificates.
    pub(crate) fn tls() -> Option<Self> {
        let authority = Authority::new();
        let server = Secret::new(&authority, &authority.issue(&["localhost"]));
        let client = Secret::new(&authority, &authority.issue(&["slidegate"]));
        let redis = Redis::start_tls(&server)?;
        let files = ClientFiles {
            authorities: Some(client.file("ca.crt")),
            pair: Some((client.file("tls.crt"), client.file("tls.key"))),
            any_name: false,
        };
        let url = format!("rediss://localhost:{}", redis.tls_port());
        let servers = Servers {
            tls: Some(Arc::new(Kept::new(files).unwrap())),
            ..plain(&url)
        };
        let bench = Self::on(vec![RedisStore::over(servers, Clock::Caller)], |mut it| {
            it.remove(0)
        });
        Some(bench.with((redis, server, client)))
    }

    /// A master with a replica, watched by three sentinels.
    pub(crate) fn watched() -> Option<Self> {
        let watched = Watched::start()?;
        let servers = Servers {
            sentinel_login: Login::read(PASSWORD),
            ..plain(&watched.url())
        };
        let bench = Self::on(vec![RedisStore::over(servers, Clock::Caller)], |mut it| {
            it.remove(0)
        });
        Some(bench.with(watched))
    }

    /// Three masters with a replica each.
    pub(crate) fn cluster() -> Option<Self> {
        let cluster = Cluster::start()?;
        let bench = Self::at(&cluster.url(), Clock::Caller);
        Some(Self {
            is_one_place: false,
            ..bench.with(cluster)
        })
    }

    /// Two servers, one for limits per second.
    pub(crate) fn split() -> Option<Self> {
        let (own, others) = (Redis::start()?, Redis::start()?);
        let stores = [&own, &others].map(|it| RedisStore::over(plain(&it.url()), Clock::Caller));
        let split = |mut stores: Vec<Arc<dyn Store>>| -> Arc<dyn Store> {
            let own = stores.remove(0);
            Arc::new(SplitStore::new(own, stores.remove(0)))
        };
        Some(Self::on(Vec::from(stores), split).with((own, others)))
    }

    fn at(url: &str, clock: Clock) -> Self {
        Self::on(vec![RedisStore::over(plain(url), clock)], |mut it| {
            it.remove(0)
        })
    }

    /// A store made of these, once they are connected.
    fn on(
        stores: Vec<(RedisStore, Keeper)>,
        make: impl FnOnce(Vec<Arc<dyn Store>>) -> Arc<dyn Store>,
    ) -> Self {
        let runtime = runtime();
        let (mut keepers, mut connected) = (JoinSet::new(), Vec::<Arc<dyn Store>>::new());
        for (store, keeper) in stores {
            keepers.spawn_on(keeper.run(CancellationToken::new()), runtime.handle());
            let mut is_up = store.is_up();
            runtime.block_on(is_up.wait_for(|is_up| *is_up)).unwrap();
            connected.push(Arc::new(store));
        }
        Self::over(make(connected), keepers, runtime, ())
    }

    fn over(
        store: Arc<dyn Store>,
        keepers: JoinSet<()>,
        runtime: Runtime,
        servers: impl Any,
    ) -> Self {
        Self {
            store,
            is_one_place: true,
            runtime,
            redis: None,
            _keepers: keepers,
            _servers: Box::new(servers),
        }
    }

    fn with(self, servers: impl Any) -> Self {
        Self {
            _servers: Box::new(servers),
            ..self
        }
    }

    /// A connection to the one server, to look at what it holds.
    pub(crate) fn server(&self) -> redis::Connection {
        self.redis.as_ref().unwrap().connection()
    }

    pub(crate) fn take(&self, takes: &[Take], second: u64) -> Vec<Decision> {
        self.take_at(takes, at(second))
    }

    pub(crate) fn take_at(&self, takes: &[Take], now: Now) -> Vec<Decision> {
        let answers = self.call(&[], takes, now);
        answers.iter().map(|answer| answer.decision).collect()
    }

    pub(crate) fn call(&self, unused: &[GiveBack], takes: &[Take], now: Now) -> Vec<Answer> {
        let call = self.store.take(unused, takes, now);
        self.runtime.block_on(call).unwrap()
    }

    pub(crate) fn reset(&self, take: &Take, second: u64) {
        let reset = self.store.reset(&take.key, take.window, at(second));
        self.runtime.block_on(reset).unwrap();
    }

    pub(crate) fn attend(&self, replica: &str, presence: Presence) -> u32 {
        let attended = self.store.attend(b"slidegate:replicas", replica, presence);
        self.runtime.block_on(attended).unwrap()
    }

    /// Whether each take fits, and what remains.
    pub(crate) fn fits(&self, takes: &[Take], second: u64) -> Vec<(bool, u64)> {
        let decisions = self.take(takes, second);
        let of = |decision: &Decision| (decision.fits, decision.remaining);
        decisions.iter().map(of).collect()
    }
}

fn plain(url: &str) -> Servers {
    Servers::plain(Address::read(url).unwrap())
}

pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}
