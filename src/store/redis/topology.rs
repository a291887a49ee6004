//! The servers behind a store: which of them counts a key, and whether they answer.

use std::sync::Arc;
use std::time::Duration;

use ::redis::AsyncConnectionConfig;
use ::redis::Client;
use ::redis::Cmd;
use ::redis::IntoConnectionInfo;
use ::redis::Pipeline;
use ::redis::RedisError;
use ::redis::Value;
use ::redis::aio::ConnectionLike;
use ::redis::aio::MultiplexedConnection;
use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::store::StoreError;

/// What the store and its [`Keeper`] share.
pub(super) struct Link {
    connection: ArcSwapOption<MultiplexedConnection>,
    is_up: watch::Sender<bool>,
    broken: Notify,
    /// How many commands may wait for Redis at once; beyond that they fail at once.
    waiting: Semaphore,
}

/// Keys of one lane may stand in one command; commands of one lane arrive in order.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Lane(u16);

/// How a command ended that was not answered with a value.
pub(super) enum Sent {
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
    /// A link to `redis://[user:password@]host:port[/db]`, and the task that keeps it up.
    pub(super) fn new(url: &str) -> Result<(Arc<Self>, Keeper), RedisError> {
        let info = url.into_connection_info()?;
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp))?;
        let link = Arc::new(Self {
            connection: ArcSwapOption::empty(),
            is_up: watch::Sender::new(false),
            broken: Notify::new(),
            waiting: Semaphore::new(MAX_WAITING),
        });
        let keeper = Keeper {
            client,
            link: Arc::clone(&link),
        };
        Ok((link, keeper))
    }

    /// Whether Redis is connected, now and as it changes.
    pub(super) fn is_up(&self) -> watch::Receiver<bool> {
        self.is_up.subscribe()
    }

    /// Where a key is counted. All keys of a single server are in one lane.
    #[expect(
        clippy::unused_self,
        reason = "which lanes there are depends on the servers"
    )]
    pub(super) fn lane(&self, _key: &[u8]) -> Lane {
        Lane(0)
    }

    /// Sends a command whose keys are all of this lane. It is sent once at most.
    pub(super) async fn send(&self, lane: Lane, command: &Cmd) -> Result<Value, Sent> {
        let (mut connection, _permit) = self.connection(lane).map_err(Sent::Lost)?;
        let sent = connection.send_packed_command(command).await;
        sent.and_then(Value::extract_error)
            .map_err(|error| self.ended(error))
    }

    /// Sends `n` commands at once whose keys are all of this lane.
    pub(super) async fn send_all(
        &self,
        lane: Lane,
        commands: &Pipeline,
        n: usize,
    ) -> Result<Vec<Value>, Sent> {
        let (mut connection, _permit) = self.connection(lane).map_err(Sent::Lost)?;
        let sent = connection.req_packed_commands(commands, 0, n);
        sent.await.map_err(|error| self.ended(error))
    }

    fn connection(
        &self,
        _lane: Lane,
    ) -> Result<(MultiplexedConnection, SemaphorePermit<'_>), StoreError> {
        let connection = self.connection.load_full();
        let connection = connection.ok_or(StoreError::Disconnected)?;
        let permit = self.waiting.try_acquire().map_err(|_| StoreError::Full)?;
        Ok(((*connection).clone(), permit))
    }

    /// Has the keeper look after the connection if the error says that it is gone.
    fn ended(&self, error: RedisError) -> Sent {
        if error.is_unrecoverable_error() {
            self.broken.notify_one();
            return Sent::Lost(StoreError::Failed(error.into()));
        }
        Sent::Refused(error)
    }
}

/// Keeps a [`RedisStore`](crate::store::redis::RedisStore) connected: connects, watches, connects again.
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
