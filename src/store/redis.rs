//! The Redis store: one server, one round trip a request.

mod script;

use std::sync::Arc;
use std::time::Duration;

use ::redis::AsyncConnectionConfig;
use ::redis::Client;
use ::redis::Cmd;
use ::redis::IntoConnectionInfo;
use ::redis::RedisError;
use ::redis::ServerErrorKind;
use ::redis::aio::ConnectionLike;
use ::redis::aio::MultiplexedConnection;
use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::MAX_HITS;
use crate::algorithm::fixed;
use crate::rule::limit::Algorithm;
use crate::store::BoxFuture;
use crate::store::Now;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::redis::script::TakeScript;

/// Counts in one Redis server, on that server's clock.
pub struct RedisStore {
    link: Arc<Link>,
    script: TakeScript,
    clock: Clock,
}

/// Whose clock sliding windows are counted on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Clock {
    /// The time that comes with each take; for tests.
    Caller,
    /// That of the Redis server.
    Server,
}

/// What the store and its [`Keeper`] share.
struct Link {
    connection: ArcSwapOption<MultiplexedConnection>,
    is_up: watch::Sender<bool>,
    broken: Notify,
    /// How many requests may wait for Redis at once; beyond that they fail at once.
    waiting: Semaphore,
}

impl RedisStore {
    /// A store at `redis://[user:password@]host:port[/db]`, and the task that keeps it connected.
    ///
    /// # Errors
    ///
    /// The URL is not of that form.
    pub fn new(url: &str, clock: Clock) -> Result<(Self, Keeper), RedisError> {
        let info = url.into_connection_info()?;
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp))?;
        let link = Arc::new(Link {
            connection: ArcSwapOption::empty(),
            is_up: watch::Sender::new(false),
            broken: Notify::new(),
            waiting: Semaphore::new(MAX_WAITING),
        });
        let store = Self {
            link: Arc::clone(&link),
            script: TakeScript::new(),
            clock,
        };
        Ok((store, Keeper { client, link }))
    }

    /// Whether Redis is connected, now and as it changes.
    pub fn is_up(&self) -> watch::Receiver<bool> {
        self.link.is_up.subscribe()
    }

    async fn decide(&self, takes: &[Take], now: Now) -> Result<Vec<Decision>, StoreError> {
        let is_fixed = |take: &Take| take.algorithm == Algorithm::FixedWindow;
        if takes.iter().all(is_fixed) {
            return self.count(takes, now).await;
        }
        let time = (self.clock == Clock::Caller).then_some(now.steady);
        let call = self.script.call(takes, time);
        let answer = match self.link.send(&call).await {
            Err(Sent::Refused(error)) if is_unknown_script(&error) => {
                self.link.send(&self.script.load()).await?;
                self.link.send(&call).await?
            }
            answer => answer?,
        };
        TakeScript::answer(takes, &answer, now)
    }

    /// Counts in fixed windows with the very commands of envoyproxy/ratelimit.
    async fn count(&self, takes: &[Take], now: Now) -> Result<Vec<Decision>, StoreError> {
        let mut pipe = ::redis::Pipeline::with_capacity(2 * takes.len());
        for take in takes {
            let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
            let key = take.key.as_slice();
            pipe.cmd("INCRBY").arg(key).arg(hits.min(MAX_HITS));
            pipe.cmd("EXPIRE").arg(key).arg(script::time_to_live(take));
        }
        let (mut connection, _permit) = self.link.connection()?;
        let sent = connection.req_packed_commands(&pipe, 0, 2 * takes.len());
        let counts = sent.await.map_err(|error| self.link.failed(error))?;
        let decision = |(take, count): (&Take, &::redis::Value)| {
            let count: u64 = ::redis::from_redis_value_ref(count).map_err(script::unexpected)?;
            Ok(fixed::decision(take.limit, take.window, count, now.wall))
        };
        takes
            .iter()
            .zip(counts.iter().step_by(2))
            .map(decision)
            .collect()
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore")
            .field("is_up", &*self.link.is_up.borrow())
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl Store for RedisStore {
    fn take<'a>(
        &'a self,
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Decision>, StoreError>> {
        Box::pin(self.decide(takes, now))
    }

    fn reset<'a>(&'a self, key: &'a [u8], _now: Now) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut command = ::redis::cmd("DEL");
            self.link.send(command.arg(key)).await?;
            Ok(())
        })
    }
}

/// How a command ended that was not answered with a value.
enum Sent {
    /// Redis answered with an error.
    Refused(RedisError),
    /// It was not sent, or nobody knows what became of it.
    Lost(StoreError),
}

impl From<Sent> for StoreError {
    fn from(sent: Sent) -> Self {
        match sent {
            Sent::Refused(error) => Self::Failed(error.into()),
            Sent::Lost(error) => error,
        }
    }
}

impl Link {
    async fn send(&self, command: &Cmd) -> Result<::redis::Value, Sent> {
        let (mut connection, _permit) = self.connection().map_err(Sent::Lost)?;
        let sent = connection.send_packed_command(command).await;
        let value = sent.and_then(::redis::Value::extract_error);
        value.map_err(|error| {
            if error.is_unrecoverable_error() {
                return Sent::Lost(self.failed(error));
            }
            Sent::Refused(error)
        })
    }

    fn connection(
        &self,
    ) -> Result<(MultiplexedConnection, tokio::sync::SemaphorePermit<'_>), StoreError> {
        let connection = self.connection.load_full();
        let connection = connection.ok_or(StoreError::Disconnected)?;
        let permit = self.waiting.try_acquire().map_err(|_| StoreError::Full)?;
        Ok(((*connection).clone(), permit))
    }

    /// Has the keeper look after the connection if the error says that it is gone.
    fn failed(&self, error: RedisError) -> StoreError {
        if error.is_unrecoverable_error() {
            self.broken.notify_one();
        }
        StoreError::Failed(error.into())
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ::redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Keeps a [`RedisStore`] connected: connects, watches, connects again.
#[must_use = "without its keeper the store never connects"]
pub struct Keeper {
    client: Client,
    link: Arc<Link>,
}

impl Keeper {
    /// Runs until the token stops it; a Redis that is away is waited for.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep()).await;
    }

    async fn keep(&self) {
        let address = self.client.get_connection_info().addr().to_string();
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.connect().await {
                Ok(mut connection) => {
                    info!(%address, "redis connected");
                    backoff = FIRST_BACKOFF;
                    self.link
                        .connection
                        .store(Some(Arc::new(connection.clone())));
                    self.link.is_up.send_replace(true);
                    let error = self.watch(&mut connection).await;
                    self.link.connection.store(None);
                    self.link.is_up.send_replace(false);
                    warn!(%address, %error, "redis connection lost");
                }
                Err(error) => {
                    if backoff == FIRST_BACKOFF {
                        warn!(%address, %error, "redis does not answer, trying on");
                    }
                    let jitter = 0.5 + fastrand::f64();
                    tokio::time::sleep(backoff.mul_f64(jitter)).await;
                    backoff = (backoff * 2).min(LAST_BACKOFF);
                }
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(LONGEST_WAIT));
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let mut connection = connection.await?;
        ping(&mut connection).await?;
        Ok(connection)
    }

    /// Watches a connection until it is of no use any more.
    async fn watch(&self, connection: &mut MultiplexedConnection) -> RedisError {
        loop {
            tokio::select! {
                () = self.link.broken.notified() => {}
                () = tokio::time::sleep(PING_INTERVAL) => {}
            }
            if let Err(error) = ping(connection).await {
                return error;
            }
        }
    }
}

async fn ping(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let command = ::redis::cmd("PING");
    let pong = tokio::time::timeout(PATIENCE, connection.send_packed_command(&command));
    let late = |_| RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    pong.await.map_err(late)??.extract_error()?;
    Ok(())
}

const MAX_WAITING: usize = 16_384;
const FIRST_BACKOFF: Duration = Duration::from_millis(25);
const LAST_BACKOFF: Duration = Duration::from_secs(1);
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How long Redis may take to connect and to answer a ping.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a request holds its place among those that wait, whatever its caller grants.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
