//! A store with what it stands on.

use std::path::PathBuf;
use std::sync::Arc;

use slidegate::algorithm::Decision;
use slidegate::store::Answer;
use slidegate::store::GiveBack;
use slidegate::store::Now;
use slidegate::store::Presence;
use slidegate::store::Store;
use slidegate::store::StoreError;
use slidegate::store::Take;
use slidegate::store::memory::MemoryStore;
use slidegate::store::redis::Clock;
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

use crate::store::takes::at;
use crate::support::certificates::Authority;
use crate::support::certificates::Secret;
use crate::support::redis::Redis;
use crate::support::redis::cluster::Cluster;
use crate::support::redis::permissions;
use crate::support::redis::permissions::PASSWORD;
use crate::support::redis::permissions::USER;
use crate::support::redis::sentinel;
use crate::support::redis::sentinel::Watched;

/// A store, what it stands on, and the caller's clock.
pub(super) struct Bench {
    store: Arc<dyn Store>,
    runtime: Runtime,
    stand: Stand,
    /// The database that its keys are in.
    db: i64,
    _keepers: JoinSet<()>,
}

/// What a store stands on.
enum Stand {
    Cluster(Cluster),
    Memory,
    Servers(Vec<Redis>),
    Watched(Box<Watched>),
}

impl Bench {
    pub(super) fn memory() -> Self {
        let store = Arc::new(MemoryStore::default());
        Self::with(store, runtime(), Stand::Memory, JoinSet::new())
    }

    /// One server, whoever asks it.
    pub(super) fn redis(clock: Clock) -> Option<Self> {
        let redis = Redis::start()?;
        let servers = Servers::plain(Address::read(&redis.url()).unwrap());
        Some(Self::over(servers, Stand::Servers(vec![redis]), clock))
    }

    /// One server over TCP.
    pub(super) fn tcp() -> Option<Self> {
        let redis = Redis::start()?;
        permissions::grant(&redis, &[CENSUS, FIXED]);
        let servers = plain(&format!("redis://{USER}:{PASSWORD}@{}", redis.address()));
        let stand = Stand::Servers(vec![redis]);
        Some(Self::over(servers, stand, Clock::Caller))
    }

    /// One server over a unix socket, in another database.
    pub(super) fn unix() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("redis.sock");
        let redis = Redis::start_with(&["--unixsocket", socket.to_str().unwrap()])?;
        permissions::grant(&redis, &[CENSUS, FIXED]);
        let socket = socket.display();
        let servers = plain(&format!("unix://{USER}:{PASSWORD}@{socket}?db=5"));
        let stand = Stand::Servers(vec![redis]);
        let bench = Self::over(servers, stand, Clock::Caller);
        Some(Self { db: 5, ..bench })
    }

    /// One server over TLS, with certificates of either side.
    pub(super) fn tls() -> Option<Self> {
        let authority = Authority::new();
        let server = Secret::new(&authority, &authority.issue(&["localhost"]));
        let client = Secret::new(&authority, &authority.issue(&["slidegate"]));
        let redis = Redis::start_tls(&server)?;
        permissions::grant(&redis, &[CENSUS, FIXED]);
        let file = |name| PathBuf::from(client.path(name));
        let files = ClientFiles {
            authorities: Some(file("ca.crt")),
            pair: Some((file("tls.crt"), file("tls.key"))),
            any_name: false,
        };
        let port = redis.tls_port();
        let servers = Servers {
            tls: Some(Arc::new(Kept::new(files).unwrap())),
            ..plain(&format!("rediss://{USER}:{PASSWORD}@localhost:{port}"))
        };
        let stand = Stand::Servers(vec![redis]);
        Some(Self::over(servers, stand, Clock::Caller))
    }

    /// A master with a replica, behind three sentinels.
    pub(super) fn sentinels() -> Option<Self> {
        let watched = Watched::start()?;
        for redis in &watched.servers {
            permissions::grant(redis, &[CENSUS, FIXED, "behind sentinels"]);
        }
        let url = with_login(&watched.url());
        let servers = Servers {
            sentinel_login: Login::read(sentinel::PASSWORD),
            ..plain(&url)
        };
        let stand = Stand::Watched(Box::new(watched));
        Some(Self::over(servers, stand, Clock::Caller))
    }

    /// Three masters and three replicas.
    pub(super) fn cluster() -> Option<Self> {
        let cluster = Cluster::start()?;
        for redis in &cluster.nodes {
            permissions::grant(redis, &[CENSUS, FIXED, "in a cluster"]);
        }
        let servers = plain(&with_login(&cluster.url()));
        let stand = Stand::Cluster(cluster);
        Some(Self::over(servers, stand, Clock::Caller))
    }

    /// Two servers, one of them for limits per second.
    pub(super) fn split() -> Option<Self> {
        let servers = [Redis::start()?, Redis::start()?];
        let runtime = runtime();
        let mut keepers = JoinSet::new();
        let [others, per_second] = [&servers[0], &servers[1]].map(|redis| {
            permissions::grant(redis, &[CENSUS, FIXED]);
            let url = format!("redis://{USER}:{PASSWORD}@{}", redis.address());
            let (store, keeper) = RedisStore::over(plain(&url), Clock::Caller);
            keepers.spawn_on(keeper.run(CancellationToken::new()), runtime.handle());
            connect(&runtime, &store);
            Arc::new(store)
        });
        let store = Arc::new(SplitStore::new(per_second, others));
        let stand = Stand::Servers(servers.into());
        Some(Self::with(store, runtime, stand, keepers))
    }

    fn over(servers: Servers, stand: Stand, clock: Clock) -> Self {
        let (store, keeper) = RedisStore::over(servers, clock);
        let runtime = runtime();
        let mut keepers = JoinSet::new();
        keepers.spawn_on(keeper.run(CancellationToken::new()), runtime.handle());
        connect(&runtime, &store);
        Self::with(Arc::new(store), runtime, stand, keepers)
    }

    fn with(store: Arc<dyn Store>, runtime: Runtime, stand: Stand, keepers: JoinSet<()>) -> Self {
        Self {
            store,
            runtime,
            stand,
            db: 0,
            _keepers: keepers,
        }
    }
}

impl Bench {
    /// Those of its servers that count; none where it is memory.
    pub(super) fn masters(&self) -> &[Redis] {
        match &self.stand {
            Stand::Cluster(cluster) => &cluster.nodes[..3],
            Stand::Memory => &[],
            Stand::Servers(servers) => servers,
            Stand::Watched(watched) => &watched.servers[..1],
        }
    }

    /// Has a command about a key executed on the server that has it.
    #[track_caller]
    pub(super) fn poke<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let mut last = None;
        for master in self.masters() {
            let mut connection = master.connection();
            if self.db != 0 {
                let select = redis::cmd("SELECT").arg(self.db).to_owned();
                select.exec(&mut connection).unwrap();
            }
            match command.query(&mut connection) {
                Ok(value) => return value,
                Err(error) => last = Some(error),
            }
        }
        panic!("{:?}", last.unwrap());
    }

    /// A connection to its first server.
    pub(super) fn server(&self) -> redis::Connection {
        self.masters()[0].connection()
    }

    pub(super) fn take(&self, takes: &[Take], second: u64) -> Vec<Decision> {
        self.take_at(takes, at(second))
    }

    pub(super) fn take_at(&self, takes: &[Take], now: Now) -> Vec<Decision> {
        let answers = self.call(&[], takes, now);
        answers.iter().map(|answer| answer.decision).collect()
    }

    pub(super) fn call(&self, unused: &[GiveBack], takes: &[Take], now: Now) -> Vec<Answer> {
        self.attempt(unused, takes, now).unwrap()
    }

    pub(super) fn attempt(
        &self,
        unused: &[GiveBack],
        takes: &[Take],
        now: Now,
    ) -> Result<Vec<Answer>, StoreError> {
        self.runtime.block_on(self.store.take(unused, takes, now))
    }

    /// Has requests decided that come at one moment, in any order.
    pub(super) fn at_once(&self, requests: Vec<Vec<Take>>, now: Now) -> Vec<Vec<Answer>> {
        let mut tasks = JoinSet::new();
        for takes in requests {
            let store = Arc::clone(&self.store);
            let decide = async move { store.take(&[], &takes, now).await.unwrap() };
            tasks.spawn_on(decide, self.runtime.handle());
        }
        self.runtime.block_on(tasks.join_all())
    }

    /// Makes a replica known, or that it goes; how many there are.
    pub(super) fn attend(&self, replica: &str, presence: Presence) -> u32 {
        let attended = self.store.attend(b"slidegate:replicas", replica, presence);
        self.runtime.block_on(attended).unwrap()
    }

    pub(super) fn reset(&self, take: &Take, now: Now) {
        let reset = self.store.reset(&take.key, take.window, now);
        self.runtime.block_on(reset).unwrap();
    }

    /// Whether each take fits, and what remains.
    pub(super) fn fits(&self, takes: &[Take], second: u64) -> Vec<(bool, u64)> {
        let decisions = self.take(takes, second);
        let of = |decision: &Decision| (decision.fits, decision.remaining);
        decisions.iter().map(of).collect()
    }
}

/// Waits until every server is connected.
fn connect(runtime: &Runtime, store: &RedisStore) {
    let mut is_up = store.is_up();
    let connected = async { is_up.wait_for(|is_up| *is_up).await.map(|_| ()) };
    let patient = async { tokio::time::timeout(crate::support::PATIENCE, connected).await };
    runtime.block_on(patient).unwrap().unwrap();
}

fn plain(url: &str) -> Servers {
    Servers::plain(Address::read(url).unwrap())
}

fn with_login(url: &str) -> String {
    url.replacen("://", &format!("://{USER}:{PASSWORD}@"), 1)
}

pub(super) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// What docs/redis.md says of the permissions for counting replicas.
const CENSUS: &str = "without --replicas: to learn how many there are";
/// The same for fixed windows.
const FIXED: &str = "fixed_window: the keys of the domain `shop`";
